"""Series for hydrologists: months, years (calendar or hydrological), bands of altitude."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import pyproj
import xarray as xr

from odinn.constants import AREA_THRESHOLD
from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.results import dataset
from odinn.results.simulation import Simulation
from odinn.results.variables import attributes

Year = Literal["calendar", "hydro"]
_AT_END: Final = ("snow_bucket",)  # of the water: a state, where the others are sums
_MEAN: Final = ("on_area", "off_area")
_CLOSE: Final = 1e-6  # years: decimal years this close are the same


def series(sim: Simulation, domain: np.ndarray | None = None) -> xr.Dataset:
    """See :meth:`Simulation.series`."""
    years = ("time", sim.times, {"long_name": "decimal year", "units": "1"})
    ds = xr.Dataset(coords={"time": ("time", dataset.dates_of(sim.times)), "decimal_year": years})
    for name, values in dataset.series(sim).items():
        ds[name] = ("time", values, attributes(name))
    if sim.hydrology is None:
        return ds
    for name, values in sim.hydrology.series(domain).items():
        ds[name] = ("month", values, attributes(name))
    return dataset.with_months(ds, sim.hydrology)


def annual(
    sim: Simulation,
    year: Year = "calendar",
    *,
    hydro_month: int | None = None,
    domain: np.ndarray | None = None,
) -> xr.Dataset:
    """The complete years of a run, with dimension ``year``.

    Volume, area, terminus are of the year's end, equilibrium line and ``specific_balance`` of the
    year. Water, where it was recorded, is summed over the year; ``snow_bucket`` is that of its end,
    areas are means.

    Args:
        year: "calendar", or "hydro": from ``hydro_month`` on, labelled by the year in which it
            ends.
        hydro_month: 1 to 12; default 10 in the north and 4 in the south.
        domain: see :meth:`odinn.results.hydrology.Hydrology.series`.

    Raises:
        InputError: no complete year, ends of years that were not saved, or a hemisphere that is not
            known.
    """
    years, ends = _years(sim, year, hydro_month)
    start, stop = ends[:-1], ends[1:]
    ds = _of_years(years, sim, year, hydro_month)
    for name, values in dataset.series(sim).items():
        ds[name] = ("year", values[stop], attributes(name))
    ice = sim.thickness[start] >= AREA_THRESHOLD
    gained = np.array([b.sum() for b in _balances(sim, ends)])
    ds["specific_balance"] = (
        "year",
        gained / np.maximum(ice.sum(axis=(1, 2)), 1),
        attributes("specific_balance"),
    )
    if sim.hydrology is None:
        return ds
    water = sim.hydrology
    first, last = (np.searchsorted(water.start, sim.times[i] - _CLOSE) for i in (start, stop))
    for name, values in water.series(domain).items():
        parts = [values[i:j] for i, j in zip(first, last, strict=True)]
        of_year = [
            p[-1] if name in _AT_END else p.mean() if name in _MEAN else p.sum() for p in parts
        ]
        attrs = {k: v for k, v in attributes(name).items() if k != "cell_methods"}
        ds[name] = ("year", np.array(of_year), attrs)
    return ds


def by_altitude(
    sim: Simulation, band: float = 50.0, year: Year = "calendar", *, hydro_month: int | None = None
) -> xr.Dataset:
    """Area and mean balance of each complete year in bands of surface altitude, with dimensions
    (year, altitude).

    Cells and altitudes are those with at least 1 m of ice at the start of the year; a band without
    is NaN.

    Args:
        band: width, m. ``altitude`` is the middle of the band.
        year, hydro_month: see :func:`annual`.

    Raises:
        InputError: as :func:`annual`, or a band that is not wider than 0.
    """
    if not band > 0:
        raise InputError(
            where(sim.glacier.rgi_id, f"band={band!r}: expected a width in metres > 0")
        )
    years, ends = _years(sim, year, hydro_month)
    starts = ends[:-1]
    ice, number = (
        sim.thickness[starts] >= AREA_THRESHOLD,
        np.floor(sim.surface[starts] / band).astype(int),
    )
    if not ice.any():
        raise InputError(
            where(sim.glacier.rgi_id, "by_altitude: no cell has 1 m of ice at the start of a year")
        )
    lowest, count = number[ice].min(), int(np.ptp(number[ice])) + 1
    cells, total = np.zeros((len(years), count)), np.zeros((len(years), count))
    for i, balance in enumerate(_balances(sim, ends)):
        inside = number[i][ice[i]] - lowest
        cells[i] = np.bincount(inside, minlength=count)
        total[i] = np.bincount(inside, balance[ice[i]], count)
    ds = _of_years(years, sim, year, hydro_month)
    height = (np.arange(count) + lowest + 0.5) * band
    ds = ds.assign_coords(
        altitude=(
            "altitude",
            height,
            {"long_name": "middle of the band", "units": "m", "axis": "Z"},
        )
    )
    ds["band_area_m2"] = (
        ("year", "altitude"),
        cells * sim.glacier.grid.cell_area,
        attributes("band_area_m2"),
    )
    mean = np.where(cells > 0, total / np.maximum(cells, 1), np.nan)
    ds["band_balance"] = (("year", "altitude"), mean, attributes("band_balance"))
    return ds


def first_month(glacier: Glacier, year: Year = "hydro", hydro_month: int | None = None) -> int:
    """The month (1 to 12) in which years start: by default, hydrological ones in October in the
    north, April in the south.
    """
    if year not in ("calendar", "hydro"):
        raise InputError(f"year={year!r}: expected 'calendar' or 'hydro'")
    if year == "calendar":
        return 1
    if hydro_month is not None:
        if hydro_month not in range(1, 13):
            raise InputError(f"hydro_month={hydro_month!r}: expected 1 to 12")
        return hydro_month
    grid = glacier.grid
    if not grid.crs:
        raise InputError(
            where(
                glacier.rgi_id,
                "the grid has no crs, so its hemisphere is not known: give hydro_month=",
            )
        )
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    _, latitude = to_degrees.transform(float(grid.x.mean()), float(grid.y.mean()))
    return 10 if latitude >= 0 else 4


def _years(sim: Simulation, year: Year, hydro_month: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Labels of the complete years (N,), and the indices of their ends among the saved times, (N +
    1,).
    """
    month = first_month(sim.glacier, year, hydro_month)
    offset = (month - 1) / 12
    first, last = (
        int(np.ceil(sim.times[0] - offset - _CLOSE)),
        int(np.floor(sim.times[-1] - offset + _CLOSE)),
    )
    fail = lambda text: InputError(where(sim.glacier.rgi_id, text))
    if last <= first:
        span = f"{sim.times[0]:.3f} to {sim.times[-1]:.3f}"
        raise fail(f"the run from {span} holds no complete year from month {month} on")
    wanted = np.arange(first, last + 1) + offset
    at = np.minimum(np.searchsorted(sim.times, wanted - _CLOSE), len(sim.times) - 1)
    missing = np.abs(sim.times[at] - wanted) > _CLOSE
    if missing.any():
        raise fail(
            f"{wanted[missing][0]:.4f}, an end of a year, is not among the saved times: choose t0 "
            "and save_every so"
        )
    return np.arange(first, last) + (1 if month > 1 else 0), at


def _balances(sim: Simulation, ends: np.ndarray) -> list[np.ndarray]:
    """The balance of each year on cells, kg m⁻²."""
    weights = np.diff(sim.times, prepend=sim.times[0]) * sim.model.ice_density
    spans = [slice(i + 1, j + 1) for i, j in pairwise(ends)]
    return [np.tensordot(weights[s], sim.smb[s], 1) for s in spans]


def _of_years(
    years: np.ndarray, sim: Simulation, year: Year, hydro_month: int | None
) -> xr.Dataset:
    month = first_month(sim.glacier, year, hydro_month)
    text = (
        "calendar year"
        if month == 1
        else f"hydrological year from month {month} on, labelled by the year it ends in"
    )
    attrs: dict[str, Any] = {"long_name": text, "units": "1"}
    return xr.Dataset(coords={"year": ("year", years, attrs)}, attrs={"rgi_id": sim.glacier.rgi_id})
