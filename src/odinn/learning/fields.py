"""Misfits of fields, on cells or at points, at dates or over intervals: what thickness, velocity
and elevation have in common.
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.learning.choices import (
    Entries,
    Entry,
    Time,
    Times,
    counting,
    errors_of,
    inside,
    is_left_out,
    refused,
    times_of,
)
from odinn.learning.points import (
    Points,
    PointsGiven,
    at_points,
    corners_of,
    only_inside,
    points_of,
)
from odinn.learning.terms import AbstractLoss, Outcome, Period, RowOf
from odinn.model.frame import Frame

# decimal year, and whether the laws are those of the month that begins then
Moment = tuple[float, bool]


class Targets(eqx.Module):
    """Data of one kind on one glacier.

    Args:
        index: (D,) window ends that are looked at. begins: (D,), whether with the laws of the month
            that begins there.
        mix: (K, D), what is compared at each of K dates or intervals.
        values: (K, c, ny, nx) of c components, or (N, c) at points. weight: 1/error, 0 where there
            is no datum.
        points: (row in K (N,), cells (N, 4), shares (N, 4)), or None on cells.
    """

    index: Array
    begins: Array
    mix: Array
    values: Array
    weight: Array
    points: tuple[Array, Array, Array] | None


class _Data(NamedTuple):
    """Data of a glacier as they were given.

    Args:
        times: K dates or intervals. values: as in :class:`Targets`, NaN where not measured.
        errors: the data's own, for each component. select: (ny, nx) or (N,), where they may count.
        place: as ``points`` of :class:`Targets`.
    """

    times: list[Time]
    values: np.ndarray
    errors: Sequence[Entry]
    select: np.ndarray
    place: tuple[np.ndarray, np.ndarray, np.ndarray] | None


class AbstractFieldLoss(AbstractLoss):
    """A misfit of a field, on cells or at points, at dates or over intervals.

    Args:
        at, period: dates (t,) or intervals (start, end) that were asked for; None and None: the
            data's own.
        mean: compare the mean over the data of each date or interval instead of each.
        reads: what of the run is looked at. Bare ground has 0 m of thickness, but no velocity.
        undated: when data count that have no date: at the end of the run, or over all of it.
    """

    at: eqx.AbstractVar[Times]
    period: eqx.AbstractVar[Times]
    error: eqx.AbstractVar[Entries]
    margin: eqx.AbstractVar[int]
    where: eqx.AbstractVar[Entries]
    points: eqx.AbstractVar[PointsGiven]
    mean: eqx.AbstractVar[bool]
    usual_error: eqx.AbstractClassVar[float]
    reads: eqx.AbstractClassVar[Literal["thickness", "velocity"]]
    undated: eqx.AbstractClassVar[Literal["end", "period"]]

    @property
    @abc.abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """Names of the observed fields, a component each. A velocity of one component is a
        speed.
        """

    @property
    @abc.abstractmethod
    def log_floor(self) -> float | None:
        """In the data's unit: logarithms of value + floor are compared; None: values."""

    @abc.abstractmethod
    def moments(self, time: Time) -> dict[Moment, float]:
        """{moment: factor}: what is modelled at a date or over an interval is the sum of factor
        times state.
        """

    def times(self, glacier: Glacier, period: Period) -> list[Time]:
        """Dates or intervals of the data: those asked for, else their own, else the usual one."""
        asked = self.at if self.period is None else self.period
        if asked is not None:
            return list(asked)
        points = self.own_points(glacier)
        if points is None:
            times = times_of(glacier.observations.dates.get(self.kinds[0]))
        else:
            times = points.times()
        if times is not None:
            return times
        return [period] if self.undated == "period" else [(period[1],)]

    def own_points(self, glacier: Glacier) -> Points | None:
        """The points of a glacier, None for data on cells."""
        if isinstance(self.points, str):
            if glacier.observations.points is None:
                raise refused(glacier, self.name, "the glacier has no observed points")
            return points_of(glacier.observations.points)
        if isinstance(self.points, dict):
            if glacier.rgi_id not in self.points:
                raise refused(glacier, self.name, "points has no entry for this glacier")
            return self.points[glacier.rgi_id]
        return self.points

    def stops(self, glacier: Glacier, period: Period) -> tuple[float, ...]:
        """See :class:`AbstractLoss`."""
        if is_left_out(self.where, glacier, self.name):
            return ()
        moments = [self.moments(time) for time in self.times(glacier, period)]
        return tuple(sorted({t for moment in moments for t, _ in moment}))

    def targets(self, glacier: Glacier, period: Period, index: RowOf) -> Targets | None:
        """See :class:`AbstractLoss`."""
        if is_left_out(self.where, glacier, self.name):
            return None
        data = self._data(glacier, period)
        select = data.select & counting(self.where, data.select.shape, glacier, self.name)
        # points have their components last, fields before the cells
        measured = np.isfinite(data.values) & (select if data.place is None else select[:, None])
        if not measured.any():
            raise refused(glacier, self.name, "there are no data inside its mask")
        values, errors = np.where(measured, data.values, 0.0), data.errors
        if self.log_floor is not None:
            values = np.maximum(values, 0.0) + self.log_floor
            # d log(v) = dv / v
            errors = [
                None if error is None else np.asarray(error, float) / values[:, i]
                for i, error in enumerate(errors)
            ]
            values = np.log(values)
        error = errors_of(self.error, errors, self.usual_error, measured, glacier, self.name)
        factors = [self.moments(time) for time in data.times]
        looked = sorted({moment for moments in factors for moment in moments})
        return Targets(
            index=np.array([index(t) for t, _ in looked], np.int32),
            begins=np.array([begins for _, begins in looked]),
            mix=np.array([[row.get(moment, 0.0) for moment in looked] for row in factors]),
            values=values,
            weight=np.where(measured, 1.0 / error, 0.0),
            points=data.place,
        )

    def _data(self, glacier: Glacier, period: Period) -> _Data:
        times, points = self.times(glacier, period), self.own_points(glacier)
        core = inside(np.asarray(glacier.mask), self.margin)
        if points is None:
            return self._on_cells(glacier, times, core)
        return self._at_points(glacier, times, core, points)

    def _on_cells(self, glacier: Glacier, times: list[Time], core: np.ndarray) -> _Data:
        values = _fields(glacier, self.kinds)
        if len(values) not in (1, len(times)):
            message = f"{len(values)} observed fields for {len(times)} dates or intervals"
            raise refused(glacier, self.name, message)
        values = np.broadcast_to(values, (len(times), *values.shape[1:]))
        errors = [glacier.observations.errors.get(kind) for kind in self.kinds]
        return _Data(times, values, errors, core, None)

    def _at_points(
        self, glacier: Glacier, times: list[Time], core: np.ndarray, points: Points
    ) -> _Data:
        number = len(points)
        if len(times) not in (1, number):
            message = f"{len(times)} dates for {number} points; use a column 'date'"
            raise refused(glacier, self.name, message)
        cells, shares = corners_of(points, glacier)
        # a point is as far inside the outline as the cell that it lies in
        nearest = np.take_along_axis(cells, shares.argmax(axis=1)[:, None], 1)[:, 0]
        # a state is made once for all the points of its date
        unique = sorted(set(times))
        rows = np.array([unique.index(time) for time in times], np.int32)
        row = np.broadcast_to(rows, (number,))
        if self.reads == "velocity":
            shares = only_inside(cells, shares, glacier)
        errors = [points.columns.get("error")] * len(self.kinds)
        select = np.ones(number, bool)
        if self.margin or self.mean:
            select = core.ravel()[nearest]
        return _Data(unique, points.values(self.kinds), errors, select, (row, cells, shares))

    def placed(self, targets: Targets, frame: Frame) -> Targets | None:
        """See :class:`AbstractLoss`."""
        if targets.points is None:
            values, weight = frame.placed(targets.values), frame.only(targets.weight)
            return dataclasses.replace(targets, values=values, weight=weight)
        row, cells, shares = targets.points
        placed = frame.cells(cells, shares > 0)
        if placed is None:
            return None
        return dataclasses.replace(targets, points=(row, placed, shares))

    def residuals(self, outcome: Outcome, targets: Targets) -> Array:
        """See :class:`AbstractLoss`."""
        each = targets.weight * (self._modelled(outcome, targets) - targets.values)
        if not self.mean:
            return each
        return _over_rows(each, targets) / jnp.maximum(_counts(targets), 1)

    def _modelled(self, outcome: Outcome, targets: Targets) -> Array:
        """What the run has where and when there are data."""

        # recomputed backwards, so that memory does not grow with the number of months
        @jax.checkpoint
        def state(moment: tuple[Array, Array]) -> Array:
            """Thickness (1, ny, nx), m, or velocity (2, ny, nx), m yr⁻¹."""
            index, begins = moment
            if self.reads == "thickness":
                return outcome.thickness_at(index)[None]
            return jnp.stack(outcome.velocity(index, begins))

        states = jax.lax.map(state, (targets.index, targets.begins))
        modelled: Array = jnp.tensordot(targets.mix, states, 1, precision="highest")
        if targets.points is not None:
            modelled = at_points(modelled, *targets.points)
        if modelled.shape[1] > len(self.kinds):
            modelled = _size(modelled)
        if self.log_floor is not None:
            modelled = jnp.log(modelled + self.log_floor)
        return modelled

    def count(self, targets: Targets) -> Array:
        """See :class:`AbstractLoss`."""
        return jnp.sum((_counts(targets) if self.mean else targets.weight) > 0)


def _fields(glacier: Glacier, kinds: tuple[str, ...]) -> np.ndarray:
    """(K, components, ny, nx); one field serves all the dates asked for."""
    columns = []
    for kind in kinds:
        values = getattr(glacier.observations, kind)
        if values is None:
            message = f"no observed {kind}: open a glacier that has it, or leave out this loss"
            raise InputError(of_glacier(glacier.rgi_id, message))
        values = np.asarray(values, float)
        columns.append(values if values.ndim == 3 else values[None])
    return np.stack(columns, axis=1)


def _size(vectors: Array) -> Array:
    """Lengths of vectors with components in axis 1, (…, 1, …); the derivative at 0 is 0."""
    squared = jnp.sum(vectors * vectors, axis=1, keepdims=True)
    # the root has no derivative at 0, and NaN would pass a single where
    moving = squared > 0
    return jnp.where(moving, jnp.sqrt(jnp.where(moving, squared, 1.0)), 0.0)


def _counts(targets: Targets) -> Array:
    """Number of data of each date or interval."""
    return _over_rows((targets.weight > 0).astype(targets.weight.dtype), targets)


def _over_rows(each: Array, targets: Targets) -> Array:
    """Sums over the data of each date or interval."""
    # points of one date need not stand together
    if targets.points is None:
        return jnp.sum(each, axis=(1, 2, 3))
    return jax.ops.segment_sum(jnp.sum(each, axis=1), targets.points[0], targets.mix.shape[0])
