"""The steps of a run: as they are recorded, as they are repeated, and as results hold them."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


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
