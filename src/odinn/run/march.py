"""The one compiled loop of forward runs: windows of a batch of glaciers, and what is kept of
them.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Int, PyTree

from odinn.grid import Array
from odinn.physics.processes.base import Window
from odinn.physics.processes.system import Amounts, Levels, System, Totals
from odinn.physics.state import State
from odinn.stepping.batch import together
from odinn.stepping.integrate import Stepping, advance
from odinn.stepping.interface import Scalar
from odinn.stepping.steps import Record, Replay, Tally


class Leg(eqx.Module):
    """The windows of one compiled call.

    Args:
        windows: with leading axis (windows,); those from ``count`` on are not run.
        row: (windows,), the row of the kept fields that a window ends; ``rows`` for none.
        rows: number of these rows.
    """

    windows: Window
    count: Int[Array, ""]
    row: Int[Array, " windows"]
    rows: int = eqx.field(static=True)


class Kept(NamedTuple):
    """What leaves the device: fields with leading axis (rows,), the rest with (windows,).

    ``amounts`` are those since the row before.
    """

    levels: Levels
    amounts: Amounts
    totals: Totals
    record: Record



@eqx.filter_jit
def march(
    systems: System, states: State, leg: Leg, how: Stepping, replay: Replay | None
) -> tuple[State, Kept]:
    """Advance a batch of glaciers through the windows of a leg.

    Args:
        systems, states, replay: every array with a leading axis (batch,); what the months bring has
            it second, after (windows,).

    Returns:
        The states at the end, and what was kept on the way; with leading axis (batch,).
    """

    def one(
        system: System, state: State, forcing: PyTree, laws: PyTree, replay: Replay | None
    ) -> tuple[State, Kept]:
        windows = eqx.tree_at(
            lambda w: (w.forcing, w.laws), leg.windows, (forcing, laws), is_leaf=lambda x: x is None
        )
        return _march(system, state, windows, leg, how, replay)

    # windows are the same for all, but for what the months bring
    axes = 0, 0, 1, 1, 0
    parts = systems, states, leg.windows.forcing, leg.windows.laws, replay
    return together(one, axes)(*parts)


def _march(
    system: System, state: State, windows: Window, leg: Leg, how: Stepping, replay: Replay | None
) -> tuple[State, Kept]:
    def at(i: Scalar, rows: PyTree) -> PyTree:
        return jax.tree.map(lambda column: jnp.asarray(column)[i], rows)

    def one(i: Scalar, carry: tuple) -> tuple:
        state, tally, since, kept, totals, steps = carry
        state, report, taken, tally = advance(
            system, state, at(i, windows), how, at(i, replay), tally
        )
        assert report is not None  # forward runs report
        since = jax.tree.map(jnp.add, since, report.amounts)
        row = leg.row[i]
        # windows that end no row write into one that nobody reads: a write in place is cheaper
        # than a choice between two whole tables
        kept = _put(kept, row, (report.levels, since))
        since = jax.tree.map(lambda sum_: jnp.where(row < leg.rows, 0.0, sum_), since)
        return state, tally, since, kept, _put(totals, i, report.totals), _put(steps, i, taken)

    first = at(0, windows), at(0, replay)
    _, report, taken, _ = jax.eval_shape(
        lambda state, first: advance(system, state, first[0], how, first[1], Tally.zero()),
        state,
        first,
    )
    count = len(leg.row)
    start = (
        state,
        Tally.zero(),
        _zeros(report.amounts),
        _zeros((report.levels, report.amounts), leg.rows + 1),
        _zeros(report.totals, count),
        _zeros(taken, count),
    )
    state, tally, _, kept, totals, steps = lax.fori_loop(0, leg.count, one, start)
    return state, Kept(*kept, totals, Record(steps, tally))


def _put(rows: PyTree, i: Scalar, values: PyTree) -> PyTree:
    return jax.tree.map(lambda rows, row: rows.at[i].set(row), rows, values)


def _zeros(shapes: PyTree, *lead: int) -> PyTree:
    """Zeros in the form of some arrays, with further leading axes."""
    return jax.tree.map(lambda leaf: jnp.zeros((*lead, *leaf.shape), leaf.dtype), shapes)
