"""What losses are told: dates, intervals, errors, masks, for all glaciers or one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

import numpy as np
from scipy import ndimage

from odinn.dates import decimal_year, month_index
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import Array
from odinn.numbers.conversion import for_glacier

Time = tuple[float, ...]  # decimal years: (date,) or (start, end)
Times = tuple[Time, ...] | None
Entry = bool | int | float | Array | None
Entries = Entry | dict[str, Entry]  # for all glaciers, or by id


def refused(glacier: Glacier, loss: str, message: str) -> InputError:
    """The error of a loss that does not fit a glacier."""
    return InputError(of_glacier(glacier.rgi_id, f"losses.{loss}: {message}"))


def as_dates(at: object) -> Times:
    """A date or several as ((t,), ...); None passes through."""
    if at is None:
        return None
    listed = tuple((decimal_year(t),) for t in _listed(at))
    if not listed:
        raise InputError("at: the list of dates is empty")
    return listed


def as_intervals(period: object, name: str = "period") -> Times:
    """(start, end) or a list of such as ((start, end), ...); None passes through."""
    if period is None:
        return None
    pairs = _listed(period) if _several(period) else []
    if not all(_several(pair) for pair in pairs):
        pairs = [pairs]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{name}={period!r}: expected (start, end), or a list of such pairs")
    intervals = tuple((decimal_year(first), decimal_year(last)) for first, last in pairs)
    for first, last in intervals:
        if not first < last:
            raise InputError(
                f"{name}: the interval ends at {last:g}, which is not after its start {first:g}"
            )
    return intervals


def times_of(dates: object) -> list[Time] | None:
    """Dates that observations carry: a date, an interval (a tuple), or a list of either; None
    passes through.
    """
    if dates is None:
        return None
    # a tuple is one interval here
    listed = list(dates) if isinstance(dates, list | np.ndarray) else [dates]
    times: list[Time] = []
    for entry in listed:
        times += (as_intervals(entry) if _several(entry) else as_dates(entry)) or ()
    return times


def as_fields(value: object) -> Entries:
    """Fields, and what looks like one, as arrays; numbers, booleans and None as they are; mappings
    entry by entry.
    """
    if isinstance(value, Mapping):
        return {str(rgi_id): _as_entry(entry) for rgi_id, entry in value.items()}
    return _as_entry(value)


def _as_entry(value: object) -> Entry:
    if value is None or isinstance(value, bool | int | float):
        return value
    return np.asarray(value)


def chosen(selected: Entries, glacier: Glacier, name: str) -> Entry:
    """What holds for a glacier of a value given for all or by id: True, False, or an array."""
    value = True if selected is None else for_glacier(selected, glacier.rgi_id, f"losses.{name}")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return value.item()
    return value


def is_left_out(selected: Entries, glacier: Glacier, name: str) -> bool:
    """Whether no data of a glacier count."""
    return chosen(selected, glacier, name) is False


def counting(selected: Entries, shape: tuple[int, ...], glacier: Glacier, name: str) -> np.ndarray:
    """Where data of a glacier count, of the shape that they have."""
    choice = chosen(selected, glacier, name)
    if choice is True:
        return np.ones(shape, bool)
    field = np.asarray(choice)
    if field.shape != shape or field.dtype != bool:
        message = f"where is {field.dtype} of shape {field.shape}, expected bool of shape {shape}"
        raise refused(glacier, name, message)
    return field


def errors_of(
    given: Entries,
    errors: Sequence[Entry],
    usual: float,
    measured: np.ndarray,
    glacier: Glacier,
    name: str,
) -> np.ndarray:
    """Standard errors of data (…, components along axis 1): those given, else the data's own, else
    the usual one.
    """
    if given is None:
        columns = [np.asarray(usual if e is None else e, float) for e in errors]
    else:
        columns = [np.asarray(chosen(given, glacier, name), float)] * len(errors)
    one = measured[:, 0].shape
    try:
        error = np.stack([np.broadcast_to(column, one) for column in columns], axis=1)
    except ValueError as error_:
        shape, expected = columns[0].shape, measured[0, 0].shape
        message = f"error has shape {shape}, expected a number or {expected}"
        raise refused(glacier, name, message) from error_
    bad = measured & ~(np.isfinite(error) & (error > 0))
    if bad.any():
        message = (
            f"error={error[bad][0]:g}, expected a positive standard error ({int(bad.sum())} data)"
        )
        raise refused(glacier, name, message)
    # where nothing was measured any error will do: its weight is 0
    return np.where(measured, error, 1.0)


def inside(mask: np.ndarray, margin: int) -> np.ndarray:
    """Cells at least ``margin`` cells inside a mask, by erosion with the five-point cross."""
    # SciPy takes no iterations for "until nothing changes"
    if margin == 0:
        return np.array(mask, bool)
    return ndimage.binary_erosion(mask, ndimage.generate_binary_structure(2, 1), iterations=margin)


def months(start: float, end: float) -> list[float]:
    """An interval's ends and the starts of months between."""
    between = (k / 12 for k in range(month_index(start) + 1, month_index(end) + 1))
    return [start, *(t for t in between if start < t < end), end]


def _several(value: object) -> TypeGuard[Sequence]:
    return isinstance(value, list | tuple | np.ndarray) and np.ndim(np.asarray(value, object)) > 0


def _listed(value: object) -> list:
    return list(value) if _several(value) else [value]
