"""``integrate``: the one driver of time stepping, forwards through windows."""

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
    Rates,
    Scalar,
    Step,
    Trial,
    bounded_while,
)
from odinn.stepping.steps import Record, Replay

SMALLEST = 1e-10  # of a window: a rejected step that is not longer has failed


class Stepping(eqx.Module):
    """How a run is stepped; arguments of :func:`integrate`."""

    stepper: AbstractStepper
    capacity: int
    max_steps: int | jax.Array
    bounds: tuple[int, int] | None = None


class Run(NamedTuple):
    """What a run through all windows leaves; the leading axis of two fields is (windows,)."""

    state: PyTree  # at the end
    reports: PyTree  # of each window
    record: Record
    starts: PyTree  # states at the start of each window


class LoopState(eqx.Module):
    """The state of the loop over the steps of one window."""

    # What is stepped: as it was last settled, and its rates where the scheme reuses them.
    y: PyTree
    tally: PyTree
    rates: Rates | None
    # How far the window has come: years, accepted steps, tries.
    elapsed: jax.Array
    count: jax.Array
    tried: jax.Array
    # What the controller wants next; infinite before the first try of a window.
    suggestion: Scalar
    # The record of the whole run, which goes on from window to window.
    dt: jax.Array
    stages: jax.Array
    total: jax.Array
    evaluations: jax.Array
    status: jax.Array


def integrate(
    system: AbstractSystem,
    state: PyTree,
    windows: PyTree,
    stepper: AbstractStepper,
    *,
    capacity: int,
    max_steps: int | jax.Array = 1_000_000,
    replay: Replay | None = None,
    bounds: tuple[int, int] | None = None,
) -> tuple[PyTree, PyTree, Record]:
    """Advance a state through consecutive windows.

    Args:
        system: what is stepped; its leaves are what can be differentiated with respect to.
        state: at the start of the first window.
        windows: pytree with leading axis (windows,) and at least ``start`` and ``length`` (years).
        stepper: method and step-size rule.
        capacity: length of the record of steps.
        max_steps: attempted steps after which a window is given up (status ``OUT_OF_STEPS``).
        replay: steps to repeat instead of choosing them; one that has become too long ends the run
            (status ``TOO_COARSE``).
        bounds: static limits on (steps per window, stages per step), for reverse-mode
            differentiation of a replay.

    Returns:
        The final state, what each window reported (leading axis windows), and the record of the
        steps.
    """
    how = Stepping(stepper, capacity, max_steps, bounds)
    run = integrate_windows(system, state, windows, how, replay)
    return run.state, run.reports, run.record


def integrate_windows(
    system: AbstractSystem, state: PyTree, windows: PyTree, how: Stepping, replay: Replay | None
) -> Run:
    """What :func:`integrate` returns, and the states at the starts of the windows."""

    def one(
        carry: tuple[PyTree, Record], xs: tuple[PyTree, Replay | None]
    ) -> tuple[tuple[PyTree, Record], tuple[PyTree, jax.Array, PyTree]]:
        start, record = carry
        window, recorded = xs
        held, y, tally = system.begin(start, window)
        loop = _Window(system, held, window.start, window.length, recorded, how)
        out = loop.run(y, tally, record)
        end, report = system.end(start, window, held, out.y, out.tally)
        rejected = record.rejected + out.tried - out.count
        # The steps of each window are what the scan stacks; the record gets them at the end.
        record = Record(
            out.dt, out.stages, record.count, out.total, rejected, out.evaluations, out.status
        )
        return (end, record), (report, out.count, start)

    carry = state, _empty_record(how.capacity, windows.length.dtype)
    (end, record), (reports, count, starts) = lax.scan(one, carry, (windows, replay))
    record = eqx.tree_at(lambda r: r.count, record, count)
    return Run(end, reports, record, starts)


def _empty_record(capacity: int, dtype: jnp.dtype) -> Record:
    zero = jnp.zeros((), jnp.int32)
    status = jnp.full((), OK, jnp.int32)
    return Record(
        jnp.zeros(capacity, dtype),
        jnp.zeros(capacity, jnp.int32),
        zero,
        zero,
        zero,
        zero,
        status,
    )


class _Window(eqx.Module):
    """The loop over the steps of one window: what stays the same in it."""

    system: AbstractSystem
    held: PyTree
    start: jax.Array
    length: jax.Array
    recorded: Replay | None  # the steps of this window, where they are repeated
    how: Stepping

    def run(self, y: PyTree, tally: PyTree, record: Record) -> LoopState:
        """From the start of the window to its end, or to where it was given up."""

        def running(now: LoopState) -> jax.Array:
            return (now.elapsed < self.length) & (now.status == OK)

        def attempt(now: LoopState) -> LoopState:
            return self._attempt(now)

        bounds = self.how.bounds
        bound = None if bounds is None else bounds[0]
        return bounded_while(running, attempt, self._first(y, tally, record), bound)

    def _first(self, y: PyTree, tally: PyTree, record: Record) -> LoopState:
        """Before the first step."""
        reuses = self.how.stepper.method.scheme.reuses_end
        zero = jnp.zeros((), jnp.int32)
        return LoopState(
            y=y,
            tally=tally,
            rates=self._rates(self.start, y) if reuses else None,
            elapsed=jnp.zeros_like(self.length),
            count=zero,
            tried=zero,
            suggestion=jnp.full_like(self.length, jnp.inf),
            dt=record.dt,
            stages=record.stages,
            total=record.total,
            evaluations=record.evaluations + int(reuses),
            status=record.status,
        )

    def _rates(self, t: Scalar, y: PyTree) -> Rates:
        return self.system.tendency(self.held, t, y)

    def _attempt(self, now: LoopState) -> LoopState:
        """Try one step: take it, or leave all but the controller's suggestion as it was."""
        scheme = self.how.stepper.method.scheme
        most_stages = None if self.how.bounds is None else self.how.bounds[1]
        t = self.start + now.elapsed
        rate, stiffness = self._rates(t, now.y) if now.rates is None else now.rates
        step = self._plan(now, t, stiffness)
        trial = scheme.step(self._rates, now.y, rate, step, most_stages)
        y, tally = self.system.settle(self.held, step.dt, trial.y, now.tally)
        accept, suggestion = self._judge(now, step, stiffness, trial)
        # The last step ends the window to the last bit.
        is_last = self._is_last(now, step.dt)
        elapsed = jnp.where(is_last, self.length, now.elapsed + step.dt)
        moved = y, tally, trial.end, elapsed, now.count + 1
        stayed = now.y, now.tally, now.rates, now.elapsed, now.count
        taken = jax.tree.map(lambda new, old: jnp.where(accept, new, old), moved, stayed)
        y, tally, rates, elapsed, count = taken
        # Beyond the buffers nothing is written; the total still counts.
        beyond = self.how.capacity
        slot = jnp.where(accept, jnp.minimum(now.total, beyond), beyond)
        return LoopState(
            y=y,
            tally=tally,
            rates=rates,
            elapsed=elapsed,
            count=count,
            tried=now.tried + 1,
            suggestion=suggestion,
            dt=now.dt.at[slot].set(step.dt, mode="drop"),
            stages=now.stages.at[slot].set(step.stages, mode="drop"),
            total=now.total + accept.astype(jnp.int32),
            evaluations=now.evaluations + step.stages,
            status=self._status(step.dt, accept, _is_finite(trial.y), now.tried + 1, elapsed),
        )

    def _plan(self, now: LoopState, t: jax.Array, stiffness: Scalar) -> Step:
        """The next step: the recorded one, or what the controller wants."""
        if self.recorded is not None:
            return Step(t, self.recorded.dt[now.count], self.recorded.stages[now.count])
        method = self.how.stepper.method
        stiffness = lax.stop_gradient(stiffness)
        remaining = self.length - now.elapsed
        dt = method.controller.plan(remaining, now.suggestion, stiffness)
        # Steps are constants of every differentiation, so that it is that of the steps taken.
        dt = lax.stop_gradient(dt)
        return Step(t, dt, method.scheme.stages(dt, stiffness))

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
