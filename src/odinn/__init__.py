"""odinn: glacier evolution with learnable physics.

Importing odinn switches JAX to float64, once and first thing: glacier volumes are conserved to 1e-12.
"""

from typing import TYPE_CHECKING

import jax as _jax

_jax.config.update("jax_enable_x64", True)

from odinn.climate import Climate
from odinn.dates import date_of, decimal_year
from odinn.errors import (
    CalibrationError,
    ClimateError,
    InputError,
    OdinnError,
    SolverError,
)
from odinn.flow.base import AbstractFlow as _AbstractFlow
from odinn.flow.sia import SIA2D, DiffusiveSIA2D, HybridSIA2D
from odinn.glacier import Glacier, Observations
from odinn.grid import Grid
from odinn.massbalance.base import AbstractMassBalance as _AbstractMassBalance
from odinn.massbalance.calibration import calibrate
from odinn.massbalance.temperature_index import LinearBalance, PrescribedBalance, TemperatureIndex
from odinn.model import Model, State
from odinn.parameter import Parameter
from odinn.printing import print_as_calls as _print_as_calls
from odinn.simulation import Failure, Simulation, simulate
from odinn.stepping.euler import Euler
from odinn.stepping.rkc import RKC2
from odinn.stepping.ssprk import SSPRK3
from odinn.steps import Steps

_print_as_calls(Model, State, _AbstractFlow, _AbstractMassBalance, Parameter, Glacier, Observations, Climate)

_LAZY = {  # names whose modules load xarray, diffrax or matplotlib: imported on first use
    "misfits": "odinn.inversion.gradients",
    "value_and_gradient": "odinn.inversion.gradients",
    "invert": "odinn.inversion.driver",
    "Inversion": "odinn.inversion.driver",
    "synthetic_observations": "odinn.inversion.synthetic",
    "combine": "odinn.binding",
    "trainable": "odinn.binding",
    "bind": "odinn.binding",
    "Diffrax": "odinn.stepping.reference",
    "demo_glaciers": "odinn.data.demo.rakaia",
    "demo_model": "odinn.data.demo.rakaia",
    "load": "odinn.output.snapshot",
    "open_climate": "odinn.data.series",
    "open_glacier": "odinn.data.opening",
    "open_glaciers": "odinn.data.opening",
    "restart": "odinn.output.snapshot",
    "save": "odinn.output.snapshot",
    "to_geotiff": "odinn.output.geotiff",
}
_MODULES = {
    "inputs": "odinn.laws.inputs",
    "laws": "odinn.laws",
    "losses": "odinn.inversion.losses",
    "optimizers": "odinn.inversion.optimizers",
    "plot": "odinn.plot",
    "regularization": "odinn.inversion.regularization",
    "verification": "odinn.verification",
}

if TYPE_CHECKING:
    from odinn import laws, plot, verification
    from odinn.binding import bind, combine, trainable
    from odinn.data.demo.rakaia import demo_glaciers, demo_model
    from odinn.data.opening import open_glacier, open_glaciers
    from odinn.data.series import open_climate
    from odinn.inversion import losses, optimizers, regularization
    from odinn.inversion.driver import Inversion, invert
    from odinn.inversion.gradients import misfits, value_and_gradient
    from odinn.inversion.synthetic import synthetic_observations
    from odinn.laws import inputs
    from odinn.output.geotiff import to_geotiff
    from odinn.output.snapshot import load, restart, save
    from odinn.stepping.reference import Diffrax

__all__ = [
    "RKC2",
    "SIA2D",
    "SSPRK3",
    "CalibrationError",
    "Climate",
    "ClimateError",
    "Diffrax",
    "DiffusiveSIA2D",
    "Euler",
    "Failure",
    "Glacier",
    "Grid",
    "HybridSIA2D",
    "InputError",
    "Inversion",
    "LinearBalance",
    "Model",
    "Observations",
    "OdinnError",
    "Parameter",
    "PrescribedBalance",
    "Simulation",
    "SolverError",
    "State",
    "Steps",
    "TemperatureIndex",
    "bind",
    "calibrate",
    "combine",
    "date_of",
    "decimal_year",
    "demo_glaciers",
    "demo_model",
    "inputs",
    "invert",
    "laws",
    "load",
    "losses",
    "misfits",
    "open_climate",
    "open_glacier",
    "open_glaciers",
    "optimizers",
    "plot",
    "regularization",
    "restart",
    "save",
    "simulate",
    "synthetic_observations",
    "to_geotiff",
    "trainable",
    "value_and_gradient",
    "verification",
]


def __getattr__(name: str) -> object:
    import importlib

    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    raise AttributeError(f"module 'odinn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
