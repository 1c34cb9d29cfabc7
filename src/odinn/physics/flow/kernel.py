"""The two law-free operators of shallow ice flow. Everything between them is pointwise.

Scheme: diffusivity on cell corners, fluxes on cell faces, and a cap on the slope of each face: the
surface drop over a face never exceeds the thickness of the donor cell, so ice-free ground never
exports ice and thickness stays non-negative under a CFL step (Jarosch et al. 2013 describe the
failure of uncapped schemes). The flux differences telescope, so volume is conserved to round-off.

Conventions shared by these operators and their derivatives: thickness passes the caller as
``where(H > 0, H, 0)``, whose derivative at H = 0 is 0; where the slope ties with the cap, the cap
is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from odinn.grid import Array, Cell, Corner, corner_gradient, corner_mean

Face = Float[
    Array, "faces_y faces_x"
]  # of one direction: (ny-2, nx-1) along x, (ny-1, nx-2) along y
FaceX = Float[Array, "rows faces_x"]
FaceY = Float[Array, "faces_y columns"]


def corner_geometry(
    thickness: Cell, surface: Cell, dx: float, dy: float
) -> tuple[Corner, Corner, Corner]:
    """Thickness (m) and surface gradient along x and y (1) on cell corners."""
    gx, gy = corner_gradient(surface, dx, dy)
    return corner_mean(thickness), gx, gy


def face_fluxes(
    diffusivity: Corner, thickness: Cell, surface: Cell, dx: float, dy: float
) -> tuple[FaceX, FaceY]:
    """Volume flux per unit width, m² yr⁻¹, through the faces between cells, but for those between
    two cells of the outermost ring, which carry nothing.

    Returns:
        qx (ny-2, nx-1), positive eastward, and qy (ny-1, nx-2), positive southward (towards higher
        rows).
    """
    drop_x = _capped(
        surface[1:-1, 1:] - surface[1:-1, :-1], thickness[1:-1, :-1], thickness[1:-1, 1:]
    )
    drop_y = _capped(
        surface[1:, 1:-1] - surface[:-1, 1:-1], thickness[:-1, 1:-1], thickness[1:, 1:-1]
    )
    qx = (diffusivity[:-1] + diffusivity[1:]) * drop_x * (-0.5 / dx)
    qy = (diffusivity[:, :-1] + diffusivity[:, 1:]) * drop_y * (-0.5 / dy)
    return qx, qy


def capped_divergence(
    diffusivity: Corner, thickness: Cell, surface: Cell, dx: float, dy: float
) -> Cell:
    """Rate of change of thickness by flow, m yr⁻¹: minus the divergence of the capped diffusive
    flux.

    Cells of the outermost ring collect what crosses the border, so the sum over all cells is 0 to
    round-off; the caller empties the ring and books it as lost.
    """
    qx, qy = face_fluxes(diffusivity, thickness, surface, dx, dy)
    return _on_cells(qx * (1.0 / dx), -qx * (1.0 / dx), qy * (1.0 / dy), -qy * (1.0 / dy))


def _on_cells(to_east: FaceX, to_west: FaceX, to_south: FaceY, to_north: FaceY) -> Cell:
    """What faces give to the cells on either side, added up. Pieces are joined, not padded and
    summed: a join is a few loops that the compiler vectorises, a pad inside a loop is a branch in
    each cell."""
    along_x = _joined(to_west, to_east, axis=1)
    along_y = _joined(to_north, to_south, axis=0)
    inner = along_x[:, 1:-1] + along_y[1:-1]
    middle = jnp.concatenate([along_x[:, :1], inner, along_x[:, -1:]], axis=1)
    north, south = (jnp.pad(row, ((0, 0), (1, 1))) for row in (along_y[:1], along_y[-1:]))
    return jnp.concatenate([north, middle, south], axis=0)


def _joined(before: Array, after: Array, axis: int) -> Array:
    """One longer along an axis: each point gives ``before`` to the place before it and ``after`` to
    the one after it.
    """
    first, last = (
        (slice(None),) * axis + (slice(None, 1),),
        (slice(None),) * axis + (slice(-1, None),),
    )
    left, right = (
        (slice(None),) * axis + (slice(None, -1),),
        (slice(None),) * axis + (slice(1, None),),
    )
    return jnp.concatenate([before[first], after[left] + before[right], after[last]], axis=axis)


def _capped(rise: Face, before: Face, after: Face) -> Face:
    """Surface rise over a face, limited by the thickness of the donor: the cell on the higher
    side.
    """
    return jnp.where(rise >= after, after, jnp.where(rise <= -before, -before, rise))


class Operators(NamedTuple):
    """The two operators, either plain (differentiable in both modes) or with their transposes
    written by hand.
    """

    corner_geometry: Callable
    capped_divergence: Callable


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _geometry(
    thickness: Cell, surface: Cell, dx: float, dy: float
) -> tuple[Corner, Corner, Corner]:
    return corner_geometry(thickness, surface, dx, dy)


def _geometry_forward(thickness: Cell, surface: Cell, dx: float, dy: float) -> tuple[Any, None]:
    return corner_geometry(thickness, surface, dx, dy), None


def _geometry_backward(
    dx: float, dy: float, _: None, bars: tuple[Corner, Corner, Corner]
) -> tuple[Cell, Cell]:
    """A cell is the south-east neighbour of its north-west corner, and so on around."""
    thickness, gx, gy = bars
    around = lambda a: _joined(a, a, axis=0)
    along_x = _joined(-gx, gx, axis=1)
    along_y = _joined(gy, gy, axis=1)
    to_surface = around(along_x) * (0.5 / dx) + _joined(along_y, -along_y, axis=0) * (0.5 / dy)
    return 0.25 * around(_joined(thickness, thickness, axis=1)), to_surface


_geometry.defvjp(_geometry_forward, _geometry_backward)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _divergence(diffusivity: Corner, thickness: Cell, surface: Cell, dx: float, dy: float) -> Cell:
    return capped_divergence(diffusivity, thickness, surface, dx, dy)


def _divergence_forward(
    diffusivity: Corner, thickness: Cell, surface: Cell, dx: float, dy: float
) -> tuple[Cell, tuple[Corner, Cell, Cell]]:
    return capped_divergence(diffusivity, thickness, surface, dx, dy), (
        diffusivity,
        thickness,
        surface,
    )


def _divergence_backward(
    dx: float, dy: float, saved: tuple[Corner, Cell, Cell], bar: Cell
) -> tuple[Corner, Cell, Cell]:
    """Back through the flux differences, the diffusivity means, and the cap (which passes to slope
    or donor).
    """
    D, H, S = saved
    flux_x = (bar[1:-1, 1:] - bar[1:-1, :-1]) * (-0.5 / dx**2)
    flux_y = (bar[1:, 1:-1] - bar[:-1, 1:-1]) * (-0.5 / dy**2)
    rise_x, before_x, after_x = S[1:-1, 1:] - S[1:-1, :-1], H[1:-1, :-1], H[1:-1, 1:]
    rise_y, before_y, after_y = S[1:, 1:-1] - S[:-1, 1:-1], H[:-1, 1:-1], H[1:, 1:-1]
    D_x, D_y = (
        flux_x * _capped(rise_x, before_x, after_x),
        flux_y * _capped(rise_y, before_y, after_y),
    )
    D_bar = _joined(D_x, D_x, axis=0) + _joined(D_y, D_y, axis=1)
    drop_x, drop_y = flux_x * (D[:-1] + D[1:]), flux_y * (D[:, :-1] + D[:, 1:])
    to_after_x, to_before_x, slope_x = _shares(drop_x, rise_x, before_x, after_x)
    to_after_y, to_before_y, slope_y = _shares(drop_y, rise_y, before_y, after_y)
    return (
        D_bar,
        _on_cells(to_after_x, to_before_x, to_after_y, to_before_y),
        _on_cells(slope_x, -slope_x, slope_y, -slope_y),
    )


def _shares(bar: Face, rise: Face, before: Face, after: Face) -> tuple[Face, Face, Face]:
    """The cap's cotangent to the thickness after, to the thickness before, or to the slope: one of
    the three.
    """
    at_after = rise >= after
    at_before = ~at_after & (rise <= -before)
    zero = jnp.zeros_like(bar)
    return (
        jnp.where(at_after, bar, zero),
        jnp.where(at_before, -bar, zero),
        jnp.where(at_after | at_before, zero, bar),
    )


_divergence.defvjp(_divergence_forward, _divergence_backward)

PLAIN = Operators(corner_geometry, capped_divergence)
TRANSPOSED = Operators(_geometry, _divergence)
