"""Inputs of laws from the shape of bed and surface: slope, aspect, roughness.

Windows are lengths in metres. ``field`` gives values on cells (ny, nx), of the glacier's initial
surface or bed.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Float

from odinn.errors import InputError
from odinn.glacier import geometry
from odinn.grid import Grid
from odinn.physics.laws.input_base import Fixed, Range, as_range

Field = Float[np.ndarray, "ny nx"]


class TopographicSlope(Fixed):
    """Inclination of the smoothed surface, degrees: atan |∇S|.

    Args:
        window: side of the square over which the surface is averaged first, m; an odd number of
            cells, at least one.

    Differences are centred, one-sided at the edges of the grid. See :class:`SurfaceSlope` for the
    slope that follows the ice.
    """

    window: float = eqx.field(static=True, default=200.0)
    range: Range = eqx.field(default=None, converter=as_range)
    label: ClassVar[str] = "topographic slope"
    unit: ClassVar[str] = "°"

    def __check_init__(self) -> None:
        _check_window(self)

    def field(self, glacier: Any) -> np.ndarray:
        """See :class:`AbstractInput`."""
        return np.rad2deg(np.arctan(np.hypot(*surface_gradient(glacier, self.window))))


class TopographicAspect(Fixed):
    """Direction in which the smoothed surface falls, degrees, in [0, 360).

    Args:
        window: as for :class:`TopographicSlope`.
        compass: False counts counterclockwise from the grid's east (90 is north), True clockwise
            from its north (90 is east).

    An angle jumps where it comes full circle, so a law of it does, too: for a law that is to be
    learned take :class:`Northness` and :class:`Eastness`. Means over the cells around a corner are
    those of directions. On level ground the angle is that of atan2(0, 0), which has no meaning.
    """

    window: float = eqx.field(static=True, default=200.0)
    compass: bool = eqx.field(static=True, default=False)
    range: Range = eqx.field(default=(0.0, 360.0), converter=as_range)
    label: ClassVar[str] = "aspect"
    unit: ClassVar[str] = "°"
    angle: ClassVar[bool] = True

    def __check_init__(self) -> None:
        _check_window(self)

    def field(self, glacier: Any) -> np.ndarray:
        """See :class:`AbstractInput`."""
        gx, gy = surface_gradient(glacier, self.window)
        turn = np.arctan2(-gx, -gy) if self.compass else np.arctan2(-gy, -gx)
        degrees = np.rad2deg(turn) % 360.0
        return np.where(degrees < 360.0, degrees, 0.0)  # the remainder of −1e-20 is rounded to 360


class Northness(Fixed):
    """How far the smoothed surface faces the grid's north: 1 north, 0 east or west, −1 south; 0 on
    level ground.

    Args:
        window: as for :class:`TopographicSlope`.
    """

    window: float = eqx.field(static=True, default=200.0)
    range: Range = eqx.field(default=(-1.0, 1.0), converter=as_range)
    label: ClassVar[str] = "northness"
    unit: ClassVar[str] = "1"

    def __check_init__(self) -> None:
        _check_window(self)

    def field(self, glacier: Any) -> np.ndarray:
        """See :class:`AbstractInput`."""
        return -_direction(*surface_gradient(glacier, self.window))[1]


class Eastness(Fixed):
    """How far the smoothed surface faces the grid's east: 1 east, 0 north or south, −1 west; 0 on
    level ground.

    Args:
        window: as for :class:`TopographicSlope`.
    """

    window: float = eqx.field(static=True, default=200.0)
    range: Range = eqx.field(default=(-1.0, 1.0), converter=as_range)
    label: ClassVar[str] = "eastness"
    unit: ClassVar[str] = "1"

    def __check_init__(self) -> None:
        _check_window(self)

    def field(self, glacier: Any) -> np.ndarray:
        """See :class:`AbstractInput`."""
        return -_direction(*surface_gradient(glacier, self.window))[0]


class TopographicRoughness(Fixed):
    """Curvature of bed or surface along and across the slope, m⁻¹ (ODINN's topographic roughness).

    Args:
        window: side of the block around each cell, m: max(1, max(4, round(window/dx)) // 2) cells
            to each side, cut at the edges of the grid.
        curvature: "scalar" is the curvature of the block's mean Hessian in the direction of its
            mean gradient: negative on ridges, and not a spread. "variability" is the sample
            standard deviation, over the cells within the block, of the curvature in the direction
            of the gradient at its cell.
        direction: "flow" (along the gradient), "cross_flow" (across) or "both" (root of the sum of
            their squares).
        position: "bed" or "surface".
    """

    window: float = eqx.field(static=True, default=200.0)
    curvature: Literal["scalar", "variability"] = eqx.field(static=True, default="scalar")
    direction: Literal["flow", "cross_flow", "both"] = eqx.field(static=True, default="flow")
    position: Literal["bed", "surface"] = eqx.field(static=True, default="bed")
    range: Range = eqx.field(default=None, converter=as_range)
    label: ClassVar[str] = "topographic roughness"
    unit: ClassVar[str] = "m⁻¹"

    def __check_init__(self) -> None:
        _check_window(self)
        for name, known in (
            ("curvature", ("scalar", "variability")),
            ("direction", ("flow", "cross_flow", "both")),
            ("position", ("bed", "surface")),
        ):
            if getattr(self, name) not in known:
                raise InputError(
                    f"TopographicRoughness({name}={getattr(self, name)!r}): expected "
                    f"{' or '.join(map(repr, known))}"
                )

    def field(self, glacier: Any) -> np.ndarray:
        """See :class:`AbstractInput`."""
        bed, thickness = (np.asarray(f) for f in geometry(glacier))
        height = bed if self.position == "bed" else bed + thickness
        of = _mean_curvature if self.curvature == "scalar" else _spread_of_curvature
        along, across = of(height, glacier.grid, self.window)
        return {"flow": along, "cross_flow": across, "both": np.hypot(along, across)}[
            self.direction
        ]


def surface_gradient(glacier: Any, window: float) -> tuple[Field, Field]:
    """Gradient (along x, along y) on cells of the surface averaged over a window (m).

    Beyond its edges the grid is continued by reflection through the edge cell, which leaves a plane
    a plane.
    """
    from scipy.ndimage import uniform_filter

    grid = glacier.grid
    size = [2 * (max(1, round(window / d)) // 2) + 1 for d in (grid.dy, grid.dx)]
    wide = np.pad(
        np.asarray(glacier.surface),
        [(n // 2, n // 2) for n in size],
        mode="reflect",
        reflect_type="odd",
    )
    rows, columns = (
        slice(n // 2, n // 2 + cells) for n, cells in zip(size, grid.shape, strict=True)
    )
    smooth = uniform_filter(wide, size, mode="nearest")[rows, columns]
    southward, eastward = np.gradient(smooth, grid.dy, grid.dx)
    return eastward, -southward


def _mean_curvature(height: Field, grid: Grid, window: float) -> tuple[Field, Field]:
    """Curvature along and across the block's mean gradient, of the block's mean Hessian."""
    mean = lambda values: _block_mean(values, grid, window)
    x, y = np.diff(height, axis=1) / grid.dx, -np.diff(height, axis=0) / grid.dy
    gx, gy = mean(x), mean(y)
    norm = np.hypot(gx, gy) + np.finfo(float).eps
    xx, yy, xy = (
        mean(np.diff(x, axis=1) / grid.dx),
        mean(-np.diff(y, axis=0) / grid.dy),
        mean(np.diff(y) / grid.dx),
    )
    ex, ey = gx / norm, gy / norm
    return ex**2 * xx + 2 * ex * ey * xy + ey**2 * yy, ey**2 * xx - 2 * ex * ey * xy + ex**2 * yy


def _spread_of_curvature(height: Field, grid: Grid, window: float) -> tuple[Field, Field]:
    """Standard deviation, over cells within the block, of curvature along and across the gradient
    at its middle.

    Curvature is linear in the Hessian, so its variance follows from the Hessian's covariance over
    the block.
    """
    mean = lambda values: _block_mean(values, grid, window)
    middle = height[1:-1, 1:-1]
    hessian = (
        (height[1:-1, 2:] - 2 * middle + height[1:-1, :-2]) / grid.dx**2,
        (height[:-2, 2:] - height[:-2, :-2] - height[2:, 2:] + height[2:, :-2])
        / (4 * grid.dx * grid.dy),
        (height[2:, 1:-1] - 2 * middle + height[:-2, 1:-1]) / grid.dy**2,
    )
    means = [mean(h) for h in hessian]
    covariance = [
        [mean(a * b) - p * q for b, q in zip(hessian, means, strict=True)]
        for a, p in zip(hessian, means, strict=True)
    ]
    southward, eastward = np.gradient(height, grid.dy, grid.dx)
    ex, ey = _direction(eastward, -southward)
    ex = np.where((ex == 0) & (ey == 0), 1.0, ex)
    count = _block_sum(np.ones_like(middle), grid, window)
    spread = []
    for x, y in ((ex, ey), (-ey, ex)):
        weights = (x**2, 2 * x * y, y**2)
        variance = sum(
            weights[i] * weights[j] * covariance[i][j] for i in range(3) for j in range(3)
        )
        sample = np.where(count > 1, variance * count / np.maximum(count - 1, 1), 0.0)
        spread.append(np.sqrt(np.maximum(sample, 0.0)))
    return spread[0], spread[1]


def _direction(gx: Field, gy: Field) -> tuple[Field, Field]:
    """The unit vector of a gradient; 0 where there is none."""
    norm = np.hypot(gx, gy)
    norm = np.where(norm > 0, norm, 1.0)
    return gx / norm, gy / norm


def _block_mean(values: np.ndarray, grid: Grid, window: float) -> Field:
    """Means over the block around each cell; see :func:`_block_sum`."""
    count = _block_sum(np.ones_like(values), grid, window)
    return _block_sum(values, grid, window) / np.maximum(count, 1)


def _block_sum(values: np.ndarray, grid: Grid, window: float) -> Field:
    """Sums over the block around each cell, of values on cells or of differences between cells.

    An array that is shorter than the grid by k along an axis holds differences over k + 1 cells:
    those within the block count.
    """
    for axis, (cells, spacing) in enumerate(zip(grid.shape, (grid.dy, grid.dx), strict=True)):
        half = max(1, max(4, round(window / spacing)) // 2)
        shorter, at = cells - values.shape[axis], np.arange(cells)
        first, end = np.maximum(at - half, 0), np.minimum(at + half, cells - 1) - shorter + 1
        total = np.cumsum(np.insert(values, 0, 0.0, axis=axis), axis=axis)
        values = np.take(total, np.maximum(end, first), axis=axis) - np.take(
            total, first, axis=axis
        )
    return values


def _check_window(item: Any) -> None:
    if not (np.isfinite(item.window) and item.window > 0):
        raise InputError(
            f"{type(item).__name__}(window={item.window}): expected a positive length, m"
        )
