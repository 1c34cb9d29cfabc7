"""odinn: glacier evolution with learnable physics.

Importing odinn switches JAX to float64, once and first thing: glacier volumes are conserved to 1e-12.
"""

import jax as _jax

_jax.config.update("jax_enable_x64", True)

from odinn.climate import Climate  # noqa: E402
from odinn.dates import date_of, decimal_year  # noqa: E402
from odinn.errors import (  # noqa: E402
    CalibrationError,
    ClimateError,
    InputError,
    OdinnError,
    SolverError,
)
from odinn.flow.sia import SIA2D, DiffusiveSIA2D, HybridSIA2D  # noqa: E402
from odinn.glacier import Glacier, Observations  # noqa: E402
from odinn.grid import Grid  # noqa: E402
from odinn.massbalance.calibration import calibrate  # noqa: E402
from odinn.massbalance.temperature_index import LinearBalance, PrescribedBalance, TemperatureIndex  # noqa: E402
from odinn.model import Model, State  # noqa: E402
from odinn.simulation import Failure, Simulation, Steps, simulate  # noqa: E402
from odinn.stepping.euler import Euler  # noqa: E402
from odinn.stepping.rkc import RKC2  # noqa: E402
from odinn.stepping.ssprk import SSPRK3  # noqa: E402


def __getattr__(name: str) -> object:
    """Names whose modules load xarray, diffrax or matplotlib: imported on first use."""
    import importlib

    lazy = {
        "Diffrax": "odinn.stepping.reference",
        "open_glacier": "odinn.data.opening",
        "open_glaciers": "odinn.data.opening",
        "demo_glaciers": "odinn.data.synthetic",
        "save": "odinn.output.snapshot",
        "load": "odinn.output.snapshot",
        "restart": "odinn.output.snapshot",
    }
    if name in lazy:
        return getattr(importlib.import_module(lazy[name]), name)
    if name in ("laws", "plot", "verification"):
        return importlib.import_module(f"odinn.{name}")
    raise AttributeError(f"module 'odinn' has no attribute {name!r}")
