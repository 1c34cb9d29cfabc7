"""What makes a run invalid by its own books: ice that left the grid, ice that was made, speeds that
no glacier has.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Float

from odinn.data.quantities import FASTEST
from odinn.dates import month_index, month_name

# Of the largest volume of the run. Less does not show in a volume that is known to a few per cent.
_SHARE: Final = 1e-3
_ADVICE: Final = {
    "lost_at_border": "left the grid at its border: the run is wrong from then on; use a larger "
    "grid",
    "clipped": "were made by lifting negative thickness to 0: take shorter steps (a smaller tol=), "
    "and report it, for this should not happen",
}


def faults_of(
    budget: dict[str, np.ndarray], volume: Float[np.ndarray, " T"], initial: float
) -> list[str]:
    """A sentence for each fault, with its size and when it began; none for a run that is sound.

    Args:
        budget: m³ of ice in each window, and the ``time`` of its end.
        volume: at saved times, m³. initial: at the start, m³.
    """
    largest = max(float(np.max(volume)), initial)
    sentences = []
    for key, advice in _ADVICE.items():
        so_far = np.cumsum(budget[key])
        if not so_far[-1] > _SHARE * largest:
            continue
        first = int(np.argmax(so_far > 0.0))
        since = month_name(month_index(float(budget["time"][first]) - 1e-6))
        amount = f"{so_far[-1] / 1e9:.3g} km3 of ice"
        if initial > 0.0:
            amount += f" ({so_far[-1] / initial:.2g} of the initial volume)"
        sentences.append(f"{amount}, from {since} on, {advice}")
    return sentences


def too_fast(times: Float[np.ndarray, " T"], speed: Float[np.ndarray, "T ny nx"]) -> str | None:
    """A sentence where ice is faster than any glacier, m yr⁻¹; None where it is not."""
    fastest = speed.reshape(len(speed), -1).max(axis=1)
    if not fastest.max() > FASTEST:
        return None
    first = times[int(np.argmax(fastest > FASTEST))]
    return (
        f"ice moves by up to {fastest.max():.3g} m yr-1, from {first:.2f} on faster than "
        f"{FASTEST:g}: no glacier does. Is the bed a cliff, A too large, or the thickness wrong?"
    )
