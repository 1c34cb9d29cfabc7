"""The misfits of many glaciers in one compiled call."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree

from odinn.grid import Array
from odinn.learning.misfit import Buffers, GlacierMisfit, Path
from odinn.physics.processes.base import Window
from odinn.run.batches import places_for
from odinn.stepping.batch import together
from odinn.stepping.steps import Record, Replay

# what windows are, apart from what the months bring
_OF_WINDOWS: Final = ("start", "length", "evaluate", "jump")
_ROOM: Final = 2**31  # bytes of the states that a gradient keeps, one for each window


class Batch(eqx.Module):
    """Misfits that share a program, side by side.

    Args:
        each: with leading axis (batch,), but without what they share.
        windows: of all, without what the months bring. losses: the data terms.
    """

    each: GlacierMisfit
    windows: Window
    losses: PyTree

    def whole(self, own: GlacierMisfit) -> GlacierMisfit:
        """The misfit of one glacier, of its own part."""
        brought = {"forcing": own.windows.forcing, "laws": own.windows.laws}
        windows = dataclasses.replace(self.windows, **brought)
        return dataclasses.replace(own, windows=windows, losses=self.losses)


class Facts(NamedTuple):
    """How runs went, (batch,) each: the status of their values or derivatives, the most steps of a
    window and stages of a step, evaluations; and the steps of each window, (batch, windows).
    """

    status: Int[Array, " batch"]
    longest: Int[Array, " batch"]
    most_stages: Int[Array, " batch"]
    evaluations: Int[Array, " batch"]
    counts: Int[Array, "batch windows"]


class Outcomes(NamedTuple):
    """What a call makes of a batch: weighted values (batch,), values of the terms (batch, terms),
    how the runs went; and the records of their steps, or the gradients of the weighted values.
    """

    value: Array
    terms: Array
    facts: Facts
    more: PyTree


@eqx.filter_jit
def values(batch: Batch, params: PyTree) -> Outcomes:
    """Values, and the records of the steps."""

    def one(own: GlacierMisfit, params: PyTree) -> Outcomes:
        value, (terms, record) = batch.whole(own).value(params)
        return Outcomes(value, terms, _facts(record, record.status), record)

    return together(one, (0, 0))(batch.each, params)


@eqx.filter_jit
def gradients(batch: Batch, params: PyTree) -> Outcomes:
    """Values, and their gradients by the adjoint."""

    def one(own: GlacierMisfit, params: PyTree) -> Outcomes:
        misfit = batch.whole(own)

        def weighted(params: PyTree) -> tuple[Array, tuple[Array, Record]]:
            return misfit.value(params, "adjoint")

        # within the batch, so that loops of the backward pass go on until the last is done, too
        (value, (terms, record)), slope = jax.value_and_grad(weighted, has_aux=True)(params)
        return Outcomes(value, terms, _facts(record, misfit.status(record, "adjoint")), slope)

    return together(one, (0, 0))(batch.each, params)


def _facts(record: Record, status: Array) -> Facts:
    evaluations = record.tally.evaluations
    return Facts(status, record.longest, record.most_stages, evaluations, record.steps.count)


def program_of(misfit: GlacierMisfit, params: PyTree) -> Hashable:
    """Equal for misfits that can go through one call, whatever their buffers and however many steps
    they repeat.
    """
    windows = [np.asarray(rows).tobytes() for rows in jax.tree.leaves(_bare(misfit.windows))]
    repeats = misfit.replay is not None
    own = dataclasses.replace(_own(misfit), buffers=Buffers(), replay=None)
    leaves, structure = jax.tree.flatten((own, params))
    return structure, tuple(map(_form, leaves)), tuple(windows), repeats


def groups_of(
    programs: Sequence[Hashable], costs: Sequence[int], misfits: Sequence[GlacierMisfit], path: Path
) -> list[list[int]]:
    """Numbers of the misfits of each call; those of alike cost stand together, for a batch takes as
    long as its slowest.
    """
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for number, program in enumerate(programs):
        alike[program].append(number)
    groups = []
    for numbers in alike.values():
        numbers.sort(key=lambda number: costs[number], reverse=True)
        most = _most(misfits[numbers[0]], path)
        groups += [numbers[k : k + most] for k in range(0, len(numbers), most)]
    return groups


def batch_of(misfits: Sequence[GlacierMisfit]) -> Batch:
    """Misfits of one program side by side."""
    buffers = Buffers(*map(max, zip(*(misfit.buffers for misfit in misfits), strict=True)))
    widths = [misfit.replay.dt.shape[-1] for misfit in misfits if misfit.replay is not None]
    each = [
        dataclasses.replace(
            _own(misfit), buffers=buffers, replay=_widened(misfit.replay, max(widths, default=0))
        )
        for misfit in misfits
    ]
    return Batch(side_by_side(each), _bare(misfits[0].windows), misfits[0].losses)


def side_by_side(trees: Sequence[PyTree]) -> PyTree:
    """Pytrees of one structure with a new leading axis, on the device. Places are filled up with
    the last to a power of two, so that there are few programs.
    """
    count = 1 << (len(trees) - 1).bit_length()
    full = [*trees, *[trees[-1]] * (count - len(trees))]

    def stack(*leaves: Any) -> Any:
        if not hasattr(leaves[0], "shape"):
            return leaves[0]
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return jnp.stack(leaves)
        # without a program for every shape
        return jax.device_put(np.stack(leaves))

    return jax.tree.map(stack, *full)


def _bare(windows: Window) -> Window:
    """Windows without what the months bring."""
    return dataclasses.replace(windows, forcing=None, laws=None)


def _own(misfit: GlacierMisfit) -> GlacierMisfit:
    """What a glacier does not share with those of its batch: the rest is None."""
    shared = lambda m: (*(getattr(m.windows, name) for name in _OF_WINDOWS), m.losses)
    nothing = (None,) * (len(_OF_WINDOWS) + 1)
    return eqx.tree_at(shared, misfit, nothing)


def _form(leaf: Any) -> Hashable:
    """What of a leaf is compiled in."""
    return (leaf.shape, str(leaf.dtype)) if hasattr(leaf, "shape") else leaf


def _most(misfit: GlacierMisfit, path: Path) -> int:
    """Glaciers of a batch: as many as keep the device busy, and as their states have room for."""
    cells = misfit.site.interior.size
    places = places_for(cells)
    states = 8 * cells * len(misfit.windows.start)
    while path == "adjoint" and places > 1 and places * states > _ROOM:
        places //= 2
    return places


def _widened(replay: Replay | None, width: int) -> Replay | None:
    """Rows of steps to repeat with more columns, which are not used."""
    if replay is None:
        return None
    more = [(0, 0), (0, width - replay.dt.shape[-1])]
    return Replay(np.pad(replay.dt, more), np.pad(replay.stages, more), replay.count)
