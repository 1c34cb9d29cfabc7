"""What losses are told: dates, intervals, errors, masks, for all glaciers or one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from odinn.dates import decimal_year, month_index
from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.numbers.conversion import for_glacier

Time = tuple[float, ...]  # decimal years: (date,) or (start, end)


def as_dates(at: Any) -> tuple[Time, ...] | None:
    """A date or several as ((t,), ...); None passes through."""
    if at is None:
        return None
    listed = tuple((decimal_year(t),) for t in (at if _several(at) else [at]))
    if not listed:
        raise InputError("at: the list of dates is empty")
    return listed


def as_intervals(between: Any) -> tuple[Time, ...] | None:
    """(start, end) or a list of such as ((start, end), ...); None passes through."""
    if between is None:
        return None
    pairs = list(between) if _several(between) else []
    if not all(_several(pair) for pair in pairs):
        pairs = [pairs]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise InputError(f"between={between!r}: expected (start, end), or a list of such pairs")
    intervals = tuple((decimal_year(first), decimal_year(last)) for first, last in pairs)
    for first, last in intervals:
        if not first < last:
            raise InputError(
                f"between: the interval ends at {last:g}, which is not after its start {first:g}"
            )
    return intervals


def times_of(dates: Any) -> list[Time] | None:
    """Dates that observations carry: a date, an interval (a tuple), or a list of either; None
    passes through.
    """
    if dates is None:
        return None
    listed = list(dates) if isinstance(dates, list | np.ndarray) else [dates]
    return [(as_intervals(t) if _several(t) else as_dates(t))[0] for t in listed]  # type: ignore[index]


def as_fields(value: Any) -> Any:
    """Fields, and what looks like one, as arrays; numbers, booleans and None as they are; mappings
    entry by entry.
    """
    if isinstance(value, Mapping):
        return {str(rgi_id): as_fields(own) for rgi_id, own in value.items()}
    if value is None or isinstance(value, bool | int | float):
        return value
    return np.asarray(value)


def chosen(selected: Any, glacier: Glacier, name: str) -> Any:
    """What holds for a glacier of a value given for all or by id: True, False, or an array."""
    own = True if selected is None else for_glacier(selected, glacier.rgi_id, f"losses.{name}")
    if isinstance(own, np.ndarray) and own.ndim == 0:
        own = own.item()
    return own


def errors_of(
    given: Any, own: Sequence[Any], usual: float, measured: np.ndarray, glacier: Glacier, name: str
) -> np.ndarray:
    """Standard errors of data (…, components along axis 1): those given, else the data's own, else
    the usual one.
    """
    if given is None:
        columns = [np.asarray(usual if e is None else e, float) for e in own]
    else:
        columns = [np.asarray(chosen(given, glacier, name), float)] * len(own)
    try:
        one = measured[:, 0].shape
        error = np.stack([np.broadcast_to(column, one) for column in columns], axis=1)
    except ValueError as error_:
        message = (
            f"losses.{name}: error has shape {columns[0].shape}, expected a number or "
            f"{measured[0, 0].shape}"
        )
        raise InputError(where(glacier.rgi_id, message)) from error_
    bad = measured & ~(np.isfinite(error) & (error > 0))
    if bad.any():
        message = (
            f"losses.{name}: error={error[bad][0]:g}, expected a positive standard error "
            f"({int(bad.sum())} data)"
        )
        raise InputError(where(glacier.rgi_id, message))
    return np.where(measured, error, 1.0)


def inside(mask: np.ndarray, margin: int) -> np.ndarray:
    """Cells at least ``margin`` cells inside a mask, by erosion with the five-point cross."""
    if margin == 0:
        return np.array(mask, bool)
    return ndimage.binary_erosion(mask, ndimage.generate_binary_structure(2, 1), iterations=margin)


def months(start: float, end: float) -> list[float]:
    """An interval's ends and the starts of months between."""
    between = (k / 12 for k in range(month_index(start) + 1, month_index(end) + 1))
    return [start, *(t for t in between if start < t < end), end]


def _several(value: Any) -> bool:
    return isinstance(value, list | tuple | np.ndarray) and np.ndim(np.asarray(value, object)) > 0
