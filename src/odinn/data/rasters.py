"""Maps of one quantity from GeoTIFFs and DataArrays, brought to a grid."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr
from jaxtyping import Float

from odinn.atomic import path_of
from odinn.data.outlines import crs_of
from odinn.errors import InputError
from odinn.grid import Grid

Fail = Callable[[str], InputError]

METRES: Final = ("m", "metre", "metres", "meter", "meters", "m a.s.l.", "1", "")
_MARGIN: Final = 3  # cells around the grid, from which values are interpolated


def on_grid(
    source: Any, grid: Grid, what: str, crs: Any = None, range_: tuple[float, float] = (0.0, 0.0)
) -> Float[np.ndarray, "ny nx"]:
    """A map in m on a grid, NaN where there is none: averaged where its cells are the smaller
    ones, interpolated linearly where they are not.

    Args:
        source: path of a GeoTIFF or of what else GDAL reads, or a DataArray with ``rio.crs``.
        what: it is, for errors. crs: of a source that states none. range_: m, of its values.

    Raises:
        InputError: unreadable, several bands, no reference system, another unit, values that
            cannot be, or none of it on the grid.
    """
    import rasterio.warp
    from rasterio.transform import from_origin

    def fail(message: str) -> InputError:
        label = Path(source).name if isinstance(source, str | Path) else what
        return InputError(f"{label}: {message}")

    west, north = grid.x0 - 0.5 * grid.dx, grid.y0 + 0.5 * grid.dy
    east, south = west + grid.nx * grid.dx, north - grid.ny * grid.dy
    edge = _MARGIN * grid.dx
    bounds = west - edge, south - edge, east + edge, north + edge
    part = _cut_out(_opened(source, what, crs, fail), bounds, grid, what, fail)
    _check(part.values, range_, fail)
    height, width = part.shape
    native = rasterio.warp.calculate_default_transform(
        part.rio.crs, grid.crs, width, height, *part.rio.bounds()
    )[0].a
    resampling = "average" if native < 0.75 * grid.dx else "bilinear"
    resampled, _ = rasterio.warp.reproject(
        part.values,
        np.full(grid.shape, np.nan),
        src_transform=part.rio.transform(),
        src_crs=part.rio.crs,
        src_nodata=np.nan,
        dst_transform=from_origin(west, north, grid.dx, grid.dy),
        dst_crs=grid.crs,
        dst_nodata=np.nan,
        resampling=rasterio.warp.Resampling[resampling],
    )
    return np.asarray(resampled)


def _opened(source: Any, what: str, crs: Any, fail: Fail) -> xr.DataArray:
    """The map as a DataArray of two dimensions with its reference system, in m."""
    import rasterio.errors
    import rioxarray

    if isinstance(source, str | Path):
        path = path_of(source)
        if not path.exists():
            raise fail(f"no such file; expected the {what} as a GeoTIFF")
        try:
            source = rioxarray.open_rasterio(path, mask_and_scale=True)
        except (rasterio.errors.RasterioIOError, ValueError, OSError) as error:
            reason = str(error).splitlines()[0][:120]
            raise fail(f"cannot be read as a map ({reason}); expected a GeoTIFF") from error
    if not isinstance(source, xr.DataArray):
        raise fail(f"found {type(source).__name__}; expected a path or a DataArray with rio.crs")
    array = source.squeeze(drop=False)
    if array.ndim != 2:
        raise fail(f"has dimensions {dict(source.sizes)}, expected one band of y and x: choose one")
    unit = str(array.attrs.get("units", "m"))
    if unit.strip().lower() not in METRES:
        raise fail(f"its unit is {unit!r}, expected m")
    try:
        stated, _ = array.rio.crs, array.rio.x_dim
        # a value that marks gaps is a value until somebody says so
        if array.rio.nodata is not None and np.isfinite(array.rio.nodata):
            array = array.where(array != array.rio.nodata)
    except rioxarray.exceptions.RioXarrayError as error:
        raise fail(f"{str(error).splitlines()[0]}: expected coordinates x and y") from error
    if stated is None and crs is None:
        raise fail("no coordinate reference system: say which with crs=, such as 'EPSG:32632'")
    system = stated if stated is not None else crs_of(crs, fail).to_wkt()
    return array.rio.write_crs(system)


def _cut_out(
    array: xr.DataArray,
    bounds: tuple[float, float, float, float],
    grid: Grid,
    what: str,
    fail: Fail,
) -> xr.DataArray:
    """The part of a map within bounds of the grid's system, in memory."""
    import rasterio.errors
    import rioxarray

    try:
        part = array.rio.clip_box(*bounds, crs=grid.crs).load().astype(float)
    except rioxarray.exceptions.RioXarrayError as error:
        extent = ", ".join(f"{edge:.6g}" for edge in array.rio.bounds())
        raise fail(
            f"the {what} does not reach the outline: it covers {extent} (west, south, east, north) "
            f"in {array.rio.crs.to_string()[:40]}"
        ) from error
    except (rasterio.errors.RasterioError, ValueError, OSError) as error:
        raise fail(f"its values cannot be read: the file may be damaged ({what})") from error
    return part.rio.write_nodata(np.nan)


def _check(values: np.ndarray, range_: tuple[float, float], fail: Fail) -> None:
    """Raise where a value cannot be: before resampling spreads it."""
    low, high = range_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = (values < low) | (values > high)
    if wrong.any():
        raise fail(
            f"{int(wrong.sum())} values are beyond {low:g} to {high:g} m, such as "
            f"{values[wrong][0]:g}: if they mark gaps, declare them as nodata"
        )
