"""The two law-free operators of shallow ice flow. Everything between them is pointwise.

Scheme: diffusivity on cell corners, fluxes on cell faces, and a cap on the slope of each face: the surface drop
over a face never exceeds the thickness of the donor cell, so ice-free ground never exports ice and thickness
stays non-negative under a CFL step (Jarosch et al. 2013 describe the failure of uncapped schemes). The flux
differences telescope, so volume is conserved to round-off.

Conventions shared by these operators and their derivatives: thickness passes the caller as ``where(H > 0, H, 0)``,
whose derivative at H = 0 is 0; where the slope ties with the cap, the cap is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from odinn.grid import Array, Cell, Corner, corner_gradient, corner_mean

Face = Float[Array, "faces_y faces_x"]


def corner_geometry(thickness: Cell, surface: Cell, dx: float, dy: float) -> tuple[Corner, Corner, Corner]:
    """Thickness (m) and surface gradient along x and y (1) on cell corners."""
    gx, gy = corner_gradient(surface, dx, dy)
    return corner_mean(thickness), gx, gy


def face_fluxes(
    diffusivity: Corner, thickness: Cell, surface: Cell, dx: float, dy: float
) -> tuple[Float[Array, "ny nx+1"], Float[Array, "ny+1 nx"]]:
    """Volume flux per unit width, m² yr⁻¹, through the faces between cells.

    Returns:
        qx (ny, nx+1), positive eastward, and qy (ny+1, nx), positive southward (towards higher rows). Faces on the
        edge of the domain and between two cells of the outermost ring carry nothing.
    """
    drop_x = _capped(surface[1:-1, 1:] - surface[1:-1, :-1], thickness[1:-1, :-1], thickness[1:-1, 1:])
    drop_y = _capped(surface[1:, 1:-1] - surface[:-1, 1:-1], thickness[:-1, 1:-1], thickness[1:, 1:-1])
    qx = (diffusivity[:-1] + diffusivity[1:]) * drop_x * (-0.5 / dx)
    qy = (diffusivity[:, :-1] + diffusivity[:, 1:]) * drop_y * (-0.5 / dy)
    return jnp.pad(qx, 1), jnp.pad(qy, 1)


def capped_divergence(diffusivity: Corner, thickness: Cell, surface: Cell, dx: float, dy: float) -> Cell:
    """Rate of change of thickness by flow, m yr⁻¹: minus the divergence of the capped diffusive flux.

    Cells of the outermost ring collect what crosses the border, so the sum over all cells is 0 to round-off; the
    caller empties the ring and books it as lost.
    """
    qx, qy = face_fluxes(diffusivity, thickness, surface, dx, dy)
    return (qx[:, :-1] - qx[:, 1:]) * (1.0 / dx) + (qy[:-1] - qy[1:]) * (1.0 / dy)


def _capped(rise: Face, before: Face, after: Face) -> Face:
    """Surface rise over a face, limited by the thickness of the donor: the cell on the higher side."""
    return jnp.where(rise >= after, after, jnp.where(rise <= -before, -before, rise))


class Operators(NamedTuple):
    """The two operators, either plain (differentiable in both modes) or with their transposes written by hand."""

    corner_geometry: Callable
    capped_divergence: Callable


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _geometry(thickness: Cell, surface: Cell, dx: float, dy: float) -> tuple[Corner, Corner, Corner]:
    return corner_geometry(thickness, surface, dx, dy)


def _geometry_forward(thickness: Cell, surface: Cell, dx: float, dy: float) -> tuple[Any, None]:
    return corner_geometry(thickness, surface, dx, dy), None


def _geometry_backward(dx: float, dy: float, _: None, bars: tuple[Corner, Corner, Corner]) -> tuple[Cell, Cell]:
    """A cell is the south-east neighbour of its north-west corner, and so on around."""
    thickness, gx, gy = (jnp.pad(bar, 1) for bar in bars)
    along_x = (gx[:-1, :-1] + gx[1:, :-1]) - (gx[:-1, 1:] + gx[1:, 1:])
    along_y = (gy[1:, 1:] + gy[1:, :-1]) - (gy[:-1, 1:] + gy[:-1, :-1])
    return corner_mean(thickness), along_x * (0.5 / dx) + along_y * (0.5 / dy)


_geometry.defvjp(_geometry_forward, _geometry_backward)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _divergence(diffusivity: Corner, thickness: Cell, surface: Cell, dx: float, dy: float) -> Cell:
    return capped_divergence(diffusivity, thickness, surface, dx, dy)


def _divergence_forward(
    diffusivity: Corner, thickness: Cell, surface: Cell, dx: float, dy: float
) -> tuple[Cell, tuple[Corner, Cell, Cell]]:
    return capped_divergence(diffusivity, thickness, surface, dx, dy), (diffusivity, thickness, surface)


def _divergence_backward(
    dx: float, dy: float, saved: tuple[Corner, Cell, Cell], bar: Cell
) -> tuple[Corner, Cell, Cell]:
    """Back through the flux differences, the diffusivity means, and the cap (which passes to slope or donor).

    Fields are made wider by one cell, so that every cell and corner gathers from faces around it: a gather is one
    vectorised loop, where the sum of padded pieces is not.
    """
    ny, nx = bar.shape
    bar, H, S, D = (jnp.pad(a, 1) for a in (bar, *saved[1:], saved[0]))
    open_x, open_y = (_open_faces(n, m, bar.dtype) for n, m in ((ny, nx), (nx, ny)))
    flux_x = (bar[1:-1, 1:] - bar[1:-1, :-1]) * (open_x * (-0.5 / dx**2))
    flux_y = (bar[1:, 1:-1] - bar[:-1, 1:-1]) * (open_y.T * (-0.5 / dy**2))
    rise_x, before_x, after_x = S[1:-1, 1:] - S[1:-1, :-1], H[1:-1, :-1], H[1:-1, 1:]
    rise_y, before_y, after_y = S[1:, 1:-1] - S[:-1, 1:-1], H[:-1, 1:-1], H[1:, 1:-1]
    D_x, D_y = flux_x * _capped(rise_x, before_x, after_x), flux_y * _capped(rise_y, before_y, after_y)
    D_bar = (D_x[:-1, 1:-1] + D_x[1:, 1:-1]) + (D_y[1:-1, :-1] + D_y[1:-1, 1:])
    drop_x, drop_y = flux_x * (D[:-1] + D[1:]), flux_y * (D[:, :-1] + D[:, 1:])
    to_after_x, to_before_x, slope_x = _shares(drop_x, rise_x, before_x, after_x)
    to_after_y, to_before_y, slope_y = _shares(drop_y, rise_y, before_y, after_y)
    H_bar = (to_after_x[:, :-1] + to_before_x[:, 1:]) + (to_after_y[:-1] + to_before_y[1:])
    S_bar = (slope_x[:, :-1] - slope_x[:, 1:]) + (slope_y[:-1] - slope_y[1:])
    return D_bar, H_bar, S_bar


def _open_faces(ny: int, nx: int, dtype: Any) -> np.ndarray:
    """1 for faces along x, (ny, nx+1), but 0 on the edge and between cells of the outermost ring: they carry nothing."""
    return np.pad(np.ones((ny - 2, nx - 1), dtype), 1)


def _shares(bar: Face, rise: Face, before: Face, after: Face) -> tuple[Face, Face, Face]:
    """The cap's cotangent to the thickness after, to the thickness before, or to the slope: one of the three."""
    at_after = rise >= after
    at_before = ~at_after & (rise <= -before)
    zero = jnp.zeros_like(bar)
    return jnp.where(at_after, bar, zero), jnp.where(at_before, -bar, zero), jnp.where(at_after | at_before, zero, bar)


_divergence.defvjp(_divergence_forward, _divergence_backward)

PLAIN = Operators(corner_geometry, capped_divergence)
TRANSPOSED = Operators(_geometry, _divergence)
