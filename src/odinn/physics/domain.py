"""The ground that a glacier moves on, as compiled code sees it."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool

from odinn.glacier import Glacier, geometry
from odinn.grid import Array, Cell, Scalar, interior_mask


class Domain(eqx.Module):
    """Bed, outline and spacing of one glacier: arrays, all of them traced.

    Spacings are 0-d arrays, so glaciers of one shape and any spacing share a program.

    Args:
        bed: m. outline: True inside. interior: False on the outermost ring, which stays ice-free.
        dx, dy: size of a cell, m. sea_level: m, None where it is not known or far away.
        near_cut: True close to an edge behind which the glacier's own grid goes on, where no ice
            may come; None where there is no such edge.
    """

    bed: Cell
    outline: Bool[Array, "ny nx"]
    interior: Bool[Array, "ny nx"]
    dx: Scalar
    dy: Scalar
    sea_level: Scalar | None = None
    near_cut: Bool[Array, "ny nx"] | None = None


def domain_of(site: Any) -> Domain:
    """The domain of a glacier, or of a site inside compiled code that says what its interior is."""
    bed, _ = geometry(site)
    is_whole = isinstance(site, Glacier)
    return Domain(
        bed=bed,
        outline=site.mask,
        interior=interior_mask(np.shape(bed)) if is_whole else site.interior,
        dx=np.asarray(site.grid.dx, float) if is_whole else site.grid.dx,
        dy=np.asarray(site.grid.dy, float) if is_whole else site.grid.dy,
        near_cut=None if is_whole else site.near_cut,
    )
