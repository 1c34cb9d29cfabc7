"""Glaciers from an ``xarray.Dataset`` on a projected grid: the one place where fields become a
:class:`Glacier`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from odinn.climate import Climate
from odinn.data import products
from odinn.data.checks import check_fields, places
from odinn.data.climate_series import climate_from_dataset
from odinn.data.observations import read_observations
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import Grid, block_mean

Fail = Callable[[str], InputError]


def glacier_from_dataset(
    ds: xr.Dataset,
    *,
    rgi_id: str,
    name: str,
    climate: Climate | str | xr.Dataset | None,
    thickness: str | None,
    coarsen: int,
    provenance: Mapping[str, str],
) -> Glacier:
    """Build a glacier from fields on (y, x). See :func:`odinn.open_glacier` for the arguments."""

    def fail(message: str) -> InputError:
        return InputError(of_glacier(rgi_id, message))

    if not (isinstance(coarsen, int) and coarsen >= 1):
        raise fail(f"coarsen={coarsen!r}: expected a whole number of cells, at least 1")
    ds, grid = _oriented(ds, fail)
    bed, ice, mask, product = _geometry(ds, thickness, fail)
    if not isinstance(climate, Climate):
        climate = climate_from_dataset(ds, climate, rgi_id)
    notes = {
        **provenance,
        "thickness": product,
        "climate": "none" if climate is None else str(climate),
        "coarsen": str(coarsen),
    }
    if ds.attrs.get("comment"):
        notes["comment"] = str(ds.attrs["comment"])
    observations = read_observations(ds, grid, ds.attrs)
    glacier = Glacier(rgi_id, name, grid, bed, ice, mask, climate, observations, notes)
    if coarsen > 1:
        glacier = _coarsened(glacier, coarsen)
    check_fields(glacier)
    notes = {**glacier.provenance, "input_sha256": _fingerprint(glacier)}
    return dataclasses.replace(glacier, provenance=notes)


def read_dataset(path: Path) -> xr.Dataset:
    """A NetCDF file in memory; a file that cannot be read is an :class:`InputError` that names
    it.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or directory")
    try:
        with xr.open_dataset(path) as ds:
            return ds.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"
        raise InputError(
            f"{path}: cannot be read as NetCDF ({reason}); the file may be truncated or of another "
            "format: copy or download it again"
        ) from error


def _oriented(ds: xr.Dataset, fail: Fail) -> tuple[xr.Dataset, Grid]:
    """The dataset with row 0 in the north and x eastward, and its grid."""
    lonlat = [c for c in ("lon", "lat", "longitude", "latitude") if c in ds.dims]
    if lonlat:
        raise fail(
            f"the grid has geographic coordinates ({', '.join(lonlat)}); project it first, to UTM "
            "for example"
        )
    for axis in ("x", "y"):
        if axis not in ds.coords or ds[axis].ndim != 1:
            raise fail(
                f"no one-dimensional coordinate '{axis}'; expected projected x and y in metres"
            )
        if ds[axis].size < 4:
            raise fail(f"only {ds[axis].size} cells along {axis}; at least 4 are needed")
    crs = _crs(ds, fail)
    if (ds["y"].diff("y") > 0).all():
        ds = ds.isel(y=slice(None, None, -1))
    if (ds["x"].diff("x") < 0).all():
        ds = ds.isel(x=slice(None, None, -1))
    grid = Grid(
        nx=ds["x"].size,
        ny=ds["y"].size,
        dx=_spacing(ds["x"], fail),
        dy=_spacing(ds["y"], fail),
        x0=float(ds["x"].values[0]),
        y0=float(ds["y"].values[0]),
        crs=crs,
    )
    return ds, grid


def _spacing(axis: xr.DataArray, fail: Fail) -> float:
    steps = np.abs(np.diff(axis.values.astype(float)))
    spacing = float(steps.mean())
    if not np.allclose(steps, spacing, rtol=1e-3):
        raise fail(
            f"{axis.name} is not evenly spaced ({steps.min():g} to {steps.max():g} m); interpolate "
            "to a regular grid"
        )
    # a mean of many steps carries round-off, which would make two programs of one grid
    return round(spacing, 9)


def _crs(ds: xr.Dataset, fail: Fail) -> str:
    """The first coordinate reference system that a dataset states, as WKT."""
    import pyproj

    stated = next(_stated_crs(ds), None)
    if stated is None:
        raise fail(
            "no coordinate reference system: add a variable 'crs' with crs_wkt (ds.rio.write_crs "
            "does) or an attribute 'pyproj_srs'"
        )
    try:
        if isinstance(stated, Mapping):
            crs = pyproj.CRS.from_cf(dict(stated))
        else:
            crs = pyproj.CRS.from_user_input(stated)
    except pyproj.exceptions.CRSError as error:
        raise fail(
            f"the coordinate reference system {str(stated)[:80]!r} is not understood ({error})"
        ) from error
    if crs.is_geographic:
        raise fail(
            f"the coordinates are geographic ({crs.name}); project the grid first, to UTM for "
            "example"
        )
    return crs.to_wkt()


def _stated_crs(ds: xr.Dataset) -> Iterator[object]:
    """Every statement of a reference system, best first: text, or CF attributes."""
    for name in ("crs", "spatial_ref"):
        if name in ds.variables:
            attrs = ds[name].attrs
            texts = [attrs[key] for key in ("crs_wkt", "spatial_ref", "proj4") if key in attrs]
            yield from texts or [attrs]
    for key in ("pyproj_srs", "crs_wkt", "proj4", "crs"):
        if key in ds.attrs:
            yield ds.attrs[key]


def _geometry(
    ds: xr.Dataset, thickness: str | None, fail: Fail
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """(bed, thickness, mask, name of the thickness product); no ice outside the mask."""
    surface, bed = _field(ds, products.SURFACE, fail), _field(ds, products.BED, fail)
    if surface is None and bed is None:
        raise fail(
            f"no surface or bed: expected one of {', '.join(products.SURFACE + products.BED)}"
        )
    product = _thickness_product(ds, thickness, fail)
    # the surface is what was measured, so under a thickness that is chosen the bed follows
    spare = None
    if product is not None and surface is not None:
        spare, bed = bed, None
    for label, field in (("surface", surface), ("bed", bed)):
        if field is not None and not np.isfinite(field).all():
            raise fail(f"{label} is NaN {places(~np.isfinite(field))}: fill the DEM")
    if product is None:
        product, ice = "surface minus bed", _difference(surface, bed, fail)
    else:
        ice = _thickness(ds, product, fail)
    # masks come as 0 and 1 of any type
    outline = _field(ds, products.MASK, fail)
    mask = ice > 0 if outline is None else outline > 0.5
    ice = _inside(ice, mask, product, fail)
    if spare is not None and thickness is None:
        _compare(spare, surface - ice, mask, product, fail)
    return surface - ice if bed is None else bed, ice, mask, product


def _compare(bed: np.ndarray, used: np.ndarray, mask: np.ndarray, product: str, fail: Fail) -> None:
    """Warn where a bed that is in the file, too, is not the one that is used, m."""
    off = np.where(mask & np.isfinite(bed), np.abs(bed - used), 0.0)
    if off.max(initial=0.0) > 1.0:
        message = (
            f"the file's bed is not used: surface minus {product} differs from it by up to "
            f"{off.max():.0f} m, by more than 1 m in {int((off > 1.0).sum())} cells; leave out the "
            "one that is wrong"
        )
        warnings.warn(str(fail(message)), stacklevel=7)


def _thickness_product(ds: xr.Dataset, wanted: str | None, fail: Fail) -> str | None:
    """The product that is wanted, or the first one there is."""
    present = [p for p, names in products.THICKNESS.items() if _first(ds, names) is not None]
    if wanted is not None:
        product = wanted.strip().lower()
        if product not in present:
            available = ", ".join(sorted(present)) or "none"
            raise fail(f"no thickness '{wanted}'; available: {available}")
        return product
    if not present:
        return None
    product = present[0]
    if product not in ("consensus", "thickness"):
        variable = _first(ds, products.THICKNESS[product])
        message = f"no consensus thickness; using '{product}' ({variable})"
        warnings.warn(str(fail(message)), stacklevel=6)
    return product


def _thickness(ds: xr.Dataset, product: str, fail: Fail) -> np.ndarray:
    ice = _field(ds, products.THICKNESS[product], fail)
    assert ice is not None
    if (ice < 0).any():
        found = f"{int((ice < 0).sum())} cells (lowest {np.nanmin(ice):.4g} m)"
        raise fail(f"negative thickness in {found} of '{product}'")
    return ice


def _difference(surface: np.ndarray | None, bed: np.ndarray | None, fail: Fail) -> np.ndarray:
    """Thickness between a surface and a bed."""
    if surface is None or bed is None:
        known = ", ".join(name for names in products.THICKNESS.values() for name in names)
        raise fail(f"no ice thickness: expected one of {known}, or both surface and bed")
    ice = surface - bed
    # a centimetre is rounding of single precision
    if (ice < -0.01).any():
        found = f"{int((ice < -0.01).sum())} cells, up to {-ice.min():.4g} m"
        raise fail(f"the bed lies above the surface in {found}")
    return np.maximum(ice, 0.0)


def _inside(ice: np.ndarray, mask: np.ndarray, product: str, fail: Fail) -> np.ndarray:
    """Thickness, 0 outside the outline and, with a warning, where a product has gaps inside it."""
    gaps = ~np.isfinite(ice) & mask
    if gaps.any():
        message = (
            f"thickness '{product}' is missing in {int(gaps.sum())} of {int(mask.sum())} cells "
            "inside the outline"
        )
        # some cells at a margin are usual, most of a glacier is another glacier's product
        if gaps.sum() > 0.5 * mask.sum():
            raise fail(message + ": choose another product or fill the gaps")
        warnings.warn(str(fail(message + "; taken as free of ice")), stacklevel=6)
    return np.where(mask, np.nan_to_num(ice), 0.0)


def _field(ds: xr.Dataset, names: tuple[str, ...], fail: Fail) -> np.ndarray | None:
    """The first of these fields that a dataset has, (y, x)."""
    name = _first(ds, names)
    if name is None:
        return None
    array = ds[name]
    if set(array.dims) != {"y", "x"}:
        raise fail(f"{name} has dimensions {array.dims}, expected (y, x)")
    return np.array(array.transpose("y", "x").values, float)


def _first(ds: xr.Dataset, names: tuple[str, ...]) -> str | None:
    return next((n for n in names if n in ds.data_vars), None)


def _coarsened(glacier: Glacier, k: int) -> Glacier:
    """Block means: volume is kept, and so is the mean surface."""
    grid = glacier.grid
    surface, thickness = (
        block_mean(glacier.surface, k),
        block_mean(np.asarray(glacier.thickness), k),
    )
    ny, nx = thickness.shape
    # the centre of the first block lies between its cells
    shift = 0.5 * (k - 1)
    coarse = dataclasses.replace(
        glacier,
        grid=dataclasses.replace(
            grid,
            nx=nx,
            ny=ny,
            dx=grid.dx * k,
            dy=grid.dy * k,
            x0=grid.x0 + shift * grid.dx,
            y0=grid.y0 - shift * grid.dy,
        ),
        bed=surface - thickness,
        thickness=thickness,
        # a block of which half lies inside does
        mask=block_mean(glacier.mask, k) >= 0.5,
        observations=glacier.observations.coarsened(k),
    )
    areas = f"from {glacier.area / 1e6:.2f} to {coarse.area / 1e6:.2f} km2"
    notes = {**glacier.provenance, "coarsened": f"{areas} with at least 1 m of ice"}
    return dataclasses.replace(coarse, provenance=notes)


def _fingerprint(glacier: Glacier) -> str:
    """SHA-256 of all numbers that a run depends on."""
    arrays = [glacier.bed, glacier.thickness, glacier.mask]
    if glacier.climate is not None:
        arrays += [glacier.climate.temp, glacier.climate.precip, glacier.climate.gradient]
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
