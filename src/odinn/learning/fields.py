"""Misfits of fields, on cells or at points, at dates or over intervals: what thickness, velocity
and elevation have in common.
"""

import abc
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.learning.choices import Time, chosen, errors_of, inside, times_of
from odinn.learning.points import Points, as_points, at_points, corners_of, only_inside
from odinn.learning.terms import AbstractLoss, Outcome, Span

Moment = tuple[
    float, bool
]  # decimal year, and whether the laws are those of the month that begins then


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


class AbstractFieldLoss(AbstractLoss):
    """A misfit of a field, on cells or at points, at dates or over intervals.

    Args:
        at, between: dates (t,) or intervals (start, end) that were asked for; None and None: the
            data's own.
        mean: compare the mean over the data of each date or interval instead of each.
        reads: what of the run is looked at. Bare ground has 0 m of thickness, but no velocity.
        undated: when data count that have no date: at the end of the span, or over all of it.
    """

    at: eqx.AbstractVar[Any]
    between: eqx.AbstractVar[Any]
    error: eqx.AbstractVar[Any]
    margin: eqx.AbstractVar[int]
    where: eqx.AbstractVar[Any]
    points: eqx.AbstractVar[Any]
    mean: eqx.AbstractVar[bool]
    usual_error: eqx.AbstractClassVar[float]
    reads: eqx.AbstractClassVar[Literal["thickness", "velocity"]]
    undated: eqx.AbstractClassVar[Literal["end", "span"]]

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

    def times(self, glacier: Glacier, span: Span) -> list[Time]:
        """Dates or intervals of the data: those asked for, else their own, else the usual one."""
        asked = self.at if self.between is None else self.between
        if asked is not None:
            return list(asked)
        own = self.own_points(glacier)
        listed = (
            times_of(glacier.observations.dates.get(self.kinds[0])) if own is None else own.times()
        )
        return [span if self.undated == "span" else (span[1],)] if listed is None else listed

    def own_points(self, glacier: Glacier) -> Points | None:
        """The points of a glacier, None for data on cells."""
        points = self.points
        if isinstance(points, str):
            points = as_points(glacier.observations.points)
            if points is None:
                raise InputError(
                    where(glacier.rgi_id, f"losses.{self.name}: the glacier has no observed points")
                )
        if isinstance(points, dict):
            if glacier.rgi_id not in points:
                raise InputError(
                    where(
                        glacier.rgi_id, f"losses.{self.name}: points has no entry for this glacier"
                    )
                )
            points = points[glacier.rgi_id]
        return points

    def stops(self, glacier: Glacier, span: Span) -> tuple[float, ...]:
        """See :class:`AbstractLoss`."""
        if chosen(self.where, glacier, self.name) is False:
            return ()
        return tuple(
            sorted({t for time in self.times(glacier, span) for t, _ in self.moments(time)})
        )

    def targets(
        self, glacier: Glacier, span: Span, index: Callable[[float], int]
    ) -> Targets | None:
        """See :class:`AbstractLoss`."""
        selected = chosen(self.where, glacier, self.name)
        if selected is False:
            return None
        times, points = self.times(glacier, span), self.own_points(glacier)
        core = inside(np.asarray(glacier.mask), self.margin)
        parts = (
            self._on_cells(glacier, times, core)
            if points is None
            else self._at_points(glacier, times, core, points)
        )
        times, values, own, select, place = parts
        if selected is not True:
            select = select & shaped(selected, select.shape, glacier, self.name)
        measured = np.isfinite(values) & (select if points is None else select[:, None])
        if not measured.any():
            raise InputError(
                where(glacier.rgi_id, f"losses.{self.name}: there are no data inside its mask")
            )
        values = np.where(measured, values, 0.0)
        if self.log_floor is not None:
            values = np.maximum(values, 0.0) + self.log_floor
            own = [
                None if e is None else np.asarray(e, float) / values[:, i]
                for i, e in enumerate(own)
            ]
            values = np.log(values)
        error = errors_of(self.error, own, self.usual_error, measured, glacier, self.name)
        factors = [self.moments(time) for time in times]
        looked = sorted({moment for moments in factors for moment in moments})
        mix = np.array([[moments.get(moment, 0.0) for moment in looked] for moments in factors])
        weight = np.where(measured, 1.0 / error, 0.0)
        rows, begins = (
            np.array([index(t) for t, _ in looked], np.int32),
            np.array([b for _, b in looked]),
        )
        return Targets(rows, begins, mix, values, weight, place)

    def _on_cells(self, glacier: Glacier, times: list[Time], core: np.ndarray) -> tuple:
        """(times, values (K, c, ny, nx), own errors, chosen cells, None)."""
        values = _fields(glacier, self.kinds)
        if len(values) not in (1, len(times)):
            message = (
                f"losses.{self.name}: {len(values)} observed fields for {len(times)} dates or "
                "intervals"
            )
            raise InputError(where(glacier.rgi_id, message))
        values = np.broadcast_to(values, (len(times), *values.shape[1:]))
        return (
            times,
            values,
            [glacier.observations.errors.get(kind) for kind in self.kinds],
            core,
            None,
        )

    def _at_points(
        self, glacier: Glacier, times: list[Time], core: np.ndarray, points: Points
    ) -> tuple:
        """(times without repetition, values (N, c), own errors, chosen points, where they are)."""
        if len(times) not in (1, len(points)):
            message = f"{len(times)} dates for {len(points)} points; use a column 'date'"
            raise InputError(f"losses.{self.name}: {message}")
        cells, shares = corners_of(points, glacier)
        nearest = np.take_along_axis(cells, shares.argmax(axis=1)[:, None], 1)[:, 0]
        unique = sorted(set(times))
        row = np.broadcast_to(np.array([unique.index(t) for t in times], np.int32), (len(points),))
        shares = shares if self.reads == "thickness" else only_inside(cells, shares, glacier)
        own = [points.columns.get("error")] * len(self.kinds)
        select = core.ravel()[nearest] if self.margin or self.mean else np.ones(len(points), bool)
        return unique, points.values(self.kinds), own, select, (row, cells, shares)

    def residuals(self, outcome: Outcome, targets: Targets) -> Array:
        """See :class:`AbstractLoss`."""
        fields = jax.lax.map(
            jax.checkpoint(lambda at: self._state(outcome, *at)), (targets.index, targets.begins)
        )
        fields = jnp.tensordot(targets.mix, fields, 1, precision="highest")
        modelled = fields if targets.points is None else at_points(fields, *targets.points)
        modelled = _size(modelled) if modelled.shape[1] > len(self.kinds) else modelled
        modelled = modelled if self.log_floor is None else jnp.log(modelled + self.log_floor)
        each = targets.weight * (modelled - targets.values)
        return _over_rows(each, targets) / jnp.maximum(_counts(targets), 1) if self.mean else each

    def _state(self, outcome: Outcome, index: Array, begins: Array) -> Array:
        """Thickness (1, ny, nx), m, or velocity (2, ny, nx), m yr⁻¹, at a stop."""
        if self.reads == "thickness":
            return outcome.thickness_at(index)[None]
        return jnp.stack(outcome.velocity(index, begins))

    def count(self, targets: Targets) -> Array:
        """See :class:`AbstractLoss`."""
        return jnp.sum(_counts(targets) > 0) if self.mean else jnp.sum(targets.weight > 0)


def _fields(glacier: Glacier, kinds: tuple[str, ...]) -> np.ndarray:
    """(K, components, ny, nx); one field serves all the dates asked for."""
    found = []
    for kind in kinds:
        values = getattr(glacier.observations, kind)
        if values is None:
            raise InputError(
                where(
                    glacier.rgi_id,
                    f"no observed {kind}: open a glacier that has it, or leave out this loss",
                )
            )
        values = np.asarray(values, float)
        found.append(values if values.ndim == 3 else values[None])
    return np.stack(found, axis=1)


def _size(vectors: Array) -> Array:
    """Lengths of vectors with components in axis 1, (…, 1, …); the derivative at 0 is 0."""
    squared = jnp.sum(vectors * vectors, axis=1, keepdims=True)
    moving = squared > 0
    return jnp.where(moving, jnp.sqrt(jnp.where(moving, squared, 1.0)), 0.0)


def _counts(targets: Targets) -> Array:
    """Number of data of each date or interval."""
    return _over_rows((targets.weight > 0).astype(targets.weight.dtype), targets)


def _over_rows(each: Array, targets: Targets) -> Array:
    """Sums over the data of each date or interval."""
    if targets.points is None:
        return jnp.sum(each, axis=(1, 2, 3))
    return jax.ops.segment_sum(jnp.sum(each, axis=1), targets.points[0], targets.mix.shape[0])


def shaped(selected: Any, shape: tuple[int, ...], glacier: Glacier, name: str) -> np.ndarray:
    """A boolean choice of the shape that the data have."""
    selected = np.asarray(selected)
    if selected.shape != shape or selected.dtype != bool:
        message = (
            f"losses.{name}: where is {selected.dtype} of shape {selected.shape}, expected bool of "
            f"shape {shape}"
        )
        raise InputError(where(glacier.rgi_id, message))
    return selected
