"""The steps of a run: as they are recorded, as they are repeated, and as results hold them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int


class Steps(eqx.Module):
    """The steps of a run, to be repeated exactly: windows (start, length, years), accepted steps
    and their stages.

    ``count`` (windows,) says how many of the steps, which stand one after the other, belong to each
    window.
    """

    start: np.ndarray
    length: np.ndarray
    count: np.ndarray
    dt: np.ndarray
    stages: np.ndarray
    rejected: int = 0
    evaluations: int = 0

    def __str__(self) -> str:
        return f"{len(self.dt)} steps in {len(self.count)} windows, {self.evaluations} evaluations"


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


class Replay(eqx.Module):
    """Steps to repeat: (windows, K) lengths (years) and stages, of which ``count`` are used in each
    window.
    """

    dt: jax.Array
    stages: jax.Array
    count: jax.Array


class Limits(eqx.Module):
    """Static sizes of the backward pass: steps per window and stages per step."""

    steps: int = eqx.field(static=True)
    stages: int = eqx.field(static=True)


def as_replay(record: Record, width: int) -> Replay:
    """The flat record as (windows, width) arrays; for compiled code."""
    offsets = jnp.cumsum(record.count) - record.count
    column = jnp.arange(width)[None, :]
    at = jnp.minimum(offsets[:, None] + column, record.dt.shape[0] - 1)
    used = column < record.count[:, None]
    dt = jnp.where(used, record.dt[at], 0.0)
    return Replay(dt, jnp.where(used, record.stages[at], 1), record.count)


def part_of(steps: Steps, first: int, size: int, rows: int) -> Replay:
    """The steps of some windows of a run, to be repeated, as (rows, K) arrays, K a power of two."""
    width = _power_of_two(int(steps.count.max()))
    begins = np.concatenate([[0], np.cumsum(steps.count)])
    taken = slice(begins[first], begins[first + size])
    count = steps.count[first : first + size]
    return _in_rows(steps.dt[taken], steps.stages[taken], count, rows, width)


def record_as_replay(record: Record | Steps, windows: int) -> Replay:
    """A record as steps to repeat, (windows, K), K a power of two so that runs of alike length
    share a program.
    """
    count = np.asarray(record.count)
    width = max(4, _power_of_two(int(count.max())))
    return _in_rows(np.asarray(record.dt), np.asarray(record.stages), count, windows, width)


def _in_rows(
    dt: np.ndarray, stages: np.ndarray, count: Int[np.ndarray, " some"], windows: int, width: int
) -> Replay:
    """Steps that stand one after the other, as a row for each window; windows beyond have none."""
    lengths = np.zeros((windows, width), dt.dtype)
    numbers = np.ones((windows, width), np.int32)
    counts = np.zeros(windows, np.int32)
    counts[: len(count)] = count
    begins = np.cumsum(counts) - counts
    for row, (begin, n) in enumerate(zip(begins.tolist(), counts.tolist(), strict=True)):
        lengths[row, :n] = dt[begin : begin + n]
        numbers[row, :n] = stages[begin : begin + n]
    return Replay(jnp.asarray(lengths), jnp.asarray(numbers), jnp.asarray(counts))


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << max(n - 1, 0).bit_length()
