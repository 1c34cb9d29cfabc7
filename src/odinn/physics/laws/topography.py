"""Inputs of laws from the shape of bed and surface: slope, aspect, roughness.

Windows are lengths in metres. ``field`` gives values on cells (ny, nx), of the glacier's initial
surface or bed.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Protocol

import equinox as eqx
import numpy as np
from jaxtyping import Float

from odinn.errors import InputError
from odinn.glacier import Glacier, geometry
from odinn.grid import Grid
from odinn.physics.laws.input_base import FixedInput, Range, as_range

Field = Float[np.ndarray, "ny nx"]

_CHOICES: Final = {
    "curvature": ("scalar", "variability"),
    "direction": ("flow", "cross_flow", "both"),
    "position": ("bed", "surface"),
}


class TopographicSlope(FixedInput):
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

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        gx, gy = surface_gradient(glacier, self.window)
        return np.rad2deg(np.arctan(np.hypot(gx, gy)))


class TopographicAspect(FixedInput):
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

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        gx, gy = surface_gradient(glacier, self.window)
        # minus: the ground falls against its gradient
        turn = np.arctan2(-gx, -gy) if self.compass else np.arctan2(-gy, -gx)
        degrees = np.rad2deg(turn) % 360.0
        # the remainder of −1e-20 is rounded to 360
        return np.where(degrees < 360.0, degrees, 0.0)


class Northness(FixedInput):
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

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        _, northward = _direction(*surface_gradient(glacier, self.window))
        return -northward


class Eastness(FixedInput):
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

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        eastward, _ = _direction(*surface_gradient(glacier, self.window))
        return -eastward


class TopographicRoughness(FixedInput):
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
        for name, known in _CHOICES.items():
            chosen = getattr(self, name)
            if chosen not in known:
                expected = " or ".join(repr(choice) for choice in known)
                raise InputError(f"TopographicRoughness({name}={chosen!r}): expected {expected}")

    def field(self, glacier: Glacier) -> np.ndarray:
        """See :class:`AbstractInput`."""
        bed, thickness = geometry(glacier)
        height = np.asarray(bed)
        if self.position == "surface":
            height = height + np.asarray(thickness)
        if self.curvature == "scalar":
            along, across = _mean_curvature(height, glacier.grid, self.window)
        else:
            along, across = _spread_of_curvature(height, glacier.grid, self.window)
        if self.direction == "both":
            return np.hypot(along, across)
        return along if self.direction == "flow" else across


def surface_gradient(glacier: Glacier, window: float) -> tuple[Field, Field]:
    """Gradient (along x, along y) on cells of the surface averaged over a window (m).

    Beyond its edges the grid is continued by reflection through the edge cell, which leaves a plane
    a plane.
    """
    # here, since it takes longer to load than all of odinn
    from scipy.ndimage import uniform_filter

    grid = glacier.grid
    half_y, half_x = _half_window(window, grid.dy), _half_window(window, grid.dx)
    # odd reflection: the mean over a window that leaves the grid is that of the plane at its edge
    pad = [(half_y, half_y), (half_x, half_x)]
    wide = np.pad(np.asarray(glacier.surface), pad, mode="reflect", reflect_type="odd")
    smooth = uniform_filter(wide, (2 * half_y + 1, 2 * half_x + 1), mode="nearest")
    inner = smooth[half_y : half_y + grid.ny, half_x : half_x + grid.nx]
    # rows run southward
    southward, eastward = np.gradient(inner, grid.dy, grid.dx)
    return eastward, -southward


def _half_window(window: float, spacing: float) -> int:
    """Cells to each side of a window that is an odd number of cells, at least one."""
    return max(1, round(window / spacing)) // 2


def _mean_curvature(height: Field, grid: Grid, window: float) -> tuple[Field, Field]:
    """Curvature along and across the block's mean gradient, of the block's mean Hessian."""
    x = np.diff(height, axis=1) / grid.dx
    y = -np.diff(height, axis=0) / grid.dy
    gx = _block_mean(x, grid, window)
    gy = _block_mean(y, grid, window)
    # level ground has no direction: its curvatures are 0
    norm = np.hypot(gx, gy) + np.finfo(float).eps
    ex, ey = gx / norm, gy / norm
    xx = _block_mean(np.diff(x, axis=1) / grid.dx, grid, window)
    yy = _block_mean(-np.diff(y, axis=0) / grid.dy, grid, window)
    xy = _block_mean(np.diff(y, axis=1) / grid.dx, grid, window)
    along = ex**2 * xx + 2 * ex * ey * xy + ey**2 * yy
    across = ey**2 * xx - 2 * ex * ey * xy + ex**2 * yy
    return along, across


def _spread_of_curvature(height: Field, grid: Grid, window: float) -> tuple[Field, Field]:
    """Standard deviation, over cells within the block, of curvature along and across the gradient
    at its middle.

    Curvature is linear in the Hessian, so its variance follows from the Hessian's covariance over
    the block.
    """
    covariance, count = _covariance_of_hessian(height, grid, window)
    southward, eastward = np.gradient(height, grid.dy, grid.dx)
    ex, ey = _direction(eastward, -southward)
    ex = np.where((ex == 0) & (ey == 0), 1.0, ex)
    spread = []
    for x, y in ((ex, ey), (-ey, ex)):
        weights = (x**2, 2 * x * y, y**2)
        variance = np.zeros(grid.shape)
        for i in range(3):
            for j in range(3):
                variance = variance + weights[i] * weights[j] * covariance[i][j]
        # of a sample: n − 1, and no spread of a single cell
        sample = np.where(count > 1, variance * count / np.maximum(count - 1, 1), 0.0)
        # round-off may leave a variance of −1e-30
        spread.append(np.sqrt(np.maximum(sample, 0.0)))
    return spread[0], spread[1]


def _covariance_of_hessian(
    height: Field, grid: Grid, window: float
) -> tuple[list[list[Field]], Field]:
    """Covariances of (xx, xy, yy) over the block around each cell, and how many cells it has."""
    middle = height[1:-1, 1:-1]
    west, east = height[1:-1, :-2], height[1:-1, 2:]
    north, south = height[:-2, 1:-1], height[2:, 1:-1]
    xx = (east - 2 * middle + west) / grid.dx**2
    yy = (south - 2 * middle + north) / grid.dy**2
    turning = height[:-2, 2:] - height[:-2, :-2] - height[2:, 2:] + height[2:, :-2]
    xy = turning / (4 * grid.dx * grid.dy)
    hessian = (xx, xy, yy)
    means = [_block_mean(part, grid, window) for part in hessian]
    covariance = []
    for a, mean_a in zip(hessian, means, strict=True):
        row = []
        for b, mean_b in zip(hessian, means, strict=True):
            row.append(_block_mean(a * b, grid, window) - mean_a * mean_b)
        covariance.append(row)
    return covariance, _block_sum(np.ones_like(middle), grid, window)


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
        at = np.arange(cells)
        first = np.maximum(at - half, 0)
        # of differences over k + 1 cells the last k in the block would need cells beyond it
        shorter = cells - values.shape[axis]
        end = np.minimum(at + half, cells - 1) - shorter + 1
        end = np.maximum(end, first)
        total = np.cumsum(np.insert(values, 0, 0.0, axis=axis), axis=axis)
        values = np.take(total, end, axis=axis) - np.take(total, first, axis=axis)
    return values


class Windowed(Protocol):
    """What looks at a window."""

    @property
    def window(self) -> float: ...


def _check_window(item: Windowed) -> None:
    if not (np.isfinite(item.window) and item.window > 0):
        raise InputError(
            f"{type(item).__name__}(window={item.window}): expected a positive length, m"
        )
