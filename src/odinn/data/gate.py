"""The gate: every variable, column and number of a file becomes values of a
:class:`~odinn.data.quantities.Quantity` here, or an error that names it.

In this order: dimensions of size 1 are left out, text and dates are refused, units are converted,
and what is beyond the range of the quantity is an error or, for measurements, missing.
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import xarray as xr

from odinn.data.quantities import Quantity
from odinn.data.units import converted
from odinn.errors import Fail, warn

Places = Callable[[np.ndarray], str]

# Values this far below 0, as a share of a usual one, are what packing and resampling make of 0.
_NOISE = 1e-6


def find(ds: xr.Dataset, names: Iterable[str]) -> str | None:
    """The first of these variables that a dataset has."""
    return next((name for name in names if name in ds.variables), None)


def field(ds: xr.Dataset, quantity: Quantity, fail: Fail) -> np.ndarray | None:
    """The first variable under the quantity's names, (ny, nx); None without one."""
    name = find(ds, quantity.names)
    return None if name is None else field_named(ds, name, quantity, fail)


def field_named(ds: xr.Dataset, name: str, quantity: Quantity, fail: Fail) -> np.ndarray:
    """A variable on (y, x) as values of a quantity, (ny, nx); NaN where missing."""
    array = without_single_dimensions(ds[name], keep=("y", "x"))
    if set(array.dims) != {"y", "x"}:
        found = ", ".join(f"{dim}: {size}" for dim, size in array.sizes.items())
        raise fail(
            f"{name} has dimensions ({found}), expected (y, x): choose one map, for example with "
            "isel, or rename its dimensions"
        )
    array = array.transpose("y", "x")
    values = _without_noise(as_numbers(array.values, name, fail), quantity, name, fail, array)
    values = converted(values, array.attrs.get("units"), quantity, name, fail)
    return allowed(values, quantity, name, fail, in_cells)


def column(
    ds: xr.Dataset, name: str, quantity: Quantity, fail: Fail, days: np.ndarray | None = None
) -> np.ndarray:
    """A variable of one dimension as values of a quantity, (n,); ``days`` as for
    :func:`~odinn.data.units.converted`."""
    array = one_dimensional(ds[name], fail)
    values = _without_noise(as_numbers(array.values, name, fail), quantity, name, fail, array)
    if days is not None and values.size != days.size:
        raise fail(f"{name} has {values.size} values for {days.size} times")
    return converted(values, array.attrs.get("units"), quantity, name, fail, days)


def one_dimensional(array: xr.DataArray, fail: Fail) -> xr.DataArray:
    """An array without dimensions of size 1, of which one has to be left."""
    array = without_single_dimensions(array, keep=array.dims[:1] if array.ndim == 1 else ())
    if array.ndim != 1:
        found = ", ".join(f"{dim}: {size}" for dim, size in array.sizes.items())
        raise fail(
            f"{array.name} has dimensions ({found}), expected one: choose a cell, for example with "
            "sel(..., method='nearest')"
        )
    return array


def without_single_dimensions(array: xr.DataArray, keep: Iterable[Any]) -> xr.DataArray:
    """An array without the dimensions of size 1 that are not kept, such as band or time."""
    kept = set(keep)
    single = [dim for dim, size in array.sizes.items() if size == 1 and dim not in kept]
    return array.squeeze(single, drop=True)


def as_numbers(values: np.ndarray, label: str, fail: Fail) -> np.ndarray:
    """Values as float64; text, dates and complex numbers are refused."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise fail(f"{label} holds {_kind(values)}, expected numbers")
    return values.astype(float)


def _kind(values: np.ndarray) -> str:
    kinds = {"U": "text", "S": "text", "O": "text or objects", "M": "dates", "m": "durations"}
    return kinds.get(values.dtype.kind, str(values.dtype))


def allowed(
    values: np.ndarray, quantity: Quantity, label: str, fail: Fail, where: Places
) -> np.ndarray:
    """Values in the range of a quantity.

    Args:
        values: in the quantity's unit; NaN passes.
        where: says how many there are of a mask, and which is the first.

    Raises:
        InputError: a value out of range, unless the quantity may have gaps: then it becomes NaN
            under a warning with the number of them.
    """
    inside = (values >= quantity.smallest) & (values <= quantity.largest)
    impossible = ~inside & ~np.isnan(values)
    if not impossible.any():
        return values
    found = (
        f"{label} is {values[impossible].flat[0]:.6g} {quantity.unit} {where(impossible)}; "
        f"expected {quantity.range}"
    )
    if not quantity.gaps:
        raise fail(
            f"{found}: mark missing values with _FillValue and fill them, or correct the unit"
        )
    warn(fail(f"{found}; taken as not measured"))
    return np.where(impossible, np.nan, values)


def _without_noise(
    values: np.ndarray, quantity: Quantity, label: str, fail: Fail, stored: xr.DataArray
) -> np.ndarray:
    """Values with 0 for what is below it by packing or resampling alone."""
    below = values < 0.0
    if quantity.smallest != 0.0 or not below.any():
        return values
    above = values[values > 0.0]
    # the median, which fill values do not move
    typical = float(np.median(above)) if above.size else 0.0
    scale = stored.encoding.get("scale_factor", 0.0)
    packing = 0.5 * abs(float(scale)) if isinstance(scale, numbers.Real) else 0.0
    tiny = below & (values >= -max(packing, _NOISE * typical))
    if tiny.any():
        lowest, count = values[tiny].min(), int(tiny.sum())
        warn(fail(f"{label} is {lowest:.2g} in {count} places, round-off of 0; taken as 0"))
    return np.where(tiny, 0.0, values)


def number(value: object, quantity: Quantity, label: str, fail: Fail) -> float:
    """An attribute as a number in a quantity's unit: a number, an array of one, or text such as
    "2400" or "2.4 km".
    """
    content = np.asarray(value)
    single = content.reshape(-1)[0] if content.size == 1 else content
    unit = None
    if isinstance(single, str | bytes):
        text = single.decode(errors="replace") if isinstance(single, bytes) else str(single)
        match = re.fullmatch(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(.*?)\s*", text)
        single, unit = (match[1], match[2]) if match else (text, None)
    try:
        plain = float(single)
    except (TypeError, ValueError) as error:
        raise fail(f"{label} is {_short(value)}, expected a number ({quantity.range})") from error
    found = float(converted(np.array([plain]), unit, quantity, label, fail)[0])
    if not quantity.smallest <= found <= quantity.largest:  # NaN is not in any range
        raise fail(f"{label} is {found:g} {quantity.unit}, expected {quantity.range}")
    return found


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def in_cells(wrong: np.ndarray) -> str:
    """How many cells of a mask there are, and the first of them."""
    row, col = np.argwhere(wrong)[0]
    return f"in {int(wrong.sum())} cells (first at row {row}, column {col})"


def in_rows(wrong: np.ndarray) -> str:
    """How many rows of a table there are, and the first of them, counted from 0."""
    return f"in {int(wrong.sum())} rows (first in row {int(np.argmax(wrong))})"


def at_times(name: Callable[[int], str]) -> Places:
    """What says how many times of a series there are, and the name of the first of them."""

    def places(wrong: np.ndarray) -> str:
        first, more = name(int(np.argmax(wrong))), int(wrong.sum()) - 1
        return f"on {first}" + (f" and {more} more" if more else "")

    return places
