"""``open_glacier``: whatever a user has, as a :class:`Glacier`; and the embedded glaciers."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import xarray as xr

from odinn.atomic import path_of
from odinn.climate import Climate
from odinn.data import oggm
from odinn.data.demo import rakaia
from odinn.data.netcdf import glacier_from_dataset
from odinn.data.reading import read_dataset
from odinn.data.series import is_series, open_climate
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.identity import is_rgi_id, rgi_id_in

_DEMO: Final = "demo:"

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
            CRS, an OGGM glacier directory or a ``GlacierDirectory``; or ``"demo:..."`` with the RGI
            id or name of an embedded glacier, such as "demo:Ramsay".
        climate: a product's name ("w5e5", "era5", "era5land", "cru", "histalp"), a Dataset in
            OGGM's form (time, temp, prcp[, gradient]; attribute ref_hgt), a CSV or NetCDF file for
            :func:`odinn.open_climate`, or a :class:`Climate`. Default: for NetCDF the first of
            those present, for an OGGM directory its climate_historical.nc. Series without a lapse
            rate take −6.5 K km⁻¹.
        thickness: "consensus" (default), "millan", "oggm" or "radar". Ice outside the outline is
            dropped.
        coarsen: average blocks of k x k cells. Volume is kept; the area with at least 1 m of ice
            grows, because thin ice at an edge is spread over its whole block (Ramsay Glacier at 4:
            14.8 instead of 10.7 km²). Both areas are in the provenance, and ``odinn info`` states
            them.

    Returns:
        The glacier; ``provenance`` records what was chosen, and what the file's attribute
        ``comment`` says, which stands on the page about a run.

    Raises:
        InputError: naming the glacier, the variable, what was found and what to do.
    """
    if isinstance(source, str) and source.startswith(_DEMO):
        source = rakaia.path_of(source.removeprefix(_DEMO))
        climate = rakaia.demo_climate(source.stem) if climate is None else climate
    if isinstance(source, str | Path):
        source = path_of(source)
    if is_series(climate):
        climate = open_climate(climate)
    assert not isinstance(climate, Path)
    if oggm.is_directory(source):
        return oggm.open_directory(source, climate=climate, thickness=thickness, coarsen=coarsen)
    if isinstance(source, xr.Dataset):
        ds, rgi_id, provenance = source, "glacier", {"format": "Dataset"}
    elif isinstance(source, Path):
        ds = _read(source)
        rgi_id = rgi_id_in(source.name) or source.stem
        provenance = {"source": source.name, "format": "NetCDF"}
    else:
        raise InputError(
            f"open_glacier: found {type(source).__name__}; expected a path, an xarray.Dataset or "
            "an OGGM glacier directory"
        )
    return glacier_from_dataset(
        ds,
        rgi_id=_text(ds.attrs.get("rgi_id")) or rgi_id,
        name=_text(ds.attrs.get("name")),
        climate=climate,
        thickness=thickness,
        coarsen=coarsen,
        provenance=provenance,
    )


def _read(path: Path) -> xr.Dataset:
    """The dataset of a file, or an error that says what the path is instead."""
    if not path.exists() and is_rgi_id(str(path)):
        raise InputError(
            f"{path}: is an RGI id, and no file or folder of that name is here. Prepare its OGGM "
            f"directory first, for example with oggm.workflow.init_glacier_directories(['{path}'], "
            "from_prepro_level=3), and open the directory (gdir or gdir.dir)"
        )
    what = no_glacier(path) if path.exists() else None
    if what is not None:
        raise InputError(f"{path}: is {what}. Expected a NetCDF file or an OGGM glacier directory")
    ds = read_dataset(path)
    if "odinn_version" in ds.attrs or not ds.variables:
        what = "is a run of odinn" if ds.variables else "holds no fields"
        raise InputError(
            f"{path}: {what}, not the data of a glacier: odinn.load reads what odinn.save wrote, "
            "and odinn.restart gives the glacier and state to go on with"
        )
    return ds


def _text(value: object) -> str:
    """An attribute as text; nothing where there is none."""
    return "" if value is None else str(value).strip()


def open_glaciers(sources: str | Path | Sequence[Any], **options: Any) -> list[Glacier]:
    """Open several glaciers.

    Args:
        sources: what :func:`open_glacier` takes, one or a list; patterns of files such as
            ``"glaciers/*.nc"`` stand for all that match, in the order of their names, and "demo:"
            for the embedded glaciers.
        options: those of :func:`open_glacier`.

    Raises:
        InputError: nothing to open, or two glaciers of one id.
    """
    listed = list(each_source(sources))
    if not listed:
        raise InputError("open_glaciers: the list is empty")
    opened: dict[str, Glacier] = {}
    for source in listed:
        glacier = open_glacier(source, **options)
        if glacier.rgi_id in opened:
            raise InputError(
                f"{glacier.rgi_id}: appears twice, the second time in {source}; results are kept "
                "by id: leave one out"
            )
        opened[glacier.rgi_id] = glacier
    return list(opened.values())


def each_source(sources: Any) -> Iterator[Any]:
    """Every single source of one or several, patterns filled in."""
    single = isinstance(sources, str | Path | xr.Dataset) or oggm.is_directory(sources)
    if not single and not isinstance(sources, Iterable):
        found = type(sources).__name__
        raise InputError(f"open_glaciers: found {found}; expected a list of sources, or a pattern")
    for source in [sources] if single else sources:
        if not isinstance(source, str):
            yield source
        elif source in (_DEMO, _DEMO.rstrip(":")):
            yield from (f"{_DEMO}{rgi_id}" for rgi_id in rakaia.ids())
        elif glob.has_magic(source) and not path_of(source).exists():
            yield from _matching(source)
        else:
            yield source


def _matching(pattern: str) -> list[str]:
    found = sorted(glob.glob(str(path_of(pattern)), recursive=True))
    if not found:
        raise InputError(f"{pattern}: no file or folder matches this pattern")
    return found


def demo_glaciers(*, coarsen: int = 1) -> list[Glacier]:
    """The embedded glaciers, largest outline first: nine at the head of the Rakaia, New Zealand
    (RGI 6.0, EPSG:2193, 50 m).

    Neither a reconstruction nor a forecast: outlines (1978) and precipitation are real, the bed is
    an estimate, the ice a state of :func:`odinn.demo_model` after two centuries, the temperature
    idealised; debris is an assumption of the model, lakes are left out (see ``NOTICE``). Under its
    climate, 1970 to 2070, whose years are alike, each is near balance; the ice is that of 1 April,
    the start of the southern balance year.

    Args:
        coarsen: average blocks of k x k cells, as in :func:`odinn.open_glacier`.

    Returns:
        Nine glaciers, 0.3 to 11.6 km², 1.8 km³ together. No network.

    >>> import odinn
    >>> ramsay = odinn.demo_glaciers()[0]
    >>> ramsay.rgi_id, ramsay.name
    ('RGI60-18.03156', 'Ramsay Glacier')
    >>> sim = odinn.simulate(odinn.demo_model(), ramsay, "2000-04-01", "2000-05-01")
    """
    glaciers = open_glaciers(_DEMO, coarsen=coarsen)
    return sorted(glaciers, key=lambda g: (-int(g.mask.sum()), g.rgi_id))
