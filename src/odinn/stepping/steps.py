"""The steps of a run: as they are recorded, as they are repeated, and as results hold them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

Array = jax.Array | np.ndarray


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


class Replay(eqx.Module):
    """The steps of windows in rows: (windows, K) lengths (years) and stages, of which ``count``
    (windows,) are used; a count beyond K says that the row did not hold them.
    """

    dt: Array
    stages: Array
    count: Array


class Tally(eqx.Module):
    """What steps have cost so far: attempts that were rejected, evaluations; and how they went:
    ``status`` is 0, or why the stepping stopped.
    """

    rejected: jax.Array
    evaluations: jax.Array
    status: jax.Array

    @staticmethod
    def zero() -> Tally:
        """Before the first step."""
        zero = jnp.zeros((), jnp.int32)
        return Tally(zero, zero, zero)


class Record(eqx.Module):
    """The steps of a run as compiled code leaves them. Where rows were too short the record is
    incomplete, and the caller has to run again with a larger ``width``.
    """

    steps: Replay
    tally: Tally

    @property
    def status(self) -> jax.Array:
        """0, or why the stepping stopped."""
        return self.tally.status

    @property
    def width(self) -> int:
        """Steps that a row holds."""
        return self.steps.dt.shape[-1]

    @property
    def longest(self) -> jax.Array:
        """The most steps of a window."""
        return jnp.max(self.steps.count)

    @property
    def most_stages(self) -> jax.Array:
        """The most stages of a step, as far as steps were recorded."""
        return jnp.max(self.steps.stages)


class Limits(eqx.Module):
    """Static sizes of the backward pass: steps per window and stages per step."""

    steps: int = eqx.field(static=True)
    stages: int = eqx.field(static=True)


def flat(rows: Replay) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(lengths, stages) of steps one after the other, and their number per window."""
    count = np.asarray(rows.count)
    dt, stages = np.asarray(rows.dt), np.asarray(rows.stages)
    used = np.arange(dt.shape[1]) < count[:, None]
    return dt[used], stages[used], count


def part_of(steps: Steps, first: int, size: int, rows: int) -> Replay:
    """The steps of some windows of a run, to be repeated, as (rows, K) arrays, K a power of two."""
    width = _power_of_two(int(steps.count.max()))
    begins = np.concatenate([[0], np.cumsum(steps.count)])
    taken = slice(begins[first], begins[first + size])
    count = steps.count[first : first + size]
    return _in_rows(steps.dt[taken], steps.stages[taken], count, rows, width)


def all_of(steps: Steps, windows: int) -> Replay:
    """The steps of a run, to be repeated, as (windows, K) arrays."""
    return part_of(steps, 0, len(steps.count), windows)


def narrowed(rows: Replay) -> Replay:
    """Recorded rows without columns that are not used, K a power of two so that runs of alike
    length share a program. On the host.
    """
    width = _power_of_two(int(np.asarray(rows.count).max()))
    dt, stages = np.asarray(rows.dt), np.asarray(rows.stages)
    return Replay(dt[:, :width], stages[:, :width], np.asarray(rows.count))


def _in_rows(
    dt: np.ndarray, stages: np.ndarray, count: Int[np.ndarray, " some"], windows: int, width: int
) -> Replay:
    """Steps that stand one after the other, as a row for each window; windows beyond have none."""
    lengths = np.zeros((windows, width), dt.dtype)
    numbers = np.ones((windows, width), np.int32)
    counts = np.zeros(windows, np.int32)
    counts[: len(count)] = count
    used = np.arange(width) < counts[:, None]
    lengths[used] = dt
    numbers[used] = stages
    return Replay(lengths, numbers, counts)


def _power_of_two(n: int) -> int:
    """The smallest power of two that is at least n, and 4."""
    return max(4, 1 << max(n - 1, 0).bit_length())
