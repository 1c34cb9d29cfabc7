"""Many systems stepped together.

All of stepping and physics is written for one system. A batch is ``jax.vmap`` over an axis with a
name, and a loop that has to go on until the last system is done asks :func:`anywhere`. So loops
stay loops (a mapped ``while`` would copy everything that it carries), each system has its own
steps, and what a system does is the same in any company.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

BATCH: Final = "batch"  # the name of the axis


def anywhere(flag: jax.Array | np.ndarray) -> jax.Array:
    """Whether a condition holds for any system of the batch: one truth for all."""
    return most(jnp.asarray(flag, jnp.int32)) > 0


def most(count: jax.Array) -> jax.Array:
    """The largest of a number (int32) in the batch."""
    try:
        return lax.pmax(count, BATCH)
    except NameError:  # there is no such axis: a system by itself
        return count


def together(f: Callable[..., Any], in_axes: Any) -> Callable[..., Any]:
    """``f`` of one system as a function of a batch.

    Args:
        in_axes: for each argument, where the axis of the batch is in its arrays; None where all
            share it.
    """
    axes = tuple(axis if axis is None else eqx.if_array(axis) for axis in in_axes)
    return eqx.filter_vmap(f, in_axes=axes, axis_name=BATCH)
