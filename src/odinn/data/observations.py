"""Observations in a dataset, under our names or OGGM's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from odinn.dates import decimal_year
from odinn.glacier import MassBalanceRecord, Observations, PointThickness
from odinn.grid import Grid

_FIELDS = {
    "thickness": ("thickness_obs",),
    "speed": ("velocity_obs", "millan_v", "itslive_v"),
    "vx": ("vx_obs", "millan_vx", "itslive_vx"),
    "vy": ("vy_obs", "millan_vy", "itslive_vy"),
    "elevation_change": ("elevation_change_obs", "hugonnet_dhdt"),
}


def read_observations(ds: xr.Dataset, grid: Grid, attributes: Mapping[str, Any]) -> Observations:
    """Whatever a dataset (row 0 = north) holds of measurements."""
    fields: dict[str, Any] = {}
    dates: dict[str, float] = {}
    errors: dict[str, np.ndarray] = {}
    for key, names in _FIELDS.items():
        for name in names:
            if name in ds.data_vars and set(ds[name].dims) == {"y", "x"}:
                fields[key] = np.array(ds[name].transpose("y", "x").values, float)
                if f"{name}_error" in ds.data_vars and set(ds[f"{name}_error"].dims) == {"y", "x"}:
                    errors[key] = np.array(ds[f"{name}_error"].transpose("y", "x").values, float)
                if "date" in ds[name].attrs:
                    dates[key] = decimal_year(ds[name].attrs["date"])
                break
    return Observations(
        **fields,
        mass_balance=_mass_balance(ds),
        geodetic=_geodetic(attributes),
        points=_points(ds, grid),
        dates=dates,
        errors=errors,
    )


def _mass_balance(ds: xr.Dataset) -> MassBalanceRecord | None:
    if "mb_annual" not in ds:
        return None
    years = np.array(ds["mb_year"].values, int)
    annual = np.array(ds["mb_annual"].values, float)
    return MassBalanceRecord(years, annual / 1000.0)  # mm to m w.e.


def _geodetic(attributes: Mapping[str, Any]) -> tuple[float, float, float] | None:
    if "geodetic_mb_m_we_per_year" not in attributes:
        return None
    first, last = (
        float(y) for y in str(attributes.get("geodetic_mb_period", "2000-2020")).split("-")
    )
    return float(attributes["geodetic_mb_m_we_per_year"]), first, last


def _points(ds: xr.Dataset, grid: Grid) -> PointThickness | None:
    if not {"point_lon", "point_lat", "point_thickness"} <= set(ds.data_vars):
        return None
    import pyproj

    project = pyproj.Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    x, y = project.transform(ds["point_lon"].values, ds["point_lat"].values)
    return PointThickness(
        np.asarray(x), np.asarray(y), np.array(ds["point_thickness"].values, float)
    )
