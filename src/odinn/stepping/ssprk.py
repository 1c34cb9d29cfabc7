"""Strong-stability-preserving Runge–Kutta, for windows not much longer than a CFL step."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from odinn.stepping.base import (
    AbstractStepper,
    Norm,
    Pullback,
    PyTree,
    RightHandSide,
    Tendency,
    combine,
    linearise_by_jax,
)
from odinn.stepping.euler import cfl_step, check_courant


class SSPRK3(AbstractStepper):
    """Third-order SSP Runge–Kutta with three stages (Shu & Osher 1988, eq. 2.18), dt = courant /
    stiffness.

    Args:
        courant: 2.51 is the limit of linear stability on the negative real axis, and the most that
            is accepted.
    """

    courant: float = 2.4

    order: ClassVar[int] = 3
    reuses_end: ClassVar[bool] = False

    def __check_init__(self) -> None:
        check_courant(self, 2.51)

    def plan(self, remaining: Any, suggestion: Any, stiffness: Any) -> tuple[Any, Any]:
        """See :class:`AbstractStepper`."""
        return cfl_step(self.courant, remaining, stiffness), jnp.int32(3)

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
        y1 = combine((1.0, y), (dt, f0))
        f1, _ = f(t + dt, y1)
        y2 = combine((0.75, y), (0.25, y1), (0.25 * dt, f1))
        f2, _ = f(t + 0.5 * dt, y2)
        y3 = combine(
            (1.0, y2), (dt, f2)
        )  # as a difference: 1/3 and 2/3 do not add up to 1 and would lose mass
        return combine((1.0, y), (2 / 3, combine((1.0, y3), (-1.0, y)))), None, None

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
