"""Which glaciers go through the program together, and in what order."""

from __future__ import annotations

import time as clock
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from odinn.run.job import Job, Member
from odinn.run.march import Members, march
from odinn.run.settings import Settings
from odinn.stepping.integrate import Stepping


class Bar(Protocol):
    """What shows how far runs have come, in simulated time: a :class:`odinn.progress.Progress`."""

    def advance(self, t: float) -> None: ...
    def compiling(self, function: Callable) -> AbstractContextManager[None]: ...


Done = Callable[[Job], None]
Fail = Callable[[Job, Exception], None]
Batch = list[tuple[Job, Member]]

SIZES: Final = (1, 4, 16, 64, 256, 1024, 4096)  # glaciers in a batch
# Cells of a batch. More make a processor no faster, for companions wait for each other; a GPU needs
# millions to be busy.
_CELLS: Final = {"cpu": 16384, "gpu": 4_000_000}
_FEW: Final = 16  # climates, up to which a table has a place for every glacier's


def advance_all(jobs: Sequence[Job], settings: Settings, bar: Bar, done: Done, fail: Fail) -> None:
    """Bring runs to their ends, in rounds: in each, every glacier goes through its next chunk of
    windows.

    Args:
        done: what is done with a glacier that has come to its end; an error of it is one of the
            glacier. fail: what is done with a glacier that cannot go on; it may raise.
    """
    waiting = list(jobs)
    while waiting:
        lost: set[int] = set()

        def drop(job: Job, error: Exception, lost: set[int] = lost) -> None:
            lost.add(id(job))
            fail(job, error)

        for size, batch in _batches(waiting):
            _through_chunk(batch, size, settings, bar, done, drop)
            bar.advance(float(np.mean([job.time for job in jobs])))
        waiting = [job for job in waiting if not job.is_done and id(job) not in lost]


def _batches(jobs: Sequence[Job]) -> Iterator[tuple[int, Batch]]:
    """(places, glaciers): those that can share a program, of alike cost together, for a batch takes
    as long as its slowest.
    """
    groups: dict[Hashable, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.program].append(job)
    for group in groups.values():
        if len(group) > 1:
            group.sort(key=lambda job: job.cost, reverse=True)
        cells = group[0].frame.shape[0] * group[0].frame.shape[1]
        size = places_for(cells)
        # few go alone, or with empty places; what full batches leave over goes through their
        # program, for empty places cost less than another program
        while size > 1 and len(group) <= size // 2:
            size = SIZES[SIZES.index(size) - 1]
        while group:
            batch, group = group[:size], group[size:]
            yield size, [(job, job.member()) for job in batch]


def places_for(cells: int) -> int:
    """Glaciers of so many cells in a batch."""
    most = _CELLS.get(jax.default_backend(), _CELLS["gpu"])
    return max((n for n in SIZES if n * cells <= most), default=1)


def _through_chunk(
    batch: Batch, size: int, settings: Settings, bar: Bar, done: Done, fail: Fail
) -> None:
    """One compiled call, and what each glacier takes from it."""
    began = clock.perf_counter()
    jobs = [job for job, _ in batch]
    members = _members([member for _, member in batch], size)
    most = np.asarray(settings.max_steps, np.int32)
    how = Stepping(settings.stepper, jobs[0].width, most)
    try:
        with bar.compiling(march):
            outcome = march(members, jobs[0].chunk.leg, how)
            ends, kept = jax.device_get(outcome)  # waits for the result
    except Exception as error:  # of the compiler or the device: of which glacier, nobody knows
        if len(batch) == 1:
            fail(jobs[0], error)
            return
        for alone in batch:
            _through_chunk([alone], 1, settings, bar, done, fail)
        return
    seconds = (clock.perf_counter() - began) / len(batch)
    for place, job in enumerate(jobs):
        end, own = jax.tree.map(lambda rows, place=place: rows[place], (ends, kept))
        try:
            job.take(end, own, seconds)
            if job.is_done:
                done(job)
        except Exception as error:
            fail(job, error)


def _members(members: list[Member], size: int) -> Members:
    """Glaciers side by side; places that are left are filled with the last, and marked as empty."""
    full = [*members, *[members[-1]] * (size - len(members))]
    is_there = np.arange(size) < len(members)
    weather, climate = _climates([member.weather for member in full])
    laws = stacked([member.laws for member in full], axis=1)
    system, state, replay = (
        stacked([getattr(member, name) for member in full], axis=0)
        for name in ("system", "state", "replay")
    )
    return Members(system, state, replay, weather, climate, laws, is_there)


def _climates(each: list[PyTree]) -> tuple[PyTree, np.ndarray]:
    """(the weather of each climate once, (windows, climates, ...); which is whose)"""
    number: dict[Any, int] = {}
    which = []
    for weather in each:
        key = tuple(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(weather))
        which.append(number.setdefault(key, len(number)))
    firsts = [each[which.index(k)] for k in range(len(number))]
    # few sizes of the table, so that there are few programs
    size = next(n for n in SIZES if n >= len(firsts))
    size = max(size, min(len(each), _FEW))
    table = stacked([*firsts, *[firsts[-1]] * (size - len(firsts))], axis=1)
    return table, np.array(which, np.int32)


def stacked(trees: list[PyTree], axis: int) -> PyTree:
    """Pytrees of one structure side by side; what is no array is the same in all."""

    def stack(*leaves: Any) -> Any:
        if not eqx.is_array(leaves[0]) and not isinstance(leaves[0], np.generic):
            return leaves[0]
        if len(leaves) == 1:
            return np.expand_dims(leaves[0], axis)
        return np.stack(leaves, axis)

    return jax.tree.map(stack, *trees)
