"""The parts of a result as an ``xarray.Dataset`` with CF-1.11 metadata.

Fields in time are computed when their values are asked for, so that a dataset costs little until
then.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pyproj
import xarray as xr
from jaxtyping import Float
from xarray.backends import BackendArray
from xarray.core import indexing

from odinn.dates import days_in_month, month_index, snap
from odinn.glacier import Glacier
from odinn.grid import Grid
from odinn.model.model import Model
from odinn.printing import on_one_line
from odinn.results.hydrology import Hydrology
from odinn.results.variables import VARIABLES, attributes

WATER_FIELDS: Final = {  # of Hydrology: names in files
    "snowfall": "snowfall_amount",
    "rain": "rainfall_amount",
    "melt": "melt_amount",
    "snow": "snow_amount",
    "on_glacier": "on_glacier",
}
_CALENDAR: Final = {"units": "days since 1970-01-01", "calendar": "proleptic_gregorian"}
# Higher levels take longer and save less than 3 % of a file.
COMPRESSED: Final = {"zlib": True, "complevel": 1}

Values = np.ndarray | Callable[[], np.ndarray]  # or what computes them when they are asked for
Times = Float[np.ndarray, " T"]


class OnDemand(BackendArray):
    """An array for xarray that is computed when its values are first asked for."""

    def __init__(
        self, compute: Callable[[], np.ndarray], shape: tuple[int, ...], dtype: str
    ) -> None:
        self.compute = compute
        self.shape = shape
        self.dtype = np.dtype(dtype)

    @cached_property
    def values(self) -> np.ndarray:
        """The values, computed once."""
        return np.asarray(self.compute()).astype(self.dtype, copy=False)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self.values.__getitem__
        )

    def __deepcopy__(self, memo: dict) -> OnDemand:
        return OnDemand(lambda: self.values.copy(), self.shape, self.dtype.str)

    def __getstate__(self) -> dict[str, Any]:
        # Values can be pickled, what computes them may not.
        return {"shape": self.shape, "dtype": self.dtype, "values": self.values}


def axes(grid: Grid, times: Times, ends: Float[np.ndarray, " windows"]) -> xr.Dataset:
    """A dataset with coordinates, their bounds, and the projection, but nothing along them yet.

    Args:
        times: saved times, decimal years.
        ends: of the windows, decimal years.
    """
    dates = dates_of(times)
    time = {"standard_name": "time", "long_name": "time", "axis": "T", "bounds": "time_bounds"}
    year = {"long_name": "decimal year: year + (month-1)/12 + ...", "units": "1"}
    end = {"long_name": "decimal year of the window's end", "units": "1"}
    ds = xr.Dataset(
        coords={
            "time": ("time", dates, time),
            "y": ("y", grid.y, _of_axis("y")),
            "x": ("x", grid.x, _of_axis("x")),
            "decimal_year": ("time", times, year),
            "window_end": ("window", ends, end),
        }
    )
    # What is saved at a time holds since the one before; nothing comes before the first.
    before = np.concatenate([dates[:1], dates[:-1]])
    ds["time_bounds"] = (("time", "bounds"), np.stack([before, dates], axis=1))
    if grid.crs:
        ds["crs"] = ((), np.int32(0), pyproj.CRS.from_user_input(grid.crs).to_cf())
    return _on_calendar(ds, "time")


def with_months(ds: xr.Dataset, water: Hydrology) -> xr.Dataset:
    """The dataset with the starts of the months as a coordinate, and their bounds."""
    attrs = {"standard_name": "time", "long_name": "start of the month", "bounds": "month_bounds"}
    starts, ends = dates_of(water.start), dates_of(water.end)
    years = ("month", water.start, {"long_name": "decimal year of the month's start", "units": "1"})
    ds = ds.assign_coords(month=("month", starts, attrs), month_decimal_year=years)
    ds["month_bounds"] = (("month", "bounds"), np.stack([starts, ends], axis=1))
    return _on_calendar(ds, "month")


def with_variables(ds: xr.Dataset, values: Mapping[str, Values]) -> xr.Dataset:
    """The dataset with variables of the table of :mod:`odinn.results.variables`, described as there
    and stored in its precision.
    """
    return ds.assign({name: _variable(ds, name, array) for name, array in values.items()})


def water_fields(water: Hydrology) -> dict[str, Values]:
    """The fields of the water under their names in files."""
    fields: dict[str, Values] = {"hydrology_domain": water.domain}
    for field, name in WATER_FIELDS.items():
        fields[name] = partial(getattr, water, field)
    return fields


def description(
    glacier: Glacier, model: Model, times: Times, settings: Mapping[str, Any]
) -> dict[str, str]:
    """The attributes of a run's dataset: what was run, with which numbers, when and by what."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    odinn_version = version("odinn-model")
    span = f"{times[0]:.4f} to {times[-1]:.4f}"
    return {
        "Conventions": "CF-1.11",
        "title": f"odinn simulation of {glacier.name or glacier.rgi_id}",
        "rgi_id": glacier.rgi_id,
        "name": glacier.name,
        "source": f"odinn {odinn_version}: {settings['stepper']}",
        "history": f"{now} odinn {odinn_version} simulate {span}",
        "odinn_version": odinn_version,
        "odinn_settings": json.dumps(settings, default=str),
        "odinn_model": on_one_line(model),
        "odinn_inputs": json.dumps(glacier.provenance),
        "input_sha256": glacier.provenance.get("input_sha256", ""),
    }


def dates_of(years: Times) -> np.ndarray:
    """Dates of decimal years, to the second; where some lie before year 1 or after 9998, which few
    libraries show, the days since 1970 that a file has for them, in the same calendar.
    """
    starts = np.array([month_index(t) for t in years])
    into = 12.0 * np.array([snap(float(t)) for t in years]) - starts
    days = np.array([days_in_month(k) for k in starts])
    seconds = np.round(np.maximum(into, 0.0) * days * 86400.0).astype("timedelta64[s]")
    # NumPy's calendar is the proleptic Gregorian one, with a year 0; its months count from 1970
    months = (starts - 12 * 1970).astype("datetime64[M]")
    dates = months.astype("datetime64[s]") + seconds
    if years.min() >= 1 and years.max() < 9999:
        return dates
    return (dates - np.datetime64("1970-01-01", "s")) / np.timedelta64(1, "D")


def _of_axis(name: str) -> dict[str, str]:
    return {
        "standard_name": f"projection_{name}_coordinate",
        "long_name": name,
        "units": "m",
        "axis": name.upper(),
    }


def _on_calendar(ds: xr.Dataset, axis: str) -> xr.Dataset:
    """Say how an axis of dates is written; days beyond the calendar need it as attributes."""
    if ds[axis].dtype.kind == "M":
        encoding = _CALENDAR | {"dtype": "float64"}
        ds[axis].encoding = encoding
        ds[f"{axis}_bounds"].encoding = encoding
    else:
        ds[axis].attrs |= _CALENDAR
    return ds


def _variable(ds: xr.Dataset, name: str, values: Values) -> xr.Variable:
    described = VARIABLES[name]
    dims = described.dims.split()
    attrs = attributes(name)
    if dims[-2:] == ["y", "x"] and "crs" in ds:
        attrs["grid_mapping"] = "crs"
    data: Any
    if callable(values):
        shape = tuple(ds.sizes[d] for d in dims)
        data = indexing.LazilyIndexedArray(OnDemand(values, shape, described.dtype))
    else:
        data = np.asarray(values).astype(described.dtype)
    is_field = len(dims) > 1 and described.dtype.startswith("float")
    return xr.Variable(dims, data, attrs, COMPRESSED if is_field else None)
