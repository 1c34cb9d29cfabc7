"""odinn: glacier evolution with learnable physics.

Importing odinn switches JAX to float64, once and first thing: glacier volumes are conserved to
1e-12.
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
from odinn.glacier import Glacier, Observations
from odinn.grid import Grid
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter
from odinn.numbers.slot import slot
from odinn.physics.balance.base import AbstractMassBalance as _AbstractMassBalance
from odinn.physics.balance.odinn import OdinnBalance
from odinn.physics.balance.temperature_index import (
    LinearBalance,
    PrescribedBalance,
    TemperatureIndex,
)
from odinn.physics.flow.base import AbstractFlow as _AbstractFlow
from odinn.physics.flow.sia import SIA2D, DiffusiveSIA2D, HybridSIA2D
from odinn.physics.state import State
from odinn.printing import print_as_calls as _print_as_calls
from odinn.registry import register
from odinn.results.simulation import Failure, Simulation
from odinn.stepping.rkc import RKC2
from odinn.stepping.steps import Steps
from odinn.stepping.tableau import SSPRK3, Euler

_print_as_calls(
    Model, State, _AbstractFlow, _AbstractMassBalance, Parameter, Glacier, Observations, Climate
)

# What opening and reading files needs no part of, or what loads xarray, diffrax or matplotlib:
# imported on first use.
_LAZY = {
    "calibrate": "odinn.learning.calibration",
    "simulate": "odinn.run.driver",
    "misfits": "odinn.learning.gradients",
    "value_and_gradient": "odinn.learning.gradients",
    "invert": "odinn.learning.driver",
    "Objective": "odinn.learning.pure_objective",
    "objective": "odinn.learning.pure_objective",
    "Inversion": "odinn.learning.driver",
    "synthetic_observations": "odinn.learning.synthetic",
    "combine": "odinn.model.binding",
    "trainable": "odinn.model.binding",
    "bind": "odinn.model.binding",
    "Diffrax": "odinn.stepping.reference",
    "demo_glaciers": "odinn.data.demo.rakaia",
    "demo_model": "odinn.model.examples",
    "load": "odinn.results.snapshot",
    "open_climate": "odinn.data.series",
    "open_glacier": "odinn.data.opening",
    "open_glaciers": "odinn.data.opening",
    "restart": "odinn.results.snapshot",
    "save": "odinn.results.snapshot",
    "to_geotiff": "odinn.results.geotiff",
}
_MODULES = {
    "inputs": "odinn.physics.laws.inputs",
    "laws": "odinn.physics.laws",
    "losses": "odinn.learning.losses",
    "optimizers": "odinn.learning.optimizers",
    "plot": "odinn.plot",
    "verification": "odinn.verification",
}

if TYPE_CHECKING:
    from odinn import plot, verification
    from odinn.data.demo.rakaia import demo_glaciers
    from odinn.data.opening import open_glacier, open_glaciers
    from odinn.data.series import open_climate
    from odinn.learning import losses, optimizers
    from odinn.learning.calibration import calibrate
    from odinn.learning.driver import Inversion, invert
    from odinn.learning.gradients import misfits, value_and_gradient
    from odinn.learning.pure_objective import Objective, objective
    from odinn.learning.synthetic import synthetic_observations
    from odinn.model.binding import bind, combine, trainable
    from odinn.model.examples import demo_model
    from odinn.physics import laws
    from odinn.physics.laws import inputs
    from odinn.results.geotiff import to_geotiff
    from odinn.results.snapshot import load, restart, save
    from odinn.run.driver import simulate
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
    "Objective",
    "Observations",
    "OdinnBalance",
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
    "objective",
    "open_climate",
    "open_glacier",
    "open_glaciers",
    "optimizers",
    "plot",
    "register",
    "restart",
    "save",
    "simulate",
    "slot",
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
