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
from odinn.notebook import table

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

    >>> fields = {name: np.full((1, 2, 2), 30.0) for name in ("snowfall", "rain", "melt", "snow")}
    >>> everywhere, bare = np.ones((2, 2), bool), np.zeros((2, 2))
    >>> period = {"start": np.array([2000.0]), "end": np.array([2000.0 + 1 / 12])}
    >>> water = Hydrology(**period, **fields, on_glacier=everywhere[None], snow_at_start=bare,
    ...                   domain=everywhere, cell_area=1e4, sums={}, whole={})
    >>> water.series(everywhere)["runoff"]  # m³: 60 mm on four cells of 100 m
    array([2400.])
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
            found = f"{domain.dtype} {domain.shape}"
            raise InputError(f"domain: found {found}, expected bool {self.domain.shape} (ny, nx)")
        snowfall_on, snowfall_off = self._on_and_off(self.snowfall, domain)
        rain_on, rain_off = self._on_and_off(self.rain, domain)
        melt_on, melt_off = self._on_and_off(self.melt, domain)
        snowfall, rain, melt = snowfall_on + snowfall_off, rain_on + rain_off, melt_on + melt_off
        snow = self._cubic_metres * self.snow[:, domain].sum(axis=1)
        before = self._cubic_metres * self.snow_at_start[domain].sum()
        on_area = (self.on_glacier & domain).sum(axis=(1, 2)) * self.cell_area
        return {
            "snowfall_on_glacier": snowfall_on,
            "snowfall_off_glacier": snowfall_off,
            "liq_prcp_on_glacier": rain_on,
            "liq_prcp_off_glacier": rain_off,
            "melt_on_glacier": melt_on,
            "melt_off_glacier": melt_off,
            "precipitation": snowfall + rain,
            "runoff": melt + rain,
            "snow_bucket": snow,
            # What fell as snow, did not melt, and does not lie beside the ice has become ice.
            "ice_balance": snowfall - melt - np.diff(snow, prepend=before),
            "on_area": on_area,
            "off_area": domain.sum() * self.cell_area - on_area,
        }

    @property
    def _cubic_metres(self) -> float:
        """m³ of water on a cell for each kg m⁻²."""
        return self.cell_area / WATER_DENSITY

    def _on_and_off(
        self, field: Float[np.ndarray, "months ny nx"], domain: Bool[np.ndarray, "ny nx"]
    ) -> tuple[Float[np.ndarray, " months"], Float[np.ndarray, " months"]]:
        """Sums of a field over the glacier and over the rest of the domain, m³ of water."""
        on = self.on_glacier & domain
        off = domain & ~self.on_glacier
        return (
            self._cubic_metres * np.sum(field, axis=(1, 2), where=on),
            self._cubic_metres * np.sum(field, axis=(1, 2), where=off),
        )

    def __repr__(self) -> str:
        months, ny, nx = self.melt.shape
        span = f"{self.start[0]:.2f} to {self.end[-1]:.2f}"
        return f"Hydrology({span}, {months} months, {ny} x {nx} cells)"

    def _repr_html_(self) -> str:
        rows = {
            "period": f"{self.start[0]:.2f} to {self.end[-1]:.2f}, {len(self.start)} months",
            "area of the domain": f"{self.domain.sum() * self.cell_area / 1e6:.2f} km²",
        }
        for name in ("precipitation", "melt_on_glacier", "melt_off_glacier", "runoff"):
            rows[name] = f"{self.sums[name].sum() / 1e6:.2f} · 10⁶ m³ of water"
        return table("Water of a run", rows)
