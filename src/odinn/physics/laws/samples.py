"""The values that a law's inputs have on a glacier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from odinn.constants import AREA_THRESHOLD, SLOPE_EPSILON
from odinn.glacier import Glacier, geometry
from odinn.grid import corner_gradient, corner_mean
from odinn.physics.laws.input_base import AbstractInput, on_corners, usual_months

_MONTHS: Final = 120  # ten years: enough to show the seasons


def samples(inputs: Sequence[AbstractInput], glacier: Glacier) -> np.ndarray:
    """Values of inputs on the corners of a glacier with at least 1 m of ice, (inputs, values): of
    inputs that are new each month, in the months of the last ten whole years of the climate."""
    bed, thickness = (np.asarray(field) for field in geometry(glacier))
    ice = np.asarray(corner_mean(thickness))
    slope = slope_of(bed + thickness, glacier)
    rows = []
    for item in inputs:
        value = _on_corners(item, glacier, ice, slope)
        # months lead where there are some
        everywhere = np.broadcast_to(value, (*value.shape[:-2], *ice.shape))
        rows.append(everywhere[..., ice >= AREA_THRESHOLD])
    shape = np.broadcast_shapes(*(row.shape for row in rows))
    return np.stack([np.broadcast_to(row, shape).ravel() for row in rows])


def slope_of(surface: np.ndarray, glacier: Glacier) -> np.ndarray:
    """Magnitude of the gradient of a surface on corners, as flow has it."""
    gx, gy = corner_gradient(surface, glacier.grid.dx, glacier.grid.dy)
    return np.sqrt(np.asarray(gx) ** 2 + np.asarray(gy) ** 2 + SLOPE_EPSILON)


def _on_corners(
    item: AbstractInput, glacier: Glacier, ice: np.ndarray, slope: np.ndarray
) -> np.ndarray:
    """Values of one input: one for the glacier, on corners, or of months on corners."""
    if item.frequency == "state":
        return np.asarray(item.at_state(ice, slope))
    if item.frequency == "fixed":
        value = np.asarray(item.field(glacier), float)
        return on_corners(item, value) if value.ndim == 2 else value
    months = usual_months(glacier, item.label)[-_MONTHS:]
    value = np.asarray(item.in_months(glacier, months), float)
    return on_corners(item, value) if value.ndim == 3 else value[:, None, None]
