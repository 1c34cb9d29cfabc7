"""Data at points: radar soundings, stakes, tracks; and how a field on cells is read there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from odinn.data.gate import in_rows
from odinn.data.quantities import OBSERVED, POSITION, Quantity
from odinn.dates import decimal_year
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier, PointThickness
from odinn.grid import Array

_TIMES: Final = ("date", "start", "end")
_VALUES: Final = ("value", "thickness", "speed", "vx", "vy", "elevation_change")
_BY_COLUMN: Final = {**OBSERVED, "x": POSITION, "y": POSITION}
_COLUMNS: Final[tuple[str, ...]] = ("x", "y", *_TIMES, "error", *_VALUES)


class Points(eqx.Module):
    """Columns of a table of points, each (N,): x, y (m, in the grid's projection), values, and what
    there is of ``date``, or ``start`` and ``end``, (decimal years) and ``error``."""

    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.columns["x"])

    def times(self) -> list[tuple[float, ...]] | None:
        """(date,) or (start, end) of each point, or None without such columns."""
        if "date" in self.columns:
            return [(float(t),) for t in self.columns["date"]]
        if "start" in self.columns and "end" in self.columns:
            starts, ends = self.columns["start"].tolist(), self.columns["end"].tolist()
            return list(zip(starts, ends, strict=True))
        return None

    def values(self, names: Sequence[str]) -> np.ndarray:
        """(N, names); a single value may also stand in a column ``value``."""
        found = ["value"] if len(names) == 1 and names[0] not in self.columns else list(names)
        missing = [name for name in found if name not in self.columns]
        if missing:
            wanted = " or ".join(dict.fromkeys((names[0], missing[0])))
            raise InputError(f"points: no column {wanted}; found {', '.join(self.columns)}")
        for name, quantity in zip(found, names, strict=True):
            _check_rows(self.columns[name], OBSERVED.get(quantity), name)
        return np.stack([self.columns[name] for name in found], axis=1)


PointsGiven = Points | dict[str, Points] | str | None


def as_points(table: object) -> PointsGiven:
    """Points of a table (a mapping of columns, a DataFrame, an xarray.Dataset), or {rgi_id: Points}
    of {rgi_id: table}.

    None and "observed" (the glacier's own) pass through.
    """
    if table is None:
        return None
    if isinstance(table, str) and table == "observed":
        return table
    if isinstance(table, Mapping) and _is_by_glacier(table):
        return {str(rgi_id): points_of(own) for rgi_id, own in table.items()}
    return points_of(table)


def points_of(table: Any) -> Points:
    """Points of one table."""
    if isinstance(table, Points):
        return table
    if isinstance(table, PointThickness):
        return points_of({"x": table.x, "y": table.y, "thickness": table.thickness})
    if not _is_table(table):
        raise InputError(
            f"points: found {type(table).__name__}, expected a table with columns x, y and a value"
        )
    names = _names(table)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"points: column {', '.join(twice)} appears twice: remove or rename one")
    if not _has_position(table):
        raise InputError(
            "points: columns x and y (m, in the grid's projection) are missing; found "
            f"{', '.join(names) or 'none'}. "
            "pyproj.Transformer.from_crs('EPSG:4326', glacier.grid.crs, always_xy=True) makes "
            "them of longitude, latitude"
        )
    columns = {name: _column(name, table[name]) for name in _COLUMNS if name in names}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) != 1 or not len(columns["x"]):
        raise InputError(f"points: columns of lengths {lengths}, expected one length > 0")
    for name, column in columns.items():
        _check_rows(column, _BY_COLUMN.get(name), name)
    return Points(columns)


def _check_rows(column: np.ndarray, quantity: Quantity | None, name: str) -> None:
    """Raise for values that cannot be, with their rows; those of no known quantity have to be
    finite."""
    low, high = (-np.inf, np.inf) if quantity is None else (quantity.smallest, quantity.largest)
    wrong = ~np.isfinite(column) | (column < low) | (column > high)
    if name == "error":
        wrong |= column <= 0
    if wrong.any():
        expected = "a finite number" if quantity is None else quantity.range
        expected = "an error above 0" if name == "error" else expected
        raise InputError(
            f"points: column {name} is {column[wrong][0]:g} {in_rows(wrong)} of {len(column)}; "
            f"expected {expected}: leave those points out"
        )


def corners_of(points: Points, glacier: Glacier) -> tuple[np.ndarray, np.ndarray]:
    """Bilinear interpolation from cell centres: flat indices of the four cells around each point,
    (N, 4), and shares, (N, 4).
    """
    grid = glacier.grid
    column = (points.columns["x"] - grid.x0) / grid.dx
    # row 0 is in the north, the index is that of cell centres
    row = (grid.y0 - points.columns["y"]) / grid.dy
    outside = (column < 0) | (column > grid.nx - 1) | (row < 0) | (row > grid.ny - 1)
    if outside.any():
        extent = f"x {grid.x[0]:.0f} to {grid.x[-1]:.0f} m, y {grid.y[-1]:.0f} to {grid.y[0]:.0f} m"
        message = (
            f"{int(outside.sum())} of {len(points)} points lie outside the grid ({extent}): leave "
            "them out, or check their projection"
        )
        raise InputError(of_glacier(glacier.rgi_id, message))
    # a point on the last row or column has its cells before it
    west = np.minimum(column.astype(int), grid.nx - 2)
    north = np.minimum(row.astype(int), grid.ny - 2)
    east, south = column - west, row - north
    cells = north * grid.nx + west
    shares = np.stack(
        [(1 - south) * (1 - east), (1 - south) * east, south * (1 - east), south * east], axis=1
    )
    return (cells[:, None] + np.array([0, 1, grid.nx, grid.nx + 1])).astype(np.int32), shares


def only_inside(cells: np.ndarray, shares: np.ndarray, glacier: Glacier) -> np.ndarray:
    """Shares of cells inside the outline, adding up to 1: for what ice-free cells do not have, such
    as a velocity.
    """
    # a mean with ice-free cells would be too slow at the margin
    inside = np.where(np.asarray(glacier.mask).ravel()[cells], shares, 0.0)
    total = inside.sum(axis=1)
    if (total <= 0).any():
        message = (
            f"{int((total <= 0).sum())} of {len(total)} points have no cell of the glacier beside "
            "them, and so no velocity: leave them out, or check their projection"
        )
        raise InputError(of_glacier(glacier.rgi_id, message))
    return inside / total[:, None]


def at_points(fields: Array, row: Array, cells: Array, shares: Array) -> Array:
    """Fields (K, c, ny, nx) at points (N,), each in its own row k: (N, c)."""
    flat = jnp.reshape(fields, (*fields.shape[:2], -1))
    return jnp.sum(flat[row[:, None], :, cells] * shares[:, :, None], axis=1)


def _is_by_glacier(tables: Mapping) -> bool:
    if not tables or _has_position(tables):
        return False
    return all(_is_table(own) for own in tables.values())


def _is_table(value: object) -> bool:
    return hasattr(value, "keys") or isinstance(value, Points | PointThickness)


def _names(table: Any) -> list[str]:
    # of a Dataset x and y may be coordinates
    return [str(name) for name in (*table.keys(), *getattr(table, "coords", ()))]


def _has_position(table: Any) -> bool:
    return {"x", "y"} <= set(_names(table))


def _column(name: str, values: object) -> np.ndarray:
    column = np.ravel(np.asarray(values))
    if name in _TIMES and column.dtype.kind not in "fiu":
        return np.array([decimal_year(t) for t in column], float)
    try:
        return column.astype(float)
    except (TypeError, ValueError) as error:
        raise InputError(f"points: column {name} does not hold numbers ({error})") from error
