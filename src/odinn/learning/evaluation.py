"""Misfits evaluated on the host: their values, and their gradients, on parts of the grids that hold
the ice and with buffers that hold the steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

import jax
import numpy as np
from jaxtyping import PyTree

from odinn.glacier import Glacier, geometry
from odinn.learning.batches import (
    Batch,
    Facts,
    Outcomes,
    batch_of,
    gradients,
    groups_of,
    program_of,
    side_by_side,
    values,
)
from odinn.learning.misfit import (
    TOO_SMALL,
    Buffers,
    GlacierMisfit,
    Path,
    compiled_value,
    placed_misfit,
    placed_params,
    with_room,
)
from odinn.model.frame import Frame, frame_around, margins_of, plain_frame
from odinn.run.checks import failure
from odinn.stepping.interface import LEFT, OK
from odinn.stepping.steps import Record


class Problem(Protocol):
    """What is evaluated: an :class:`odinn.learning.pure_objective.Objective`."""

    @property
    def glaciers(self) -> list[Glacier]:
        """Those of the loss."""

    @property
    def misfits(self) -> list[GlacierMisfit]:
        """Of each glacier, on its grid."""

    def locals(self, params: PyTree, numbers: Sequence[int]) -> list[PyTree]:
        """What the misfits of some glaciers take of ``params``, by their numbers."""


class Laid(NamedTuple):
    """A glacier's misfit as it is computed, and where its arrays lie on the glacier's grid."""

    misfit: GlacierMisfit
    frame: Frame


class Found(NamedTuple):
    """Of one glacier: the weighted value, and the values of the terms."""

    value: float
    terms: np.ndarray


class Runs:
    """The runs of an objective. What they need of the grid and of buffers grows where a run needs
    more, and stays, so that points of a search do not compile in turn.
    """

    def __init__(self, objective: Problem) -> None:
        self.objective = objective
        count = len(objective.glaciers)
        self._margins = [margins_of(misfit.rest[0]) for misfit in objective.misfits]
        self.laid = [self._lay(number) for number in range(count)]
        self._programs: list[Hashable] = [None] * count
        self._costs = [0] * count
        self._buffers: dict[Path, dict[Hashable, Buffers]] = {"plain": {}, "adjoint": {}}
        # the batches of the latest evaluation stay on the device
        self._stacks: dict[Path, dict[tuple, Batch]] = {"plain": {}, "adjoint": {}}

    def values(self, params: PyTree, chosen: Sequence[int] | None = None) -> list[Found]:
        """Of the chosen glaciers, or of all, in order.

        Raises:
            SolverError: a run fails.
        """
        return [found for found, _ in self._through(values, params, chosen, "plain")]

    def records(self, params: PyTree) -> list[tuple[Found, Record]]:
        """Of each glacier its values, and the steps of its run."""
        return self._through(values, params, None, "plain")

    def gradients(
        self, params: PyTree, chosen: Sequence[int] | None = None
    ) -> tuple[list[Found], PyTree]:
        """(of the chosen glaciers, or of all, in order; the gradient of the sum of their values),
        by the adjoint.

        Raises:
            SolverError: a run fails.
        """
        numbers = self._all if chosen is None else list(chosen)
        unknown = [number for number in numbers if not self._costs[number]]
        if unknown:
            self.values(params, unknown)
        each = self._through(gradients, params, numbers, "adjoint")
        _, pull = jax.vjp(lambda params: self.given(params, numbers), params)
        (gradient,) = pull([slope for _, slope in each])
        return [found for found, _ in each], gradient

    def given(self, params: PyTree, numbers: Sequence[int]) -> list[PyTree]:
        """What the misfits of some glaciers take of ``params``."""
        own = self.objective.locals(params, numbers)
        frames = [self.laid[number].frame for number in numbers]
        return [placed_params(*pair) for pair in zip(own, frames, strict=True)]

    def sized(self, number: int) -> Laid:
        """A glacier's misfit with buffers for gradients, as far as its runs have shown."""
        laid = self.laid[number]
        buffers = self._buffers["adjoint"][self._programs[number]]
        return laid._replace(misfit=dataclasses.replace(laid.misfit, buffers=buffers))

    @property
    def _all(self) -> list[int]:
        return list(range(len(self.laid)))

    def _lay(self, number: int) -> Laid:
        """A glacier's misfit on the part of its grid around the ice, as wide as it has to be."""
        glacier, misfit = self.objective.glaciers[number], self.objective.misfits[number]
        margin = self._margins[number][0]
        ice = np.asarray(glacier.mask) | (np.asarray(geometry(glacier)[1]) > 0)
        frame = plain_frame(ice.shape)
        if self._margins[number] != (None,):
            frame = frame_around(ice, margin)
        placed = placed_misfit(misfit, frame)
        return Laid(misfit, plain_frame(ice.shape)) if placed is None else Laid(placed, frame)

    def _through(
        self,
        call: Callable[[Batch, PyTree], Outcomes],
        params: PyTree,
        chosen: Sequence[int] | None,
        path: Path,
    ) -> list[tuple[Found, PyTree]]:
        """What a call makes of the chosen glaciers, in order; those whose frames or buffers did not
        hold go through it again.
        """
        numbers = self._all if chosen is None else list(chosen)
        done: dict[int, tuple[Found, PyTree]] = {}
        while waiting := [number for number in numbers if number not in done]:
            given = self.given(params, waiting)
            self._tell_apart(waiting, given)
            stacks: dict[tuple, Batch] = {}
            for group in self._groups(waiting, path):
                program = self._programs[group[0]]
                key = tuple(group), program, self._buffers[path][program]
                batch = stacks[key] = self._stacks[path].get(key) or self._stack(group, path)
                theirs = side_by_side([given[waiting.index(number)] for number in group])
                value, terms, facts, more = jax.device_get(call(batch, theirs))
                for place, number in enumerate(group):
                    own = jax.tree.map(lambda rows, k=place: rows[k], (facts, more))
                    if self._holds(number, own[0], path):
                        done[number] = Found(float(value[place]), terms[place]), own[1]
            self._stacks[path] = stacks
        return [done[number] for number in numbers]

    def _tell_apart(self, numbers: Sequence[int], given: Sequence[PyTree]) -> None:
        """Find out through which programs glaciers go, where that is not known."""
        for number, own in zip(numbers, given, strict=True):
            if self._programs[number] is None:
                program = program_of(self.laid[number].misfit, own)
                self._programs[number] = program
                self._buffers["plain"].setdefault(program, Buffers())
                self._buffers["adjoint"].setdefault(program, Buffers(1, 1))

    def _groups(self, numbers: Sequence[int], path: Path) -> list[list[int]]:
        """The glaciers of each call."""
        groups = groups_of(
            [self._programs[number] for number in numbers],
            [self._costs[number] for number in numbers],
            [self.laid[number].misfit for number in numbers],
            path,
        )
        return [[numbers[k] for k in group] for group in groups]

    def _stack(self, group: list[int], path: Path) -> Batch:
        """Misfits side by side."""
        buffers = self._buffers[path][self._programs[group[0]]]
        misfits = [self.laid[number].misfit for number in group]
        return batch_of([dataclasses.replace(misfit, buffers=buffers) for misfit in misfits])

    def _holds(self, number: int, facts: Facts, path: Path) -> bool:
        """Whether frame and buffers have held a run; if not, there are larger ones from now on."""
        status = int(facts.status)
        if status == LEFT:
            self._margins[number] = self._margins[number][1:]
            self.laid[number] = self._lay(number)
            self._programs[number] = None
            return False
        glacier, misfit = self.objective.glaciers[number], self.laid[number].misfit
        if status not in (OK, TOO_SMALL):
            raise_on_failure(status, np.asarray(facts.counts), misfit, glacier)
        program = self._programs[number]
        needed = Buffers(int(facts.longest), int(facts.most_stages))
        if path == "plain":
            # the stages of steps beyond the rows are not known
            fits = needed.steps <= self._buffers[path][program].steps
            grown = Buffers(steps=1 << (max(needed.steps, 1) - 1).bit_length())
        else:
            fits, grown = self._buffers[path][program].hold(needed), with_room(needed)
        if not fits:
            self._grow(program, path, grown)
            return False
        if not self._costs[number]:
            self._costs[number] = max(int(facts.evaluations), 1)
            self._grow(program, "adjoint", with_room(needed))
        return True

    def _grow(self, program: Hashable, path: Path, buffers: Buffers) -> None:
        # never smaller, so that points of a search do not compile in turn
        known = self._buffers[path][program]
        self._buffers[path][program] = Buffers(*map(max, known, buffers))


def value_of(
    misfit: GlacierMisfit, params: PyTree, glacier: Glacier
) -> tuple[float, np.ndarray, Record]:
    """(weighted value, values of the terms, whole record of the steps) of a misfit as it is.

    Raises:
        SolverError: the run fails.
    """
    buffers = Buffers()
    while True:
        sized = dataclasses.replace(misfit, buffers=buffers)
        value, (values, record) = compiled_value(sized, params)
        raise_on_failure(int(record.status), np.asarray(record.steps.count), misfit, glacier)
        longest = int(record.longest)
        if longest <= buffers.steps:
            return float(value), np.asarray(values, float), record
        # a power of two, so that runs of alike length share a program
        buffers = Buffers(1 << (longest - 1).bit_length())


def raise_on_failure(
    status: int, count: np.ndarray, misfit: GlacierMisfit, glacier: Glacier
) -> None:
    """The error of a run that stopped; a compiled program cannot raise."""
    if status == OK:
        return
    # windows that fill up a chunk take no steps
    used = np.asarray(misfit.windows.length) > 0
    raise failure(status, glacier, misfit.windows, count[used], misfit.max_steps)
