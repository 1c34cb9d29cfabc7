"""Misfits between a run and observations. Each returns weighted residuals; a loss is the sum of their squares.

Sums and multiples of losses are losses: ``Thickness() + 0.1 * Velocity()``. Every datum has the same weight, so a
single snapshot counts: a term's value is the mean of its squared residuals over all data of a glacier.
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from odinn.dates import decimal_year
from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.grid import Array

Span = tuple[float, float]


class Outcome(eqx.Module):
    """A run as a loss sees it: its start and the dates at which losses asked it to stop (1 + stops).

    Args:
        thickness: (1 + stops, ny, nx), m. balance: (1 + stops, ny, nx), m of ice since the start; there if a loss has
            ``uses_balance``. times: (1 + stops,), decimal years.
        velocity: function of a thickness: (vx, vy) at the surface on cells, m yr⁻¹.
        water: m w.e. per m of ice.
    """

    thickness: Array
    balance: Any
    times: Array
    velocity: Callable[[Array], tuple[Array, Array]]
    water: float


class AbstractLoss(eqx.Module):
    """A misfit. ``error`` is the standard error of the data in their unit: a number, or a field."""

    name: eqx.AbstractClassVar[str]
    uses_balance: ClassVar[bool] = False

    @abc.abstractmethod
    def stops(self, glacier: Glacier, span: Span) -> tuple[float, ...]:
        """Decimal years at which the loss wants to see the run, which stops there."""

    @abc.abstractmethod
    def targets(self, glacier: Glacier, span: Span, index: Callable[[float], int]) -> Any:
        """The data of a glacier as a pytree of arrays; ``index`` turns a stop into its row of :class:`Outcome`."""

    @abc.abstractmethod
    def residuals(self, outcome: Outcome, targets: Any) -> Array:
        """Weighted residuals, any shape, 0 where there are no data; their squares add up to the term's value."""

    @property
    def terms(self) -> tuple[tuple[float, Any], ...]:
        """(weight, loss) pairs."""
        return ((1.0, self),)

    def __add__(self, other: Any) -> "Total":
        return Total(self.terms + other.terms)

    def __mul__(self, factor: float) -> "Total":
        return Total(tuple((float(factor) * w, term) for w, term in self.terms))

    __rmul__ = __mul__


class Total(eqx.Module):
    """A weighted sum of losses and regularisations."""

    terms: tuple[tuple[float, Any], ...]

    def __add__(self, other: Any) -> "Total":
        return Total(self.terms + other.terms)

    def __mul__(self, factor: float) -> "Total":
        return Total(tuple((float(factor) * w, term) for w, term in self.terms))

    __rmul__ = __mul__


class Targets(eqx.Module):
    """Data of one kind: window ends (dates,), values, and inverse errors, 0 where there is no datum."""

    index: Array
    values: Array
    weight: Array


class Thickness(AbstractLoss):
    """Ice thickness, m.

    Args:
        at: date or dates of the data; default the observation's own, else the end of the span.
        error: standard error, m. margin: only cells at least this many cells inside the observed ice.
    """

    at: Any = None
    error: Any = 1.0
    margin: int = 0

    name: ClassVar[str] = "thickness"

    def stops(self, glacier: Glacier, span: Span) -> tuple[float, ...]:
        """See :class:`AbstractLoss`."""
        return _dates(self.at, glacier, "thickness", span)

    def targets(self, glacier: Glacier, span: Span, index: Callable[[float], int]) -> Targets:
        """See :class:`AbstractLoss`."""
        fields = _observed(glacier, "thickness", self.at)
        measured = np.isfinite(fields) & _inside(np.isfinite(fields) & (np.nan_to_num(fields) > 0), self.margin)
        return _targets(self, glacier, span, index, fields, measured, self.error)

    def residuals(self, outcome: Outcome, targets: Targets) -> Array:
        """See :class:`AbstractLoss`."""
        return _each(targets, lambda i: outcome.thickness[i])


class Velocity(AbstractLoss):
    """Surface velocity, m yr⁻¹.

    Args:
        component: "speed", "xy" (both components), or "log" (ratio of speeds: log((v + floor)/(v_obs + floor))).
        at: as for :class:`Thickness`. error: m yr⁻¹, or of the logarithm. margin: as for thickness.
        floor: m yr⁻¹, for "log".
    """

    component: Literal["speed", "xy", "log"] = eqx.field(static=True, default="speed")
    at: Any = None
    error: Any = 1.0
    margin: int = 0
    floor: float = 1.0

    name: ClassVar[str] = "velocity"

    def __check_init__(self) -> None:
        if self.component not in ("speed", "xy", "log"):
            raise InputError(f"Velocity(component={self.component!r}): expected 'speed', 'xy' or 'log'")

    def stops(self, glacier: Glacier, span: Span) -> tuple[float, ...]:
        """See :class:`AbstractLoss`."""
        return _dates(self.at, glacier, "vx" if self.component == "xy" else "speed", span)

    def targets(self, glacier: Glacier, span: Span, index: Callable[[float], int]) -> Targets:
        """See :class:`AbstractLoss`."""
        if self.component == "xy":
            fields = np.stack([_observed(glacier, k, self.at) for k in ("vx", "vy")], axis=1)
        else:
            fields = _observed(glacier, "speed", self.at)
        measured = np.isfinite(fields) & _inside(np.asarray(glacier.mask), self.margin)
        if self.component == "log":
            fields = np.log(np.maximum(fields, 0.0) + self.floor)
        return _targets(self, glacier, span, index, fields, measured, self.error)

    def residuals(self, outcome: Outcome, targets: Targets) -> Array:
        """See :class:`AbstractLoss`."""

        def modelled(i: Array) -> Array:
            vx, vy = outcome.velocity(outcome.thickness[i])
            if self.component == "xy":
                return jnp.stack([vx, vy])
            squared = vx * vx + vy * vy
            moving = squared > 0
            speed = jnp.where(moving, jnp.sqrt(jnp.where(moving, squared, 1.0)), 0.0)
            return jnp.log(speed + self.floor) if self.component == "log" else speed

        return _each(targets, modelled)


class ElevationChange(AbstractLoss):
    """Mean rate of thickness change between two dates on cells, m yr⁻¹.

    Args:
        between: (start, end), default the span. error: m yr⁻¹.
        mean: compare the mean over initially ice-covered cells instead of each cell.
    """

    between: tuple[Any, Any] | None = None
    error: Any = 0.1
    mean: bool = eqx.field(static=True, default=False)

    name: ClassVar[str] = "elevation_change"

    def stops(self, glacier: Glacier, span: Span) -> tuple[float, ...]:
        """See :class:`AbstractLoss`."""
        return span if self.between is None else tuple(decimal_year(t) for t in self.between)

    def targets(self, glacier: Glacier, span: Span, index: Callable[[float], int]) -> Any:
        """See :class:`AbstractLoss`."""
        first, last = self.stops(glacier, span)
        field = _observed(glacier, "elevation_change", None)[0]
        measured = np.isfinite(field)
        if self.mean:
            measured &= np.asarray(glacier.mask)
        weight = _weights(self.error, measured, glacier, self.name)
        ends = np.array([index(first), index(last)], np.int32)
        return ends, np.array(last - first), np.nan_to_num(field), weight

    def residuals(self, outcome: Outcome, targets: Any) -> Array:
        """See :class:`AbstractLoss`."""
        ends, years, field, weight = targets
        rate = (outcome.thickness[ends[1]] - outcome.thickness[ends[0]]) / years
        difference = weight * (rate - field)
        if not self.mean:
            return difference
        return jnp.sum(difference) / jnp.sqrt(jnp.sum(weight > 0))


class MassBalance(AbstractLoss):
    """Glacier-wide balance between two dates, m w.e. yr⁻¹: the mean inside the outline.

    Args:
        target: m w.e. yr⁻¹; default the glacier's geodetic balance. between: default the span. error: m w.e. yr⁻¹.
    """

    target: float | None = None
    between: tuple[Any, Any] | None = None
    error: float = 0.1

    name: ClassVar[str] = "mass_balance"
    uses_balance: ClassVar[bool] = True

    def stops(self, glacier: Glacier, span: Span) -> tuple[float, ...]:
        """See :class:`AbstractLoss`."""
        return span if self.between is None else tuple(decimal_year(t) for t in self.between)

    def targets(self, glacier: Glacier, span: Span, index: Callable[[float], int]) -> Any:
        """See :class:`AbstractLoss`."""
        target = self.target
        if target is None:
            if glacier.observations.geodetic is None:
                raise InputError(where(glacier.rgi_id, "losses.MassBalance: no geodetic balance; give target="))
            target = glacier.observations.geodetic[0]
        first, last = self.stops(glacier, span)
        ends = np.array([index(first), index(last)], np.int32)
        return ends, np.array(last - first), np.array(float(target)), np.asarray(glacier.mask, float)

    def residuals(self, outcome: Outcome, targets: Any) -> Array:
        """See :class:`AbstractLoss`."""
        ends, years, target, mask = targets
        total = outcome.balance[ends[1]] - outcome.balance[ends[0]]
        mean = jnp.sum(total * mask) / jnp.sum(mask) * outcome.water / years
        return (mean - target) / self.error


def _dates(at: Any, glacier: Glacier, field: str, span: Span) -> tuple[float, ...]:
    if at is None:
        dated = glacier.observations.dates.get(field, span[1])
        at = dated
    listed = at if isinstance(at, list | tuple | np.ndarray) else [at]
    return tuple(decimal_year(t) for t in listed)


def _observed(glacier: Glacier, field: str, at: Any) -> np.ndarray:
    """(dates, ny, nx); one field serves all the dates asked for."""
    values = getattr(glacier.observations, field)
    if values is None:
        raise InputError(
            where(glacier.rgi_id, f"no observed {field}: open a glacier that has it, or leave out this loss")
        )
    values = np.asarray(values)
    return values if values.ndim == 3 else values[None]


def _targets(
    loss: Any,
    glacier: Glacier,
    span: Span,
    index: Callable[[float], int],
    fields: np.ndarray,
    measured: np.ndarray,
    error: Any,
) -> Targets:
    ends = np.array([index(t) for t in loss.stops(glacier, span)], np.int32)
    if fields.shape[0] != len(ends):
        if fields.shape[0] != 1:
            raise InputError(
                where(glacier.rgi_id, f"losses.{loss.name}: {fields.shape[0]} observed fields for {len(ends)} dates")
            )
        fields, measured = (np.repeat(a, len(ends), axis=0) for a in (fields, measured))
    return Targets(ends, np.nan_to_num(fields), _weights(error, measured, glacier, loss.name))


def _weights(error: Any, measured: np.ndarray, glacier: Glacier, name: str) -> np.ndarray:
    """1 / (error √N) where measured, else 0: the squares of the residuals then add up to their mean."""
    error = np.asarray(error, float)
    if not (error > 0).all():
        raise InputError(f"losses.{name}: error={error.min():g}, expected a positive standard error")
    count = int(measured.sum())
    if count == 0:
        raise InputError(where(glacier.rgi_id, f"losses.{name}: there are no data inside its mask"))
    return np.where(measured, 1.0 / np.broadcast_to(error, measured.shape), 0.0) / np.sqrt(count)


def _inside(ice: np.ndarray, margin: int) -> np.ndarray:
    """Cells at least ``margin`` cells inside, by erosion with the five-point cross."""
    if margin == 0:
        return np.ones_like(ice)
    cross = ndimage.generate_binary_structure(2, 1)
    erode = lambda a: ndimage.binary_erosion(a, cross, iterations=margin)
    return np.stack([erode(a) for a in ice]) if ice.ndim == 3 else erode(ice)


def _each(targets: Targets, modelled: Callable[[Array], Array]) -> Array:
    """Weighted residuals of each date."""
    rows = [
        targets.weight[k] * (modelled(targets.index[k]) - targets.values[k]) for k in range(targets.values.shape[0])
    ]
    return jnp.stack(rows)
