"""Misfits between a run and observations. Each returns residuals in units of the data's error.

Sums and multiples of losses are losses: ``Thickness() + 0.1 * Velocity()``. Every datum has the
same weight, so a
single snapshot counts: a term's value is the mean of its squared residuals over all data of a
glacier, and, of several glaciers, the mean over those that have data of its kind.
"""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError, one_of, positive, whole
from odinn.glacier import Glacier
from odinn.grid import Array, interior_mask
from odinn.learning.choices import (
    Entries,
    Entry,
    Time,
    Times,
    as_dates,
    as_fields,
    as_intervals,
    chosen,
    counting,
    inside,
    is_left_out,
    months,
    refused,
)
from odinn.learning.fields import AbstractFieldLoss, Moment
from odinn.learning.points import Points, PointsGiven, as_points
from odinn.learning.regularization import AbstractRegularization, Prior, Smoothness
from odinn.learning.terms import AbstractLoss, Outcome, Period, RowOf, Total
from odinn.model.frame import Frame

__all__ = [
    "AbstractLoss",
    "AbstractRegularization",
    "ElevationChange",
    "MassBalance",
    "Outcome",
    "Points",
    "Prior",
    "SmoothVelocity",
    "Smoothness",
    "Thickness",
    "Total",
    "Velocity",
]


class Thickness(AbstractFieldLoss):
    """Ice thickness, m.

    Args:
        at: date or dates of the data; default the observation's own, else the end of the run.
        error: standard error, m: a number, a field, or {rgi_id: either}; default the data's own,
            else 1 m.
        margin: only data at least this many cells inside the outline; 0 takes all cells inside it,
            and all points.
        where: True where data count: a field (for points: (N,)), or {rgi_id: field, True or False};
            False leaves it out.
        points: data at points instead of cells: a table with columns x, y, thickness (or value)
            and, if there are, date, error; {rgi_id: table}; or "observed", the glacier's own. Read
            bilinearly; ice-free cells count as 0 m.
    """

    at: Times = eqx.field(default=None, converter=as_dates)
    error: Entries = eqx.field(default=None, converter=as_fields)
    margin: int = 0
    where: Entries = eqx.field(default=None, converter=as_fields)
    points: PointsGiven = eqx.field(default=None, converter=as_points)

    name: ClassVar[str] = "thickness"
    usual_error: ClassVar[float] = 1.0
    reads: ClassVar[Literal["thickness"]] = "thickness"
    undated: ClassVar[Literal["end"]] = "end"
    period: ClassVar[None] = None
    mean: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("thickness",)
    log_floor: ClassVar[None] = None

    def moments(self, time: Time) -> dict[Moment, float]:
        """The date itself."""
        if len(time) != 1:
            raise InputError(
                f"losses.thickness: thickness has a date, but its data have an interval, {time}"
            )
        return {(time[0], False): 1.0}


class Velocity(AbstractFieldLoss):
    """Surface velocity, m yr⁻¹, at dates or as the mean over intervals.

    Args:
        component: "speed", "xy" (both components), or "log" (ratio of speeds: log((v +
            floor)/(v_obs + floor))).
        at: date or dates. period: (start, end) or a list of such: the mean velocity over each, by
            the trapezoid rule over its ends and the months between; the speed is that of the mean
            vector, as between two images or two surveys. Default the observation's own dates, else
            the end of the run.
        error: m yr⁻¹, or of the logarithm; default the data's own (m yr⁻¹, converted for "log"),
            else 1.
        margin, where: as for :class:`Thickness`.
        points: as for :class:`Thickness`, with columns speed, or vx and vy, and, if there are,
            date, or start and end, and error. Read bilinearly from the cells inside the outline.
        floor: m yr⁻¹, for "log".
    """

    component: Literal["speed", "xy", "log"] = eqx.field(static=True, default="speed")
    at: Times = eqx.field(default=None, converter=as_dates)
    error: Entries = eqx.field(default=None, converter=as_fields)
    margin: int = 0
    floor: float = 1.0
    period: Times = eqx.field(default=None, converter=as_intervals)
    where: Entries = eqx.field(default=None, converter=as_fields)
    points: PointsGiven = eqx.field(default=None, converter=as_points)

    name: ClassVar[str] = "velocity"
    usual_error: ClassVar[float] = 1.0
    reads: ClassVar[Literal["velocity"]] = "velocity"
    undated: ClassVar[Literal["end"]] = "end"
    mean: ClassVar[bool] = False

    def __check_init__(self) -> None:
        one_of("component", self.component, ("speed", "xy", "log"), of="Velocity")
        positive("floor", self.floor, "speed, m/yr", of="Velocity")
        if self.at is not None and self.period is not None:
            raise InputError(
                "Velocity(at=..., period=...): give one of the two, or add two losses up"
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """speed, or vx and vy"""
        return ("vx", "vy") if self.component == "xy" else ("speed",)

    @property
    def log_floor(self) -> float | None:
        """``floor`` for "log"."""
        return self.floor if self.component == "log" else None

    def moments(self, time: Time) -> dict[Moment, float]:
        """The date, or the trapezoid rule over the months of an interval, each with its own
        laws.
        """
        if len(time) == 1:
            return {(time[0], False): 1.0}
        # the mean vector over the interval, of which a speed is taken later
        nodes = months(time[0], time[1])
        halves = (0.5 * np.diff(nodes) / (nodes[-1] - nodes[0])).tolist()
        # within a month the laws are its own: those of the month that begins at its start, and of
        # the month that ends at its end
        begins = {(t, True): half for t, half in zip(nodes[:-1], halves, strict=True)}
        ends = {(t, False): half for t, half in zip(nodes[1:], halves, strict=True)}
        return begins | ends


class ElevationChange(AbstractFieldLoss):
    """Mean rate of thickness change between two dates, m yr⁻¹.

    Args:
        period: (start, end), or a list of such with a field each; default the observation's own,
            else that of the run.
        error: m yr⁻¹, default the data's own, else 0.1; otherwise as for :class:`Thickness`.
        mean: compare the mean over the measured cells inside the outline (or points) instead of
            each.
        margin, where, points: as for :class:`Thickness`, with columns elevation_change (or value)
            and start and end.
    """

    period: Times = eqx.field(default=None, converter=as_intervals)
    error: Entries = eqx.field(default=None, converter=as_fields)
    mean: bool = eqx.field(static=True, default=False)
    margin: int = 0
    where: Entries = eqx.field(default=None, converter=as_fields)
    points: PointsGiven = eqx.field(default=None, converter=as_points)

    name: ClassVar[str] = "elevation_change"
    usual_error: ClassVar[float] = 0.1
    reads: ClassVar[Literal["thickness"]] = "thickness"
    undated: ClassVar[Literal["period"]] = "period"
    at: ClassVar[None] = None
    kinds: ClassVar[tuple[str, ...]] = ("elevation_change",)
    log_floor: ClassVar[None] = None

    def moments(self, time: Time) -> dict[Moment, float]:
        """The difference of the ends over the years between."""
        if len(time) != 2:
            raise InputError(
                "losses.elevation_change: needs an interval (start, end), but its data have a "
                f"date, {time[0]}"
            )
        # the bed does not move: the thickness changes as the surface does
        rate = 1.0 / (time[1] - time[0])
        return {(time[0], False): -rate, (time[1], False): rate}


class MassBalance(AbstractLoss):
    """Glacier-wide balance between two dates, m w.e. yr⁻¹: the mean inside the outline.

    Args:
        target: m w.e. yr⁻¹, a number or one for each interval; default the glacier's geodetic
            balance.
        period: (start, end), or a list of such; default that of the run.
        error: m w.e. yr⁻¹, a number or one for each interval.
        where: cells to take the mean over, a field or {rgi_id: field, True or False}; False leaves
            the glacier out.
    """

    target: Entries = eqx.field(default=None, converter=as_fields)
    period: Times = eqx.field(default=None, converter=as_intervals)
    error: Entries = eqx.field(default=0.1, converter=as_fields)
    where: Entries = eqx.field(default=None, converter=as_fields)

    name: ClassVar[str] = "mass_balance"
    uses_balance: ClassVar[bool] = True

    def stops(self, glacier: Glacier, period: Period) -> tuple[float, ...]:
        """See :class:`AbstractLoss`."""
        if is_left_out(self.where, glacier, self.name):
            return ()
        return tuple(sorted({t for interval in self._intervals(period) for t in interval}))

    def targets(self, glacier: Glacier, period: Period, index: RowOf) -> tuple[Array, ...] | None:
        """See :class:`AbstractLoss`."""
        if is_left_out(self.where, glacier, self.name):
            return None
        mask = np.asarray(glacier.mask)
        mask = mask & counting(self.where, mask.shape, glacier, self.name)
        if not mask.any():
            raise refused(glacier, self.name, "there are no cells inside its mask")
        intervals = self._intervals(period)
        ends = np.array([[index(t) for t in interval] for interval in intervals], np.int32)
        years = np.array([last - first for first, last in intervals])
        target = self._of_intervals("target", self._target(glacier), len(years), glacier)
        error = chosen(self.error, glacier, self.name)
        error = self._of_intervals("error", error, len(years), glacier)
        if not (error > 0).all():
            message = f"error={error.min():g}, expected a positive standard error"
            raise refused(glacier, self.name, message)
        return ends, years, target, error, mask.astype(float)

    def placed(self, targets: tuple[Array, ...], frame: Frame) -> tuple[Array, ...]:
        """See :class:`AbstractLoss`."""
        *of_intervals, mask = targets
        return (*of_intervals, frame.only(mask))

    def residuals(self, outcome: Outcome, targets: tuple[Array, ...]) -> Array:
        """See :class:`AbstractLoss`."""
        ends, years, target, error, mask = targets
        # m w.e. since the start
        mean = jnp.sum(outcome.balance * mask[None], axis=(1, 2)) / jnp.sum(mask) * outcome.water
        return ((mean[ends[:, 1]] - mean[ends[:, 0]]) / years - target) / error

    def count(self, targets: tuple[Array, ...]) -> int:
        """See :class:`AbstractLoss`."""
        return len(targets[1])

    def _intervals(self, period: Period) -> tuple[Time, ...]:
        return (period,) if self.period is None else self.period

    def _target(self, glacier: Glacier) -> Entry:
        if self.target is not None:
            return chosen(self.target, glacier, self.name)
        if glacier.observations.geodetic is None:
            raise refused(glacier, self.name, "no geodetic balance; give target=")
        return glacier.observations.geodetic[0]

    def _of_intervals(self, label: str, value: Entry, number: int, glacier: Glacier) -> np.ndarray:
        """A number for each interval."""
        numbers = np.asarray(value, float)
        if numbers.shape not in ((), (number,)) or not np.isfinite(numbers).all():
            raise refused(glacier, self.name, f"{label}={numbers}, expected {number} finite")
        return np.broadcast_to(numbers, (number,))


class SmoothVelocity(AbstractLoss):
    """Smoothness of the modelled surface velocity: each component's difference from the mean of the
    four cells around it.

    It needs no data: it keeps learned fields from making velocities that jump from cell to cell.

    Args:
        at: date or dates; default the end of the run. error: the difference that is expected, m
            yr⁻¹.
        margin: only cells at least this many (>= 1) cells inside the outline. where: as for
            :class:`Thickness`.
    """

    at: Times = eqx.field(default=None, converter=as_dates)
    error: float = 1.0
    margin: int = 1
    where: Entries = eqx.field(default=None, converter=as_fields)

    name: ClassVar[str] = "smooth_velocity"

    def __check_init__(self) -> None:
        positive("error", self.error, "difference, m/yr", of="SmoothVelocity")
        # there is no velocity outside
        whole("margin", self.margin, of="SmoothVelocity")

    def stops(self, glacier: Glacier, period: Period) -> tuple[float, ...]:
        """See :class:`AbstractLoss`."""
        if is_left_out(self.where, glacier, self.name):
            return ()
        return (period[1],) if self.at is None else tuple(t for (t,) in self.at)

    def targets(self, glacier: Glacier, period: Period, index: RowOf) -> tuple[Array, Array] | None:
        """See :class:`AbstractLoss`."""
        if is_left_out(self.where, glacier, self.name):
            return None
        core = inside(np.asarray(glacier.mask), self.margin)
        core &= counting(self.where, core.shape, glacier, self.name)
        if not core.any():
            raise refused(glacier, self.name, "there are no cells inside its mask")
        rows = np.array([index(t) for t in self.stops(glacier, period)], np.int32)
        # cells at the border of the grid have no four neighbours
        return rows, (core & interior_mask(core.shape)).astype(float)

    def placed(self, targets: tuple[Array, Array], frame: Frame) -> tuple[Array, Array]:
        """See :class:`AbstractLoss`."""
        rows, core = targets
        return rows, frame.only(core)

    def residuals(self, outcome: Outcome, targets: tuple[Array, Array]) -> Array:
        """See :class:`AbstractLoss`."""
        index, core = targets
        fields = jax.lax.map(lambda i: jnp.stack(outcome.velocity(i)), index)
        north, south = fields[..., :-2, 1:-1], fields[..., 2:, 1:-1]
        west, east = fields[..., 1:-1, :-2], fields[..., 1:-1, 2:]
        around = 0.25 * (north + south + west + east)
        return core[None, None, 1:-1, 1:-1] * (fields[..., 1:-1, 1:-1] - around) / self.error

    def count(self, targets: tuple[Array, Array]) -> Array:
        """See :class:`AbstractLoss`."""
        rows, core = targets
        # two components
        return 2 * len(rows) * jnp.sum(core)
