"""Any explicit Runge–Kutta method of diffrax as a stepper, for tight reference runs."""

from __future__ import annotations

from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp

from odinn.stepping.base import (
    AbstractStepper,
    Norm,
    Pullback,
    PyTree,
    RightHandSide,
    Tendency,
    divide_evenly,
    linearise_by_jax,
)


class Diffrax(AbstractStepper):
    """Adaptive steps with a method of diffrax; windows, settling, recording and replay as with
    every stepper.

    Args:
        solver: an explicit solver with an error estimate, such as ``diffrax.Bosh3()`` (default) or
            ``Tsit5()``.
        atol, rtol: absolute (m) and relative tolerance of the local error, root mean square over
            ice.
    """

    solver: diffrax.AbstractERK = eqx.field(default_factory=diffrax.Bosh3)
    atol: float = 1e-6
    rtol: float = 0.0

    order: ClassVar[int] = (
        2  # of the error estimate; a conservative exponent for every embedded pair
    )
    reuses_end: ClassVar[bool] = False

    def plan(self, remaining: Any, suggestion: Any, stiffness: Any) -> tuple[Any, Any]:
        """See :class:`AbstractStepper`: the error alone sets the step, from a first guess at the
        CFL condition.
        """
        guess = jnp.where(
            jnp.isfinite(suggestion), suggestion, 2.0 / jnp.maximum(stiffness, 1e-300)
        )
        return divide_evenly(remaining, jnp.minimum(remaining, guess)), jnp.int32(1)

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
        term = diffrax.ODETerm(lambda t, y, args: f(t, y)[0])
        state = self.solver.init(term, t, t + dt, y, None)
        y1, error, _, _, _ = self.solver.step(term, t, t + dt, y, None, state, made_jump=True)
        return y1, None, error

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
        """See :class:`AbstractStepper`."""
        scale = lambda e, a, b: e / (self.atol + self.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b)))
        return norm(jax.tree.map(scale, error, y0, y1), y0, y1)
