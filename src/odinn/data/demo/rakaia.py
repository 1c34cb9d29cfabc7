"""The embedded glaciers and their idealised climate.

Nine glaciers at the head of the Rakaia, New Zealand. Outlines and precipitation are real; the ice
is a model state near balance, temperature idealised; debris is an assumption of the model, and
lakes are left out. ``NOTICE`` beside the files says more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from odinn.climate import Climate
from odinn.constants import DEFAULT_LAPSE_RATE
from odinn.errors import InputError, unknown

FOLDER: Final = Path(__file__).parent
HYDRO_MONTH: Final = 4  # the balance year of the south: April to March
YEARS: Final = (1970, 2070)  # covered by the climate, the second not included

NAMES: Final = {"RGI60-18.03066": "Lyell Glacier", "RGI60-18.03156": "Ramsay Glacier"}

# Monthly normals at Aoraki/Mount Cook village, kg m⁻², January to December; their sum is 4484.
PRECIPITATION: Final = (
    458.0,
    278.0,
    418.0,
    363.0,
    357.0,
    315.0,
    305.0,
    313.0,
    297.0,
    479.0,
    414.0,
    487.0,
)
REFERENCE_HEIGHT: Final = 765.0  # m, of the village
AMPLITUDE: Final = 6.5  # K, half the range of the year
WARMEST: Final = 1  # February, counted from 0
# °C at 765 m in the mean of the year: under it the ice of each is near balance, with about the
# volume of the consensus estimate (tools/build_demo_data.py checks both).
MEAN_TEMPERATURE: Final = {
    "RGI60-18.03156": 8.8,
    "RGI60-18.03066": 8.8,
    "RGI60-18.03098": 8.0,
    "RGI60-18.03095": 8.6,
    "RGI60-18.03141": 8.2,
    "RGI60-18.03145": 9.0,
    "RGI60-18.03091": 8.8,
    "RGI60-18.03339": 8.25,
    "RGI60-18.03168": 8.45,
}


def demo_climate(rgi_id: str = "RGI60-18.03156") -> Climate:
    """The idealised climate of an embedded glacier: monthly, 1970 to 2070, every year like the
    others. Glaciers differ by the mean temperature alone.

    >>> round(float(demo_climate().precip[:12].sum()))
    4484
    """
    months = 12 * (YEARS[1] - YEARS[0])
    month = np.arange(months) % 12
    return Climate(
        name="idealised",
        step="monthly",
        ref_height=REFERENCE_HEIGHT,
        first_month=12 * YEARS[0],
        temp=MEAN_TEMPERATURE[rgi_id] + AMPLITUDE * np.cos(2 * np.pi * (month - WARMEST) / 12.0),
        precip=np.array(PRECIPITATION)[month],
        gradient=np.full(months, DEFAULT_LAPSE_RATE),
        source="precipitation normals of Aoraki/Mount Cook; temperature idealised",
    )


def ids() -> list[str]:
    """RGI ids of the embedded glaciers."""
    return sorted(path.stem for path in FOLDER.glob("*.nc"))


def path_of(wanted: str) -> Path:
    """The file of an embedded glacier.

    Args:
        wanted: RGI id, or name or a part of it, in any case.

    Raises:
        InputError: none of them, or several.
    """
    known = {rgi_id: NAMES.get(rgi_id, "unnamed") for rgi_id in ids()}
    word = wanted.strip().lower()
    found = [i for i, name in known.items() if word in (i.lower(), name.lower())]
    found = found or [i for i, name in known.items() if word and word in name.lower()]
    if len(found) == 1:
        return FOLDER / f"{found[0]}.nc"
    if found:
        raise InputError(f"demo:{wanted}: several embedded glaciers; one of {', '.join(found)}")
    raise InputError(unknown(wanted, known, f"demo:{wanted}: no such embedded glacier"))
