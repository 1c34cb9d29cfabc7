"""Series for hydrologists: months, complete years, bands of altitude."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Bool

from odinn.constants import MONTHS_PER_YEAR
from odinn.errors import InputError, of_glacier
from odinn.results.altitude import in_bands
from odinn.results.dataset import dates_of, with_months
from odinn.results.evolution import Evolution
from odinn.results.hydrology import Hydrology
from odinn.results.variables import attributes
from odinn.results.years import CLOSE, Years

Domain = Bool[np.ndarray, "ny nx"] | None
_AT_END: Final = ("snow_bucket",)  # of the water: a state, where the others are sums
_MEAN: Final = ("on_area", "off_area")


def series_of_run(
    run: Evolution, water: Hydrology | None = None, domain: Domain = None
) -> xr.Dataset:
    """Numbers at each saved time, and water by month where it was recorded.

    Args:
        domain: of the water, see :meth:`odinn.results.hydrology.Hydrology.series`.
    """
    years = ("time", run.times, {"long_name": "decimal year", "units": "1"})
    ds = xr.Dataset(coords={"time": ("time", dates_of(run.times)), "decimal_year": years})
    ds = ds.assign(_along("time", run.series()))
    if water is None:
        return ds
    return with_months(ds.assign(_along("month", water.series(domain))), water)


def annual(
    run: Evolution, years: Years, water: Hydrology | None = None, domain: Domain = None
) -> xr.Dataset:
    """Complete years, with dimension ``year``: states of their ends, balance of the year over the
    area at its start, and sums of the water.

    Args:
        domain: of the water, see :meth:`odinn.results.hydrology.Hydrology.series`.
    """
    ds = _of_years(run, years)
    at_end = {name: values[years.last] for name, values in run.series().items()}
    gained = run.balance(years.first, years.last).sum(axis=1)
    cells = run.is_glacier[years.first].sum(axis=(1, 2))
    at_end["specific_balance"] = gained / np.maximum(cells, 1)
    ds = ds.assign(_along("year", at_end))
    if water is None:
        return ds
    of_years = _along("year", _water_of_years(run, years, water, domain))
    for variable in of_years.values():
        variable.attrs.pop("cell_methods", None)  # they speak of months
    return ds.assign(of_years)


def by_altitude(run: Evolution, years: Years, width: float = 50.0) -> xr.Dataset:
    """Area and mean balance of complete years in bands of altitude, (year, altitude).

    Cells and altitudes are those of the area at the start of the year; a band without is NaN.

    Args:
        width: of the bands, m.

    Raises:
        InputError: bands that are not wider than 0, or no ice.
    """
    if not width > 0:
        text = f"band={width!r}: expected a width in metres > 0"
        raise InputError(of_glacier(run.glacier.rgi_id, text))
    shape = (len(years.labels), -1)
    ice = run.is_glacier[years.first].reshape(shape)
    if not ice.any():
        text = "by_altitude: no ice at the start of a year"
        raise InputError(of_glacier(run.glacier.rgi_id, text))
    surface = run.surface[years.first].reshape(shape)
    bands = in_bands(surface, run.balance(years.first, years.last), ice, width)
    attrs = {"long_name": "middle of the band", "units": "m", "axis": "Z"}
    ds = _of_years(run, years).assign_coords(altitude=("altitude", bands.altitude, attrs))
    profiles = {
        "band_area_m2": bands.weight * run.glacier.grid.cell_area,
        "band_balance": bands.mean,
    }
    for name, values in profiles.items():
        ds[name] = (("year", "altitude"), values, attributes(name))
    return ds


def _along(dim: str, values: dict[str, np.ndarray]) -> dict[str, xr.Variable]:
    return {name: xr.Variable(dim, array, attributes(name)) for name, array in values.items()}


def _of_years(run: Evolution, years: Years) -> xr.Dataset:
    labels = ("year", years.labels, {"long_name": years.meaning, "units": "1"})
    return xr.Dataset(coords={"year": labels}, attrs={"rgi_id": run.glacier.rgi_id})


def _water_of_years(
    run: Evolution, years: Years, water: Hydrology, domain: Domain
) -> dict[str, np.ndarray]:
    """The water of complete years: sums, but states at their ends and areas in the mean."""
    start, end = run.times[years.first[0]], run.times[years.last[-1]]
    months = slice(*np.searchsorted(water.start, np.array([start, end]) - CLOSE))
    out = {}
    for name, values in water.series(domain).items():
        by_month = values[months].reshape(-1, MONTHS_PER_YEAR)
        if name in _AT_END:
            out[name] = by_month[:, -1]
        elif name in _MEAN:
            out[name] = by_month.mean(axis=1)
        else:
            out[name] = by_month.sum(axis=1)
    return out
