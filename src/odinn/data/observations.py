"""Observations in a dataset, under our names or OGGM's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import xarray as xr

from odinn.dates import decimal_year
from odinn.glacier import MassBalanceRecord, Observations, PointThickness
from odinn.grid import Grid

_NAMES: Final = {
    "thickness": ("thickness_obs",),
    "speed": ("velocity_obs", "millan_v", "itslive_v"),
    "vx": ("vx_obs", "millan_vx", "itslive_vx"),
    "vy": ("vy_obs", "millan_vy", "itslive_vy"),
    "elevation_change": ("elevation_change_obs", "hugonnet_dhdt"),
}


def read_observations(ds: xr.Dataset, grid: Grid, attributes: Mapping[str, object]) -> Observations:
    """Whatever a dataset (row 0 = north) holds of measurements."""
    fields, dates, errors = {}, {}, {}
    for key, names in _NAMES.items():
        name = next((n for n in names if _is_field(ds, n)), None)
        if name is None:
            continue
        fields[key] = _field(ds[name])
        if _is_field(ds, f"{name}_error"):
            errors[key] = _field(ds[f"{name}_error"])
        if "date" in ds[name].attrs:
            dates[key] = decimal_year(ds[name].attrs["date"])
    return Observations(
        **fields,
        mass_balance=_mass_balance(ds),
        geodetic=_geodetic(attributes),
        points=_points(ds, grid),
        dates=dates,
        errors=errors,
    )


def _is_field(ds: xr.Dataset, name: str) -> bool:
    return name in ds.data_vars and set(ds[name].dims) == {"y", "x"}


def _field(array: xr.DataArray) -> np.ndarray:
    return np.array(array.transpose("y", "x").values, float)


def _mass_balance(ds: xr.Dataset) -> MassBalanceRecord | None:
    if "mb_annual" not in ds:
        return None
    years = np.array(ds["mb_year"].values, int)
    annual = np.array(ds["mb_annual"].values, float)
    return MassBalanceRecord(years, annual / 1000.0)  # mm to m w.e.


def _geodetic(attributes: Mapping[str, object]) -> tuple[float, float, float] | None:
    """(m w.e. yr⁻¹, first year, last year)"""
    rate = attributes.get("geodetic_mb_m_we_per_year")
    if rate is None:
        return None
    first, last = str(attributes.get("geodetic_mb_period", "2000-2020")).split("-")
    return float(str(rate)), float(first), float(last)


def _points(ds: xr.Dataset, grid: Grid) -> PointThickness | None:
    if not {"point_lon", "point_lat", "point_thickness"} <= set(ds.data_vars):
        return None
    import pyproj

    project = pyproj.Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    x, y = project.transform(ds["point_lon"].values, ds["point_lat"].values)
    thickness = np.array(ds["point_thickness"].values, float)
    return PointThickness(np.asarray(x), np.asarray(y), thickness)
