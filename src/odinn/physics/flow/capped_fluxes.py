"""The law-free operators of shallow ice flow. Everything between them is pointwise.

Scheme: diffusivity on cell corners, fluxes on cell faces, and a cap on the slope of each face: the
surface drop over a face never exceeds the thickness of the donor cell, so ice-free ground never
exports ice and thickness stays non-negative under a CFL step (Jarosch et al. 2013 describe the
failure of uncapped schemes). The flux differences telescope, so volume is conserved to round-off.

Conventions shared by these operators and their derivatives: thickness passes the caller as
``where(H > 0, H, 0)``, whose derivative at H = 0 is 0; where the slope ties with the cap, the cap
is taken. Spacings are ordinary arguments, so that glaciers of one shape share a program; the
hand-written transposes give them no cotangent, since nobody learns a spacing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from odinn.grid import Array, Cell, Corner, Scalar, corner_gradient, corner_mean

FaceX = Float[Array, "rows faces_x"]  # (ny-2, nx-1)
FaceY = Float[Array, "faces_y columns"]  # (ny-1, nx-2)
Face = Float[Array, "faces_y faces_x"]  # either of them


def corner_geometry(
    thickness: Cell, bed: Cell, dx: Scalar, dy: Scalar
) -> tuple[Corner, Corner, Corner]:
    """Thickness (m) and surface gradient along x and y (1) on cell corners."""
    gx, gy = corner_gradient(bed + thickness, dx, dy)
    return corner_mean(thickness), gx, gy


def capped_fluxes(
    diffusivity: Corner, thickness: Cell, bed: Cell, dx: Scalar, dy: Scalar
) -> tuple[FaceX, FaceY]:
    """Volume flux per unit width, m² yr⁻¹, through the faces between cells, but for those between
    two cells of the outermost ring, which carry nothing.

    Returns:
        qx (ny-2, nx-1), positive eastward, and qy (ny-1, nx-2), positive southward (towards higher
        rows).
    """
    surface = bed + thickness
    drop_x = _capped(*_across_x(surface, thickness))
    drop_y = _capped(*_across_y(surface, thickness))
    qx = (diffusivity[:-1] + diffusivity[1:]) * drop_x * (-0.5 / dx)
    qy = (diffusivity[:, :-1] + diffusivity[:, 1:]) * drop_y * (-0.5 / dy)
    return qx, qy


def flux_divergence(qx: FaceX, qy: FaceY, dx: Scalar, dy: Scalar) -> Cell:
    """Minus the divergence of fluxes, m yr⁻¹.

    Cells of the outermost ring collect what crosses the border, so the sum over all cells is 0 to
    round-off; the caller empties the ring and books it as lost.
    """
    return _on_cells(qx * (1.0 / dx), -qx * (1.0 / dx), qy * (1.0 / dy), -qy * (1.0 / dy))


class Operators(NamedTuple):
    """The three operators, either plain (differentiable in both modes) or with their transposes
    written by hand.
    """

    corner_geometry: Callable
    capped_fluxes: Callable
    flux_divergence: Callable


def _across_x(surface: Cell, thickness: Cell) -> tuple[FaceX, FaceX, FaceX]:
    """Surface rise over the faces along x, and the thickness before and after them."""
    rise = surface[1:-1, 1:] - surface[1:-1, :-1]
    return rise, thickness[1:-1, :-1], thickness[1:-1, 1:]


def _across_y(surface: Cell, thickness: Cell) -> tuple[FaceY, FaceY, FaceY]:
    """The same along y."""
    rise = surface[1:, 1:-1] - surface[:-1, 1:-1]
    return rise, thickness[:-1, 1:-1], thickness[1:, 1:-1]


def _capped(rise: Face, before: Face, after: Face) -> Face:
    """Surface rise over a face, limited by the thickness of the donor: the cell on the higher
    side.
    """
    return jnp.where(rise >= after, after, jnp.where(rise <= -before, -before, rise))


def _on_cells(to_east: FaceX, to_west: FaceX, to_south: FaceY, to_north: FaceY) -> Cell:
    """What faces give to the cells on either side, added up. Pieces are joined, not padded and
    summed: a join is a few loops that the compiler vectorises, a pad inside a loop is a branch in
    each cell. For the same reason whole columns are joined last, which leaves the join in memory
    and out of the loop of its reader."""
    along_x = _joined(to_west, to_east, axis=1)
    along_y = _joined(to_north, to_south, axis=0)
    inner = along_x[:, 1:-1] + along_y[1:-1]
    middle = jnp.concatenate([along_y[:1], inner, along_y[-1:]], axis=0)
    # corner cells of the ring have no face, so its columns are a cell short at each end
    west, east = (jnp.pad(side, ((1, 1), (0, 0))) for side in (along_x[:, :1], along_x[:, -1:]))
    return jnp.concatenate([west, middle, east], axis=1)


def _joined(before: Array, after: Array, axis: int) -> Array:
    """One longer along an axis: each point gives ``before`` to the place before it and ``after`` to
    the one after it.
    """
    lead = (slice(None),) * axis
    first, but_first = (*lead, slice(None, 1)), (*lead, slice(1, None))
    last, but_last = (*lead, slice(-1, None)), (*lead, slice(None, -1))
    inner = after[but_last] + before[but_first]
    return jnp.concatenate([before[first], inner, after[last]], axis=axis)


@jax.custom_vjp
def _geometry(thickness: Cell, bed: Cell, dx: Scalar, dy: Scalar) -> tuple[Corner, Corner, Corner]:
    return corner_geometry(thickness, bed, dx, dy)


def _geometry_forward(
    thickness: Cell, bed: Cell, dx: Scalar, dy: Scalar
) -> tuple[tuple[Corner, Corner, Corner], tuple[Scalar, Scalar]]:
    return corner_geometry(thickness, bed, dx, dy), (dx, dy)


def _geometry_backward(
    spacing: tuple[Scalar, Scalar], bars: tuple[Corner, Corner, Corner]
) -> tuple[Cell, Cell, Scalar, Scalar]:
    """What a corner gives to its four cells; the surface carries both thickness and bed."""
    dx, dy = spacing
    mean, gx, gy = 0.25 * bars[0], (0.5 / dx) * bars[1], (0.5 / dy) * bars[2]
    to_thickness = _around_corners(mean - gx, mean + gx, gy)
    return to_thickness, _around_corners(-gx, gx, gy), jnp.zeros_like(dx), jnp.zeros_like(dy)


def _around_corners(west: Corner, east: Corner, north: Corner) -> Cell:
    """What corners give to the cells around them, added up: those on the west and on the east side
    one thing each, those on the north side another, which those on the south side lose.
    """
    upper = _joined(west + north, east + north, axis=1)
    lower = _joined(west - north, east - north, axis=1)
    return _joined(upper, lower, axis=0)


_geometry.defvjp(_geometry_forward, _geometry_backward)


@jax.custom_vjp
def _fluxes(
    diffusivity: Corner, thickness: Cell, bed: Cell, dx: Scalar, dy: Scalar
) -> tuple[FaceX, FaceY]:
    return capped_fluxes(diffusivity, thickness, bed, dx, dy)


_FluxArguments = tuple[Corner, Cell, Cell, Scalar, Scalar]


def _fluxes_forward(*arguments: Array) -> tuple[tuple[FaceX, FaceY], tuple[Array, ...]]:
    return capped_fluxes(*arguments), arguments


def _fluxes_backward(saved: _FluxArguments, bars: tuple[FaceX, FaceY]) -> _FluxArguments:
    """Back through the diffusivity means and the cap (which passes to slope or donor)."""
    D, H, bed, dx, dy = saved
    S = bed + H
    to_x, to_y = bars[0] * (-0.5 / dx), bars[1] * (-0.5 / dy)
    across_x, across_y = _across_x(S, H), _across_y(S, H)
    D_x, D_y = to_x * _capped(*across_x), to_y * _capped(*across_y)
    to_diffusivity = _joined(D_x, D_x, axis=0) + _joined(D_y, D_y, axis=1)
    after_x, before_x, rise_x = _shares(to_x * (D[:-1] + D[1:]), *across_x)
    after_y, before_y, rise_y = _shares(to_y * (D[:, :-1] + D[:, 1:]), *across_y)
    to_thickness = _on_cells(after_x, before_x, after_y, before_y)
    to_bed = _on_cells(rise_x, -rise_x, rise_y, -rise_y)
    return to_diffusivity, to_thickness, to_bed, jnp.zeros_like(dx), jnp.zeros_like(dy)


def _shares(bar: Face, rise: Face, before: Face, after: Face) -> tuple[Face, Face, Face]:
    """The capped rise's cotangent to the thickness after and before it, on a fixed bed, and to the
    rise itself. Where the cap holds it is the thickness of the donor, and no other counts.
    """
    at_after = rise >= after
    at_before = ~at_after & (rise <= -before)
    zero = jnp.zeros_like(bar)
    to_after, to_before = jnp.where(at_before, zero, bar), jnp.where(at_after, zero, -bar)
    return to_after, to_before, jnp.where(at_after | at_before, zero, bar)


_fluxes.defvjp(_fluxes_forward, _fluxes_backward)


@jax.custom_vjp
def _divergence(qx: FaceX, qy: FaceY, dx: Scalar, dy: Scalar) -> Cell:
    return flux_divergence(qx, qy, dx, dy)


def _divergence_forward(
    qx: FaceX, qy: FaceY, dx: Scalar, dy: Scalar
) -> tuple[Cell, tuple[Scalar, Scalar]]:
    return flux_divergence(qx, qy, dx, dy), (dx, dy)


def _divergence_backward(
    spacing: tuple[Scalar, Scalar], bar: Cell
) -> tuple[FaceX, FaceY, Scalar, Scalar]:
    """A face takes from the cell before it what it gives to the cell after it."""
    dx, dy = spacing
    to_x = (bar[1:-1, 1:] - bar[1:-1, :-1]) * (1.0 / dx)
    to_y = (bar[1:, 1:-1] - bar[:-1, 1:-1]) * (1.0 / dy)
    return to_x, to_y, jnp.zeros_like(dx), jnp.zeros_like(dy)


_divergence.defvjp(_divergence_forward, _divergence_backward)

PLAIN = Operators(corner_geometry, capped_fluxes, flux_divergence)
TRANSPOSED = Operators(_geometry, _fluxes, _divergence)
