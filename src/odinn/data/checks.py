"""Checks of a glacier's fields, with errors that say what to do."""

from __future__ import annotations

import numpy as np

from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.grid import interior_mask


def check_fields(glacier: Glacier) -> None:
    """Raise :class:`InputError` for NaN, negative thickness, or ice on the border ring."""
    present = glacier.settled()
    check_arrays(glacier.rgi_id, np.asarray(present.bed), np.asarray(present.thickness))


def check_arrays(rgi_id: str, bed: np.ndarray, thickness: np.ndarray) -> None:
    """The same for plain arrays: bed and thickness in m, (ny, nx)."""
    for label, field in (("bed", bed), ("thickness", thickness)):
        missing = ~np.isfinite(np.asarray(field, float))
        if missing.any():
            raise InputError(
                where(
                    rgi_id, f"{label} is not finite {places(missing)}; fill them, or crop the grid"
                )
            )
    negative = thickness < 0
    if negative.any():
        lowest = f"(lowest {thickness.min():.4g} m)"
        raise InputError(
            where(rgi_id, f"negative thickness in {int(negative.sum())} cells {lowest}")
        )
    on_ring = ~interior_mask(thickness.shape) & (thickness > 0)
    if on_ring.any():
        found = f"{int(on_ring.sum())} cells, up to {thickness[on_ring].max():.1f} m"
        raise InputError(
            where(
                rgi_id,
                f"ice on the outermost ring of cells ({found}): ice that reaches the border is "
                "lost; pad the grid with at least 2 ice-free cells on every side (10 for a glacier "
                "that may grow)",
            )
        )


def places(wrong: np.ndarray) -> str:
    """How many cells of a mask there are, and the first of them."""
    row, column = np.argwhere(wrong)[0]
    return f"in {int(wrong.sum())} cells (first at row {row}, column {column})"
