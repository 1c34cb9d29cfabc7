"""``integrate``: the one driver of time stepping, and ``snapshots``: states of a run with its exact
discrete adjoint.

The adjoint is the transpose of the steps that the forward run took: it goes back window by window
from the recorded lengths and stages, which are constants of the differentiation. Within a window
the steps are repeated from its start and then transposed one by one.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from odinn.stepping.base import (
    NOT_FINITE,
    OK,
    OUT_OF_STEPS,
    AbstractStepper,
    AbstractSystem,
    PyTree,
    bounded_while,
)

_SAFETY, _SHRINK, _GROW = 0.8, 0.2, 5.0
_SMALLEST = 1e-10  # of a window: a step below this has failed


class Replay(eqx.Module):
    """Steps to repeat: (windows, K) lengths (years) and stages, of which ``count`` are used in each
    window.
    """

    dt: jax.Array
    stages: jax.Array
    count: jax.Array


class Record(eqx.Module):
    """Accepted steps, one after the other in flat buffers, their number per window, and what they
    cost.

    ``total`` may exceed the buffers' length: then the record is incomplete and the caller has to
    run again with longer buffers. ``status`` is 0, or why the stepping stopped.
    """

    dt: jax.Array
    stages: jax.Array
    count: jax.Array
    total: jax.Array
    rejected: jax.Array
    evaluations: jax.Array
    status: jax.Array


class Limits(eqx.Module):
    """Static sizes of the backward pass: steps per window and stages per step."""

    steps: int = eqx.field(static=True)
    stages: int = eqx.field(static=True)


def integrate(
    system: AbstractSystem,
    state: PyTree,
    windows: PyTree,
    stepper: AbstractStepper,
    *,
    capacity: int,
    max_steps: int = 1_000_000,
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
        replay: steps to repeat instead of choosing them; nothing is then rejected.
        bounds: static limits on (steps per window, stages per step), for reverse-mode
            differentiation of a replay.

    Returns:
        The final state, what each window reported (leading axis windows), and the record of the
        steps.
    """
    return _scan_windows(system, state, windows, stepper, capacity, max_steps, replay, bounds)[0]


def _scan_windows(
    system: AbstractSystem,
    state: PyTree,
    windows: PyTree,
    stepper: AbstractStepper,
    capacity: int,
    max_steps: Any,
    replay: Replay | None,
    bounds: tuple[int, int] | None = None,
) -> tuple[tuple[PyTree, PyTree, Record], PyTree]:
    """What :func:`integrate` returns, and the states at the starts of the windows."""
    step_bound, stage_bound = (None, None) if bounds is None else bounds

    def window_body(carry: tuple, xs: tuple) -> tuple[tuple, tuple]:
        state, record = carry
        window, recorded = xs
        start_state = state
        forcing, y, tally = system.begin(state, window)
        f = lambda t, y: system.tendency(forcing, t, y)
        length = window.length

        def running(c: dict) -> Any:
            return (c["elapsed"] < length) & (c["status"] == OK)

        def attempt(c: dict) -> dict:
            remaining = length - c["elapsed"]
            t = window.start + c["elapsed"]
            f0, stiffness = c["f0"] if stepper.reuses_end else f(t, c["y"])
            if recorded is None:
                dt, stages = stepper.plan(remaining, c["suggestion"], lax.stop_gradient(stiffness))
                dt = lax.stop_gradient(dt)
            else:
                dt, stages = recorded.dt[c["count"]], recorded.stages[c["count"]]
            raw, end, error = stepper.step(f, t, c["y"], f0, dt, stages, stage_bound)
            settled, tally = system.settle(forcing, dt, raw, c["tally"])
            adaptive = error is not None and recorded is None
            if adaptive:
                ratio = lax.stop_gradient(stepper.ratio(error, c["y"], raw, system.norm))
                accept = ratio <= 1.0  # False for NaN
                growth = _SAFETY * jnp.maximum(ratio, 1e-10) ** (-1.0 / (stepper.order + 1))
                suggestion = dt * jnp.where(
                    jnp.isfinite(ratio), jnp.clip(growth, _SHRINK, _GROW), _SHRINK
                )
            else:
                accept, suggestion = jnp.isfinite(stiffness), c["suggestion"]
            last = (
                dt >= remaining * (1.0 - 1e-9)
                if recorded is None
                else c["count"] + 1 >= recorded.count
            )
            elapsed = jnp.where(last, length, c["elapsed"] + dt)
            new = {"y": settled, "tally": tally, "elapsed": elapsed, "count": c["count"] + 1}
            if stepper.reuses_end:
                new["f0"] = end
            kept = {k: c[k] for k in new}
            new = jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, kept)
            tried = c["tried"] + 1
            failed = ~accept & ~(dt > _SMALLEST * length) if adaptive else ~accept
            late = (tried >= max_steps) & (new["elapsed"] < length)
            status = jnp.where(failed, NOT_FINITE, jnp.where(late, OUT_OF_STEPS, OK)).astype(
                jnp.int32
            )
            slot = jnp.where(accept, jnp.minimum(c["total"], capacity), capacity)
            return new | {
                "suggestion": suggestion,
                "tried": tried,
                "status": status,
                "total": c["total"] + accept.astype(jnp.int32),
                "dt": c["dt"].at[slot].set(dt, mode="drop"),
                "stages": c["stages"].at[slot].set(stages, mode="drop"),
                "evaluations": c["evaluations"] + stages,
            }

        zero = jnp.zeros((), jnp.int32)
        start = {
            "y": y,
            "tally": tally,
            "elapsed": jnp.zeros_like(length),
            "count": zero,
            "suggestion": jnp.full_like(length, jnp.inf),
            "tried": zero,
            "status": record.status,
            "total": record.total,
            "dt": record.dt,
            "stages": record.stages,
            "evaluations": record.evaluations + int(stepper.reuses_end),
        }
        if stepper.reuses_end:
            start["f0"] = f(window.start, y)
        out = bounded_while(running, attempt, start, step_bound)
        state, report = system.end(state, window, forcing, out["y"], out["tally"])
        record = Record(
            out["dt"],
            out["stages"],
            zero,
            out["total"],
            record.rejected + out["tried"] - out["count"],
            out["evaluations"],
            out["status"],
        )
        return (state, record), (report, out["count"], start_state)

    zero = jnp.zeros((), jnp.int32)
    empty = Record(
        jnp.zeros(capacity, windows.length.dtype),
        jnp.zeros(capacity, jnp.int32),
        zero,
        zero,
        zero,
        zero,
        jnp.full((), OK, jnp.int32),
    )
    (state, record), (reports, count, starts) = lax.scan(
        window_body, (state, empty), (windows, replay)
    )
    record = eqx.tree_at(lambda r: r.count, record, count)
    return (state, reports, record), starts


def snapshots(
    system: AbstractSystem,
    state: PyTree,
    windows: PyTree,
    keep: jax.Array,
    stepper: AbstractStepper,
    *,
    capacity: int,
    max_steps: int = 1_000_000,
    replay: Replay | None = None,
    bounds: tuple[int, int] | None = None,
    limits: Limits | None = None,
) -> tuple[PyTree, Record]:
    """States at the ends of some windows, (len(keep), ...) in each leaf, and the record of the
    steps.

    Args:
        keep: numbers of those windows, each once. The rest as for :func:`integrate`.
        limits: with these, the derivative with respect to ``system`` and ``state`` is the exact
            discrete adjoint. They bound the steps per window and the stages per step; a run that
            exceeds them (see ``Record``) has a right result and a wrong derivative, so the caller
            has to check and run again with larger ones. Without, JAX's own rules.
    """
    if limits is None:
        (last, _, record), starts = _scan_windows(
            system, state, windows, stepper, capacity, max_steps, replay, bounds
        )
        return _at_ends(starts, last, keep), record
    options = {"capacity": capacity, "limits": limits, "max_steps": max_steps, "replay": replay}
    return _snapshots((system, state), windows, keep, stepper, options)


def _at_ends(starts: PyTree, last: PyTree, keep: jax.Array) -> PyTree:
    """States at window ends, which are the starts of the next ones."""
    end = keep + 1

    def pick(rows: jax.Array, final: jax.Array) -> jax.Array:
        inside = (end < rows.shape[0]).reshape((-1,) + (1,) * final.ndim)
        return jnp.where(inside, rows[jnp.minimum(end, rows.shape[0] - 1)], final[None])

    return jax.tree.map(pick, starts, last)


@eqx.filter_custom_vjp
def _snapshots(
    systems: tuple, windows: PyTree, keep: jax.Array, stepper: AbstractStepper, options: dict
) -> tuple:
    return _run_forward(systems, windows, keep, stepper, options)[0]


def _run_forward(
    systems: tuple, windows: PyTree, keep: jax.Array, stepper: AbstractStepper, options: dict
) -> tuple[tuple, PyTree]:
    system, state = systems
    (last, _, record), starts = _scan_windows(
        system,
        state,
        windows,
        stepper,
        options["capacity"],
        options["max_steps"],
        options["replay"],
    )
    return (_at_ends(starts, last, keep), record), starts


@_snapshots.def_fwd
def _snapshots_forward(
    perturbed: PyTree,
    systems: tuple,
    windows: PyTree,
    keep: jax.Array,
    stepper: AbstractStepper,
    options: dict,
) -> tuple[tuple, PyTree]:
    out, starts = _run_forward(systems, windows, keep, stepper, options)
    return out, (starts, out[1])


@_snapshots.def_bwd
def _snapshots_backward(
    saved: PyTree,
    bars: tuple,
    perturbed: PyTree,
    systems: tuple,
    windows: PyTree,
    keep: jax.Array,
    stepper: AbstractStepper,
    options: dict,
) -> tuple:
    starts, record = saved
    system, state = systems
    limits = options["limits"]
    inexact = eqx.filter(state, eqx.is_inexact_array)
    no_bar = jax.tree.map(jnp.zeros_like, inexact)
    kept_bars = jax.tree.map(
        lambda zero, bar: _with_zero_row(zero, keep.size, bar),
        no_bar,
        bars[0],
        is_leaf=lambda x: x is None,
    )
    row = jnp.full(windows.length.shape, keep.size).at[keep].set(jnp.arange(keep.size))
    wanted, rest = eqx.partition(system, perturbed[0])
    recorded = (
        options["replay"] if options["replay"] is not None else _as_replay(record, limits.steps)
    )
    full = lambda theta: eqx.combine(theta, rest)

    def one_window(carry: tuple, xs: tuple) -> tuple[tuple, None]:
        system_bar, state_bar = carry
        start, window, steps, row = xs
        state_bar = jax.tree.map(lambda bar, rows: bar + rows[row], state_bar, kept_bars)
        floats, others = eqx.partition(start, eqx.is_inexact_array)

        def begin(theta: PyTree, floats: PyTree) -> tuple[tuple, PyTree]:
            forcing, y, tally = full(theta).begin(eqx.combine(floats, others), window)
            forcing_floats, forcing_others = eqx.partition(forcing, eqx.is_inexact_array)
            return (forcing_floats, y, tally), forcing_others

        (forcing_floats, y, tally), pull_begin, forcing_others = jax.vjp(
            begin, wanted, floats, has_aux=True
        )
        forcing = eqx.combine(forcing_floats, forcing_others)
        begins = window.start + jnp.cumsum(steps.dt) - steps.dt

        def f(theta: PyTree, t: Any, y: PyTree) -> PyTree:
            return full(theta[0]).tendency(eqx.combine(theta[1], forcing_others), t, y)[0]

        def transposed(theta: PyTree, t: Any, y: PyTree) -> PyTree:
            return (
                full(theta[0])
                .for_transpose()
                .tendency(eqx.combine(theta[1], forcing_others), t, y)[0]
            )

        def settle(theta: PyTree, dt: Any, raw: PyTree, tally: PyTree) -> tuple[PyTree, PyTree]:
            return full(theta[0]).settle(eqx.combine(theta[1], forcing_others), dt, raw, tally)

        theta = wanted, forcing_floats
        g = lambda t, y: full(wanted).tendency(forcing, t, y)

        def again(i: Any, carry: tuple) -> tuple:
            y, tally, kept = carry
            kept = jax.tree.map(lambda b, v: b.at[i].set(v), kept, y)
            raw = stepper.step(
                g, begins[i], y, g(begins[i], y)[0], steps.dt[i], steps.stages[i], None
            )[0]
            return *settle(theta, steps.dt[i], raw, tally), kept

        kept = jax.tree.map(lambda a: jnp.zeros((limits.steps, *a.shape), a.dtype), y)
        repeated = steps.count - 1 if system.end_is_linear else steps.count
        y_end, tally_end, kept = lax.fori_loop(0, repeated, again, (y, tally, kept))
        if system.end_is_linear:  # the last step is not needed: any values do
            kept = jax.tree.map(lambda b, v: b.at[jnp.maximum(repeated, 0)].set(v), kept, y_end)
        _, pull_end = jax.vjp(
            lambda th, st, fo, y, ta: eqx.filter(
                full(th).end(
                    eqx.combine(st, others), window, eqx.combine(fo, forcing_others), y, ta
                )[0],
                eqx.is_inexact_array,
            ),
            wanted,
            floats,
            forcing_floats,
            y_end,
            tally_end,
        )
        more, start_bar, forcing_bar, y_bar, tally_bar = pull_end(state_bar)
        system_bar = _add(system_bar, more)

        def back(carry: tuple) -> tuple:
            i, theta_bar, y_bar, tally_bar = carry
            y_i, dt = jax.tree.map(lambda b: b[i], kept), steps.dt[i]
            raw, pull_step = stepper.linearise(
                f, transposed, theta, begins[i], y_i, dt, steps.stages[i], limits.stages
            )
            _, pull_settle = jax.vjp(lambda th, r, ta: settle(th, dt, r, ta), theta, raw, tally)
            more, raw_bar, tally_bar = pull_settle((y_bar, tally_bar))
            and_more, y_bar = pull_step(raw_bar)
            return i - 1, _add(theta_bar, _add(more, and_more)), y_bar, tally_bar

        carry = steps.count - 1, (system_bar, forcing_bar), y_bar, tally_bar
        _, (system_bar, forcing_bar), y_bar, tally_bar = lax.while_loop(
            lambda c: c[0] >= 0, back, carry
        )
        more, and_start = pull_begin((forcing_bar, y_bar, tally_bar))
        return (_add(system_bar, more), _add(start_bar, and_start)), None

    carry = jax.tree.map(jnp.zeros_like, wanted), no_bar
    return lax.scan(one_window, carry, (starts, windows, recorded, row), reverse=True)[0]


def _with_zero_row(zero: jax.Array | None, count: int, rows: jax.Array | None) -> jax.Array | None:
    """Cotangents of the kept states, and a last row of zeros for windows that are not kept."""
    if zero is None:
        return None
    return (
        jnp.zeros((count + 1, *zero.shape), zero.dtype)
        if rows is None
        else jnp.concatenate([rows, zero[None]])
    )


def _add(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(jnp.add, a, b)


def _as_replay(record: Record, width: int) -> Replay:
    """The flat record as (windows, width) arrays."""
    offsets = jnp.cumsum(record.count) - record.count
    at = jnp.minimum(offsets[:, None] + jnp.arange(width)[None, :], record.dt.shape[0] - 1)
    used = jnp.arange(width)[None, :] < record.count[:, None]
    return Replay(
        jnp.where(used, record.dt[at], 0.0), jnp.where(used, record.stages[at], 1), record.count
    )
