"""``snapshots``: states of a run with its exact discrete adjoint.

The adjoint is the transpose of the steps that the forward run took: it goes back window by window
from the recorded lengths and stages, which are constants of the differentiation. Within a window
the steps are repeated from its start and then transposed one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PyTree

from odinn.stepping.batch import most
from odinn.stepping.integrate import Run, Stepping, integrate
from odinn.stepping.interface import (
    LEFT,
    OK,
    AbstractStepper,
    AbstractSystem,
    Pullback,
    Rates,
    Scalar,
    Step,
    bounded_while,
    chosen,
)
from odinn.stepping.steps import Limits, Record, Replay


def snapshots(
    system: AbstractSystem,
    state: PyTree,
    windows: PyTree,
    keep: jax.Array,
    how: Stepping,
    replay: Replay | None = None,
    limits: Limits | None = None,
) -> tuple[PyTree, Record]:
    """States at the ends of some windows, (len(keep), ...) in each leaf, and the record of the
    steps.

    Args:
        keep: numbers of those windows, each once. The rest as for
            :func:`odinn.stepping.integrate.integrate`.
        limits: with these, the derivative with respect to ``system`` and ``state`` is the exact
            discrete adjoint. They bound the steps per window and the stages per step; a run that
            exceeds them (see ``Record``) has a right result and a wrong derivative, so the caller
            has to check and run again with larger ones. Without, JAX's own rules.
    """
    if limits is None:
        run = integrate(system, state, windows, how, replay)
        return _at_ends(run, keep), _judged(system, run)
    return _snapshots((system, state), _Course(windows, keep, how, replay, limits))


def _judged(system: AbstractSystem, run: Run) -> Record:
    """The record of a run, which has failed where a state left what the system covers."""
    left = jnp.any(jax.vmap(system.has_left)(run.starts)) | system.has_left(run.state)
    status = jnp.where((run.record.status == OK) & left, LEFT, run.record.status)
    return eqx.tree_at(lambda record: record.tally.status, run.record, status)


def _at_ends(run: Run, keep: jax.Array) -> PyTree:
    """States at window ends, which are the starts of the next ones."""
    end = keep + 1

    def pick(rows: jax.Array, final: jax.Array) -> jax.Array:
        count = rows.shape[0]
        # the last window has no next one: its end is the state that the run leaves
        has_next = (end < count).reshape((-1,) + (1,) * final.ndim)
        starts_of_next = rows[jnp.minimum(end, count - 1)]
        return jnp.where(has_next, starts_of_next, final[None])

    return jax.tree.map(pick, run.starts, run.state)


class _Course(NamedTuple):
    """What a run goes through; nothing in it is differentiated."""

    windows: PyTree
    keep: jax.Array  # numbers of the windows whose ends are kept
    how: Stepping
    replay: Replay | None
    limits: Limits

    def run(self, start: tuple[AbstractSystem, PyTree]) -> Run:
        """From a system and its state."""
        return integrate(*start, self.windows, self.how, self.replay)


@eqx.filter_custom_vjp
def _snapshots(start: tuple[AbstractSystem, PyTree], course: _Course) -> tuple[PyTree, Record]:
    run = course.run(start)
    return _at_ends(run, course.keep), _judged(start[0], run)


@_snapshots.def_fwd
def _snapshots_forward(
    perturbed: PyTree, start: tuple[AbstractSystem, PyTree], course: _Course
) -> tuple[tuple[PyTree, Record], tuple[PyTree, Record]]:
    run = course.run(start)
    snapshots, record = _at_ends(run, course.keep), _judged(start[0], run)
    return (snapshots, record), (run.starts, record)


@_snapshots.def_bwd
def _snapshots_backward(
    saved: tuple[PyTree, Record],
    bars: tuple[PyTree, PyTree],
    perturbed: PyTree,
    start: tuple[AbstractSystem, PyTree],
    course: _Course,
) -> tuple[PyTree, PyTree]:
    starts, record = saved
    system, state = start
    windows, keep, how, replay, limits = course
    wanted, rest = eqx.partition(system, perturbed[0])
    recorded = record.steps if replay is None else replay
    zero = jax.tree.map(jnp.zeros_like, eqx.filter(state, eqx.is_inexact_array))
    bars_of_kept = _with_zero_row(zero, keep.size, bars[0])
    # Windows that are not kept take the last row, which is zero.
    row = jnp.full(windows.length.shape, keep.size)
    row = row.at[keep].set(jnp.arange(keep.size))

    def one(carry: tuple[PyTree, PyTree], xs: tuple) -> tuple[tuple[PyTree, PyTree], None]:
        system_bar, state_bar = carry
        start, window, steps, row = xs
        state_bar = jax.tree.map(lambda bar, rows: bar + rows[row], state_bar, bars_of_kept)
        backward = _WindowBackward(rest, window, steps, how.stepper, limits)
        return backward.pull(wanted, start, system_bar, state_bar), None

    carry = jax.tree.map(jnp.zeros_like, wanted), zero
    rows = starts, windows, recorded, row
    bars_of_start, _ = lax.scan(one, carry, rows, reverse=True)
    return bars_of_start


def _with_zero_row(zero: PyTree, count: int, bars: PyTree) -> PyTree:
    """Cotangents of the kept states, (count, ...), and a last row of zeros.

    A leaf that nothing depends on has no cotangent (None), and one without a derivative no zero.
    """

    def longer(zero: jax.Array | None, rows: jax.Array | None) -> jax.Array | None:
        if zero is None:
            return None
        if rows is None:
            return jnp.zeros((count + 1, *zero.shape), zero.dtype)
        return jnp.concatenate([rows, zero[None]])

    return jax.tree.map(longer, zero, bars, is_leaf=lambda leaf: leaf is None)


class _WindowBackward(eqx.Module):
    """The backward pass of one window: what stays the same in it."""

    rest: PyTree  # leaves of the system without a derivative
    window: PyTree
    steps: Replay  # of this window
    stepper: AbstractStepper
    limits: Limits

    def pull(
        self, wanted: PyTree, start: PyTree, system_bar: PyTree, state_bar: PyTree
    ) -> tuple[PyTree, PyTree]:
        """(cotangent of the system with this window's part added, of the state at its start)"""
        floats, others = eqx.partition(start, eqx.is_inexact_array)

        def begin(wanted: PyTree, floats: PyTree) -> tuple[PyTree, PyTree]:
            system = eqx.combine(wanted, self.rest)
            held, y, tally = system.begin(eqx.combine(floats, others), self.window)
            held_floats, held_others = eqx.partition(held, eqx.is_inexact_array)
            return (held_floats, y, tally), held_others

        begun, pull_begin, held_others = jax.vjp(begin, wanted, floats, has_aux=True)
        held, y, tally = begun
        starts = self.window.start + jnp.cumsum(self.steps.dt) - self.steps.dt
        inside = _Inside(self.rest, held_others, starts, self.steps, self.stepper, self.limits)
        theta = wanted, held
        y_end, tally_end, kept = inside.repeat(theta, y, tally)

        def end(wanted: PyTree, floats: PyTree, held: PyTree, y: PyTree, tally: PyTree) -> PyTree:
            system, held = inside.whole((wanted, held))
            state, _ = system.end(eqx.combine(floats, others), self.window, held, y, tally)
            return eqx.filter(state, eqx.is_inexact_array)

        _, pull_end = jax.vjp(end, wanted, floats, held, y_end, tally_end)
        more, start_bar, held_bar, y_bar, tally_bar = pull_end(state_bar)
        bars = (_add(system_bar, more), held_bar), y_bar, tally_bar
        (system_bar, held_bar), y_bar, tally_bar = inside.pull(theta, tally, kept, bars)
        more, and_start = pull_begin((held_bar, y_bar, tally_bar))
        return _add(system_bar, more), _add(start_bar, and_start)


class _Inside(eqx.Module):
    """The steps between ``begin`` and ``end`` of a window.

    ``theta`` are the leaves with a derivative: of the system, and of what it holds throughout the
    window.
    """

    rest: PyTree
    held_rest: PyTree
    starts: jax.Array  # of each step, years
    steps: Replay
    stepper: AbstractStepper
    limits: Limits

    def repeat(self, theta: PyTree, y: PyTree, tally: PyTree) -> tuple[PyTree, PyTree, PyTree]:
        """The steps again: (y and tally at their end, y at the start of each step).

        Where ``end`` is linear, its derivative needs no values, so the last step is not repeated
        and what is returned for the end is not the end.
        """
        system, held = self.whole(theta)

        scheme = self.stepper.method.scheme

        def rates(t: Scalar, y: PyTree) -> Rates:
            return system.tendency(held, t, y)

        repeated = self.steps.count - 1 if system.end_is_linear else self.steps.count

        def running(carry: tuple) -> jax.Array:
            return carry[0] < repeated

        def again(carry: tuple) -> tuple:
            i, y, tally, kept = carry
            kept = _put(kept, i, y)
            step = self._step(i)
            rate = rates(step.t, y).change
            trial = scheme.step(rates, y, rate, step, None)
            after = self._settle(theta, step.dt, trial.y, tally)
            # a system with fewer steps than the rest of its batch has arrived
            return i + 1, *chosen(i < repeated, after, (y, tally)), kept

        rows = self.limits.steps
        kept = jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), y)
        start = jnp.int32(0), y, tally, kept
        i, y, tally, kept = bounded_while(running, again, start, None)
        if system.end_is_linear:
            # The start of the last step; who has fewer steps has written it already.
            kept = _put(kept, i, y)
        return y, tally, kept

    def pull(self, theta: PyTree, tally: PyTree, kept: PyTree, bars: tuple) -> tuple:
        """The cotangents (theta, y, tally) before the first step, for those after the last."""

        last = self.steps.count - 1

        def running(carry: tuple) -> jax.Array:
            return carry[0] >= 0

        def back(carry: tuple) -> tuple:
            i, theta_bar, *waiting = carry
            # a system with fewer steps than the rest of its batch waits: nothing comes from zero
            begun = i <= last
            y_bar, tally_bar = chosen(begun, waiting, jax.tree.map(jnp.zeros_like, waiting))
            y = jax.tree.map(lambda rows: rows[i], kept)
            step = self._step(i)
            raw, pull_step = self._linearise(theta, y, step)

            # Settling adds to the tally, so that of the start does for the derivative.
            def settle(theta: PyTree, raw: PyTree, tally: PyTree) -> tuple[PyTree, PyTree]:
                return self._settle(theta, step.dt, raw, tally)

            _, pull_settle = jax.vjp(settle, theta, raw, tally)
            more, raw_bar, tally_bar = pull_settle((y_bar, tally_bar))
            and_more, y_bar = pull_step(raw_bar)
            y_bar, tally_bar = chosen(begun, [y_bar, tally_bar], waiting)
            return i - 1, _add(theta_bar, _add(more, and_more)), y_bar, tally_bar

        _, *bars_of_begin = bounded_while(running, back, (most(jnp.asarray(last)), *bars), None)
        return tuple(bars_of_begin)

    def whole(self, theta: PyTree) -> tuple[AbstractSystem, PyTree]:
        """The system, and what it holds throughout the window."""
        wanted, held = theta
        return eqx.combine(wanted, self.rest), eqx.combine(held, self.held_rest)

    def _step(self, i: Scalar) -> Step:
        """The step of a number; beyond the last one there is none, and it changes nothing."""
        there = i < self.steps.count
        dt, stages = jnp.asarray(self.steps.dt)[i], jnp.asarray(self.steps.stages)[i]
        return Step(self.starts[i], jnp.where(there, dt, 0.0), jnp.where(there, stages, 0))

    def _settle(
        self, theta: PyTree, dt: Scalar, raw: PyTree, tally: PyTree
    ) -> tuple[PyTree, PyTree]:
        system, held = self.whole(theta)
        return system.settle(held, dt, raw, tally)

    def _linearise(self, theta: PyTree, y: PyTree, step: Step) -> tuple[PyTree, Pullback]:
        def plain(theta: PyTree, t: Scalar, y: PyTree) -> PyTree:
            system, held = self.whole(theta)
            return system.tendency(held, t, y).change

        def transposed(theta: PyTree, t: Scalar, y: PyTree) -> PyTree:
            system, held = self.whole(theta)
            return system.for_transpose().tendency(held, t, y).change

        bound = self.limits.stages
        return self.stepper.method.transpose.linearise(plain, transposed, theta, y, step, bound)


def _put(rows: PyTree, i: Scalar, values: PyTree) -> PyTree:
    return jax.tree.map(lambda rows, value: rows.at[i].set(value), rows, values)


def _add(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)
