"""``glacier_from``: an outline and an elevation model, made into a glacier."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from odinn.climate import Climate
from odinn.data.netcdf import glacier_from_dataset
from odinn.data.outlines import Outline, read_outline
from odinn.data.rasters import on_grid
from odinn.data.series import is_series, open_climate
from odinn.data.slab import SOURCE, slab_thickness
from odinn.errors import InputError, of_glacier, positive, whole
from odinn.glacier import Glacier
from odinn.grid import Grid

if TYPE_CHECKING:
    import shapely

HEIGHTS: Final = (-500.0, 9000.0)  # m, that a surface may have
THICKNESSES: Final = (0.0, 5000.0)  # m
FINEST, COARSEST = 10.0, 200.0  # m, cells of the rule
_NEAR: Final = 2  # cells around the outline in which the elevation has to be known
_MOST_CELLS: Final = 4_000_000


def glacier_from(
    outline: Any,
    dem: str | Path | xr.DataArray,
    thickness: str | Path | xr.DataArray | np.ndarray | float | None = None,
    dx: float | None = None,
    *,
    climate: str | Path | xr.Dataset | Climate | None = None,
    rgi_id: str | None = None,
    name: str | None = None,
    crs: Any = None,
    border: int = 10,
) -> Glacier:
    """Make a glacier of an outline and a digital elevation model.

    The grid is OGGM's (Maussion et al. 2019): a transverse Mercator projection about the glacier,
    cells of 14 √(area in km²) + 10 m, within 10 to 200 m. A cell is inside where its centre is;
    holes of the outline stay outside.

    Args:
        outline: a GeoPackage, shapefile or GeoJSON file; WKT or GeoJSON as text; a mapping in
            GeoJSON's form; a geometry of shapely; a geodataframe or geoseries.
        dem: surface altitude, m: a GeoTIFF, or a DataArray with ``rio.crs``, in any projection. It
            has to be known inside the outline and two cells around; gaps farther away are filled
            with the nearest value.
        thickness: m: a GeoTIFF or DataArray, an array (ny, nx) on the glacier's grid, or a number;
            None takes the estimate of a slab (Haeberli & Hoelzle 1995), right to a third at best.
        dx: cells, m, in place of the rule.
        climate: as for :func:`odinn.open_glacier`: a series in a file, a Dataset or a
            :class:`Climate`.
        rgi_id: the glacier's id; it chooses among the outlines of a file. Default: what the
            outline's properties say, else "glacier". name: for people, default the same.
        crs: of an outline or elevation model that states none, such as "EPSG:32632".
        border: cells around the outline.

    Returns:
        The glacier, checked as :func:`odinn.open_glacier` does; ``provenance`` says what was made
        of what.

    Raises:
        InputError: no reference system, an outline that is empty, crosses itself or lies outside
            the elevation model, gaps in it, or values that cannot be.
    """
    if dx is not None:
        positive("dx", dx, "size of cells, m", of="glacier_from")
    whole("border", border, 1, of="glacier_from")
    found = read_outline(outline, rgi_id=rgi_id, crs=crs)
    rgi_id = str(rgi_id or found.rgi_id or "glacier")
    polygon, system = _projected(found)
    grid = _grid_around(polygon, system, dx, border, rgi_id)
    mask = _rasterised(polygon, grid, rgi_id)
    raw = on_grid(dem, grid, "elevation model", crs, HEIGHTS)
    surface, filled = _without_gaps(raw, mask, rgi_id)
    ice, product = _thickness(thickness, surface, mask, grid, crs, rgi_id)
    notes = {
        "source": f"{_label(outline)}, {_label(dem)}",
        "format": "outline and elevation model",
        "cells": f"{grid.dx:g} m" + (" (OGGM's rule)" if dx is None else ""),
    }
    if filled:
        notes["elevation_filled"] = f"{filled} cells away from the outline, nearest value"
    glacier = glacier_from_dataset(
        _dataset(grid, surface, ice, mask),
        rgi_id=rgi_id,
        name=found.name if name is None else name,
        climate=open_climate(climate) if is_series(climate) else climate,  # type: ignore[arg-type]
        thickness=None,
        coarsen=1,
        provenance=notes,
    )
    return dataclasses.replace(glacier, provenance=glacier.provenance | product)


def _label(source: Any) -> str:
    """A file's name, else what kind of thing it is."""
    if isinstance(source, Path) or (isinstance(source, str) and len(source) < 4096):
        name = Path(source).name
        return name if Path(name).suffix else "text"
    return type(source).__name__


def _projected(outline: Outline) -> tuple[shapely.Geometry, str]:
    """The outline in a transverse Mercator projection about it, and that, as WKT."""
    import pyproj
    import shapely

    to_degrees = pyproj.Transformer.from_crs(outline.crs, "EPSG:4326", always_xy=True)
    centre = outline.polygon.centroid
    # to 10 m, so that round-off of formats does not make another projection
    longitude = round(to_degrees.transform(centre.x, centre.y)[0], 4)
    if not math.isfinite(longitude):
        raise InputError("the outline cannot be projected: are its coordinates those of its crs?")
    local = pyproj.CRS.from_proj4(
        f"+proj=tmerc +lat_0=0 +lon_0={longitude} +k=0.9996 +x_0=0 +y_0=0 +datum=WGS84 +units=m"
    )
    there = pyproj.Transformer.from_crs(outline.crs, local, always_xy=True)
    polygon = shapely.transform(
        outline.polygon, lambda points: np.column_stack(there.transform(*points.T))
    )
    return polygon, local.to_wkt()


def _grid_around(
    polygon: shapely.Geometry, crs: str, dx: float | None, border: int, rgi_id: str
) -> Grid:
    """The grid whose cells are whole multiples of their size from the origin of the projection."""
    if not np.isfinite(polygon.bounds).all():
        raise InputError(
            of_glacier(
                rgi_id, "the outline cannot be projected: are its coordinates those of its crs?"
            )
        )
    if dx is None:
        dx = float(np.clip(np.rint(14 * np.sqrt(polygon.area / 1e6) + 10), FINEST, COARSEST))
    dx = float(dx)
    west, south, east, north = (edge / dx for edge in polygon.bounds)
    # a millionth of a cell is round-off of the projection
    first_x, last_x = math.floor(west + 1e-6) - border, math.ceil(east - 1e-6) + border
    first_y, last_y = math.floor(south + 1e-6) - border, math.ceil(north - 1e-6) + border
    nx, ny = last_x - first_x, last_y - first_y
    if nx * ny > _MOST_CELLS:
        raise InputError(
            of_glacier(rgi_id, f"dx={dx:g} makes a grid of {nx} x {ny} cells: choose a larger dx")
        )
    return Grid(nx, ny, dx, dx, (first_x + 0.5) * dx, (last_y - 0.5) * dx, crs)


def _rasterised(polygon: shapely.Geometry, grid: Grid, rgi_id: str) -> Bool[np.ndarray, "ny nx"]:
    """True in cells whose centre lies inside."""
    import rasterio.features
    from rasterio.transform import from_origin

    corner = grid.x0 - 0.5 * grid.dx, grid.y0 + 0.5 * grid.dy
    transform = from_origin(*corner, grid.dx, grid.dy)
    mask = rasterio.features.rasterize([polygon], grid.shape, transform=transform).astype(bool)
    if not mask.any():
        raise InputError(
            of_glacier(
                rgi_id,
                f"the outline of {polygon.area / 1e6:.3g} km2 holds no centre of a cell of "
                f"{grid.dx:g} m: choose a smaller dx",
            )
        )
    return mask


def _without_gaps(
    surface: Float[np.ndarray, "ny nx"], mask: Bool[np.ndarray, "ny nx"], rgi_id: str
) -> tuple[Float[np.ndarray, "ny nx"], int]:
    """The surface with gaps away from the outline filled, and how many there were."""
    # here, since it takes longer to load than all of odinn
    from scipy import ndimage

    gaps = ~np.isfinite(surface)
    if gaps[mask].all():
        raise InputError(of_glacier(rgi_id, "the elevation model does not cover the outline"))
    near = ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=_NEAR)
    for where, place in ((mask, "inside the outline"), (near, f"within {_NEAR} cells of it")):
        if (gaps & where).any():
            count, of = int((gaps & where).sum()), int(where.sum())
            row, column = np.argwhere(gaps & where)[0]
            raise InputError(
                of_glacier(
                    rgi_id,
                    f"the elevation model has gaps in {count} of {of} cells {place} (first at row "
                    f"{row}, column {column}): fill them, or choose another one",
                )
            )
    nearest = ndimage.distance_transform_edt(gaps, return_distances=False, return_indices=True)
    return surface[tuple(nearest)], int(gaps.sum())


def _thickness(
    given: Any,
    surface: Float[np.ndarray, "ny nx"],
    mask: Bool[np.ndarray, "ny nx"],
    grid: Grid,
    crs: Any,
    rgi_id: str,
) -> tuple[Float[np.ndarray, "ny nx"], dict[str, str]]:
    """Thickness, m, NaN where it is not known, and what the provenance says of it."""
    if given is None:
        notes = {"thickness": "slab", "thickness_source": SOURCE}
        return slab_thickness(surface, mask, grid.dx, grid.dy), notes
    if isinstance(given, str | Path | xr.DataArray):
        ice = on_grid(given, grid, "thickness", crs, THICKNESSES)
        return ice, {"thickness": "given", "thickness_source": _label(given)}
    try:
        field = np.asarray(given, float)
    except (TypeError, ValueError) as error:
        raise InputError(
            of_glacier(rgi_id, f"thickness: found {type(given).__name__}; expected a map or number")
        ) from error
    if field.shape not in ((), grid.shape):
        raise InputError(
            of_glacier(
                rgi_id,
                f"thickness has shape {field.shape}, expected {grid.shape} (ny, nx), which is the "
                "glacier's grid",
            )
        )
    low, high = THICKNESSES
    wrong = mask & ~((field >= low) & (field <= high))
    if wrong.any():
        value = np.broadcast_to(field, grid.shape)[wrong][0]
        raise InputError(
            of_glacier(
                rgi_id,
                f"thickness is {value:g} in {int(wrong.sum())} cells inside the outline, expected "
                f"{low:g} to {high:g} m",
            )
        )
    return np.where(mask, field, 0.0), {"thickness": "given"}


def _dataset(
    grid: Grid, surface: np.ndarray, ice: np.ndarray, mask: Bool[np.ndarray, "ny nx"]
) -> xr.Dataset:
    """The fields as a file would hold them."""
    fields = {"surface": surface, "thickness": ice}
    return xr.Dataset(
        {key: (("y", "x"), field, {"units": "m"}) for key, field in fields.items()}
        | {
            "glacier_mask": (("y", "x"), mask.astype(np.int8)),
            "crs": ((), 0, {"crs_wkt": grid.crs}),
        },
        {"x": ("x", grid.x, {"units": "m"}), "y": ("y", grid.y, {"units": "m"})},
    )
