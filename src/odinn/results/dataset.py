"""A simulation as an ``xarray.Dataset`` with CF-1.11 metadata."""

from __future__ import annotations

import datetime as dt
import json
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import pyproj
import xarray as xr

from odinn.constants import AREA_THRESHOLD
from odinn.dates import date_of
from odinn.printing import on_one_line
from odinn.results.hydrology import Hydrology
from odinn.results.simulation import Simulation
from odinn.results.variables import VARIABLES, attributes

WATER_FIELDS: Final = {  # of Hydrology: names in files
    "snowfall": "snowfall_amount",
    "rain": "rainfall_amount",
    "melt": "melt_amount",
    "snow": "snow_amount",
    "on_glacier": "on_glacier",
}
_BAND = 20.0  # m of altitude, for the equilibrium line


def to_dataset(sim: Simulation) -> xr.Dataset:
    """See :meth:`Simulation.to_dataset`."""
    glacier, grid = sim.glacier, sim.glacier.grid
    vx, vy, speed = sim.velocity()
    flat = {
        "thickness": sim.thickness,
        "surface": sim.surface,
        "smb": sim.smb * sim.model.ice_density,
        "vx": vx,
        "vy": vy,
        "speed": speed,
        "bed": glacier.bed,
        "glacier_mask": glacier.mask,
        **series(sim),
        **{k: sim.glacier_series[k] for k in ("accumulation", "melt", "rain")},
        **{f"budget_{k}": v for k, v in sim.budget_series.items() if k != "time"},
        **({} if sim.hydrology is None else water_fields(sim.hydrology) | sim.hydrology.series()),
    }
    ds = xr.Dataset()
    ds = ds.assign_coords(
        time=(
            "time",
            dates_of(sim.times),
            {"standard_name": "time", "long_name": "time", "axis": "T", "bounds": "time_bounds"},
        ),
        y=(
            "y",
            grid.y,
            {
                "standard_name": "projection_y_coordinate",
                "long_name": "y",
                "units": "m",
                "axis": "Y",
            },
        ),
        x=(
            "x",
            grid.x,
            {
                "standard_name": "projection_x_coordinate",
                "long_name": "x",
                "units": "m",
                "axis": "X",
            },
        ),
        decimal_year=(
            "time",
            sim.times,
            {"long_name": "decimal year: year + (month-1)/12 + ...", "units": "1"},
        ),
        window_end=(
            "window",
            sim.budget_series["time"],
            {"long_name": "decimal year of the window's end", "units": "1"},
        ),
    )
    before = np.concatenate([sim.times[:1], sim.times[:-1]])
    ds["time_bounds"] = (
        ("time", "bounds"),
        np.stack([dates_of(before), dates_of(sim.times)], axis=1),
    )
    for name, values in flat.items():
        variable, attrs = VARIABLES[name], attributes(name)
        attrs |= {"grid_mapping": "crs"} if grid.crs and variable.dims.endswith("y x") else {}
        ds[name] = (tuple(variable.dims.split()), np.asarray(values).astype(variable.dtype), attrs)
    if grid.crs:
        ds["crs"] = ((), np.int32(0), pyproj.CRS.from_user_input(grid.crs).to_cf())
    ds.attrs = _attributes(sim)
    if sim.hydrology is not None:
        ds = with_months(ds, sim.hydrology)
    calendar = {"units": "days since 1970-01-01", "calendar": "proleptic_gregorian"}
    for axis in ("time", "month"):
        if axis in ds.coords and ds[axis].dtype.kind == "M":
            ds[axis].encoding = ds[f"{axis}_bounds"].encoding = calendar | {"dtype": "float64"}
        elif axis in ds.coords:
            ds[axis].attrs |= calendar
    return ds


def with_months(ds: xr.Dataset, water: Hydrology) -> xr.Dataset:
    """The dataset with the starts of the months as a coordinate, and their bounds."""
    attrs = {"standard_name": "time", "long_name": "start of the month", "bounds": "month_bounds"}
    starts, ends = dates_of(water.start), dates_of(water.end)
    years = ("month", water.start, {"long_name": "decimal year of the month's start", "units": "1"})
    ds = ds.assign_coords(month=("month", starts, attrs), month_decimal_year=years)
    ds["month_bounds"] = (("month", "bounds"), np.stack([starts, ends], axis=1))
    return ds


def water_fields(water: Hydrology) -> dict[str, np.ndarray]:
    """The fields of the water under their names in files."""
    return {name: getattr(water, field) for field, name in WATER_FIELDS.items()} | {
        "hydrology_domain": water.domain
    }


def series(sim: Simulation) -> dict[str, np.ndarray]:
    """Volume, below sea level too (m³), area (m²), equilibrium-line and terminus altitude (m), each
    (T,).
    """
    ice = sim.thickness >= AREA_THRESHOLD
    surface = sim.surface
    below = np.minimum(sim.thickness, np.maximum(-np.asarray(sim.glacier.bed), 0.0))
    terminus = np.array(
        [s[i].min() if i.any() else np.nan for s, i in zip(surface, ice, strict=True)]
    )
    return {
        "volume_m3": sim.volume,
        "volume_bsl_m3": below.sum(axis=(1, 2)) * sim.glacier.grid.cell_area,
        "area_m2": ice.sum(axis=(1, 2)) * sim.glacier.grid.cell_area,
        "ela_m": _equilibrium_line(sim, ice),
        "terminus_altitude_m": terminus,
    }


def _equilibrium_line(sim: Simulation, ice: np.ndarray) -> np.ndarray:
    """Altitude at which the mean balance of altitude bands turns from negative to positive, over
    the year before.
    """
    out = np.full(len(sim.times), np.nan)
    steps = np.diff(sim.times, prepend=sim.times[0])
    for i, t in enumerate(sim.times):
        first = int(np.searchsorted(sim.times, t - 1.0 - 1e-6))
        if t - sim.times[0] < 1.0 - 1e-6 or first >= i or abs(t - sim.times[first] - 1.0) > 0.01:
            continue
        weights = steps[first + 1 : i + 1]
        balance = np.tensordot(weights, sim.smb[first + 1 : i + 1], 1) / weights.sum()
        inside = ice[i] & sim.glacier.mask
        out[i] = equilibrium_line(sim.surface[i][inside], balance[inside])
    return out


def equilibrium_line(surface: np.ndarray, balance: np.ndarray) -> float:
    """The altitude (m) that best parts losing from gaining cells; NaN without a change from loss to
    gain.

    Of the sign changes of the mean balance of 20 m bands, the one with the least area on the wrong
    side is taken.
    """
    if not balance.size:
        return np.nan
    band = np.floor(surface / _BAND).astype(int)
    count = np.bincount(band - band.min())
    mean = np.bincount(band - band.min(), balance) / np.maximum(count, 1)
    height = (np.arange(len(count)) + band.min() + 0.5) * _BAND
    return zero_crossing(height[count > 0], mean[count > 0], count[count > 0])


def zero_crossing(height: np.ndarray, balance: np.ndarray, area: np.ndarray) -> float:
    """Altitude (m) where a profile by rising altitude turns to gain, with the least area on the
    wrong side; else NaN.
    """
    rising = np.flatnonzero((balance[:-1] < 0) & (balance[1:] >= 0))
    if not rising.size:
        return np.nan
    wrong = [
        area[: k + 1][balance[: k + 1] >= 0].sum() + area[k + 1 :][balance[k + 1 :] < 0].sum()
        for k in rising
    ]
    k = rising[int(np.argmin(wrong))]
    return float(np.interp(0.0, balance[k : k + 2], height[k : k + 2]))


def dates_of(years: np.ndarray) -> np.ndarray:
    """Dates; beyond the calendar of the standard library, days since 1970 of 365.25-day years."""
    if years.min() >= 1 and years.max() < 9999:
        return np.array([np.datetime64(date_of(t), "s") for t in years]).astype("datetime64[s]")
    return (years - 1970.0) * 365.25


def _attributes(sim: Simulation) -> dict[str, Any]:
    glacier = sim.glacier
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    odinn_version = version("odinn-model")
    water: dict[str, float] = {}
    if sim.hydrology is not None:
        water = {f"water_{k}_m3": v for k, v in sim.water.items()} | {
            "water_relative_residual": sim.relative_water_residual
        }
    return {
        "Conventions": "CF-1.11",
        "title": f"odinn simulation of {glacier.name or glacier.rgi_id}",
        "rgi_id": glacier.rgi_id,
        "name": glacier.name,
        "source": f"odinn {odinn_version}: {sim.settings['stepper']}",
        "history": f"{now} odinn {odinn_version} simulate {sim.times[0]:.4f} to {sim.times[-1]:.4f}",
        "odinn_version": odinn_version,
        "odinn_settings": json.dumps(sim.settings, default=str),
        "odinn_model": on_one_line(sim.model),
        "odinn_inputs": json.dumps(glacier.provenance),
        "input_sha256": glacier.provenance.get("input_sha256", ""),
        "budget_relative_residual": sim.relative_residual,
        **{f"budget_{k}_m3": v for k, v in sim.budget.items()},
        **water,
    }
