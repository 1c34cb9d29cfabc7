"""The continuous adjoint, for comparison: diffrax solves the adjoint equation backwards, together
with the state.

It differentiates the equation, not the steps, so its gradient agrees with that of a run to the
tolerance of both solvers only; and the state, too, is solved backwards, which diffusion forbids
over long times. So it is done month by month, from stored states.
:func:`odinn.stepping.adjoint.snapshots` is exact and faster; this one is here to be measured
against it.
"""

from __future__ import annotations

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PyTree

from odinn.stepping.interface import AbstractSystem, Scalar

ATOL, RTOL = 1e-6, 1e-6  # m, 1


class _Field(eqx.Module):
    """dy/dt of a window; what is differentiated comes as ``args``, the rest is here."""

    rest: PyTree

    def __call__(self, t: Scalar, y: PyTree, args: PyTree) -> PyTree:
        system, held = eqx.combine(args, self.rest)
        return system.for_transpose().continuous_tendency(held, t, y)


def continuous_snapshots(
    system: AbstractSystem, state: PyTree, windows: PyTree, keep: jax.Array, max_steps: int
) -> tuple[PyTree, jax.Array]:
    """States at the ends of the windows ``keep``, and whether every solve ended well.

    ``system`` has, beyond :class:`AbstractSystem`, a ``continuous_tendency`` that keeps allowed
    unknowns allowed without being settled. Bosh3 with tolerances 1e-6 in each window,
    ``diffrax.BacksolveAdjoint`` for its derivative. Windows have a length > 0.
    """
    solver, controller = diffrax.Bosh3(), diffrax.PIDController(rtol=RTOL, atol=ATOL)

    def one(state: PyTree, window: PyTree) -> tuple[PyTree, tuple[PyTree, jax.Array]]:
        held, y, tally = system.begin(state, window)
        args, rest = eqx.partition((system, held), eqx.is_inexact_array)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(_Field(rest)),
            solver,
            window.start,
            window.start + window.length,
            window.length / 8,
            y,
            args,
            stepsize_controller=controller,
            adjoint=diffrax.BacksolveAdjoint(),
            max_steps=max_steps,
            throw=False,
        )
        raw = jax.tree.map(lambda leaf: leaf[-1], solution.ys)
        settled, tally = system.settle(held, window.length, raw, tally)
        state, _ = system.end(state, window, held, settled, tally)
        return state, (state, solution.result == diffrax.RESULTS.successful)

    _, (states, good) = lax.scan(one, state, windows)
    return jax.tree.map(lambda rows: rows[keep], states), jnp.all(good)
