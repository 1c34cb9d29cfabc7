"""The grid, and the differences and means on it.

Arrays are (y, x) with row 0 in the north. Thickness lives on cells, (ny, nx); diffusivity, velocity
and the coefficients of the flow live on cell corners, (ny−1, nx−1). Gradients point along
increasing projected x and y, so gy > 0 where the surface rises to the north.
"""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num

from odinn.errors import InputError

Array = jax.Array | np.ndarray
Cell = Float[Array, "ny nx"]
Corner = Float[Array, "cy cx"]
Scalar = Float[Array, ""]


class Grid(eqx.Module):
    """A regular projected grid.

    Args:
        nx, ny: number of cells along x (eastward) and y.
        dx, dy: size of a cell, m, both positive.
        x0, y0: centre of the north-west cell, m.
        crs: coordinate reference system, as WKT or anything pyproj understands; "" for idealised
            grids.
    """

    nx: int = eqx.field(static=True)
    ny: int = eqx.field(static=True)
    dx: float = eqx.field(static=True)
    dy: float = eqx.field(static=True)
    x0: float = eqx.field(static=True, default=0.0)
    y0: float = eqx.field(static=True, default=0.0)
    crs: str = eqx.field(static=True, default="")

    def __check_init__(self) -> None:
        for name, number in (("nx", self.nx), ("ny", self.ny)):
            if not number >= 1:
                raise InputError(f"Grid({name}={number}): expected at least one cell")
        for name, size in (("dx", self.dx), ("dy", self.dy)):
            if not 0 < size < np.inf:
                raise InputError(f"Grid({name}={size}): expected a size > 0, m")
        if not (np.isfinite(self.x0) and np.isfinite(self.y0)):
            raise InputError(f"Grid(x0={self.x0}, y0={self.y0}): expected finite numbers, m")

    @property
    def x(self) -> Float[np.ndarray, " nx"]:
        """Cell centres along x, m, increasing."""
        return self.x0 + self.dx * np.arange(self.nx)

    @property
    def y(self) -> Float[np.ndarray, " ny"]:
        """Cell centres along y, m, decreasing (row 0 is north)."""
        return self.y0 - self.dy * np.arange(self.ny)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)"""
        return self.ny, self.nx

    @property
    def corner_shape(self) -> tuple[int, int]:
        """(ny − 1, nx − 1)"""
        return self.ny - 1, self.nx - 1

    @property
    def cell_area(self) -> float:
        """Area of one cell, m²."""
        return self.dx * self.dy

    def __str__(self) -> str:
        return f"{self.ny} x {self.nx} cells of {self.dx:.0f} m"


def corner_mean(cell: Cell) -> Corner:
    """Mean of the four cells around each corner."""
    north = cell[:-1, :-1] + cell[:-1, 1:]
    south = cell[1:, :-1] + cell[1:, 1:]
    return 0.25 * (north + south)


def corner_gradient(surface: Cell, dx: float | Scalar, dy: float | Scalar) -> tuple[Corner, Corner]:
    """Gradient along x and y on corners: face differences averaged over the two faces of each
    direction.
    """
    nw, ne = surface[:-1, :-1], surface[:-1, 1:]
    sw, se = surface[1:, :-1], surface[1:, 1:]
    gx = ((ne - nw) + (se - sw)) * (0.5 / dx)
    # rows run south and y north, so the upper row minus the lower
    gy = ((nw - sw) + (ne - se)) * (0.5 / dy)
    return gx, gy


def cell_mean(corner: Corner) -> Cell:
    """Mean of the four corners of each cell; the outermost ring of cells, which has fewer, is 0."""
    return jnp.pad(corner_mean(corner), 1)


def interior_mask(shape: tuple[int, ...]) -> np.ndarray:
    """True except on the outermost ring of cells."""
    mask = np.zeros(shape, bool)
    mask[1:-1, 1:-1] = True
    return mask


def block_mean(
    field: Num[Array, "*stack ny nx"] | Bool[Array, "ny nx"],
    k: int,
    beyond: Literal["edge", "missing"] = "edge",
) -> Float[np.ndarray, "*stack rows columns"]:
    """Mean over the measured cells of k x k blocks, NaN where there are none.

    Args:
        field: NaN where not measured; bool counts as 0 and 1. k: cells along a side of a block.
        beyond: what completes the last blocks where k does not divide the grid: the "edge" value
            again (a bed goes on), or "missing" cells, which do not count.
    """
    field = np.asarray(field, float)
    *stack, ny, nx = field.shape
    rows, columns = -(-ny // k), -(-nx // k)  # rounded up
    pad = [(0, 0)] * len(stack)
    pad += [(0, k * rows - ny), (0, k * columns - nx)]
    if beyond == "edge":
        field = np.pad(field, pad, mode="edge")
    else:
        field = np.pad(field, pad, constant_values=np.nan)
    blocks = field.reshape(*stack, rows, k, columns, k)
    measured = np.isfinite(blocks)
    count = measured.sum(axis=(-3, -1))
    total = np.where(measured, blocks, 0.0).sum(axis=(-3, -1))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
