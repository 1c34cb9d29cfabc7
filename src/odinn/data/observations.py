"""Observations in a dataset, under our names or OGGM's."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import xarray as xr

from odinn.data import gate, quantities
from odinn.data.gate import in_cells, in_rows
from odinn.dates import decimal_year
from odinn.errors import Fail, InputError, warn
from odinn.glacier import MassBalanceRecord, Observations, PointThickness
from odinn.grid import Grid

_PERIOD: Final = "geodetic_mb_period"
_YEAR_OR_DATE: Final = r"\d{1,4}(?:-\d{1,2}-\d{1,2})?(?:\.\d+)?"


def read_observations(ds: xr.Dataset, grid: Grid, fail: Fail) -> Observations:
    """Whatever a dataset (row 0 = north) holds of measurements.

    Raises:
        InputError: something that is there and cannot be read.
    """
    fields, dates, errors = {}, {}, {}
    for key, quantity in quantities.OBSERVED.items():
        name = gate.find(ds, quantity.names)
        if name is None:
            continue
        fields[key] = gate.field_named(ds, name, quantity, fail)
        if f"{name}_error" in ds.variables:
            errors[key] = _error(ds, f"{name}_error", quantity, fail)
            # what has no error cannot be weighed
            fields[key] = np.where(np.isnan(errors[key]), np.nan, fields[key])
        if "date" in ds[name].attrs:
            dates[key] = _date(ds[name].attrs["date"], f"{name}: its attribute date", fail)
    return Observations(
        **fields,
        mass_balance=_mass_balance(ds, fail),
        geodetic=_geodetic(ds, fail),
        points=_points(ds, grid, fail),
        dates=dates,
        errors=errors,
    )


def _error(ds: xr.Dataset, name: str, quantity: quantities.Quantity, fail: Fail) -> np.ndarray:
    """Standard errors, above 0; NaN, under a warning, where there is none such."""
    anything = quantity._replace(smallest=-np.inf, largest=np.inf, gaps=False)
    values = gate.field_named(ds, name, anything, fail)
    wrong = (values <= 0) | np.isinf(values)
    if wrong.any():
        found = f"{name} is {values[wrong][0]:g} {in_cells(wrong)}; an error is above 0"
        warn(fail(f"{found}: the values there are taken as not measured"))
    return np.where(wrong, np.nan, values)


def _date(found: object, label: str, fail: Fail) -> float:
    value = np.asarray(found).reshape(-1)
    try:
        return decimal_year(value[0] if value.size == 1 else found)  # type: ignore[arg-type]
    except InputError as error:
        raise fail(f"{label}: {error}") from error


def _mass_balance(ds: xr.Dataset, fail: Fail) -> MassBalanceRecord | None:
    name = gate.find(ds, quantities.BALANCE.names)
    if name is None:
        return None
    year = gate.find(ds, quantities.BALANCE_YEAR.names)
    if year is None:
        raise fail(f"{name} has no years beside it: add a variable mb_year of the same length")
    annual = gate.column(ds, name, quantities.BALANCE, fail)
    years = gate.column(ds, year, quantities.BALANCE_YEAR, fail)
    if years.size != annual.size:
        raise fail(f"{name} has {annual.size} values for {years.size} years in {year}")
    gate.allowed(years, quantities.BALANCE_YEAR, year, fail, in_rows)
    whole = years == np.round(years)  # NaN is not
    if not whole.all() or np.unique(years).size != years.size:
        raise fail(f"{year}: expected every year once, as a whole number; found {years.tolist()}")
    annual = gate.allowed(annual, quantities.BALANCE, name, fail, in_rows)
    return MassBalanceRecord(years.astype(int), annual / 1000.0)  # mm to m w.e.


def _geodetic(ds: xr.Dataset, fail: Fail) -> tuple[float, float, float] | None:
    """(m w.e. yr⁻¹, first year, last year)"""
    (name,) = quantities.GEODETIC.names
    if name not in ds.attrs:
        return None
    rate = gate.number(ds.attrs[name], quantities.GEODETIC, name, fail)
    start, end = _period(ds.attrs.get(_PERIOD, "2000-2020"), fail)
    return rate, start, end


def _period(stated: object, fail: Fail) -> tuple[float, float]:
    """(start, end), decimal years, of "2000-2020", "2000-01-01_2020-01-01" or a pair."""
    ends: list[object]
    if isinstance(stated, str):
        ends = list(re.findall(_YEAR_OR_DATE, stated.strip()))
        rest = re.sub(_YEAR_OR_DATE, "", stated)
        if rest.strip(" -_/,;to") != "":
            ends = []
    else:
        ends = list(np.asarray(stated).reshape(-1))
    if len(ends) != 2:
        raise fail(f"{_PERIOD} is {stated!r}, expected a period such as '2000-01-01_2020-01-01'")
    start, end = (_date(_year_or_date(t), _PERIOD, fail) for t in ends)
    if not start < end:
        raise fail(f"{_PERIOD} is {stated!r}, which ends before it starts")
    return start, end


def _year_or_date(text: object) -> object:
    is_year = isinstance(text, str) and re.fullmatch(r"\d+(\.\d+)?", text)
    return float(text) if is_year else text  # type: ignore[arg-type]


def _points(ds: xr.Dataset, grid: Grid, fail: Fail) -> PointThickness | None:
    wanted = (quantities.POINT_LON, quantities.POINT_LAT, quantities.POINT_THICKNESS)
    names = [gate.find(ds, quantity.names) for quantity in wanted]
    if names[-1] is None:
        return None
    columns = []
    for name, quantity in zip(names, wanted, strict=True):
        if name is None:
            raise fail(f"{names[-1]} has no {quantity.names[0]} beside it")
        column = gate.column(ds, name, quantity, fail)
        columns.append(gate.allowed(column, quantity, name, fail, in_rows))
    if len({column.size for column in columns}) != 1:
        sizes = ", ".join(f"{n} {c.size}" for n, c in zip(names, columns, strict=True))
        raise fail(f"columns of points differ in length: {sizes}")
    lon, lat, thickness = columns
    lacking = np.isnan(lon) | np.isnan(lat) | np.isnan(thickness)
    if lacking.any():
        warn(fail(f"{int(lacking.sum())} of {lon.size} points lack a value; left out"))
    import pyproj

    project = pyproj.Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    x, y = project.transform(lon[~lacking], lat[~lacking])
    return PointThickness(np.asarray(x), np.asarray(y), thickness[~lacking])
