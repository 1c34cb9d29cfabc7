"""Explicit Euler under the CFL condition: the baseline of shallow ice models."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from odinn.errors import InputError
from odinn.stepping.base import (
    AbstractStepper,
    Norm,
    Pullback,
    PyTree,
    RightHandSide,
    Tendency,
    combine,
    divide_evenly,
    linearise_by_jax,
)


class Euler(AbstractStepper):
    """Explicit Euler with dt = courant / stiffness.

    Args:
        courant: 2 is the limit of linear stability, and the most that is accepted. The default is
            dt = 0.124 dx²/max(D) for n = 3, the usual choice.
    """

    courant: float = 1.984

    order: ClassVar[int] = 1
    reuses_end: ClassVar[bool] = False

    def __check_init__(self) -> None:
        check_courant(self, 2.0)

    def plan(self, remaining: Any, suggestion: Any, stiffness: Any) -> tuple[Any, Any]:
        """See :class:`AbstractStepper`."""
        return cfl_step(self.courant, remaining, stiffness), jnp.int32(1)

    def step(
        self,
        f: RightHandSide,
        t: Any,
        y: PyTree,
        f0: PyTree,
        dt: Any,
        stages: Any,
        bound: int | None,
    ) -> tuple[PyTree, tuple[PyTree, Any] | None, PyTree | None]:
        """See :class:`AbstractStepper`."""
        return combine((1.0, y), (dt, f0)), None, None

    def linearise(
        self,
        f: Tendency,
        transposed: Tendency,
        theta: PyTree,
        t: Any,
        y: PyTree,
        dt: Any,
        stages: Any,
        bound: int,
    ) -> tuple[PyTree, Pullback]:
        """See :class:`AbstractStepper`."""
        return linearise_by_jax(self, transposed, theta, t, y, dt, stages)

    def ratio(self, error: PyTree, y0: PyTree, y1: PyTree, norm: Norm) -> Any:
        """0: the step is not controlled by an error."""
        return jnp.zeros(())


def check_courant(stepper: Any, limit: float) -> None:
    """Raise :class:`InputError` for a courant number beyond the limit of linear stability, or none
    at all.
    """
    if not 0 < stepper.courant <= limit:
        name = type(stepper).__name__
        raise InputError(
            f"{name}(courant={stepper.courant:g}): expected a number above 0, stable up to "
            f"{limit:g}"
        )


def cfl_step(courant: float, remaining: Any, stiffness: Any) -> Any:
    """The step of at most courant / stiffness that divides the rest of the window evenly."""
    return divide_evenly(
        remaining, jnp.minimum(remaining, courant / jnp.maximum(stiffness, 1e-300))
    )
