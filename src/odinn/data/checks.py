"""What bed, thickness and weather cannot be, with errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from odinn.errors import ClimateError, InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import interior_mask

Fail = Callable[[str], ClimateError]

PLAUSIBLE_TEMPERATURE: Final = (-100.0, 70.0)  # °C


def check_fields(glacier: Glacier) -> None:
    """Raise :class:`InputError` for NaN, negative thickness, or ice on the border ring."""
    present = glacier.without_parameters()
    check_arrays(glacier.rgi_id, np.asarray(present.bed), np.asarray(present.thickness))


def check_arrays(rgi_id: str, bed: np.ndarray, thickness: np.ndarray) -> None:
    """The same for plain arrays: bed and thickness in m, (ny, nx)."""
    for label, field in (("bed", bed), ("thickness", thickness)):
        missing = ~np.isfinite(np.asarray(field, float))
        if missing.any():
            raise InputError(
                of_glacier(
                    rgi_id, f"{label} is not finite {places(missing)}; fill them, or crop the grid"
                )
            )
    negative = thickness < 0
    if negative.any():
        lowest = f"(lowest {thickness.min():.4g} m)"
        raise InputError(
            of_glacier(rgi_id, f"negative thickness in {int(negative.sum())} cells {lowest}")
        )
    on_ring = ~interior_mask(thickness.shape) & (thickness > 0)
    if on_ring.any():
        found = f"{int(on_ring.sum())} cells, up to {thickness[on_ring].max():.1f} m"
        raise InputError(
            of_glacier(
                rgi_id,
                f"ice on the outermost ring of cells ({found}): ice that reaches the border is "
                "lost; pad the grid with at least 2 ice-free cells on every side (10 for a glacier "
                "that may grow)",
            )
        )


def check_plausible(temp: np.ndarray, gradient: np.ndarray, time: np.ndarray, fail: Fail) -> None:
    """Raise for temperatures or lapse rates of another unit or sign."""
    mean_gradient = gradient.mean()
    if temp.mean() > 150:
        raise fail(
            f"temperatures average {temp.mean():.1f}: this looks like kelvin, expected °C "
            "(subtract 273.15)"
        )
    low, high = PLAUSIBLE_TEMPERATURE
    wild = (temp < low) | (temp > high)
    if wild.any():
        raise fail(
            f"temp is {temp[wild][0]:g} on {str(time[wild][0])[:10]}, not an air temperature in "
            "°C: mark missing values as NaN and fill them, or correct the unit"
        )
    # inversions are real on single days, not in the mean
    if mean_gradient > 1e-3:
        raise fail(
            f"gradient averages {mean_gradient:+.4g} K m-1; temperature falls with height: "
            "expected about -0.0065"
        )


def places(wrong: np.ndarray) -> str:
    """How many cells of a mask there are, and the first of them."""
    row, column = np.argwhere(wrong)[0]
    return f"in {int(wrong.sum())} cells (first at row {row}, column {column})"
