"""``open_glacier``: whatever a user has, as a :class:`Glacier`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import xarray as xr

from odinn.climate import Climate
from odinn.data import oggm
from odinn.data.netcdf import glacier_from_dataset
from odinn.data.reading import read_dataset
from odinn.data.series import is_series, open_climate
from odinn.errors import InputError
from odinn.glacier import Glacier

# What has these suffixes is no glacier, and what it is.
_OTHERS: Final = {
    "a GeoTIFF, which is one map": (".tif", ".tiff"),
    "a picture": (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg", ".pdf", ".mp4"),
    "a configuration; `odinn run FILE --check` says what it would do": (".yaml", ".yml"),
    "a table; a climate series goes into climate=": (".csv",),
    "an outline without ice": (".shp", ".gpkg", ".geojson"),
    "arrays without a grid, such as a checkpoint": (".npz", ".npy"),
    "an archive; unpack it": (".zip", ".tar", ".gz", ".tgz"),
}


def no_glacier(path: Path) -> str | None:
    """What a path is that cannot be a glacier, in a few words; None where it may be one."""
    if oggm.is_directory(path):
        return None
    if path.is_dir():
        held = sorted(p.name for p in path.glob("*.nc"))
        if not held:
            return "a folder without gridded_data.nc or other NetCDF files"
        more = " ..." if len(held) > 3 else ""
        return f"a folder without gridded_data.nc; it holds {', '.join(held[:3])}{more}"
    for what, suffixes in _OTHERS.items():
        if path.suffix.lower() in suffixes:
            return what
    return None


def open_glacier(
    source: Any,
    *,
    climate: str | Path | xr.Dataset | Climate | None = None,
    thickness: str | None = None,
    coarsen: int = 1,
) -> Glacier:
    """Open a glacier.

    Args:
        source: a NetCDF file, an ``xarray.Dataset`` with surface or bed on projected (y, x) and a
            CRS, an OGGM glacier directory or a ``GlacierDirectory``.
        climate: a product's name ("w5e5", "era5", "era5land", "cru", "histalp"), a Dataset in
            OGGM's form (time, temp, prcp[, gradient]; attribute ref_hgt), a CSV or NetCDF file for
            :func:`odinn.open_climate`, or a :class:`Climate`. Default: for NetCDF the first of
            those present, for an OGGM directory its climate_historical.nc. Series without a lapse
            rate take −6.5 K km⁻¹.
        thickness: "consensus" (default), "millan", "oggm" or "radar". Ice outside the outline is
            dropped.
        coarsen: average blocks of k x k cells. Volume is kept; the area with at least 1 m of ice
            grows, because thin ice at an edge is spread over its whole block (Ramsay Glacier at 4:
            12.9 instead of 9.4 km²). Both areas are in the provenance, and ``odinn info`` states
            them.

    Returns:
        The glacier; ``provenance`` records what was chosen, and what the file's attribute
        ``comment`` says, which stands on the page about a run.

    Raises:
        InputError: naming the glacier, the variable, what was found and what to do.
    """
    if is_series(climate):
        climate = open_climate(climate)
    assert not isinstance(climate, Path)
    if oggm.is_directory(source):
        return oggm.open_directory(source, climate=climate, thickness=thickness, coarsen=coarsen)
    if isinstance(source, xr.Dataset):
        ds, rgi_id, provenance = source, "glacier", {"format": "Dataset"}
    elif isinstance(source, str | Path):
        path = Path(source)
        what = no_glacier(path) if path.exists() else None
        if what is not None:
            raise InputError(
                f"{path}: is {what}. Expected a NetCDF file or an OGGM glacier directory"
            )
        ds = read_dataset(path)
        match = re.search(r"RGI\d\d-\d\d\.\d{5}", path.name)
        rgi_id = match[0] if match else path.stem
        provenance = {"source": path.name, "format": "NetCDF"}
    else:
        raise InputError(
            f"open_glacier: found {type(source).__name__}; expected a path, an xarray.Dataset or "
            "an OGGM glacier directory"
        )
    return glacier_from_dataset(
        ds,
        rgi_id=str(ds.attrs.get("rgi_id") or rgi_id),
        name=str(ds.attrs.get("name", "")),
        climate=climate,
        thickness=thickness,
        coarsen=coarsen,
        provenance=provenance,
    )


def open_glaciers(sources: Sequence[Any], **options: Any) -> list[Glacier]:
    """Open several glaciers; the arguments are those of :func:`open_glacier`."""
    sources = list(sources)
    if not sources:
        raise InputError("open_glaciers: the list is empty")
    return [open_glacier(source, **options) for source in sources]
