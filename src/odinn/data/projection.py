"""The grid of a dataset: which way its rows run, how large its cells are, and where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from odinn.data.gate import as_numbers
from odinn.data.quantities import POSITION, SPACING
from odinn.data.units import converted
from odinn.errors import Fail
from odinn.grid import Grid

_STANDARD_NAMES: Final = {"x": "projection_x_coordinate", "y": "projection_y_coordinate"}
_GEOGRAPHIC: Final = ("lon", "lat", "longitude", "latitude")

# Attributes that state a reference system: of its variable by CF, GDAL, rioxarray; of a dataset
# by OGGM, salem, ITS_LIVE and older tools. Best first.
_STATEMENTS: Final = (
    *("crs_wkt", "spatial_ref", "pyproj_srs", "proj4", "proj4text", "proj4_string", "proj"),
    *("spatial_epsg", "epsg", "epsg_code", "srid", "srs", "crs", "projection"),
)


def oriented(ds: xr.Dataset, fail: Fail) -> tuple[xr.Dataset, Grid]:
    """The dataset with x eastward and row 0 in the north, and its grid."""
    ds = _with_axes(ds, fail)
    crs = reference_system(ds, fail)
    ds, x = _axis(ds, "x", fail)
    ds, y = _axis(ds, "y", fail)
    if x[0] > x[-1]:
        ds, x = ds.isel(x=slice(None, None, -1)), x[::-1]
    if y[0] < y[-1]:
        ds, y = ds.isel(y=slice(None, None, -1)), y[::-1]
    grid = Grid(
        nx=x.size,
        ny=y.size,
        dx=_spacing(x, ds["x"], fail),
        dy=_spacing(y, ds["y"], fail),
        x0=float(x[0]),
        y0=float(y[0]),
        crs=crs,
    )
    return ds, grid


def _with_axes(ds: xr.Dataset, fail: Fail) -> xr.Dataset:
    """The dataset with axes called x and y, which CF lets have any name."""
    for axis, standard_name in _STANDARD_NAMES.items():
        if axis in ds.coords:
            continue
        named = [c for c in ds.coords if ds[c].attrs.get("standard_name") == standard_name]
        if len(named) == 1:
            ds = ds.rename({named[0]: axis})
    if found := [name for name in _GEOGRAPHIC if name in ds.dims and ds.sizes[name] > 1]:
        raise fail(
            f"the grid has geographic coordinates ({', '.join(found)}); project it first, to UTM "
            "for example"
        )
    for axis in ("x", "y"):
        if axis not in ds.coords or ds[axis].ndim != 1:
            raise fail(
                f"no one-dimensional coordinate '{axis}'; expected projected x and y in metres"
            )
        if ds[axis].size < 4:
            raise fail(f"only {ds[axis].size} cells along {axis}; at least 4 are needed")
    return ds


def _axis(ds: xr.Dataset, axis: str, fail: Fail) -> tuple[xr.Dataset, np.ndarray]:
    """The dataset, and the coordinates of an axis in m."""
    values = as_numbers(ds[axis].values, axis, fail)
    values = converted(values, ds[axis].attrs.get("units"), POSITION, axis, fail)
    if not (np.abs(values) <= POSITION.largest).all():  # NaN neither
        wrong = values[~(np.abs(values) <= POSITION.largest)][0]
        raise fail(f"{axis} holds {wrong:g}; expected coordinates in m ({POSITION.range})")
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise fail(
            f"{axis} neither increases nor decreases throughout ({values.min():g} to "
            f"{values.max():g} m): correct the coordinates"
        )
    return ds, values


def _spacing(values: np.ndarray, stored: xr.DataArray, fail: Fail) -> float:
    """Size of the cells along an axis, m, positive."""
    name, steps = stored.name, np.abs(np.diff(values))
    # over the whole axis, where the rounding of single coordinates counts least
    spacing = float(abs(values[-1] - values[0]) / (values.size - 1))
    is_single = stored.dtype.kind == "f" and stored.dtype.itemsize < 8
    rounding = 2 * float(np.finfo(stored.dtype).eps) * np.abs(values).max() if is_single else 0.0
    if not np.allclose(steps, spacing, rtol=1e-3, atol=rounding):
        raise fail(
            f"{name} is not evenly spaced ({steps.min():g} to {steps.max():g} m); interpolate to a "
            "regular grid"
        )
    if not SPACING.smallest <= spacing <= SPACING.largest:
        raise fail(
            f"cells of {spacing:g} m along {name}; expected {SPACING.range}: state the unit of "
            f"{name} in its attribute units, or give it in metres"
        )
    # a mean of many steps carries round-off, which would make two programs of one grid
    return round(spacing, 9)


def reference_system(ds: xr.Dataset, fail: Fail) -> str:
    """The coordinate reference system that a dataset states, as WKT; projected, in metres."""
    import pyproj

    refused: list[str] = []
    for stated in _stated(ds):
        try:
            crs = _parsed(stated)
        except (pyproj.exceptions.CRSError, KeyError, TypeError, ValueError) as error:
            refused.append(f"{str(stated)[:80]!r} is not understood ({str(error)[:120]})")
            continue
        if crs.is_geographic:
            raise fail(
                f"the coordinates are geographic ({crs.name}); project the grid first, to UTM for "
                "example"
            )
        for axis in crs.axis_info:
            if axis.unit_conversion_factor != 1.0:
                raise fail(
                    f"the coordinate reference system {crs.name} counts in {axis.unit_name}: "
                    "project the grid to one in metres"
                )
        return crs.to_wkt()
    if refused:
        raise fail(f"the coordinate reference system {refused[0]}")
    raise fail(
        "no coordinate reference system: add a variable 'crs' with crs_wkt (ds.rio.write_crs "
        "does) or an attribute 'pyproj_srs'"
    )


def _parsed(stated: object) -> Any:
    """A statement as pyproj's CRS: text, a number of EPSG, or attributes by CF."""
    import pyproj

    if isinstance(stated, Mapping):
        return pyproj.CRS.from_cf(dict(stated))
    if isinstance(stated, str) and not stated.strip().isdigit():
        return pyproj.CRS.from_user_input(stated)
    return pyproj.CRS.from_epsg(int(np.asarray(stated).reshape(-1)[0]))


def _stated(ds: xr.Dataset) -> Iterator[object]:
    """Every statement of a reference system, best first."""
    for name in _mappings(ds):
        attrs = ds[name].attrs
        yield from (attrs[key] for key in _STATEMENTS if key in attrs)
        if "grid_mapping_name" in attrs:
            yield attrs
    yield from (ds.attrs[key] for key in _STATEMENTS if key in ds.attrs)


def _mappings(ds: xr.Dataset) -> list[str]:
    """Variables that hold a reference system: those that fields name, the usual ones, and what
    looks like one."""
    names = ["crs", "spatial_ref"]
    for array in ds.variables.values():
        said = array.attrs.get("grid_mapping", array.encoding.get("grid_mapping"))
        names += str(said or "").replace(":", " ").split()
    for name, array in ds.variables.items():
        if array.size == 1 and {"grid_mapping_name", "crs_wkt", "spatial_ref"} & set(array.attrs):
            names.append(str(name))
    return [name for name in dict.fromkeys(names) if name in ds.variables]
