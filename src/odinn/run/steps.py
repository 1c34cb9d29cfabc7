"""Steps of an earlier run, laid out to be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.run.plan import CHUNK, Plan
from odinn.stepping.steps import Record, Replay, Steps

Replays = Steps | Sequence[Steps] | Mapping[str, Steps] | None
_CLOSE = 1e-9  # years


def replay_of(replay: Replays, glacier: Glacier, position: int, total: int) -> Steps | None:
    """The steps that one of several glaciers is to repeat."""
    if replay is None:
        return None
    if isinstance(replay, Steps):
        if total > 1:
            text = "one Steps for several glaciers; give a list, or {rgi_id: Steps}"
            raise InputError(f"replay: {text}")
        return replay
    if isinstance(replay, Mapping):
        if glacier.rgi_id not in replay:
            raise InputError(where(glacier.rgi_id, "replay has no entry for this glacier"))
        return replay[glacier.rgi_id]
    if len(replay) != total:
        raise InputError(f"replay has {len(replay)} entries for {total} glaciers")
    return replay[position]


def check_replay(replay: Steps | None, plan: Plan, glacier: Glacier) -> None:
    """Raise where steps to repeat are of other windows."""
    if replay is None:
        return
    same = len(replay.start) == plan.count
    same = same and np.allclose(replay.start, plan.starts, atol=_CLOSE, rtol=0)
    same = same and np.allclose(replay.length, plan.lengths, atol=_CLOSE, rtol=0)
    if not same:
        text = (
            f"replay: the recorded run has {len(replay.start)} windows from {replay.start[0]:.4f}, this "
            f"one has {plan.count} from {plan.starts[0]:.4f}; span and save_every have to be the same"
        )
        raise InputError(where(glacier.rgi_id, text))


def part_of(replay: Steps | None, first: int, size: int) -> Replay | None:
    """The recorded steps of a chunk's windows as (CHUNK, K) arrays, K a power of two."""
    if replay is None:
        return None
    width = _power_of_two(int(replay.count.max()))
    begins = np.concatenate([[0], np.cumsum(replay.count)])
    taken = slice(begins[first], begins[first + size])
    count = replay.count[first : first + size]
    return _in_rows(replay.dt[taken], replay.stages[taken], count, CHUNK, width)


def record_as_replay(record: Record | Steps, windows: int) -> Replay:
    """A record as steps to repeat, (windows, K), K a power of two so that runs of alike length share a program."""
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
