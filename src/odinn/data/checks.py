"""What bed, thickness and weather cannot be, with errors that say what to do."""

from __future__ import annotations

import numpy as np

from odinn.data.gate import allowed, in_cells
from odinn.data.quantities import BED, THICKNESS
from odinn.errors import Fail, InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import interior_mask


def check_fields(glacier: Glacier) -> None:
    """Raise :class:`InputError` for NaN, negative thickness, or ice on the border ring."""
    present = glacier.without_parameters()
    check_arrays(glacier.rgi_id, np.asarray(present.bed), np.asarray(present.thickness))


def check_arrays(rgi_id: str, bed: np.ndarray, thickness: np.ndarray) -> None:
    """The same for plain arrays: bed and thickness in m, (ny, nx)."""

    def fail(message: str) -> InputError:
        return InputError(of_glacier(rgi_id, message))

    for quantity, values in ((BED, bed), (THICKNESS["thickness"], thickness)):
        missing = np.isnan(values)
        if missing.any():
            places = in_cells(missing)
            raise fail(f"{quantity.label} is not finite {places}; fill them, or crop the grid")
        allowed(values, quantity, quantity.label, fail, in_cells)
    on_ring = ~interior_mask(thickness.shape) & (thickness > 0)
    if on_ring.any():
        found = f"{int(on_ring.sum())} cells, up to {thickness[on_ring].max():.1f} m"
        raise fail(
            f"ice on the outermost ring of cells ({found}): ice that reaches the border is lost; "
            "pad the grid with at least 2 ice-free cells on every side (10 for a glacier that may "
            "grow)"
        )


def check_plausible(temp: np.ndarray, gradient: np.ndarray, fail: Fail) -> None:
    """Raise for temperatures or lapse rates of another unit or sign, which their means tell."""
    mean_gradient = gradient.mean()
    if temp.mean() > 150:
        raise fail(
            f"temperatures average {temp.mean():.1f}: this looks like kelvin, expected °C "
            "(subtract 273.15)"
        )
    # inversions are real on single days, not in the mean
    if mean_gradient > 1e-3:
        raise fail(
            f"gradient averages {mean_gradient:+.4g} K m-1; temperature falls with height: "
            "expected about -0.0065"
        )
