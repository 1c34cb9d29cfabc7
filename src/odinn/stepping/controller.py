"""Rules for the length of steps: by an error estimate, and by the CFL condition.

Neither remembers anything from one window to the next, so a run may be cut at any window's end
and continue with the same steps.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PyTree

from odinn.stepping.interface import (
    AbstractController,
    Array,
    Norm,
    Scalar,
    Step,
    Trial,
    divide_evenly,
    longest_step,
)

SAFETY, SHRINK, GROW = 0.8, 0.2, 5.0

# How far the stiffness may grow within a step that was planned at its start, over the limit of
# linear stability. A step beyond the limit amplifies the roughest mode: by 1.5 with Euler at 1.25
# times 2, once, because the next step is planned from the stiffness that is then there. Ordinary
# steps see the stiffness grow by some per cent, and would be rejected without room for that.
SLACK = 1.25

# How far the error of a repeated step may exceed what is tolerated. It grows with the cube of the
# rates, so they may double; a step that has become unstable exceeds it within a few steps.
ROOM = 10.0


class ErrorController(AbstractController):
    """The step follows from an estimate of its local error.

    The estimate holds the rates at the end of the step, so one that ends too stiff for its stages
    has a large error and is rejected by it; the stiffness there needs no look of its own.

    Args:
        atol: tolerated root mean square of the error, in the unit of y.
        order: of the error estimate.
        rtol: tolerance relative to y, added to ``atol``; None: none.
        reach: largest dt · stiffness.
        first_reach: the same for the first try of a window.
    """

    atol: float
    order: int
    rtol: float | None = None
    reach: float = math.inf
    first_reach: float = math.inf

    def plan(self, remaining: Scalar, suggestion: Scalar, stiffness: Scalar) -> Scalar:
        """See :class:`AbstractController`."""
        first = longest_step(self.first_reach, stiffness)
        wanted = jnp.where(jnp.isfinite(suggestion), suggestion, first)
        wanted = jnp.minimum(remaining, wanted)
        return divide_evenly(remaining, jnp.minimum(wanted, longest_step(self.reach, stiffness)))

    def judge(self, dt: Scalar, y: PyTree, trial: Trial, norm: Norm) -> tuple[jax.Array, Scalar]:
        """See :class:`AbstractController`."""
        ratio = lax.stop_gradient(jnp.asarray(self._ratio(y, trial, norm)))
        growth = SAFETY * jnp.maximum(ratio, 1e-10) ** (-1.0 / (self.order + 1))
        growth = jnp.clip(growth, SHRINK, GROW)
        # an error that is no number says nothing of how much shorter: as short as is allowed
        growth = jnp.where(jnp.isfinite(ratio), growth, SHRINK)
        return ratio <= 1.0, dt * growth  # NaN <= 1 is False

    def bears(
        self, step: Step, y: PyTree, stiffness: Scalar, trial: Trial, norm: Norm
    ) -> jax.Array:
        """See :class:`AbstractController`."""
        return lax.stop_gradient(jnp.asarray(self._ratio(y, trial, norm))) <= ROOM

    def _ratio(self, y: PyTree, trial: Trial, norm: Norm) -> Scalar:
        """Size of the error over what is tolerated."""
        if self.rtol is None:
            return norm(trial.error, y, trial.y) / self.atol

        def scaled(error: Array, before: Array, after: Array) -> jax.Array:
            size = jnp.maximum(jnp.abs(before), jnp.abs(after))
            return error / (self.atol + self.rtol * size)

        return norm(jax.tree.map(scaled, trial.error, y, trial.y), y, trial.y)


class CFLController(AbstractController):
    """dt = courant / stiffness at the start of the step, and no later stage may have become too
    stiff for that.

    A system at rest (no ice: no stiffness) is first tried with the whole window. What the later
    stages then see decides: dt · stiffness beyond ``SLACK`` times the limit is rejected.

    Args:
        courant: dt · stiffness that is planned.
        limit: dt · stiffness up to which the scheme is linearly stable.
    """

    courant: float
    limit: float

    def plan(self, remaining: Scalar, suggestion: Scalar, stiffness: Scalar) -> Scalar:
        """See :class:`AbstractController`."""
        wanted = jnp.minimum(suggestion, longest_step(self.courant, stiffness))
        return divide_evenly(remaining, jnp.minimum(remaining, wanted))

    def judge(self, dt: Scalar, y: PyTree, trial: Trial, norm: Norm) -> tuple[jax.Array, Scalar]:
        """See :class:`AbstractController`."""
        reached = lax.stop_gradient(jnp.asarray(dt * trial.stiffness))
        accept = reached <= SLACK * self.limit  # False for NaN
        # The stiffness grows with a high power of the step, so this shrinks more than needed.
        beyond = jnp.maximum(reached, self.courant)
        shrink = jnp.maximum(SAFETY * self.courant / beyond, SHRINK)
        shrink = jnp.where(jnp.isnan(reached), SHRINK, shrink)
        return accept, dt * jnp.where(accept, GROW, shrink)

    def bears(
        self, step: Step, y: PyTree, stiffness: Scalar, trial: Trial, norm: Norm
    ) -> jax.Array:
        """See :class:`AbstractController`."""
        largest = jnp.maximum(stiffness, jnp.asarray(trial.stiffness))
        reached = lax.stop_gradient(jnp.asarray(step.dt * largest))
        return reached <= SLACK * self.limit
