"""Changes of temperature that differ from month to month: a ramp, months of the year, a series."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from odinn.dates import Date, decimal_year, month_name
from odinn.errors import ClimateError, InputError

MOST: Final = 50.0  # K, of a change that can be meant
_EXPECTED: Final = (
    "expected K that are added (such as 2.0), an odinn.Ramp, 12 numbers for January to December, "
    "or a monthly pandas or xarray series"
)


class AbstractWarming(eqx.Module):
    """What is added to temperatures, K, by month. ``by_date``: it differs between years."""

    by_date: eqx.AbstractClassVar[bool]

    @abc.abstractmethod
    def at(self, months: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """K in the months with these indices (12 · year + month − 1)."""

    @property
    def span(self) -> tuple[float, float]:
        """Decimal years (start, end) in which it is defined."""
        return -np.inf, np.inf


class Ramp(AbstractWarming):
    """A temperature that rises steadily: for :meth:`odinn.Climate.shift`.

    Args:
        per_decade: K. start: when it starts; before, nothing is added. end: when it stops rising,
            None for never. Decimal years or dates.

    A month gets the value of its middle.

    >>> import odinn
    >>> print(odinn.Ramp(per_decade=0.3, start=2020, end=2100))
    +0.3 K per decade from 2020 to 2100
    """

    per_decade: float = eqx.field(static=True)
    start: Date = eqx.field(static=True)
    end: Date | None = eqx.field(static=True, default=None)

    by_date: ClassVar[bool] = True

    def __check_init__(self) -> None:
        if not _is_number(self.per_decade) or abs(self.per_decade) > MOST:
            raise InputError(f"Ramp(per_decade={self.per_decade!r}): expected K per decade")
        start, end = self._years
        if not start < end:
            raise InputError(f"Ramp(start={self.start!r}, end={self.end!r}): ends before it starts")

    @property
    def _years(self) -> tuple[float, float]:
        return decimal_year(self.start), np.inf if self.end is None else decimal_year(self.end)

    def at(self, months: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """See :class:`AbstractWarming`."""
        start, end = self._years
        middle = (np.asarray(months) + 0.5) / 12
        return self.per_decade * 0.1 * np.maximum(np.minimum(middle, end) - start, 0.0)

    def __str__(self) -> str:
        until = "" if self.end is None else f" to {_year(self.end)}"
        return f"{self.per_decade:+g} K per decade from {_year(self.start)}{until}"


class ByMonth(AbstractWarming):
    """K for each month of the year, January to December."""

    kelvin: Float[np.ndarray, " months"]
    by_date: ClassVar[bool] = False

    def at(self, months: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """See :class:`AbstractWarming`."""
        return self.kelvin[np.asarray(months) % 12]

    def __str__(self) -> str:
        return f"{_range(self.kelvin)} by month of the year"


class ByDate(AbstractWarming):
    """K for each month from ``first_month`` on."""

    first_month: int = eqx.field(static=True)
    kelvin: Float[np.ndarray, " months"]
    by_date: ClassVar[bool] = True

    @property
    def span(self) -> tuple[float, float]:
        """See :class:`AbstractWarming`."""
        return self.first_month / 12, (self.first_month + len(self.kelvin)) / 12

    def at(self, months: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """See :class:`AbstractWarming`."""
        rows = np.asarray(months) - self.first_month
        outside = (rows < 0) | (rows >= len(self.kelvin))
        if outside.any():
            missing = month_name(int(np.asarray(months)[outside][0]))
            raise ClimateError(
                f"the series that shift adds covers {self._covered}, but {missing} is needed"
            )
        return self.kelvin[rows]

    @property
    def _covered(self) -> str:
        last = self.first_month + len(self.kelvin) - 1
        return f"{month_name(self.first_month)} to {month_name(last)}"

    def __str__(self) -> str:
        return f"{_range(self.kelvin)} from {self._covered}"


def warming_of(given: Any, call: str) -> float | AbstractWarming:
    """What stands in ``shift(temp=)``: a number of K, or a change by month.

    Args:
        given: a number, a :class:`Ramp` or the mapping of its arguments, 12 numbers, or a series
            with dates. call: for errors.
    """
    if isinstance(given, AbstractWarming):
        return given
    if isinstance(given, Mapping):
        try:
            return Ramp(**given)
        except TypeError as error:
            known = "per_decade, start and end"
            raise InputError(f"{call}: {given!r} is no ramp: it has {known}") from error
    try:
        kelvin = np.asarray(given, float)
    except (TypeError, ValueError) as error:
        raise InputError(f"{call}: {given!r}: {_EXPECTED}") from error
    if kelvin.ndim == 0:
        if isinstance(given, bool | str) or not abs(kelvin) <= MOST:
            raise InputError(f"{call}: {given!r}: {_EXPECTED}")
        return float(kelvin)
    if kelvin.ndim != 1 or not np.isfinite(kelvin).all() or (np.abs(kelvin) > MOST).any():
        raise InputError(f"{call}: found {kelvin.shape} values; {_EXPECTED}, all finite")
    months = _months_of(given)
    if months is None:
        if len(kelvin) != 12:
            raise InputError(f"{call}: found {len(kelvin)} numbers without dates; {_EXPECTED}")
        return ByMonth(kelvin)
    if (np.diff(months) != 1).any():
        raise InputError(f"{call}: its dates are not those of one month after the other")
    return ByDate(int(months[0]), kelvin)


def _months_of(series: Any) -> Int[np.ndarray, " n"] | None:
    """Indices of the months of a pandas or xarray series; None without dates."""
    indexes = getattr(series, "indexes", None)  # of xarray
    index = getattr(series, "index", None) if indexes is None else indexes.get("time")
    if not (hasattr(index, "year") and hasattr(index, "month")):
        return None
    return np.asarray(12 * index.year + index.month - 1)


def _is_number(value: object) -> bool:
    is_real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return is_real and bool(np.isfinite(value))  # type: ignore[call-overload]


def _range(kelvin: np.ndarray) -> str:
    return f"{kelvin.min():+.2g} to {kelvin.max():+.2g} K"


def _year(date: Date) -> str:
    return f"{date:g}" if isinstance(date, int | float) else str(date)
