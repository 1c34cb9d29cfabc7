"""``to_geotiff``: one map of a result for a geographic information system."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr
from jaxtyping import Float, Num

from odinn.atomic import path_of, whole_or_nothing
from odinn.constants import DAYS_PER_YEAR
from odinn.dates import Date, decimal_year
from odinn.errors import InputError, of_glacier
from odinn.results.simulation import Simulation
from odinn.results.variables import FIELD, VARIABLES, Variable

CHANGE: Final = Variable(FIELD, "m", "thickness change since the start of the run")
_OF_THE_ICE: Final = (  # every result has these
    "surface",
    "bed",
    "glacier_mask",
    "thickness",
    "smb",
    "vx",
    "vy",
    "speed",
)
FIELDS: Final = {k: v for k, v in VARIABLES.items() if k in _OF_THE_ICE} | {"change": CHANGE}
NODATA: Final = -9999.0
_GROUND: Final = ("surface", "bed", "glacier_mask")  # defined without ice, too
_DAY: Final = 1 / DAYS_PER_YEAR


def to_geotiff(
    source: Simulation | xr.Dataset, field: str, path: str | Path, at: Date | None = None
) -> Path:
    """Write one field of a result as a GeoTIFF with its projection, one band, north up.

    Args:
        source: a run, or the dataset of one (``sim.to_dataset()``, ``xr.open_dataset("run.nc")``).
        field: "thickness", "surface", "smb", "vx", "vy", "speed", "bed", "glacier_mask", in the
            units of the result file, or "change", of thickness since the start, m.
        path: ends in .tif or .tiff. An existing file is replaced when the new one is complete.
        at: one of the saved times, as decimal year or date; default: the last.

    Returns:
        The path. Cells without ice are nodata (-9999; for "change": without ice at both times);
        "surface", "bed" and "glacier_mask" are whole. Values are in single precision. Unit and
        description are in the file's metadata.

    Raises:
        InputError: for an unknown field, a time that was not saved, or a grid without projection.
        OutputError: the file cannot be written.
    """
    import rioxarray  # noqa: F401  (gives datasets their .rio)
    from rasterio.io import MemoryFile

    path = path_of(path)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{path}: expected a name that ends in .tif or .tiff")
    if field not in FIELDS:
        raise InputError(f"to_geotiff: no field {field!r}: choose from {', '.join(FIELDS)}")
    ds = source.to_dataset() if isinstance(source, Simulation) else source
    values = _values(ds, field, at)
    raster = xr.DataArray(values, {"y": ds["y"].values, "x": ds["x"].values}, ("y", "x"))
    described = FIELDS[field]
    raster.attrs = {
        "long_name": field,
        "units": described.units,
        "description": described.long_name,
    }
    raster = raster.rio.write_crs(ds["crs"].attrs["crs_wkt"])
    if values.dtype.kind == "f":
        raster = raster.rio.write_nodata(NODATA, encoded=True)
    # GDAL does not always say that a disk is full: the file is made in memory, and we write it
    with MemoryFile(ext=".tif") as memory:
        raster.rio.to_raster(memory.name, driver="GTiff", compress="deflate")
        content = memory.read()
    with whole_or_nothing(path) as partial:
        partial.write_bytes(content)
    return path


def _values(ds: xr.Dataset, field: str, at: Date | None) -> Num[np.ndarray, "ny nx"]:
    """Single precision with NaN for nodata, or uint8 for the mask."""
    name = str(ds.attrs.get("rgi_id", "result"))
    if not {"thickness", "decimal_year", "x", "y"} <= set(ds.variables):
        text = "to_geotiff: this is no dataset of a run: it has no thickness in time"
        raise InputError(of_glacier(name, text))
    if "crs" not in ds:
        text = "to_geotiff: the grid has no projection (crs), so its place on Earth is not known"
        raise InputError(of_glacier(name, text))
    index = _index(ds["decimal_year"].values, at, name)
    if field == "glacier_mask":
        return ds[field].values.astype(np.uint8)
    if field == "bed":
        return ds[field].values.astype(np.float32)
    thickness = ds["thickness"].values
    ice = thickness[index] > 0
    if field == "change":
        # Where ice came or went, the change is known, too.
        change = thickness[index] - thickness[0]
        return np.where(ice | (thickness[0] > 0), change, np.nan).astype(np.float32)
    values = ds[field].values[index]
    if field == "smb" and np.isnan(values).all():
        text = "to_geotiff: smb is the balance since the time before, so it has none at the first"
        raise InputError(of_glacier(name, text))
    return np.where(ice | (field in _GROUND), values, np.nan).astype(np.float32)


def _index(years: Float[np.ndarray, " T"], at: Date | None, name: str) -> int:
    """Which of the saved times is asked for; the last by default."""
    if at is None:
        return len(years) - 1
    wanted = decimal_year(at)
    nearest = int(np.abs(years - wanted).argmin())
    if abs(years[nearest] - wanted) > _DAY:
        span = f"{len(years)} times from {years[0]:.4f} to {years[-1]:.4f}"
        found = f"the result has {span}, the nearest is {years[nearest]:.4f}"
        raise InputError(of_glacier(name, f"to_geotiff: {wanted:.4f} was not saved; {found}"))
    return nearest
