"""The values that a law's inputs have on a glacier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from odinn.constants import AREA_THRESHOLD, SLOPE_EPSILON
from odinn.glacier import Glacier, geometry
from odinn.grid import corner_gradient, corner_mean
from odinn.physics.laws.input_base import AbstractInput, on_corners, usual_months

_MONTHS = 120


def samples(inputs: Sequence[AbstractInput], glacier: Glacier) -> np.ndarray:
    """Values of inputs on the corners of a glacier with at least 1 m of ice, (inputs, values): of
    inputs that are new each month, in the months of the last ten whole years of the climate."""
    bed, thickness = (np.asarray(f) for f in geometry(glacier))
    ice = np.asarray(corner_mean(thickness))
    gx, gy = corner_gradient(bed + thickness, glacier.grid.dx, glacier.grid.dy)
    slope = np.sqrt(np.asarray(gx) ** 2 + np.asarray(gy) ** 2 + SLOPE_EPSILON)
    rows = []
    for item in inputs:
        if item.frequency == "state":
            value = np.asarray(item.at_state(ice, slope))
        elif item.frequency == "fixed":
            value = np.asarray(item.field(glacier), float)
            value = on_corners(item, value) if value.ndim == 2 else value
        else:
            months = usual_months(glacier, item.label)[-_MONTHS:]
            value = np.asarray(item.in_months(glacier, months), float)
            value = on_corners(item, value) if value.ndim == 3 else value[:, None, None]
        rows.append(
            np.broadcast_to(value, (*value.shape[:-2], *ice.shape))[..., ice >= AREA_THRESHOLD]
        )
    shape = np.broadcast_shapes(*(row.shape for row in rows))
    return np.stack([np.broadcast_to(row, shape).ravel() for row in rows])
