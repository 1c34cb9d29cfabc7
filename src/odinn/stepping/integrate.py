"""The one loop of time stepping: from window to window, and in each from step to step.

It is written for one system. Run :func:`odinn.stepping.batch.together`, each system of a batch has
its own steps, as if it were alone; the loops go on until the last one is done.
"""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PyTree

from odinn.stepping.interface import (
    NOT_FINITE,
    OK,
    OUT_OF_STEPS,
    TOO_COARSE,
    AbstractStepper,
    AbstractSystem,
    Array,
    Rates,
    Scalar,
    Step,
    Trial,
    bounded_while,
    chosen,
)
from odinn.stepping.steps import Record, Replay, Tally

SMALLEST = 1e-10  # of a window: a rejected step that is not longer has failed


class Stepping(eqx.Module):
    """How a run is stepped.

    Args:
        stepper: method and step-size rule. width: steps that the record of a window holds.
        max_steps: attempted steps after which a window is given up (status ``OUT_OF_STEPS``).
        bounds: static limits on (steps per window, stages per step), for reverse-mode
            differentiation of a replay.
    """

    stepper: AbstractStepper
    width: int = eqx.field(static=True)
    max_steps: int | Array = 1_000_000
    bounds: tuple[int, int] | None = None


class Run(NamedTuple):
    """What a run through all windows leaves; the leading axis of two fields is (windows,)."""

    state: PyTree  # at the end
    reports: PyTree  # of each window
    record: Record
    starts: PyTree  # states at the start of each window


class Carry(eqx.Module):
    """What goes from window to window: the state, what steps have cost, and the part of the rates
    that lasts (None: nothing), where the scheme reuses rates.
    """

    state: PyTree
    tally: Tally
    lasting: PyTree


class LoopState(eqx.Module):
    """The state of the loop over the steps of one window."""

    # What is stepped: as it was last settled, and its rates where the scheme reuses them: if a part
    # of them lasts, that part alone.
    y: PyTree
    tally: PyTree
    rates: Rates | None
    lasting: PyTree
    # How far the window has come: years, accepted steps, tries.
    elapsed: jax.Array
    count: jax.Array
    tried: jax.Array
    # What the controller wants next; infinite before the first try of a window.
    suggestion: Scalar
    # The steps of the window, and what they cost.
    dt: jax.Array
    stages: jax.Array
    evaluations: jax.Array
    status: jax.Array


def integrate(
    system: AbstractSystem,
    state: PyTree,
    windows: PyTree,
    how: Stepping,
    replay: Replay | None = None,
) -> Run:
    """Advance a state through consecutive windows.

    Args:
        system: what is stepped; its leaves are what can be differentiated with respect to.
        state: at the start of the first window.
        windows: pytree with leading axis (windows,) and at least ``start`` and ``length`` (years).
        replay: steps to repeat instead of choosing them; one that has become too long ends the run
            (status ``TOO_COARSE``).
    """

    def one(
        carry: Carry, xs: tuple[PyTree, Replay | None]
    ) -> tuple[Carry, tuple[PyTree, Replay, PyTree]]:
        window, recorded = xs
        after, report, steps = advance(system, carry, window, how, recorded)
        return after, (report, steps, carry.state)

    first = jax.tree.map(lambda column: column[0], windows)
    carry = carry_of(system, state, first, how)
    carry, (reports, steps, starts) = lax.scan(one, carry, (windows, replay))
    return Run(carry.state, reports, Record(steps, carry.tally), starts)


def carry_of(system: AbstractSystem, state: PyTree, first: PyTree, how: Stepping) -> Carry:
    """What a run begins its first window with."""
    tally = Tally.zero()
    if not how.stepper.method.scheme.reuses_end:
        return Carry(state, tally, None)
    held, y, _ = system.begin(state, first)
    lasting = system.tendency(held, first.start, y).lasting
    if lasting is not None:
        tally = Tally(tally.rejected, tally.evaluations + 1, tally.status)
    return Carry(state, tally, lasting)


def advance(
    system: AbstractSystem, carry: Carry, window: PyTree, how: Stepping, recorded: Replay | None
) -> tuple[Carry, PyTree, Replay]:
    """One window: (what goes on, what it reports, its steps).

    A run that has failed before it takes no further step.
    """
    state, tally = carry.state, carry.tally
    held, y, of_window = system.begin(state, window)
    loop = _Window(system, held, window.start, window.length, recorded, how)
    out = loop.run(y, of_window, carry)
    end, report = system.end(state, window, held, out.y, out.tally)
    after = Tally(
        tally.rejected + out.tried - out.count, tally.evaluations + out.evaluations, out.status
    )
    return Carry(end, after, out.lasting), report, Replay(out.dt, out.stages, out.count)


class _Window(eqx.Module):
    """The loop over the steps of one window: what stays the same in it."""

    system: AbstractSystem
    held: PyTree
    start: jax.Array
    length: jax.Array
    recorded: Replay | None  # the steps of this window, where they are repeated
    how: Stepping

    def run(self, y: PyTree, tally: PyTree, carry: Carry) -> LoopState:
        """From the start of the window to its end, or to where it was given up."""

        def running(now: LoopState) -> jax.Array:
            return self._running(now)

        def attempt(now: LoopState) -> LoopState:
            return self._attempt(now)

        bounds = self.how.bounds
        bound = None if bounds is None else bounds[0]
        return bounded_while(running, attempt, self._first(y, tally, carry), bound)

    def _running(self, now: LoopState) -> jax.Array:
        return (now.elapsed < self.length) & (now.status == OK)

    def _first(self, y: PyTree, tally: PyTree, carry: Carry) -> LoopState:
        """Before the first step."""
        zero = jnp.zeros((), jnp.int32)
        evaluates = self.how.stepper.method.scheme.reuses_end and carry.lasting is None
        width = self.how.width
        return LoopState(
            y=y,
            tally=tally,
            rates=self._rates(self.start, y) if evaluates else None,
            lasting=carry.lasting,
            elapsed=jnp.zeros_like(self.length),
            count=zero,
            tried=zero,
            suggestion=jnp.full_like(self.length, jnp.inf),
            dt=jnp.zeros(width, self.length.dtype),
            stages=jnp.ones(width, jnp.int32),
            evaluations=jnp.full((), int(evaluates), jnp.int32),
            status=carry.tally.status,
        )

    def _rates(self, t: Scalar, y: PyTree) -> Rates:
        return self.system.tendency(self.held, t, y)

    def _rates_at_start(self, t: Scalar, now: LoopState) -> Rates:
        """The rates of a step's start, of which all, a part or nothing is known."""
        if now.rates is not None:
            return now.rates
        return self.system.tendency(self.held, t, now.y, now.lasting)

    def _attempt(self, now: LoopState) -> LoopState:
        """Try one step: take it, or leave all but the controller's suggestion as it was."""
        scheme = self.how.stepper.method.scheme
        most_stages = None if self.how.bounds is None else self.how.bounds[1]
        # others of the batch may still be running
        runs = self._running(now)
        t = self.start + now.elapsed
        rate, stiffness, _ = self._rates_at_start(t, now)
        step = self._plan(now, t, stiffness, runs)
        trial = scheme.step(self._rates, now.y, rate, step, most_stages)
        y, tally = self.system.settle(self.held, step.dt, trial.y, now.tally)
        end = lasting = None
        if scheme.reuses_end:
            end = self._rates(step.t + step.dt, y)
            trial = scheme.looked_at(trial, now.y, rate, step.dt, end)
            end, lasting = (end, None) if end.lasting is None else (None, end.lasting)
        accept, suggestion = self._judge(now, step, stiffness, trial)
        taken = runs & accept
        # The last step ends the window to the last bit.
        is_last = self._is_last(now, step.dt)
        elapsed = jnp.where(is_last, self.length, now.elapsed + step.dt)
        moved = y, tally, end, lasting, elapsed, now.count + 1
        stayed = now.y, now.tally, now.rates, now.lasting, now.elapsed, now.count
        y, tally, rates, lasting, elapsed, count = chosen(taken, moved, stayed)
        # Beyond the record nothing is written; the count goes on.
        here = taken & (jnp.arange(self.how.width) == now.count)
        status = self._status(step.dt, accept, _is_finite(trial.y), now.tried + 1, elapsed)
        return LoopState(
            y=y,
            tally=tally,
            rates=rates,
            lasting=lasting,
            elapsed=elapsed,
            count=count,
            tried=now.tried + runs.astype(jnp.int32),
            suggestion=suggestion,
            dt=jnp.where(here, step.dt, now.dt),
            stages=jnp.where(here, step.stages, now.stages),
            evaluations=now.evaluations + step.stages,
            status=jnp.where(runs, status, now.status),
        )

    def _plan(self, now: LoopState, t: jax.Array, stiffness: Scalar, runs: jax.Array) -> Step:
        """The next step: the recorded one, or what the controller wants; none for a system that
        waits for its batch.
        """
        if self.recorded is not None:
            dt, stages = self.recorded.dt[now.count], self.recorded.stages[now.count]
        else:
            method = self.how.stepper.method
            stiffness = lax.stop_gradient(stiffness)
            remaining = self.length - now.elapsed
            dt = method.controller.plan(remaining, now.suggestion, stiffness)
            # Steps are constants of every differentiation, so that it is that of the steps taken.
            dt = lax.stop_gradient(dt)
            stages = method.scheme.stages(dt, stiffness)
        return Step(t, jnp.where(runs, dt, 0.0), jnp.where(runs, stages, 0))

    def _judge(
        self, now: LoopState, step: Step, stiffness: Scalar, trial: Trial
    ) -> tuple[jax.Array, Scalar]:
        """(whether to take the step, suggestion for the next)"""
        controller, norm = self.how.stepper.method.controller, self.system.norm
        if self.recorded is None:
            accept, suggestion = controller.judge(step.dt, now.y, trial, norm)
        else:
            accept = controller.bears(step, now.y, stiffness, trial, norm)
            suggestion = now.suggestion
        # what a step from an infinite rate ends in may look like a system at rest, and settling
        # takes what is no number for no ice
        return accept & jnp.isfinite(stiffness) & _is_finite(trial.y), suggestion

    def _is_last(self, now: LoopState, dt: Scalar) -> Scalar:
        if self.recorded is not None:
            return now.count + 1 >= self.recorded.count
        return dt >= (self.length - now.elapsed) * (1.0 - 1e-9)

    def _status(
        self,
        dt: Scalar,
        accept: jax.Array,
        finite: jax.Array,
        tried: jax.Array,
        elapsed: jax.Array,
    ) -> jax.Array:
        """Whether the stepping goes on."""
        late = (tried >= self.how.max_steps) & (elapsed < self.length)
        status = jnp.where(late, OUT_OF_STEPS, OK)
        if self.recorded is None:
            # A dt of NaN is not longer than anything.
            hopeless = ~(dt > SMALLEST * self.length)
            status = jnp.where(~accept & hopeless, NOT_FINITE, status)
        else:  # there is no shorter step to try
            refused = jnp.where(finite, TOO_COARSE, NOT_FINITE)
            status = jnp.where(~accept, refused, status)
        return status.astype(jnp.int32)


def _is_finite(y: PyTree) -> jax.Array:
    sums = [jnp.sum(leaf) for leaf in jax.tree.leaves(y)]
    return jnp.isfinite(sum(sums))
