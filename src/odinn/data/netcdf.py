"""Glaciers from an ``xarray.Dataset`` on a projected grid: the one place where fields become a
:class:`Glacier`.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from odinn.climate import Climate, climate_from_series
from odinn.constants import AREA_THRESHOLD
from odinn.data import products
from odinn.data.checks import check_arrays
from odinn.data.observations import read_observations
from odinn.data.units import converted
from odinn.errors import ClimateError, InputError, where
from odinn.glacier import Glacier
from odinn.grid import Grid, block_mean


def glacier_from_dataset(
    ds: xr.Dataset,
    *,
    rgi_id: str,
    name: str,
    climate: Climate | str | xr.Dataset | None,
    thickness: str | None,
    coarsen: int,
    provenance: Mapping[str, str],
    attributes: Mapping[str, Any] | None = None,
) -> Glacier:
    """Build a glacier from fields on (y, x). See :func:`odinn.open_glacier` for the arguments."""
    fail = lambda message: InputError(where(rgi_id, message))
    if not (isinstance(coarsen, int) and coarsen >= 1):
        raise fail(f"coarsen={coarsen!r}: expected a whole number of cells, at least 1")
    ds, grid = _oriented(ds, fail)
    surface, bed, ice, product = _geometry(ds, grid, thickness, fail)
    mask_name = _first(ds, products.MASK)
    mask = ice > 0 if mask_name is None else _field(ds[mask_name], grid, fail) > 0.5
    ice = _inside(ice, mask, product, fail)
    if bed is None:
        bed = surface - ice
    if not isinstance(climate, Climate):
        climate = climate_from_dataset(ds, climate, rgi_id)
    observations = read_observations(ds, grid, attributes or ds.attrs)
    notes = {
        **provenance,
        "thickness": product,
        "climate": "none" if climate is None else str(climate),
        "coarsen": str(coarsen),
    }
    if ds.attrs.get("comment"):
        notes["comment"] = str(ds.attrs["comment"])
    if coarsen > 1:
        before = _area(ice, grid)
        grid, bed, ice, mask, observations = _coarsened(grid, bed, ice, mask, observations, coarsen)
        notes["coarsened"] = (
            f"from {before:.2f} to {_area(ice, grid):.2f} km2 with at least 1 m of ice"
        )
    check_arrays(rgi_id, bed, ice)
    notes["input_sha256"] = _fingerprint(bed, ice, mask, climate)
    return Glacier(rgi_id, name, grid, bed, ice, mask, climate, observations, notes)


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
        raise InputError(
            f"{path}: cannot be read as NetCDF ({type(error).__name__}: "
            f"{str(error).splitlines()[0][:120]}); the file may be "
            "truncated or of another format: copy or download it again"
        ) from error


def climate_from_dataset(
    ds: xr.Dataset, wanted: str | xr.Dataset | None, rgi_id: str
) -> Climate | None:
    """The climate series of a file: variables ``temp_daily_w5e5``, ``prcp_monthly_era5`` and the
    like, or a dataset in OGGM's form. Without a name the first product present is taken; None if
    there is none."""
    if isinstance(wanted, xr.Dataset):
        return climate_from_oggm_form(wanted, rgi_id)
    present: dict[str, str] = {}
    for variable in ds.data_vars:
        if match := re.fullmatch(r"temp_(daily|monthly)_(\w+)", str(variable)):
            present.setdefault(match[2], match[1])
    if wanted is None:
        known = [p for p in products.CLIMATE if p in present] + [
            p for p in present if p not in products.CLIMATE
        ]
        if not known:
            return (
                climate_from_oggm_form(ds, rgi_id)
                if {"temp", "prcp", "time"} <= set(ds.variables)
                else None
            )
        wanted = known[0]
    product = products.climate_name(wanted)
    if product not in present:
        raise ClimateError(
            where(
                rgi_id,
                f"no climate '{wanted}' in the file; available: "
                f"{', '.join(sorted(present)) or 'none'}",
            )
        )
    suffix = f"_{present[product]}_{product}"
    temp = ds[f"temp{suffix}"]
    return climate_from_series(
        *_series(ds, suffix, rgi_id),
        float(temp.attrs.get("ref_hgt", np.nan)),
        name=product,
        rgi_id=rgi_id,
        source=str(temp.attrs.get("source", "")),
        clip_negative_precip=product in products.CLIP_NEGATIVE_PRECIP,
    )


def climate_from_oggm_form(ds: xr.Dataset, rgi_id: str, name: str | None = None) -> Climate:
    """A series with variables time, temp (°C), prcp (kg m⁻² per step) and optionally gradient (K
    m⁻¹), and an attribute ref_hgt (m), as OGGM writes it. Other units are converted where the
    attribute ``units`` names one that is understood."""
    if "temp" not in ds or "prcp" not in ds:
        raise ClimateError(
            where(
                rgi_id,
                f"climate dataset: found {', '.join(map(str, ds.data_vars))}; expected temp, "
                "prcp[, gradient]",
            )
        )
    source = str(ds.attrs.get("climate_source", ds.attrs.get("source", "")))
    product = products.climate_name(name or (source.split()[0] if source else "climate"))
    return climate_from_series(
        *_series(ds, "", rgi_id),
        float(ds.attrs.get("ref_hgt", ds["temp"].attrs.get("ref_hgt", np.nan))),
        name=product,
        rgi_id=rgi_id,
        source=source,
        clip_negative_precip=product in products.CLIP_NEGATIVE_PRECIP,
    )


def _times(series: xr.DataArray, rgi_id: str) -> np.ndarray:
    if series.ndim != 1:
        raise ClimateError(
            where(rgi_id, f"{series.name} has dimensions {series.dims}, expected one, time")
        )
    times = series[series.dims[0]].values
    if np.issubdtype(times.dtype, np.datetime64):
        return times
    try:
        return series.indexes[series.dims[0]].to_datetimeindex().values
    except (AttributeError, ValueError) as error:
        raise ClimateError(
            where(
                rgi_id,
                f"{series.name}: its time is {times.dtype}, expected dates of the standard "
                "calendar",
            )
        ) from error


def _series(
    ds: xr.Dataset, suffix: str, rgi_id: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """(time, temp, prcp, gradient or None) in °C, kg m⁻² per step and K m⁻¹."""
    if f"prcp{suffix}" not in ds:
        raise ClimateError(where(rgi_id, f"no variable 'prcp{suffix}' beside its temperature"))
    times = _times(ds[f"temp{suffix}"], rgi_id)

    def read(kind: str) -> np.ndarray:
        variable = ds[f"{kind}{suffix}"]
        if variable.ndim != 1:
            raise ClimateError(
                where(rgi_id, f"{variable.name} has dimensions {variable.dims}, expected one, time")
            )
        if variable.size != times.size:
            raise ClimateError(
                where(rgi_id, f"{variable.name} has {variable.size} values for {times.size} times")
            )
        return converted(
            variable.values, kind, variable.attrs.get("units"), times, rgi_id, str(variable.name)
        )

    return (
        times,
        read("temp"),
        read("prcp"),
        read("gradient") if f"gradient{suffix}" in ds else None,
    )


def _oriented(ds: xr.Dataset, fail: Callable) -> tuple[xr.Dataset, Grid]:
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
    spacing = {}
    for axis in ("x", "y"):
        steps = np.abs(np.diff(ds[axis].values.astype(float)))
        spacing[axis] = float(steps.mean())
        if not np.allclose(steps, spacing[axis], rtol=1e-3):
            raise fail(
                f"{axis} is not evenly spaced ({steps.min():g} to {steps.max():g} m); interpolate "
                "to a regular grid"
            )
    x0, y0 = float(ds["x"].values[0]), float(ds["y"].values[0])
    dx, dy = (round(spacing[a], 9) for a in ("x", "y"))
    return ds, Grid(ds["x"].size, ds["y"].size, dx, dy, x0, y0, crs)


def _crs(ds: xr.Dataset, fail: Callable) -> str:
    import pyproj

    candidates: list[Any] = []
    for name in ("crs", "spatial_ref"):
        if name in ds.variables:
            attrs = ds[name].attrs
            candidates += [attrs[k] for k in ("crs_wkt", "spatial_ref", "proj4") if k in attrs] or [
                attrs
            ]
    candidates += [ds.attrs[k] for k in ("pyproj_srs", "crs_wkt", "proj4", "crs") if k in ds.attrs]
    for candidate in candidates:
        try:
            is_cf = isinstance(candidate, Mapping)
            crs = (
                pyproj.CRS.from_cf(dict(candidate))
                if is_cf
                else pyproj.CRS.from_user_input(candidate)
            )
        except pyproj.exceptions.CRSError as error:
            raise fail(
                f"the coordinate reference system {str(candidate)[:80]!r} is not understood "
                f"({error})"
            ) from error
        if crs.is_geographic:
            raise fail(
                f"the coordinates are geographic ({crs.name}); project the grid first, to UTM for "
                "example"
            )
        return crs.to_wkt()
    raise fail(
        "no coordinate reference system: add a variable 'crs' with crs_wkt (ds.rio.write_crs "
        "does) or an attribute "
        "'pyproj_srs'"
    )


def _geometry(
    ds: xr.Dataset, grid: Grid, thickness: str | None, fail: Callable
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray, str]:
    """(surface, bed or None, thickness, name of its product)"""
    read = lambda name: None if name is None else _field(ds[name], grid, fail)
    surface, bed = read(_first(ds, products.SURFACE)), read(_first(ds, products.BED))
    for label, field in (("surface", surface), ("bed", bed)):
        if field is not None and not np.isfinite(field).all():
            bad = ~np.isfinite(field)
            row, column = np.argwhere(bad)[0]
            raise fail(
                f"{label} is NaN in {int(bad.sum())} cells (first at row {row}, column {column}): "
                "fill the DEM"
            )
    present = {
        p: v for p, names in products.THICKNESS.items() if (v := _first(ds, names)) is not None
    }
    if thickness is None and present:
        thickness = next(iter(present))
        if thickness not in ("consensus", "thickness"):
            warnings.warn(
                str(fail(f"no consensus thickness; using '{thickness}' ({present[thickness]})")),
                stacklevel=5,
            )
    if thickness is not None:
        wanted = thickness.strip().lower()
        if wanted not in present:
            raise fail(
                f"no thickness '{thickness}'; available: {', '.join(sorted(present)) or 'none'}"
            )
        ice = read(present[wanted])
        assert ice is not None
        if surface is None and bed is None:
            raise fail(
                f"no surface or bed: expected one of {', '.join(products.SURFACE + products.BED)}"
            )
        if (ice < 0).any():
            raise fail(
                f"negative thickness in {int((ice < 0).sum())} cells (lowest {np.nanmin(ice):.4g} "
                f"m) of '{wanted}'"
            )
        return surface, bed if surface is None else None, ice, wanted
    if surface is not None and bed is not None:
        ice = surface - bed
        if (ice < -0.01).any():
            raise fail(
                f"the bed lies above the surface in {int((ice < -0.01).sum())} cells, up to "
                f"{-ice.min():.4g} m"
            )
        return surface, bed, np.maximum(ice, 0.0), "surface minus bed"
    if surface is None and bed is None:
        raise fail(
            f"no surface or bed: expected one of {', '.join(products.SURFACE + products.BED)}"
        )
    names = [n for names in products.THICKNESS.values() for n in names]
    raise fail(f"no ice thickness: expected one of {', '.join(names)}, or both surface and bed")


def _inside(ice: np.ndarray, mask: np.ndarray, product: str, fail: Callable) -> np.ndarray:
    """Thickness, 0 outside the outline and, with a warning, where a product has gaps inside it."""
    gaps = ~np.isfinite(ice) & mask
    if gaps.any():
        message = f"thickness '{product}' is missing in {int(gaps.sum())} of {int(mask.sum())} cells inside the outline"
        if gaps.sum() > 0.5 * mask.sum():
            raise fail(message + ": choose another product or fill the gaps")
        warnings.warn(str(fail(message + "; taken as free of ice")), stacklevel=5)
    return np.where(mask, np.nan_to_num(ice), 0.0)


def _field(array: xr.DataArray, grid: Grid, fail: Callable) -> np.ndarray:
    if set(array.dims) != {"y", "x"}:
        raise fail(f"{array.name} has dimensions {array.dims}, expected (y, x)")
    return np.array(array.transpose("y", "x").values, float)


def _first(ds: xr.Dataset, names: tuple[str, ...]) -> str | None:
    return next((n for n in names if n in ds.data_vars), None)


def _coarsened(grid: Grid, bed: Any, ice: Any, mask: Any, observations: Any, k: int) -> tuple:
    """Block means: volume is kept, and so is the mean surface."""
    surface = block_mean(bed + ice, k)
    thickness = block_mean(ice, k)
    ny, nx = thickness.shape
    shift = 0.5 * (k - 1)
    coarse = Grid(
        nx,
        ny,
        grid.dx * k,
        grid.dy * k,
        grid.x0 + shift * grid.dx,
        grid.y0 - shift * grid.dy,
        grid.crs,
    )
    return (
        coarse,
        surface - thickness,
        thickness,
        block_mean(mask, k) >= 0.5,
        observations.coarsened(k),
    )


def _area(ice: np.ndarray, grid: Grid) -> float:
    """km² with at least 1 m of ice."""
    return float((ice >= AREA_THRESHOLD).sum()) * grid.cell_area / 1e6


def _fingerprint(
    bed: np.ndarray, ice: np.ndarray, mask: np.ndarray, climate: Climate | None
) -> str:
    digest = hashlib.sha256()
    for array in (
        bed,
        ice,
        mask,
        *(() if climate is None else (climate.temp, climate.precip, climate.gradient)),
    ):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
