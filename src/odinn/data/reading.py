"""NetCDF files and datasets, decoded by what they say: packing, fill values, calendars."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from odinn.errors import Fail, InputError

_STANDARD = ("standard", "gregorian", "proleptic_gregorian")


def read_dataset(path: Path) -> xr.Dataset:
    """A NetCDF file in memory, decoded; a file that cannot be read is an :class:`InputError` that
    names it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or directory")
    try:
        with _quietly(), xr.open_dataset(path, decode_cf=False) as ds:
            raw = ds.load()
    except Exception as error:  # every library below has its own
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:120]}"
        raise InputError(
            f"{path}: cannot be read as NetCDF ({reason}); the file may be truncated or of another "
            "format: copy or download it again"
        ) from error
    return decoded(raw, lambda message: InputError(f"{path}: {message}"))


def decoded(ds: xr.Dataset, fail: Fail) -> xr.Dataset:
    """A dataset decoded by CF; what is decoded already stays as it is.

    Raises:
        InputError: attributes that make no sense, or times of an unknown calendar.
    """
    ds = ds.copy()
    for name in list(ds.variables):
        if re.match(r"(months?|years?) since ", str(ds[name].attrs.get("units", "")).lower()):
            ds[name] = _whole_months(ds[name], fail)
    try:
        with _quietly():
            ds = xr.decode_cf(ds, decode_timedelta=False).load()
    except Exception as error:  # of xarray, cftime and NumPy
        raise fail(_undecoded(ds, error)) from error
    for name in ds.data_vars:
        ds[name] = _valid(ds[name], fail)
    return ds


@contextmanager
def _quietly() -> Iterator[None]:
    """Without xarray's own warnings, which name no file and ask for what is done here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _undecoded(ds: xr.Dataset, error: Exception) -> str:
    """Which variable cannot be decoded, and why."""
    for name, array in ds.variables.items():
        try:
            with _quietly():
                xr.decode_cf(xr.Dataset({name: array}), decode_timedelta=False).load()
        except Exception:
            said = {
                key: array.attrs[key]
                for key in ("units", "calendar", "_FillValue", "scale_factor", "add_offset")
                if key in array.attrs
            }
            return f"{name} cannot be decoded with its attributes {said}: correct them"
    return f"cannot be decoded by the CF conventions ({str(error)[:120]})"


def _whole_months(time: xr.DataArray, fail: Fail) -> xr.DataArray:
    """Dates of "months since 1850-01-01", which xarray leaves to us: calendar months."""
    units, calendar = str(time.attrs["units"]), str(time.attrs.get("calendar", "standard"))
    match = re.match(r"(month|year)s? since (\d+)-(\d+)", units.lower())
    if match is None or time.dtype.kind not in "fiu":
        raise fail(f"{time.name}: times in {units!r} are not understood; expected 'days since ...'")
    per = 12.0 if match[1] == "year" else 1.0
    counted = per * np.asarray(time.values, float) + 12 * int(match[2]) + int(match[3]) - 1
    if not np.isfinite(counted).all():
        raise fail(f"{time.name}: a time is missing")
    dates = [_date(month, calendar) for month in counted]
    other = {key: value for key, value in time.attrs.items() if key not in ("units", "calendar")}
    return xr.DataArray(np.array(dates), dims=time.dims, name=time.name, attrs=other)


def _date(month: float, calendar: str) -> Any:
    """The day in a month counted from year 0: half a month is its middle."""
    import cftime

    whole = int(np.floor(month + 1e-9))
    day = 1 + int(28 * max(month - whole, 0.0))
    year, number = divmod(whole, 12)
    if calendar.lower() in _STANDARD:
        return np.datetime64(f"{year:04d}-{number + 1:02d}-{day:02d}", "s")
    return cftime.datetime(year, number + 1, day, calendar=calendar)


def _valid(array: xr.DataArray, fail: Fail) -> xr.DataArray:
    """An array with NaN where its own valid_range (or valid_min, valid_max) is left."""
    attrs = array.attrs
    stated = {key: attrs[key] for key in ("valid_range", "valid_min", "valid_max") if key in attrs}
    if not stated or array.dtype.kind not in "fiu":
        return array
    try:
        low, high = stated.get("valid_range", (-np.inf, np.inf))
        lowest = _unpacked(array, stated.get("valid_min", low))
        highest = _unpacked(array, stated.get("valid_max", high))
    except (TypeError, ValueError) as error:
        raise fail(f"{array.name}: {stated} is no range of numbers: correct it") from error
    inside = (array >= lowest) & (array <= highest)
    if bool(inside.all()):
        return array
    with xr.set_options(keep_attrs=True):
        kept = array.where(inside)
    kept.encoding = array.encoding
    return kept


def _unpacked(array: xr.DataArray, bound: Any) -> float:
    """A bound in the unit of the values; CF gives it in that of the packed numbers."""
    scale = float(array.encoding.get("scale_factor", 1.0))
    offset = float(array.encoding.get("add_offset", 0.0))
    if np.asarray(bound).dtype.kind in "iu":
        return float(bound) * scale + offset
    return float(bound)
