"""``Evolution``: a glacier through time, and what follows from its thickness and balance alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from odinn.constants import AREA_THRESHOLD, WATER_DENSITY
from odinn.glacier import Glacier
from odinn.results.altitude import equilibrium_lines
from odinn.results.years import Indices, balance_between, settled, years_before

Series = Float[np.ndarray, " T"]
Fields = Float[np.ndarray, "T ny nx"]


def surface_of(glacier: Glacier, thickness: Fields) -> Fields:
    """Surface altitude, m."""
    return np.asarray(glacier.bed) + thickness


@dataclass(frozen=True, eq=False)
class Evolution:
    """The saved states of a run. What is asked for is computed once.

    Args:
        glacier: its bed, outline and grid are used.
        times: (T,), decimal years.
        thickness: (T, ny, nx), m.
        smb: (T, ny, nx), mean balance between a time and the one before, m w.e. yr⁻¹.
    """

    glacier: Glacier
    times: Series
    thickness: Fields
    smb: Fields

    @cached_property
    def surface(self) -> Fields:
        """Surface altitude, m."""
        return surface_of(self.glacier, self.thickness)

    @cached_property
    def is_glacier(self) -> Bool[np.ndarray, "T ny nx"]:
        """Cells that count as area: those with at least 1 m of ice, now and at the last end of a
        balance year (else at the last saved time before it, or at the start of the run).

        The snow of a winter on bare ground is ice in the model; it counts when it has lasted.
        """
        ice = self.thickness >= AREA_THRESHOLD
        return ice & ice[settled(self.glacier, self.times)]

    @property
    def volume(self) -> Series:
        """Ice volume, m³."""
        return self.thickness.sum(axis=(1, 2)) * self.glacier.grid.cell_area

    @property
    def volume_below_sea_level(self) -> Series:
        """Ice volume below altitude 0, m³."""
        bed = np.asarray(self.glacier.bed)
        deep = bed < 0
        below = np.minimum(self.thickness[:, deep], -bed[deep])
        return below.sum(axis=1) * self.glacier.grid.cell_area

    @property
    def area(self) -> Series:
        """Area of the cells that count, m²: see :attr:`is_glacier`."""
        return self.is_glacier.sum(axis=(1, 2)) * self.glacier.grid.cell_area

    @property
    def terminus(self) -> Series:
        """The lowest surface of the area, m; NaN without any."""
        lowest = np.min(self.surface, axis=(1, 2), where=self.is_glacier, initial=np.inf)
        return np.where(np.isfinite(lowest), lowest, np.nan)

    @property
    def equilibrium_line(self) -> Series:
        """Altitude (m) of no balance in the year before; NaN before a full year, or without one.

        Cells are those of the area inside the outline, at the altitude of the year's end.
        """
        lines = np.full(len(self.times), np.nan)
        first, last = years_before(self.times)
        # Few cells ever hold ice: the others need no sums.
        cells = np.asarray(self.glacier.mask) & self.is_glacier.any(axis=0)
        balance = balance_between(self.times, self.smb[:, cells], first, last)
        ice, surface = self.is_glacier[:, cells], self.surface[:, cells]
        lines[last] = equilibrium_lines(surface[last], balance, ice[last])
        return lines

    def balance(self, first: Indices, last: Indices) -> Float[np.ndarray, "N cells"]:
        """What all cells (flat) gained between saved times, given by index, kg m⁻²."""
        flat = self.smb.reshape(len(self.smb), -1)
        return WATER_DENSITY * balance_between(self.times, flat, first, last)

    def series(self) -> dict[str, Series]:
        """The numbers of each saved time, under their names in files."""
        return {
            "volume_m3": self.volume,
            "volume_bsl_m3": self.volume_below_sea_level,
            "area_m2": self.area,
            "ela_m": self.equilibrium_line,
            "terminus_altitude_m": self.terminus,
        }
