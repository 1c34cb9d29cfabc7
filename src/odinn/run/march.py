"""The one compiled program of forward runs: a batch of glaciers goes through some windows, and what
is kept on the way is collected on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Int, PyTree

from odinn.grid import Array
from odinn.numbers.slot import LawRows
from odinn.physics.processes.base import Window
from odinn.physics.processes.system import Amounts, Levels, Report, System, Totals
from odinn.physics.state import State
from odinn.stepping.batch import together
from odinn.stepping.integrate import Carry, Stepping, advance, carry_of
from odinn.stepping.interface import OK, OUT_OF_STEPS, Scalar
from odinn.stepping.steps import Record, Replay


class Leg(eqx.Module):
    """The windows of one compiled call, which are the same for all glaciers of a batch.

    Args:
        windows: with leading axis (windows,), without what the months bring; those from ``count``
            on are not run.
        row: (windows,), the row of the kept fields that a window ends; ``rows`` for none.
        rows: number of these rows.
    """

    windows: Window
    count: Int[Array, ""]
    row: Int[Array, " windows"]
    rows: int = eqx.field(static=True)


class Members(eqx.Module):
    """The glaciers of a batch; arrays with leading axis (batch,), but for what the months bring.

    Args:
        system, state: of each. replay: steps to repeat, None for all or for none.
        weather: what the months bring, (windows, climates, ...): each climate once.
        climate: (batch,), which of the climates is a glacier's.
        laws: monthly inputs of laws, (windows, batch, ...).
        is_there: (batch,), False where a place in the batch is empty.
    """

    system: System
    state: State
    replay: Replay | None
    weather: PyTree
    climate: Int[Array, " batch"]
    laws: LawRows | None
    is_there: Bool[Array, " batch"]


class Kept(NamedTuple):
    """What leaves the device: fields with leading axis (rows,), the rest with (windows,).

    ``amounts`` are those since the row before. ``near_cut``: ice came close to where the grid was
    cut.
    """

    levels: Levels
    amounts: Amounts
    totals: Totals
    near_cut: Bool[Array, " windows"]
    record: Record


@eqx.filter_jit
def march(members: Members, leg: Leg, how: Stepping) -> tuple[State, Kept]:
    """Advance a batch of glaciers through the windows of a leg.

    Returns:
        The states at the end, and what was kept on the way; with leading axis (batch,).
    """

    def one(
        system: System,
        state: State,
        replay: Replay | None,
        climate: Scalar,
        laws: LawRows | None,
        is_there: Array,
    ) -> tuple[State, Kept]:
        def window_at(i: Scalar) -> Window:
            weather = _at(i, members.weather)
            bare = _at(i, leg.windows)
            own = jax.tree.map(lambda of_climates: of_climates[climate], weather)
            return eqx.tree_at(_brought, bare, (own, _at(i, laws)), is_leaf=lambda x: x is None)

        def window(i: Scalar, now: Carry) -> tuple[Carry, Report, Replay]:
            return advance(system, now, window_at(i), how, _at(i, replay))

        # an empty place does what a system does that has failed: nothing
        status = jnp.where(is_there, OK, OUT_OF_STEPS).astype(jnp.int32)
        begun = carry_of(system, state, window_at(0), how)
        begun = eqx.tree_at(lambda carry: carry.tally.status, begun, status)
        return _collected(window, begun, leg)

    parts = (
        members.system,
        members.state,
        members.replay,
        members.climate,
        members.laws,
        members.is_there,
    )
    return together(one, (0, 0, 0, 0, 1, 0))(*parts)


def _collected(window: Callable, begun: Carry, leg: Leg) -> tuple[State, Kept]:
    """Go through the windows of a leg, and write down what each reports."""

    def one(i: Scalar, carry: tuple) -> tuple:
        now, since, fields, series = carry
        now, report, steps = window(i, now)
        since = jax.tree.map(jnp.add, since, report.amounts)
        # windows that end no row write into one that nobody reads: a write in place is cheaper
        # than a choice between two whole tables
        row = jnp.asarray(leg.row)[i]
        fields = _put(fields, row, (report.levels, since))
        since = jax.tree.map(lambda amount: jnp.where(row < leg.rows, 0.0, amount), since)
        series = _put(series, i, (report.totals, report.near_cut, steps))
        return now, since, fields, series

    _, report, steps = jax.eval_shape(lambda now: window(0, now), begun)
    since = _zeros(report.amounts)
    fields = _zeros((report.levels, report.amounts), leg.rows + 1)
    series = _zeros((report.totals, report.near_cut, steps), len(leg.row))
    start = begun, since, fields, series
    now, _, fields, series = lax.fori_loop(0, leg.count, one, start)
    levels, amounts = fields
    totals, near_cut, steps = series
    return now.state, Kept(levels, amounts, totals, near_cut, Record(steps, now.tally))


def _brought(window: Window) -> tuple:
    """What the months bring."""
    return window.forcing, window.laws


def _at(i: Scalar, rows: PyTree) -> PyTree:
    return jax.tree.map(lambda column: jnp.asarray(column)[i], rows)


def _put(rows: PyTree, i: Scalar, values: PyTree) -> PyTree:
    return jax.tree.map(lambda rows, row: rows.at[i].set(row), rows, values)


def _zeros(shapes: PyTree, *lead: int) -> PyTree:
    """Zeros in the form of some arrays, with further leading axes."""
    return jax.tree.map(lambda leaf: jnp.zeros((*lead, *leaf.shape), leaf.dtype), shapes)
