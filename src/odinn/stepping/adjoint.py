"""``integrate``: the one driver of time stepping. Pure, jittable, differentiable forwards; backwards over replay."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from odinn.stepping.base import NOT_FINITE, OK, OUT_OF_STEPS, AbstractStepper, AbstractSystem, PyTree, bounded_while

_SAFETY, _SHRINK, _GROW = 0.8, 0.2, 5.0
_SMALLEST = 1e-10  # of a window: a step below this has failed


class Replay(eqx.Module):
    """Steps to repeat: (windows, K) lengths (years) and stages, of which ``count`` are used in each window."""

    dt: jax.Array
    stages: jax.Array
    count: jax.Array


class Record(eqx.Module):
    """Accepted steps, one after the other in flat buffers, their number per window, and what they cost.

    ``total`` may exceed the buffers' length: then the record is incomplete and the caller has to run again with
    longer buffers. ``status`` is 0, or why the stepping stopped.
    """

    dt: jax.Array
    stages: jax.Array
    count: jax.Array
    total: jax.Array
    rejected: jax.Array
    evaluations: jax.Array
    status: jax.Array


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
        bounds: static limits on (steps per window, stages per step), for reverse-mode differentiation of a replay.

    Returns:
        The final state, what each window reported (leading axis windows), and the record of the steps.
    """
    step_bound, stage_bound = (None, None) if bounds is None else bounds

    def window_body(carry: tuple, xs: tuple) -> tuple[tuple, tuple]:
        state, record = carry
        window, recorded = xs
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
                suggestion = dt * jnp.where(jnp.isfinite(ratio), jnp.clip(growth, _SHRINK, _GROW), _SHRINK)
            else:
                accept, suggestion = jnp.isfinite(stiffness), c["suggestion"]
            last = dt >= remaining * (1.0 - 1e-9) if recorded is None else c["count"] + 1 >= recorded.count
            elapsed = jnp.where(last, length, c["elapsed"] + dt)
            new = {"y": settled, "tally": tally, "elapsed": elapsed, "count": c["count"] + 1}
            if stepper.reuses_end:
                new["f0"] = end
            kept = {k: c[k] for k in new}
            new = jax.tree.map(lambda a, b: jnp.where(accept, a, b), new, kept)
            tried = c["tried"] + 1
            failed = ~accept & ~(dt > _SMALLEST * length) if adaptive else ~accept
            late = (tried >= max_steps) & (new["elapsed"] < length)
            status = jnp.where(failed, NOT_FINITE, jnp.where(late, OUT_OF_STEPS, OK)).astype(jnp.int32)
            slot = jnp.where(accept, jnp.minimum(c["total"], capacity), capacity)
            return new | {
                "suggestion": suggestion,
                "tried": tried,
                "status": status,
                "total": c["total"] + accept.astype(jnp.int32),
                "dt": c["dt"].at[slot].set(dt, mode="drop"),
                "stages": c["stages"].at[slot].set(stages, mode="drop"),
                "evaluations": c["evaluations"] + stages + int(stepper.reuses_end),
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
            "evaluations": record.evaluations,
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
        return (state, record), (report, out["count"])

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
    (state, record), (reports, count) = lax.scan(window_body, (state, empty), (windows, replay))
    record = eqx.tree_at(lambda r: r.count, record, count)
    return state, reports, record
