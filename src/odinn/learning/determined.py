"""What of a learned model the loss does not determine, so that its numbers say nothing."""

from __future__ import annotations

from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

from odinn.learning.search import Search
from odinn.learning.state import InversionState
from odinn.model.binding import learned_slots
from odinn.physics.laws.base import AbstractLaw

_SAME: Final = 1e-12  # relative change of a loss that is none
_EPS: Final = float(np.finfo(float).eps)


def undetermined(
    search: Search, state: InversionState, *, in_batches: bool = False
) -> list[tuple[str, int, int]]:
    """(what is learned, how many of its numbers are not determined, how many it has), of an
    inversion that has ended.

    After Gauss–Newton they are those without a finite standard error. Else, and for the weights of
    a law, which may stand for one another while the law is well known, a slot is looked at as a
    whole: where its gradient is below round-off of the loss, a run with all its numbers moved by 1
    shows whether the loss changes. In batches, what a glacier has of its own is not looked at: it
    may not have been drawn.
    """
    slots, counts = _numbers_of_slots(search), []
    if state.covariance is not None:
        unknown = ~np.isfinite(np.diag(state.covariance))
        laws = _laws(search)
        plain = {title: at for title, at in slots.items() if title not in laws}
        counts = [(title, int(unknown[at].sum()), len(at)) for title, at in plain.items()]
        counts = [entry for entry in counts if entry[1]]
        slots = {title: at for title, at in slots.items() if title in laws}
    flat = np.abs(state.gradient) <= _EPS * abs(state.best_value)
    still = [(title, at) for title, at in slots.items() if flat[at].all()]
    if in_batches:
        ends = tuple(f" of {rgi_id}" for rgi_id in _ids(search))
        still = [(title, at) for title, at in still if not title.endswith(ends)]
    if not still:
        return counts
    here = search.value(state.best)
    found = counts
    for title, at in still:
        moved = state.best.copy()
        moved[at] += 1.0
        if abs(search.value(moved) - here) <= _SAME * abs(here):
            found.append((title, len(at), len(at)))
    return found


def advice(title: str, count: int, size: int) -> str:
    """What is not determined, and what to do about it."""
    share = "" if count == size else f", in {count} of its {size} numbers"
    return (
        f"{title} is not determined{share}: the loss does not depend on it, or not apart from "
        "others that are learned. Keep it fixed, or add data that see it or odinn.losses.Prior."
    )


def _numbers_of_slots(search: Search) -> dict[str, np.ndarray]:
    """Of what is learned, by title and, where each glacier has its own, by glacier: the positions
    in the vector.
    """
    numbered = search.unravel(jnp.arange(search.start.size, dtype=search.start.dtype))
    found: dict[str, np.ndarray] = {}
    for title, slot in learned_slots(*search.objective.combined(numbered)).items():
        learned = slot.value.learned
        # a parameter per glacier or cell holds an array for each
        by_glacier = isinstance(learned, dict) and set(learned) <= _ids(search)
        parts = learned.items() if by_glacier else [("", learned)]
        for rgi_id, part in parts:
            named = f"{title} of {rgi_id}" if rgi_id and rgi_id not in title else title
            leaves = [np.ravel(leaf) for leaf in jax.tree.leaves(part) if np.size(leaf)]
            found[named] = np.concatenate(leaves).astype(int) if leaves else np.zeros(0, int)
    return {title: at for title, at in found.items() if at.size}


def _laws(search: Search) -> set[str]:
    """Titles of the laws among what is learned."""
    start = search.unravel(jnp.asarray(search.start))
    slots = learned_slots(*search.objective.combined(start)).items()
    return {title for title, slot in slots if isinstance(slot.value, AbstractLaw)}


def _ids(search: Search) -> set[str]:
    return {glacier.rgi_id for glacier in search.objective.glaciers}
