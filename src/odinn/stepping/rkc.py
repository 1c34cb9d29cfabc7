"""Runge–Kutta–Chebyshev: explicit steps whose stability grows with the square of the number of
stages.
"""

from __future__ import annotations

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from odinn.errors import InputError
from odinn.stepping.batch import most
from odinn.stepping.controller import ErrorController
from odinn.stepping.interface import (
    AbstractScheme,
    AbstractStepper,
    AbstractTranspose,
    Array,
    Method,
    Pullback,
    Rates,
    RightHandSide,
    Scalar,
    Step,
    Tendency,
    Trial,
    bounded_while,
    chosen,
    combine,
)

_DAMPING = 2.0 / 13.0
_STABILITY = 2.0 / 3.0 * (1.0 - 2.0 / 15.0 * _DAMPING)  # real stability interval / (s² − 1)
MAX_STAGES = 100


class Chebyshev(AbstractScheme):
    """A step of second order with 2 to 100 stages, stable up to dt · stiffness = 0.65 (stages² − 1)
    (Sommeijer, Shampine & Verwer 1997, equations 2.1–2.8; error estimate: 2.10).
    """

    @property
    def reuses_end(self) -> bool:
        """See :class:`AbstractScheme`."""
        return True

    def stages(self, dt: Scalar, stiffness: Scalar) -> jax.Array:
        """See :class:`AbstractScheme`."""
        stages = jnp.ceil(jnp.sqrt(1.0 + dt * stiffness / _STABILITY))
        return jnp.clip(stages, 2, MAX_STAGES).astype(jnp.int32)

    def step(
        self, f: RightHandSide, y: PyTree, rate: PyTree, step: Step, bound: int | None
    ) -> Trial:
        """See :class:`AbstractScheme`."""
        t, dt, stages = step
        table = _table(step)

        def running(carry: tuple[Array, PyTree, PyTree]) -> Array:
            return carry[0] <= stages

        def stage(carry: tuple[Array, PyTree, PyTree]) -> tuple[Array, PyTree, PyTree]:
            j, before, last = carry
            here = f(t + table[j - 1, _NODE] * dt, last).change
            new = _stage(table[j], dt, (y, rate), before, last, here)
            # a system with fewer stages than the rest of its batch has arrived
            return j + 1, last, chosen(j <= stages, new, last)

        start = jnp.int32(2), y, _first_stage(table, dt, y, rate)
        limit = None if bound is None else bound - 1  # the first stage is not in the loop
        _, _, y1 = bounded_while(running, stage, start, limit)
        return Trial(y1)

    def looked_at(self, trial: Trial, y: PyTree, rate: PyTree, dt: Scalar, end: Rates) -> Trial:
        """See :class:`AbstractScheme`."""
        error = combine((0.8, y), (-0.8, trial.y), (0.4 * dt, rate), (0.4 * dt, end.change))
        return trial._replace(error=error)


class ChebyshevTranspose(AbstractTranspose):
    """The values of all stages are kept; the recurrence is then followed backwards."""

    def linearise(
        self,
        f: Tendency,
        transposed: Tendency,
        theta: PyTree,
        y: PyTree,
        step: Step,
        bound: int,
    ) -> tuple[PyTree, Pullback]:
        """See :class:`AbstractTranspose`."""
        y1, kept = _stage_values(f, theta, y, step, bound)

        def pullback(bar: PyTree) -> tuple[PyTree, PyTree]:
            return _pull_back(transposed, theta, y, step, kept, bar)

        return y1, pullback


class RKC2(AbstractStepper):
    """Second-order Runge–Kutta–Chebyshev with adaptive steps (Sommeijer, Shampine & Verwer 1997).

    Args:
        tol: root mean square over ice of the local error of a step, m.

    Each window is first tried in one step; the number of stages (2 to 100) follows from the
    stiffness.
    """

    tol: float = 1e-2

    def __check_init__(self) -> None:
        if not self.tol > 0:
            raise InputError(f"RKC2(tol={self.tol}): expected a positive tolerance, m")

    @property
    def method(self) -> Method:
        """See :class:`AbstractStepper`."""
        controller = ErrorController(self.tol, order=2, reach=_STABILITY * (MAX_STAGES**2 - 1))
        return Method(Chebyshev(), controller, ChebyshevTranspose())


def _stage_values(
    f: Tendency, theta: PyTree, y: PyTree, step: Step, bound: int
) -> tuple[PyTree, PyTree]:
    """(y at the end of the step, values of stages 1 to ``bound``)"""
    t, dt, stages = step
    table = _table(step)
    rate = f(theta, t, y)
    first = _first_stage(table, dt, y, rate)

    def put(kept: PyTree, j: Scalar, value: PyTree) -> PyTree:
        # Stage 0 is y itself: stage j stands in row j − 1.
        # Nor are stages beyond the last ever read: all systems of a batch write at the same place.
        return jax.tree.map(lambda rows, row: rows.at[j - 1].set(row), kept, value)

    def running(carry: tuple[Array, PyTree, PyTree, PyTree]) -> Array:
        return carry[0] <= stages

    def stage(
        carry: tuple[Array, PyTree, PyTree, PyTree],
    ) -> tuple[Array, PyTree, PyTree, PyTree]:
        j, before, last, kept = carry
        here = f(theta, t + table[j - 1, _NODE] * dt, last)
        new = _stage(table[j], dt, (y, rate), before, last, here)
        new = chosen(j <= stages, new, last)
        return j + 1, last, new, put(kept, j, new)

    kept = jax.tree.map(lambda leaf: jnp.zeros((bound, *leaf.shape), leaf.dtype), y)
    start = jnp.int32(2), y, first, put(kept, 1, first)
    _, _, y1, kept = bounded_while(running, stage, start, None)
    return y1, kept


def _pull_back(
    transposed: Tendency, theta: PyTree, y: PyTree, step: Step, kept: PyTree, bar: PyTree
) -> tuple[PyTree, PyTree]:
    """Cotangents of theta and y for that of the step's end, from the kept values of its stages.

    Going back from stage j, ``here`` and ``before`` are the cotangents of stages j and j − 1.
    """
    t, dt, stages = step
    table = _table(step)

    def stage_before(j: Scalar) -> PyTree:
        # stage j stands in row j − 1; before the first one there is none to read
        return jax.tree.map(lambda rows: rows[jnp.maximum(j - 2, 0)], kept)

    def running(carry: tuple[PyTree, ...]) -> Array:
        return carry[0] >= 2

    def back(carry: tuple[PyTree, ...]) -> tuple[PyTree, ...]:
        j, last, here, before, y_bar, rate_bar, theta_bar = carry
        # a system with fewer stages than the rest of its batch waits: nothing comes of zero
        begun = j <= stages
        row = jnp.where(begun, table[j], 0.0)
        mu_tilde, mu, nu, gamma, _ = row
        of_start = jnp.where(begun, 1.0 - mu - nu, 0.0)
        # stage 1 is a step of Euler from the start, whose rates come last
        of_first = jnp.where(j == 2, table[1, 0] * dt, 0.0)
        at = t + table[j - 1, _NODE] * dt
        _, pull = jax.vjp(lambda theta, y: transposed(theta, at, y), theta, last)
        # What is pulled, and where, stands in memory, and factors come after: XLA would put what
        # it is computed from into each of its many readers.
        more, through = pull(here)
        last_bar = combine((1.0, before), (mu, here), (mu_tilde * dt, through))
        last_bar = chosen(begun, last_bar, here)
        return (
            j - 1,
            stage_before(j - 1),
            last_bar,
            combine((nu, here)),
            combine((1.0, y_bar), (of_start, here)),
            combine((1.0, rate_bar), (gamma * dt, here), (of_first, last_bar)),
            combine((1.0, theta_bar), (mu_tilde * dt, more)),
        )

    zero = jax.tree.map(jnp.zeros_like, bar)
    theta_zero = jax.tree.map(jnp.zeros_like, theta)
    top = most(jnp.asarray(stages))
    start = top, stage_before(top), bar, zero, zero, zero, theta_zero
    _, _, here, before, y_bar, rate_bar, theta_bar = bounded_while(running, back, start, None)
    # What is left are the cotangents of stages 1 and 0; the latter is y.
    _, pull = jax.vjp(lambda theta, y: transposed(theta, t, y), theta, y)
    more, through = pull(rate_bar)
    y_bar = combine((1.0, y_bar), (1.0, here), (1.0, before), (1.0, through))
    return combine((1.0, theta_bar), (1.0, more)), y_bar


def _first_stage(table: Array, dt: Scalar, y: PyTree, rate: PyTree) -> PyTree:
    return combine((1.0, y), (table[1, 0] * dt, rate))


def _stage(
    row: Array,
    dt: Scalar,
    start: tuple[PyTree, PyTree],
    before: PyTree,
    last: PyTree,
    here: PyTree,
) -> PyTree:
    """A stage from the two before it, the rates ``here`` at the last one, and y and its rates at
    the start of the step.
    """
    mu_tilde, mu, nu, gamma, _ = row
    y, rate = start
    return combine(
        (1.0 - mu - nu, y),
        (mu, last),
        (nu, before),
        (mu_tilde * dt, here),
        (gamma * dt, rate),
    )


_NODE = 4  # column of the table with the time of a stage, over dt


def _table(step: Step) -> Array:
    """(stage, coefficient) of a step with its number of stages."""
    return jnp.asarray(_coefficients(), jnp.result_type(step.dt))[step.stages]


@lru_cache(maxsize=1)
def _coefficients() -> np.ndarray:
    """(stages, stage, [μ̃, μ, ν, γ̃, c]) for 2..MAX_STAGES stages; c is the time of the stage, over
    dt.
    """
    table = np.zeros((MAX_STAGES + 1, MAX_STAGES + 1, 5))
    for s in range(2, MAX_STAGES + 1):
        w0 = 1.0 + _DAMPING / s**2
        T, dT, ddT = np.zeros(s + 1), np.zeros(s + 1), np.zeros(s + 1)
        T[:2], dT[1] = (1.0, w0), 1.0
        for j in range(2, s + 1):
            T[j] = 2 * w0 * T[j - 1] - T[j - 2]
            dT[j] = 2 * T[j - 1] + 2 * w0 * dT[j - 1] - dT[j - 2]
            ddT[j] = 4 * dT[j - 1] + 2 * w0 * ddT[j - 1] - ddT[j - 2]
        w1 = dT[s] / ddT[s]
        b = np.empty(s + 1)
        b[2:] = ddT[2:] / dT[2:] ** 2
        b[:2] = b[2]
        a = 1.0 - b * T
        rows = table[s]
        rows[1, 0] = b[1] * w1
        for j in range(2, s + 1):
            mu_tilde = 2 * b[j] * w1 / b[j - 1]
            rows[j] = (
                mu_tilde,
                2 * b[j] * w0 / b[j - 1],
                -b[j] / b[j - 2],
                -a[j - 1] * mu_tilde,
                0.0,
            )
            rows[j, _NODE] = w1 * ddT[j] / dT[j]
        rows[1, _NODE] = rows[2, _NODE] / dT[2]
    return table
