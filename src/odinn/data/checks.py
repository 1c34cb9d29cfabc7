"""Checks of a glacier's fields, with errors that say what to do."""

from __future__ import annotations

import numpy as np

from odinn.errors import InputError, where
from odinn.glacier import Glacier


def check_fields(glacier: Glacier) -> None:
    """Raise :class:`InputError` for NaN, negative thickness, or ice on the border ring."""
    check_arrays(glacier.rgi_id, glacier.bed, glacier.thickness)


def check_arrays(rgi_id: str, bed: np.ndarray, thickness: np.ndarray) -> None:
    """The same for plain arrays: bed and thickness in m, (ny, nx)."""
    fail = lambda message: InputError(where(rgi_id, message))
    for label, field in (("bed", bed), ("thickness", thickness)):
        bad = ~np.isfinite(np.asarray(field, float))
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise fail(
                f"{label} is not finite in {int(bad.sum())} cells (first at row {row}, column "
                f"{column}); fill them, or crop "
                "the grid"
            )
    if (np.asarray(thickness) < 0).any():
        raise fail(
            f"negative thickness in {int((thickness < 0).sum())} cells (lowest "
            f"{thickness.min():.4g} m)"
        )
    ring = np.asarray(thickness).copy()
    ring[1:-1, 1:-1] = 0
    if (ring > 0).any():
        raise fail(
            f"ice on the outermost ring of cells ({int((ring > 0).sum())} cells, up to "
            f"{ring.max():.1f} m): ice that reaches the "
            "border is lost; pad the grid with at least 2 ice-free cells on every side (10 for a "
            "glacier that may grow)"
        )
