"""The ground that a glacier moves on, as compiled code sees it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from odinn.glacier import geometry
from odinn.grid import Array, Cell, Scalar, interior_mask


class Domain(eqx.Module):
    """Bed, outline and spacing of one glacier: arrays, all of them traced.

    Spacings are 0-d arrays, so glaciers of one shape and any spacing share a program.

    Args:
        bed: m. outline: True inside. interior: False on the outermost ring, which stays ice-free.
        dx, dy: size of a cell, m. sea_level: m, None where it is not known or far away.
    """

    bed: Cell
    outline: Bool[Array, "ny nx"]
    interior: Bool[Array, "ny nx"]
    dx: Scalar
    dy: Scalar
    sea_level: Scalar | None = None


def domain_of(site: Any) -> Domain:
    """The domain of a glacier, or of a site inside compiled code."""
    bed, _ = geometry(site)
    return Domain(
        bed=bed,
        outline=jnp.asarray(site.mask),
        interior=jnp.asarray(interior_mask(np.shape(bed))),
        dx=jnp.asarray(site.grid.dx, float),
        dy=jnp.asarray(site.grid.dy, float),
    )
