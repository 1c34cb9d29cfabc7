"""Explicit Runge–Kutta schemes with a few stages under the CFL condition: Euler and SSPRK3."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from odinn.errors import InputError
from odinn.stepping.controller import CFLController
from odinn.stepping.interface import (
    AbstractScheme,
    AbstractStepper,
    Method,
    Rates,
    RightHandSide,
    Scalar,
    Step,
    TransposeByJax,
    Trial,
    combine,
)

EULER_LIMIT, SSPRK3_LIMIT = 2.0, 2.51  # of linear stability on the negative real axis


class RungeKutta(AbstractScheme):
    """An explicit Runge–Kutta scheme by its Butcher tableau.

    Args:
        rows: for each stage but the first, the weights of the stages before it.
        weights: of all stages in the step.

    A step is y + dt Σ weight · rate, not a convex combination of stage values (Shu & Osher 1988):
    in the same arithmetic, 1/3 and 2/3 of y do not add up to y, and would lose mass.
    """

    rows: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    weights: tuple[float, ...] = eqx.field(static=True)

    @property
    def reuses_end(self) -> bool:
        """See :class:`AbstractScheme`. A single stage sees nothing of what it leads to, so its
        step looks at the end, too.
        """
        return len(self.weights) == 1

    def stages(self, dt: Scalar, stiffness: Scalar) -> jax.Array:
        """See :class:`AbstractScheme`."""
        return jnp.int32(len(self.weights))

    def step(
        self, f: RightHandSide, y: PyTree, rate: PyTree, step: Step, bound: int | None
    ) -> Trial:
        """See :class:`AbstractScheme`."""
        rates, seen = [rate], []
        for row in self.rows:
            node = sum(row)  # the time of a stage, over dt
            here = f(step.t + node * step.dt, self._moved(y, row, rates, step.dt))
            rates.append(here.change)
            seen.append(here.stiffness)
        y1 = self._moved(y, self.weights, rates, step.dt)
        return Trial(y1, stiffness=jnp.max(jnp.stack(seen)) if seen else None)

    def looked_at(self, trial: Trial, y: PyTree, rate: PyTree, dt: Scalar, end: Rates) -> Trial:
        """See :class:`AbstractScheme`."""
        return trial._replace(stiffness=end.stiffness)

    def _moved(
        self, y: PyTree, weights: tuple[float, ...], rates: list[PyTree], dt: Scalar
    ) -> PyTree:
        """y + dt Σ weight · rate"""
        return combine((1.0, y), (dt, combine(*zip(weights, rates, strict=True))))


_EULER = RungeKutta(rows=(), weights=(1.0,))
_SSPRK3 = RungeKutta(rows=((1.0,), (1 / 4, 1 / 4)), weights=(1 / 6, 1 / 6, 2 / 3))


class Euler(AbstractStepper):
    """Explicit Euler with dt = courant / stiffness: the baseline of shallow ice models.

    Args:
        courant: 2 is the limit of linear stability, and the most that is accepted. The default is
            dt = 0.124 dx²/max(D) for n = 3, the usual choice.

    A step whose end is too stiff for its length is rejected (:class:`CFLController`).
    """

    courant: float = 1.984

    def __check_init__(self) -> None:
        _check_courant(self, EULER_LIMIT)

    @property
    def method(self) -> Method:
        """See :class:`AbstractStepper`."""
        controller = CFLController(self.courant, EULER_LIMIT)
        return Method(_EULER, controller, TransposeByJax(_EULER))


class SSPRK3(AbstractStepper):
    """Third-order SSP Runge–Kutta with three stages (Shu & Osher 1988, eq. 2.18), dt = courant /
    stiffness, for windows not much longer than a CFL step.

    Args:
        courant: 2.51 is the limit of linear stability on the negative real axis, and the most that
            is accepted.

    A step with stages that are too stiff for its length is rejected (:class:`CFLController`).
    """

    courant: float = 2.4

    def __check_init__(self) -> None:
        _check_courant(self, SSPRK3_LIMIT)

    @property
    def method(self) -> Method:
        """See :class:`AbstractStepper`."""
        controller = CFLController(self.courant, SSPRK3_LIMIT)
        return Method(_SSPRK3, controller, TransposeByJax(_SSPRK3))


def _check_courant(stepper: Euler | SSPRK3, limit: float) -> None:
    """Raise :class:`InputError` for a courant number beyond the limit of linear stability, or none
    at all.
    """
    if not 0 < stepper.courant <= limit:
        name = type(stepper).__name__
        raise InputError(
            f"{name}(courant={stepper.courant:g}): expected a number above 0, stable up to "
            f"{limit:g}"
        )
