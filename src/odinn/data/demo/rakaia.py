"""The embedded glaciers and their idealised climate.

Nine glaciers at the head of the Rakaia, New Zealand. Outlines and precipitation are real; thickness
is an estimate, the surface a model state, temperature idealised; debris and lakes are left out.
``NOTICE`` beside the files says more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from odinn.climate import Climate
from odinn.constants import DEFAULT_LAPSE_RATE
from odinn.data.opening import open_glacier
from odinn.glacier import Glacier

FOLDER: Final = Path(__file__).parent
HYDRO_MONTH: Final = 4  # the balance year of the south: April to March
YEARS: Final = (1970, 2070)  # covered by the climate, the second not included

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
EQUILIBRIUM_LINE: Final = 1860.0  # m, where the demo's balance is 0
# °C at 765 m: what puts the equilibrium line there (tools/build_demo_data.py solves for it).
MEAN_TEMPERATURE: Final = 8.2014


def demo_climate(mean: float = MEAN_TEMPERATURE) -> Climate:
    """One idealised climate for all nine glaciers: monthly, 1970 to 2070, every year like the
    others.

    Args:
        mean: °C, temperature of the year at 765 m.

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
        temp=mean + AMPLITUDE * np.cos(2 * np.pi * (month - WARMEST) / 12.0),
        precip=np.array(PRECIPITATION)[month],
        gradient=np.full(months, DEFAULT_LAPSE_RATE),
        source="precipitation normals of Aoraki/Mount Cook; temperature idealised",
    )


def demo_glaciers(*, coarsen: int = 1) -> list[Glacier]:
    """The embedded glaciers, largest outline first: nine at the head of the Rakaia, New Zealand
    (RGI 6.0, EPSG:2193, 50 m).

    Neither a reconstruction nor a forecast: outlines (1978) and precipitation are real, the
    thickness is an estimate, the surface a state of :func:`odinn.demo_model`, the temperature
    idealised; debris and lakes are left out (see ``NOTICE``). All share one climate, 1970 to 2070,
    whose years are alike; the ice is that of 1 April, the start of the southern balance year.

    Args:
        coarsen: average blocks of k x k cells, as in :func:`odinn.open_glacier`.

    Returns:
        Nine glaciers, 0.3 to 11.6 km², 1.8 km³ together. No network.

    >>> import odinn
    >>> ramsay = odinn.demo_glaciers()[0]
    >>> ramsay.rgi_id, ramsay.name
    ('RGI60-18.03156', 'Ramsay Glacier')
    >>> sim = odinn.simulate(odinn.demo_model(), ramsay, "2000-04-01", "2000-05-01")
    """
    climate = demo_climate()
    glaciers = [
        open_glacier(path, climate=climate, coarsen=coarsen) for path in FOLDER.glob("*.nc")
    ]
    return sorted(glaciers, key=lambda g: (-int(g.mask.sum()), g.rgi_id))
