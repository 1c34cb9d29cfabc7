"""The two law-free operators of shallow ice flow. Everything between them is pointwise.

Scheme: diffusivity on cell corners, fluxes on cell faces, and a cap on the slope of each face: the surface drop
over a face never exceeds the thickness of the donor cell, so ice-free ground never exports ice and thickness
stays non-negative under a CFL step (Jarosch et al. 2013 describe the failure of uncapped schemes). The flux
differences telescope, so volume is conserved to round-off.

Conventions shared by these operators and their derivatives: thickness passes the caller as ``where(H > 0, H, 0)``,
whose derivative at H = 0 is 0; where the slope ties with the cap, the cap is taken.
"""

from __future__ import annotations

import jax.numpy as jnp
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
    return jnp.maximum(jnp.minimum(rise, after), -before)
