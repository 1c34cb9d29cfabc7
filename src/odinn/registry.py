"""Which classes a file may name, and under which public name; nothing else is made on loading."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Final, TypeVar, overload

import equinox as eqx

from odinn.errors import InputError

Class = TypeVar("Class", bound=type)

# Public name to the module that the class lives in now: its own name is the last part. A class may
# move, its public name stays, and so do files. Modules are imported when a file names a class.
_BUILT_IN: Final[dict[str, str]] = {
    "odinn.Climate": "odinn.climate",
    "odinn.Scenario": "odinn.climate",
    "odinn.Ramp": "odinn.warming",
    "odinn.warming.ByDate": "odinn.warming",
    "odinn.warming.ByMonth": "odinn.warming",
    "odinn.Grid": "odinn.grid",
    "odinn.Glacier": "odinn.glacier",
    "odinn.Observations": "odinn.glacier",
    "odinn.MassBalanceRecord": "odinn.glacier",
    "odinn.PointThickness": "odinn.glacier",
    "odinn.Parameter": "odinn.numbers.parameter",
    "odinn.Model": "odinn.model.model",
    "odinn.State": "odinn.physics.state",
    "odinn.state.BalanceInForce": "odinn.physics.processes.balance",
    "odinn.state.Rates": "odinn.physics.balance.base",
    "odinn.SIA2D": "odinn.physics.flow.sia",
    "odinn.HybridSIA2D": "odinn.physics.flow.sia",
    "odinn.DiffusiveSIA2D": "odinn.physics.flow.sia",
    "odinn.TemperatureIndex": "odinn.physics.balance.temperature_index",
    "odinn.LinearBalance": "odinn.physics.balance.temperature_index",
    "odinn.OdinnBalance": "odinn.physics.balance.odinn",
    "odinn.PrescribedBalance": "odinn.physics.balance.temperature_index",
    "odinn.laws.Basis": "odinn.physics.laws.basis",
    "odinn.laws.CuffeyPaterson": "odinn.physics.laws.rheology",
    "odinn.laws.DebrisCover": "odinn.physics.laws.debris",
    "odinn.laws.Function": "odinn.physics.laws.rheology",
    "odinn.laws.Neural": "odinn.physics.laws.neural",
    "odinn.laws.SyntheticSliding": "odinn.physics.laws.sliding",
    "odinn.inputs.Altitude": "odinn.physics.laws.inputs",
    "odinn.inputs.DegreeDays": "odinn.physics.laws.inputs",
    "odinn.inputs.LongTermTemperature": "odinn.physics.laws.inputs",
    "odinn.inputs.MonthlyTemperature": "odinn.physics.laws.inputs",
    "odinn.inputs.RecentDegreeDays": "odinn.physics.laws.inputs",
    "odinn.inputs.SurfaceSlope": "odinn.physics.laws.inputs",
    "odinn.inputs.IceThickness": "odinn.physics.laws.inputs",
    "odinn.inputs.WithinOutline": "odinn.physics.laws.inputs",
    "odinn.inputs.Eastness": "odinn.physics.laws.topography",
    "odinn.inputs.Northness": "odinn.physics.laws.topography",
    "odinn.inputs.TopographicAspect": "odinn.physics.laws.topography",
    "odinn.inputs.TopographicRoughness": "odinn.physics.laws.topography",
    "odinn.inputs.TopographicSlope": "odinn.physics.laws.topography",
    "odinn.Euler": "odinn.stepping.tableau",
    "odinn.RKC2": "odinn.stepping.rkc",
    "odinn.SSPRK3": "odinn.stepping.tableau",
    "odinn.Diffrax": "odinn.stepping.reference",
    "odinn.Steps": "odinn.stepping.steps",
    "odinn.Simulation": "odinn.results.simulation",
    "odinn.Hydrology": "odinn.results.hydrology",
    "odinn.Inversion": "odinn.learning.driver",
    "odinn.InversionState": "odinn.learning.state",
    "odinn.InversionSetup": "odinn.cli.inverting",
    "odinn.losses.ElevationChange": "odinn.learning.losses",
    "odinn.losses.MassBalance": "odinn.learning.losses",
    "odinn.losses.SmoothVelocity": "odinn.learning.losses",
    "odinn.losses.Thickness": "odinn.learning.losses",
    "odinn.losses.Velocity": "odinn.learning.losses",
    "odinn.losses.Points": "odinn.learning.points",
    "odinn.losses.Total": "odinn.learning.terms",
    "odinn.optimizers.Adam": "odinn.learning.optimizers",
    "odinn.optimizers.GaussNewton": "odinn.learning.optimizers",
    "odinn.optimizers.LBFGS": "odinn.learning.optimizers",
    "odinn.losses.Prior": "odinn.learning.regularization",
    "odinn.losses.Smoothness": "odinn.learning.regularization",
    "odinn.verification.BedrockStep": "odinn.verification.exact_solutions",
    "odinn.verification.Circles": "odinn.verification.exact_solutions",
    "odinn.verification.ExactBalance": "odinn.verification.exact_solutions",
    "odinn.verification.Halfar": "odinn.verification.exact_solutions",
    "odinn.verification.OscillatingDome": "odinn.verification.exact_solutions",
    "diffrax.Bosh3": "diffrax",
    "diffrax.Dopri5": "diffrax",
    "diffrax.Dopri8": "diffrax",
    "diffrax.Euler": "diffrax",
    "diffrax.Heun": "diffrax",
    "diffrax.Midpoint": "diffrax",
    "diffrax.Ralston": "diffrax",
    "diffrax.Tsit5": "diffrax",
}
_RESERVED: Final = ("odinn.", "diffrax.")
_registered: dict[str, type] = {}


@overload
def register(cls: Class, *, name: str | None = None) -> Class: ...
@overload
def register(cls: None = None, *, name: str | None = None) -> Callable[[Class], Class]: ...
def register(cls: Class | None = None, *, name: str | None = None) -> object:
    """Let files keep a class of one's own: a law, an input, a loss, a flow, a balance.

    A file names the class and keeps its declared fields. It can be read wherever a class is
    registered under that name, from whichever module. Works as a decorator, with or without
    ``name``.

    Args:
        cls: the class, a subclass of one of odinn's or an ``equinox.Module``.
        name: under which files know it; default the class's own.

    Returns:
        The class.

    Raises:
        InputError: not such a class, or the name is taken by another one.

    >>> import odinn
    >>> @odinn.register
    ... class Constant(odinn.inputs.FixedInput):
    ...     range, label, unit = None, "one", "1"
    ...
    ...     def field(self, glacier):
    ...         return 1.0
    """
    if cls is None:
        return lambda cls: register(cls, name=name)
    if not (isinstance(cls, type) and issubclass(cls, eqx.Module)):
        raise InputError(
            f"register: found {cls!r}, expected a class such as a law, an input or a loss"
        )
    name = cls.__name__ if name is None else name
    if not isinstance(name, str) or not name.strip() or name.startswith(_RESERVED):
        raise InputError(
            f"register({cls.__name__}, name={name!r}): expected a name that does not start with "
            f"{' or '.join(_RESERVED)}"
        )
    known = _registered.get(name)
    if known is not None and not _are_alike(known, cls):
        raise InputError(
            f"register: the name '{name}' is taken by {known.__module__}.{known.__qualname__}; "
            "choose another with name="
        )
    _registered[name] = cls
    return cls


def public_name(cls: type) -> str | None:
    """The name under which files know a class; None if it is not registered."""
    for name, own in _registered.items():
        if _are_alike(own, cls):
            return name
    for name, module in _BUILT_IN.items():
        # what was made is of a module that is loaded; others need not be
        if _class_in(sys.modules.get(module), name) is cls:
            return name
    return None


def class_of(name: str) -> type | None:
    """The class that files know under a name; None if there is none."""
    if name in _registered:
        return _registered[name]
    module = _BUILT_IN.get(name)
    return None if module is None else _class_in(importlib.import_module(module), name)


def _class_in(module: object, name: str) -> type | None:
    return None if module is None else vars(module).get(name.rpartition(".")[2])


def _are_alike(one: type, other: type) -> bool:
    """Whether two classes are one, or one is the other defined again, as in a notebook."""
    return one.__module__ == other.__module__ and one.__qualname__ == other.__qualname__
