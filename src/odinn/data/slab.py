"""A first estimate of ice thickness, from the shape of the surface alone."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from odinn.constants import GRAVITY, ICE_DENSITY

SMOOTHING: Final = 400.0  # m, over which the surface's slope is taken
EDGE: Final = 400.0  # m, over which the ice thins out to its outline
SMALLEST_SLOPE: Final = np.radians(5.0)
SHAPE_FACTOR: Final = 0.8  # share of the driving stress that the bed carries in a valley

SOURCE: Final = "slab estimate (Haeberli & Hoelzle 1995)"


def slab_thickness(
    surface: Float[np.ndarray, "ny nx"], mask: Bool[np.ndarray, "ny nx"], dx: float, dy: float
) -> Float[np.ndarray, "ny nx"]:
    """Thickness, m, of a slab whose basal stress follows from the glacier's range of altitude.

    h = τ / (f ρ g sin α), with τ = 0.005 + 1.598 ΔZ − 0.435 ΔZ² bar for a range ΔZ in km and 1.5
    bar above 1.6 km (Haeberli & Hoelzle 1995), f = 0.8, and α >= 5° the slope of the surface
    smoothed over 400 m. Within 400 m of the outline it thins out as the root of the distance. Such
    an estimate is right to a third at best, and gives no account of mass or flow.

    Args:
        surface: m. mask: True inside the outline. dx, dy: spacing, m.
    """
    # here, since it takes longer to load than all of odinn
    from scipy import ndimage

    span = np.ptp(surface[mask]) / 1000.0
    bar = 1.5 if span > 1.6 else 0.005 + 1.598 * span - 0.435 * span**2
    window = tuple(2 * round(SMOOTHING / 2 / spacing) + 1 for spacing in (dy, dx))
    smooth = ndimage.uniform_filter(surface, window, mode="nearest")
    slope = np.maximum(np.arctan(np.hypot(*np.gradient(smooth, dy, dx))), SMALLEST_SLOPE)
    thickness = 1e5 * bar / (SHAPE_FACTOR * ICE_DENSITY * GRAVITY * np.sin(slope))
    # cells without a neighbour outside are a cell away from it; the outline is half-way
    padded = np.pad(mask, 1)
    distance = ndimage.distance_transform_edt(padded, sampling=(dy, dx))[1:-1, 1:-1]
    from_outline = np.maximum(distance - 0.5 * min(dx, dy), 0.0)
    return np.where(mask, thickness * np.minimum(1.0, np.sqrt(from_outline / EDGE)), 0.0)
