"""What an input of a law is: a quantity that is known before the run, each month, or from the
state.
"""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from odinn.climate import Climate
from odinn.dates import decimal_year, month_index
from odinn.errors import ClimateError, InputError, of_glacier
from odinn.glacier import Glacier, climate_of
from odinn.grid import Array, corner_mean
from odinn.numbers.slot import Frequency, LocatedSlot

Range = Float[Array, "2"] | tuple[float, float] | None


def as_range(value: Sequence[float] | Array | None) -> Range:
    """(low, high) as an array, so that other ends compile nothing; None stays None.

    Raises:
        InputError: no two finite numbers, the first below the second.
    """
    if value is None:
        return None
    try:
        ends = np.asarray(value, float)
    except (TypeError, ValueError) as error:
        raise InputError(f"range={value!r}: expected (low, high) or None") from error
    if ends.shape != (2,):
        raise InputError(f"range={value!r}: expected (low, high) or None")
    if not (np.isfinite(ends).all() and ends[0] < ends[1]):
        low, high = ends.tolist()
        raise InputError(
            f"range=({low:g}, {high:g}): expected finite low < high, since values are divided by "
            "the width"
        )
    return jnp.asarray(ends)


class AbstractInput(eqx.Module):
    """A quantity that a law depends on.

    ``frequency``: "fixed" (known before the run: ``field``), "monthly" (known before the run for
    each month: ``in_months``) or "state" (changes with the ice: ``at_state``). ``range`` are the
    bounds by which values are scaled to [0, 1] for a network or a basis; None takes the smallest
    and largest value, and a twentieth beyond, over the glaciers that the law is bound to (for a
    monthly input over all whole years of their climate but the first, since it may look back;
    inputs of the state have to have a range). ``angle``: degrees on a circle, whose mean over the
    cells around a corner is that of directions (the mean of 350° and 10° is 0°, not 180°).
    """

    angle: ClassVar[bool] = False

    frequency: eqx.AbstractClassVar[Frequency]
    label: eqx.AbstractClassVar[str]
    unit: eqx.AbstractClassVar[str]
    range: eqx.AbstractVar[Range]

    @abc.abstractmethod
    def field(self, glacier: Glacier) -> np.ndarray:
        """Fixed inputs: the value on cells (ny, nx), or one number for the glacier."""

    @abc.abstractmethod
    def in_months(self, glacier: Glacier, months: np.ndarray) -> np.ndarray:
        """Monthly inputs: the value in each month (index 12 · year + month − 1), (months,) or on
        cells (months, ny, nx).
        """

    @abc.abstractmethod
    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Inputs of the state: the value on corners, from corner thickness (m) and surface slope
        (1).
        """


class FixedInput(AbstractInput):
    """An input that is known before the run; one of your own has ``field``, ``label``, ``unit`` and
    ``range``.
    """

    frequency: ClassVar[Frequency] = "fixed"

    def in_months(self, glacier: Glacier, months: np.ndarray) -> np.ndarray:
        """All months are alike."""
        raise TypeError(f"{self.label} does not depend on the month")

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Of the state there is nothing to know."""
        raise TypeError(f"{self.label} does not depend on the state")


class MonthlyInput(AbstractInput):
    """An input that is new each month; one of your own has ``in_months``, ``label``, ``unit`` and
    ``range``.
    """

    frequency: ClassVar[Frequency] = "monthly"

    def field(self, glacier: Glacier) -> np.ndarray:
        """Without a month there is nothing to know."""
        raise TypeError(f"{self.label} depends on the month")

    def at_state(self, thickness: Array, slope: Array) -> Array:
        """Of the state there is nothing to know."""
        raise TypeError(f"{self.label} does not depend on the state")


class StateInput(AbstractInput):
    """An input that changes with the ice; one of your own has ``at_state``, ``label``, ``unit`` and
    ``range``.
    """

    frequency: ClassVar[Frequency] = "state"

    def field(self, glacier: Glacier) -> np.ndarray:
        """Before the run there is nothing to know."""
        raise TypeError(f"{self.label} depends on the state")

    def in_months(self, glacier: Glacier, months: np.ndarray) -> np.ndarray:
        """Before the run there is nothing to know."""
        raise TypeError(f"{self.label} depends on the state")


def in_slot(
    item: AbstractInput, values: Any, glacier: Glacier, slot: LocatedSlot
) -> Float[np.ndarray, "..."]:
    """Finite values of an input where the slot lives: cells as they are, corners by means of four,
    one number only of what is one number.
    """
    values = np.asarray(values, float)
    if not np.isfinite(values).all():
        message = f"{slot.path}: the input '{item.label}' is not finite everywhere"
        raise InputError(of_glacier(glacier.rgi_id, message))
    is_field = values.ndim >= 2
    if is_field and slot.slot.place == "one":
        message = f"{slot.path} is one number, and '{item.label}' a field: give per='glacier'"
        raise InputError(of_glacier(glacier.rgi_id, message))
    if is_field and slot.slot.place == "corner":
        return on_corners(item, values)
    return values


def on_corners(item: AbstractInput, cells: np.ndarray) -> np.ndarray:
    """An input's field (..., ny, nx) on corners (..., ny−1, nx−1): the mean of four cells, for
    angles that of directions.
    """
    if not item.angle:
        return _mean_of_four(cells)
    turn = np.deg2rad(cells)
    south_to_north, west_to_east = _mean_of_four(np.sin(turn)), _mean_of_four(np.cos(turn))
    return np.rad2deg(np.arctan2(south_to_north, west_to_east)) % 360.0


def _mean_of_four(cells: np.ndarray) -> np.ndarray:
    return np.asarray(jnp.vectorize(corner_mean, signature="(y,x)->(v,u)")(cells))


def range_over(item: AbstractInput, glaciers: Sequence[Glacier], name: str) -> tuple[float, float]:
    """The range by which an input is scaled: its own, or that of its values on glaciers, and a
    twentieth beyond.
    """
    given = as_range(item.range)  # one's own class may not have looked at it
    if given is not None:
        return float(given[0]), float(given[1])
    if item.frequency == "state":
        raise InputError(
            f"{name}: the input '{item.label}' changes with the state; give its range=(low, high)"
        )
    extremes = np.array([_extremes(item, glacier) for glacier in glaciers])
    low, high = float(extremes[:, 0].min()), float(extremes[:, 1].max())
    # an input that is the same everywhere still has a range, to divide by
    pad = max(0.05 * (high - low), 1e-3 * max(abs(low), abs(high), 1e-12))
    return low - pad, high + pad


def _extremes(item: AbstractInput, glacier: Glacier) -> tuple[float, float]:
    """Smallest and largest value of a fixed or monthly input inside the outline of a glacier."""
    if item.frequency == "fixed":
        fields = [np.asarray(item.field(glacier))]
    else:
        # a year at a time: all months of a long climate would not fit into memory
        years = usual_months(glacier, item.label).reshape(-1, 12)
        fields = [np.asarray(item.in_months(glacier, year)) for year in years]
    lows, highs = [], []
    for values in fields:
        is_field = values.shape[-2:] == glacier.grid.shape
        inside = values[..., glacier.mask] if is_field else values
        lows.append(float(inside.min()))
        highs.append(float(inside.max()))
    return min(lows), max(highs)


def whole_years(
    glacier: Glacier, period: tuple[float, float] | None, label: str
) -> tuple[Climate, np.ndarray]:
    """(climate of a glacier, months of a period, or of all its whole calendar years)."""
    climate = climate_of(glacier, f"the {label} of a law")
    if period is None:
        # the first January that is in the series, and the last that ends it
        first = -(-climate.first_month // 12) * 12
        last = (climate.first_month + len(climate.temp)) // 12 * 12
    else:
        first, last = (month_index(decimal_year(t)) for t in period)
    if last <= first:
        message = f"climate '{climate.name}' holds no whole year for the {label}"
        raise ClimateError(of_glacier(glacier.rgi_id, message))
    return climate, np.arange(first, last)


def usual_months(glacier: Glacier, label: str) -> np.ndarray:
    """The months over which a monthly input is looked at without a run: all whole years of the
    climate but the first, since the input may look back."""
    months = whole_years(glacier, None, label)[1]
    return months[12:] if len(months) > 12 else months
