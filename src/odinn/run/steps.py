"""Steps of an earlier run, laid out to be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.physics.dynamics import Window
from odinn.run.plan import CHUNK
from odinn.stepping.steps import Record, Replay, Steps


def part_of(replay: Steps | None, first: int, size: int) -> Replay | None:
    """The recorded steps of a chunk's windows as (CHUNK, K) arrays, K a power of two."""
    if replay is None:
        return None
    offsets = np.concatenate([[0], np.cumsum(replay.count)])
    width = 1 << max(int(replay.count.max()) - 1, 0).bit_length()
    dt, stages, count = (
        np.zeros((CHUNK, width)),
        np.ones((CHUNK, width), np.int32),
        np.zeros(CHUNK, np.int32),
    )
    for i in range(size):
        begin, n = offsets[first + i], int(replay.count[first + i])
        dt[i, :n], stages[i, :n] = replay.dt[begin : begin + n], replay.stages[begin : begin + n]
        count[i] = n
    return Replay(jnp.asarray(dt), jnp.asarray(stages), jnp.asarray(count))


def replay_of(replay: Any, glacier: Glacier, position: int, total: int) -> Steps | None:
    """The steps that one of several glaciers is to repeat."""
    if replay is None or isinstance(replay, Steps):
        if isinstance(replay, Steps) and total > 1:
            raise InputError(
                "replay: one Steps for several glaciers; give a list, or {rgi_id: Steps}"
            )
        return replay
    if isinstance(replay, Mapping):
        if glacier.rgi_id not in replay:
            raise InputError(where(glacier.rgi_id, "replay has no entry for this glacier"))
        return replay[glacier.rgi_id]
    if len(replay) != total:
        raise InputError(f"replay has {len(replay)} entries for {total} glaciers")
    return replay[position]


def check_replay(replay: Steps | None, windows: Window, glacier: Glacier) -> None:
    """Raise where steps to repeat are of other windows."""
    if replay is None:
        return
    same = len(replay.start) == len(windows.start) and np.allclose(
        replay.start, windows.start, atol=1e-9, rtol=0
    )
    if not same or not np.allclose(replay.length, windows.length, atol=1e-9, rtol=0):
        raise InputError(
            where(
                glacier.rgi_id,
                f"replay: the recorded run has {len(replay.start)} windows from "
                f"{replay.start[0]:.4f}, this one has "
                f"{len(windows.start)} from {windows.start[0]:.4f}; span and save_every have to "
                "be the same",
            )
        )


def record_as_replay(record: Record | Steps, windows: int) -> Replay:
    """A record as steps to repeat, (windows, K), K a power of two so that runs of alike length
    share a program.
    """
    count = np.zeros(windows, np.int32)
    count[: len(record.count)] = np.asarray(record.count)
    width = max(4, 1 << max(int(count.max()) - 1, 0).bit_length())
    dt, stages = np.zeros((windows, width), record.dt.dtype), np.ones((windows, width), np.int32)
    offset = 0
    for i, n in enumerate(count.tolist()):
        dt[i, :n] = np.asarray(record.dt)[offset : offset + n]
        stages[i, :n] = np.asarray(record.stages)[offset : offset + n]
        offset += n
    return Replay(jnp.asarray(dt), jnp.asarray(stages), jnp.asarray(count))
