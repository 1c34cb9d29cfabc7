"""odinn: glacier evolution with learnable physics.

Importing odinn switches JAX to float64, once and first thing: glacier volumes are conserved to
1e-12. It loads no JAX itself: each name below is imported when it is first used.
"""

import os as _os
import sys as _sys
from typing import TYPE_CHECKING

if "jax" in _sys.modules:
    _sys.modules["jax"].config.update("jax_enable_x64", True)
else:
    _os.environ["JAX_ENABLE_X64"] = "1"  # JAX reads it when it is imported

if TYPE_CHECKING:
    from odinn import plot, verification
    from odinn.climate import Climate
    from odinn.data.building import glacier_from
    from odinn.data.opening import demo_glaciers, open_glacier, open_glaciers
    from odinn.data.series import open_climate
    from odinn.dates import date_of, decimal_year
    from odinn.errors import (
        CalibrationError,
        ClimateError,
        InputError,
        OdinnError,
        OutputError,
        SolverError,
    )
    from odinn.glacier import Glacier, Observations
    from odinn.grid import Grid
    from odinn.learning import losses, optimizers
    from odinn.learning.calibration import calibrate
    from odinn.learning.driver import Inversion, invert
    from odinn.learning.gradients import misfits, value_and_gradient
    from odinn.learning.pure_objective import Objective, objective
    from odinn.learning.synthetic import synthetic_observations
    from odinn.model.binding import bind, combine, trainable
    from odinn.model.examples import demo_model
    from odinn.model.model import Model
    from odinn.numbers.parameter import Parameter
    from odinn.numbers.slot import slot
    from odinn.physics import laws
    from odinn.physics.balance.odinn import OdinnBalance
    from odinn.physics.balance.temperature_index import (
        LinearBalance,
        PrescribedBalance,
        TemperatureIndex,
    )
    from odinn.physics.flow.sia import SIA2D, DiffusiveSIA2D, HybridSIA2D
    from odinn.physics.laws import inputs
    from odinn.physics.state import State
    from odinn.registry import register
    from odinn.results.geotiff import to_geotiff
    from odinn.results.simulation import Failure, Simulation
    from odinn.results.snapshot import load, restart, save
    from odinn.run.driver import simulate
    from odinn.stepping.reference import Diffrax
    from odinn.stepping.rkc import RKC2
    from odinn.stepping.steps import Steps
    from odinn.stepping.tableau import SSPRK3, Euler
    from odinn.warming import Ramp

# Where each name lives: in a module, or it is that module.
_HOMES = {
    "RKC2": "odinn.stepping.rkc",
    "SIA2D": "odinn.physics.flow.sia",
    "SSPRK3": "odinn.stepping.tableau",
    "CalibrationError": "odinn.errors",
    "Climate": "odinn.climate",
    "ClimateError": "odinn.errors",
    "Diffrax": "odinn.stepping.reference",
    "DiffusiveSIA2D": "odinn.physics.flow.sia",
    "Euler": "odinn.stepping.tableau",
    "Failure": "odinn.results.simulation",
    "Glacier": "odinn.glacier",
    "Grid": "odinn.grid",
    "HybridSIA2D": "odinn.physics.flow.sia",
    "InputError": "odinn.errors",
    "OutputError": "odinn.errors",
    "Inversion": "odinn.learning.driver",
    "LinearBalance": "odinn.physics.balance.temperature_index",
    "Model": "odinn.model.model",
    "Objective": "odinn.learning.pure_objective",
    "Observations": "odinn.glacier",
    "OdinnBalance": "odinn.physics.balance.odinn",
    "OdinnError": "odinn.errors",
    "Parameter": "odinn.numbers.parameter",
    "PrescribedBalance": "odinn.physics.balance.temperature_index",
    "Ramp": "odinn.warming",
    "Simulation": "odinn.results.simulation",
    "SolverError": "odinn.errors",
    "State": "odinn.physics.state",
    "Steps": "odinn.stepping.steps",
    "TemperatureIndex": "odinn.physics.balance.temperature_index",
    "bind": "odinn.model.binding",
    "calibrate": "odinn.learning.calibration",
    "combine": "odinn.model.binding",
    "date_of": "odinn.dates",
    "decimal_year": "odinn.dates",
    "demo_glaciers": "odinn.data.opening",
    "demo_model": "odinn.model.examples",
    "glacier_from": "odinn.data.building",
    "inputs": "odinn.physics.laws.inputs",
    "invert": "odinn.learning.driver",
    "laws": "odinn.physics.laws",
    "load": "odinn.results.snapshot",
    "losses": "odinn.learning.losses",
    "misfits": "odinn.learning.gradients",
    "objective": "odinn.learning.pure_objective",
    "open_climate": "odinn.data.series",
    "open_glacier": "odinn.data.opening",
    "open_glaciers": "odinn.data.opening",
    "optimizers": "odinn.learning.optimizers",
    "plot": "odinn.plot",
    "register": "odinn.registry",
    "restart": "odinn.results.snapshot",
    "save": "odinn.results.snapshot",
    "simulate": "odinn.run.driver",
    "slot": "odinn.numbers.slot",
    "synthetic_observations": "odinn.learning.synthetic",
    "to_geotiff": "odinn.results.geotiff",
    "trainable": "odinn.model.binding",
    "value_and_gradient": "odinn.learning.gradients",
    "verification": "odinn.verification",
}

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
    "OutputError",
    "Parameter",
    "PrescribedBalance",
    "Ramp",
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
    "glacier_from",
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
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'odinn' has no attribute {name!r}")
    module = import_module(_HOMES[name])
    value = vars(module).get(name, module)
    globals()[name] = value  # from now on it is found at once
    return value


def __dir__() -> list[str]:
    return __all__
