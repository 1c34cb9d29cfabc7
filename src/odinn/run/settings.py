"""How a run is made, for forward runs and inversions alike."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final, Literal, get_args

import equinox as eqx

from odinn.dates import MONTH, Date, decimal_year
from odinn.errors import InputError, one_of, whole
from odinn.physics.balance.base import Coupling
from odinn.stepping.interface import AbstractStepper
from odinn.stepping.rkc import RKC2

Precision = Literal["float64", "float32"]
_MOST_STEPS: Final = 2**31 - 1  # that the counters of the loop hold


class Settings(eqx.Module):
    """Checked settings of a run.

    Args:
        t0, t1: decimal years. save_every: years between saved states.
        stepper: method and step-size rule. coupling: how a monthly balance meets the ice.
        hydrology: the water is recorded. dtype: precision. max_steps: attempts until a window is
            given up.
    """

    t0: float
    t1: float
    save_every: float
    stepper: AbstractStepper
    coupling: Coupling
    hydrology: bool
    dtype: Precision
    max_steps: int

    @property
    def span(self) -> tuple[float, float]:
        """(t0, t1)"""
        return self.t0, self.t1

    def described(self) -> dict[str, Any]:
        """For the record that goes with results."""
        return {
            "t0": self.t0,
            "t1": self.t1,
            "save_every": self.save_every,
            "coupling": self.coupling,
            "stepper": _with_all_numbers(self.stepper),
            "dtype": self.dtype,
        }


def _with_all_numbers(stepper: AbstractStepper) -> str:
    """A stepper as the call that makes it, its defaults too, for the record."""
    given = [f"{field.name}={getattr(stepper, field.name)}" for field in fields(stepper)]
    return f"{type(stepper).__name__}({', '.join(given)})"


def settings_of(
    t0: Date,
    t1: Date,
    *,
    save_every: float | None = MONTH,
    stepper: AbstractStepper | None = None,
    coupling: Coupling = "source",
    hydrology: bool = False,
    dtype: Precision = "float64",
    max_steps: int = 1_000_000,
    about: str = "simulate",
) -> Settings:
    """Settings from what a user gives; dates become decimal years.

    Args:
        save_every: None saves the end alone. about: what errors are about: an RGI id.

    Raises:
        InputError: a stepper, an interval or a word that is none.
    """
    start, end = decimal_year(t0), decimal_year(t1)
    if not end > start:
        raise InputError(
            f"{about}: the run ends at {end:g}, which is not after its start {start:g}"
        )
    save_every = end - start if save_every is None else save_every
    if isinstance(save_every, str) or not save_every > 0:
        raise InputError(
            f"{about}: save_every={save_every!r}: expected a positive number of years such as 1/12"
        )
    stepper = RKC2() if stepper is None else stepper
    if not isinstance(stepper, AbstractStepper):
        raise InputError(
            f"{about}: stepper={stepper!r}: expected one such as odinn.RKC2() or odinn.Euler()"
        )
    one_of("coupling", coupling, get_args(Coupling), about=about)
    one_of("dtype", dtype, get_args(Precision), about=about)
    whole("max_steps", max_steps, about=about)
    max_steps = min(int(max_steps), _MOST_STEPS)
    return Settings(start, end, float(save_every), stepper, coupling, hydrology, dtype, max_steps)
