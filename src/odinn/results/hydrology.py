"""Water of a run on cells and months: what falls, what melts, what lies as snow, and the domain's
runoff.

Each cell has two stores: the ice with the snow on it, whose balance is the run's, and a snowpack
where the ice takes no snow (ground outside the outline, or thin ice there). Snow that falls on the
pack and is not melted in its month stays; the degree-days that are left after the month's own snow
melt what lay before. What the ice and the pack do not keep has melted: snowfall = melt + balance of
the ice + change of the pack, on every cell. Rain and melt run off at once.
"""

from __future__ import annotations

from typing import Final

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from odinn.constants import WATER_DENSITY
from odinn.errors import InputError

SUMS: Final = ("snowfall", "rain", "melt")  # fields that are added up over a month


class Hydrology(eqx.Module):
    """Water by cell and month, (months, ny, nx) in kg m⁻², the same as mm of water; arrays are
    NumPy.

    ``start``, ``end`` (months,) decimal years; the first and last month may be parts. ``snowfall``,
    ``rain`` and ``melt`` are sums, ``melt`` that of ice and snow, as realised (below 0 by some 1e-8
    where a long step lets a cell export more ice than it holds). ``snow`` is the snowpack beside
    the ice at the ends, ``snow_at_start`` (ny, nx) that at the first start. ``on_glacier`` is True
    with at least 1 m of ice at the start of the month.

    ``domain`` (ny, nx): inside the outline, or with 1 m of ice some time in the run, or where 1 m
    of ice melted in it. ``sums`` is its :meth:`series`. ``whole`` has the totals of the run over
    the whole grid, m³ of water: precipitation, runoff, and the change of stored snow. ``cell_area``
    m².
    """

    start: Float[np.ndarray, " months"]
    end: Float[np.ndarray, " months"]
    snowfall: Float[np.ndarray, "months ny nx"]
    rain: Float[np.ndarray, "months ny nx"]
    melt: Float[np.ndarray, "months ny nx"]
    snow: Float[np.ndarray, "months ny nx"]
    on_glacier: Bool[np.ndarray, "months ny nx"]
    snow_at_start: Float[np.ndarray, "ny nx"]
    domain: Bool[np.ndarray, "ny nx"]
    cell_area: float
    sums: dict[str, np.ndarray]
    whole: dict[str, float]

    def series(self, domain: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Sums over a domain that stays the same in time, (months,), m³ of water (areas in m²).

        "On the glacier" are the cells with at least 1 m of ice at the start of the month, "off" the
        rest of the domain, as in OGGM (Maussion et al. 2019), whose unit is kg. ``runoff`` is melt
        and rain, on and off. ``ice_balance`` is what the ice gained. ``snow_bucket`` is the snow
        beside the ice at the end of the month.

        Args:
            domain: (ny, nx) bool; default :attr:`domain`. Another one, such as a catchment, or one
                for the parts of a run.
        """
        if domain is None:
            return dict(self.sums)
        domain = np.asarray(domain)
        if domain.shape != self.domain.shape or domain.dtype != bool:
            raise InputError(
                f"domain: found {domain.dtype} {domain.shape}, expected bool {self.domain.shape} "
                "(ny, nx)"
            )
        cubic = self.cell_area / WATER_DENSITY
        on = self.on_glacier & domain
        out: dict[str, np.ndarray] = {}
        for label, field in (
            ("snowfall", self.snowfall),
            ("liq_prcp", self.rain),
            ("melt", self.melt),
        ):
            out[f"{label}_on_glacier"] = cubic * np.sum(field, axis=(1, 2), where=on)
            out[f"{label}_off_glacier"] = cubic * np.sum(field, axis=(1, 2), where=domain & ~on)
        total = lambda label: out[f"{label}_on_glacier"] + out[f"{label}_off_glacier"]
        out["precipitation"] = total("snowfall") + total("liq_prcp")
        out["runoff"] = total("melt") + total("liq_prcp")
        out["snow_bucket"] = cubic * self.snow[:, domain].sum(axis=1)
        before = cubic * self.snow_at_start[domain].sum()
        out["ice_balance"] = (
            total("snowfall") - total("melt") - np.diff(out["snow_bucket"], prepend=before)
        )
        out["on_area"] = on.sum(axis=(1, 2)) * self.cell_area
        out["off_area"] = domain.sum() * self.cell_area - out["on_area"]
        return out
