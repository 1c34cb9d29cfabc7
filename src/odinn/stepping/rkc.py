"""Runge–Kutta–Chebyshev: explicit steps whose stability grows with the square of the number of
stages.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from odinn.errors import InputError
from odinn.stepping.base import (
    AbstractStepper,
    Norm,
    Pullback,
    PyTree,
    RightHandSide,
    Tendency,
    bounded_while,
    combine,
    divide_evenly,
)

_DAMPING = 2.0 / 13.0
_STABILITY = 2.0 / 3.0 * (1.0 - 2.0 / 15.0 * _DAMPING)  # real stability interval / (s² − 1)
MAX_STAGES = 100


class RKC2(AbstractStepper):
    """Second-order Runge–Kutta–Chebyshev with adaptive steps (Sommeijer, Shampine & Verwer 1997).

    Args:
        tol: root mean square over ice of the local error of a step, m.

    Each window is first tried in one step; the number of stages (2 to 100) follows from the
    stiffness. Error
    estimate and coefficients: the paper's equations (2.1)–(2.8) and (2.10).
    """

    tol: float = 1e-2

    order: ClassVar[int] = 2
    reuses_end: ClassVar[bool] = True

    def __check_init__(self) -> None:
        if not self.tol > 0:
            raise InputError(f"RKC2(tol={self.tol}): expected a positive tolerance, m")

    def plan(self, remaining: Any, suggestion: Any, stiffness: Any) -> tuple[Any, Any]:
        """See :class:`AbstractStepper`."""
        longest = _STABILITY * (MAX_STAGES**2 - 1) / jnp.maximum(stiffness, 1e-300)
        dt = divide_evenly(remaining, jnp.minimum(jnp.minimum(remaining, suggestion), longest))
        stages = jnp.ceil(jnp.sqrt(1.0 + dt * stiffness / _STABILITY))
        return dt, jnp.clip(stages, 2, MAX_STAGES).astype(jnp.int32)

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
        table = jnp.asarray(_coefficients(), dt.dtype)[stages]
        first = combine((1.0, y), (table[1, 0] * dt, f0))

        def stage(carry: tuple[Any, PyTree, PyTree]) -> tuple[Any, PyTree, PyTree]:
            j, before, last = carry
            mu_tilde, mu, nu, gamma, _ = table[j]
            rate, _ = f(t + table[j - 1, 4] * dt, last)
            new = combine(
                (1.0 - mu - nu, y),
                (mu, last),
                (nu, before),
                (mu_tilde * dt, rate),
                (gamma * dt, f0),
            )
            return j + 1, last, new

        limit = None if bound is None else bound - 1
        _, _, y1 = bounded_while(lambda c: c[0] <= stages, stage, (jnp.int32(2), y, first), limit)
        f1, stiffness = f(t + dt, y1)
        error = combine((0.8, y), (-0.8, y1), (0.4 * dt, f0), (0.4 * dt, f1))
        return y1, (f1, stiffness), error

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
        """See :class:`AbstractStepper`. Stage values are kept; the recurrence is then followed
        backwards.
        """
        table = jnp.asarray(_coefficients(), dt.dtype)[stages]
        kept = jax.tree.map(
            lambda a: jnp.zeros((bound, *a.shape), a.dtype), y
        )  # values of stages 1 .. bound
        put = lambda kept, j, value: jax.tree.map(lambda b, v: b.at[j - 1].set(v), kept, value)
        f0 = f(theta, t, y)
        first = combine((1.0, y), (table[1, 0] * dt, f0))

        def stage(carry: tuple) -> tuple:
            j, before, last, kept = carry
            mu_tilde, mu, nu, gamma, _ = table[j]
            rate = f(theta, t + table[j - 1, 4] * dt, last)
            new = combine(
                (1.0 - mu - nu, y),
                (mu, last),
                (nu, before),
                (mu_tilde * dt, rate),
                (gamma * dt, f0),
            )
            return j + 1, last, new, put(kept, j, new)

        start = jnp.int32(2), y, first, put(kept, 1, first)
        _, _, y1, final_kept = lax.while_loop(lambda c: c[0] <= stages, stage, start)

        def pullback(bar: PyTree) -> tuple[PyTree, PyTree]:
            zero, theta_zero = (jax.tree.map(jnp.zeros_like, tree) for tree in (bar, theta))

            def back(carry: tuple) -> tuple:
                j, here, before, y_bar, f0_bar, theta_bar = carry
                mu_tilde, mu, nu, gamma, _ = table[j]
                _, pull = jax.vjp(
                    lambda th, v: transposed(th, t + table[j - 1, 4] * dt, v),
                    theta,
                    jax.tree.map(lambda b: b[j - 2], final_kept),
                )
                more, through = pull(combine((mu_tilde * dt, here)))
                y_bar = combine((1.0, y_bar), (1.0 - mu - nu, here))
                f0_bar = combine((1.0, f0_bar), (gamma * dt, here))
                here, before = (
                    combine((1.0, before), (mu, here), (1.0, through)),
                    combine((nu, here)),
                )
                return j - 1, here, before, y_bar, f0_bar, combine((1.0, theta_bar), (1.0, more))

            carry = stages, bar, zero, zero, zero, theta_zero
            _, here, before, y_bar, f0_bar, theta_bar = lax.while_loop(
                lambda c: c[0] >= 2, back, carry
            )
            f0_bar = combine((1.0, f0_bar), (table[1, 0] * dt, here))
            _, pull = jax.vjp(lambda th, v: transposed(th, t, v), theta, y)
            more, through = pull(f0_bar)
            y_bar = combine((1.0, y_bar), (1.0, here), (1.0, before), (1.0, through))
            return combine((1.0, theta_bar), (1.0, more)), y_bar

        return y1, pullback

    def ratio(self, error: PyTree, y0: PyTree, y1: PyTree, norm: Norm) -> Any:
        """See :class:`AbstractStepper`."""
        return norm(error, y0, y1) / self.tol


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
            rows[j, 4] = w1 * ddT[j] / dT[j]
        rows[1, 4] = rows[2, 4] / dT[2]
    return table
