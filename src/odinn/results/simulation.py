"""``Simulation``: the result of a run of one glacier."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Int

from odinn.constants import WATER_DENSITY
from odinn.dates import month_index
from odinn.errors import InputError, of_glacier, warn
from odinn.glacier import Glacier
from odinn.model.model import Model
from odinn.model.velocities import velocity_of
from odinn.notebook import drawing, table
from odinn.physics.flow.base import VelocityKind
from odinn.physics.state import State
from odinn.results.evolution import Evolution, Fields, Series, surface_of
from odinn.results.faults import faults_of, too_fast
from odinn.results.hydrology import Hydrology
from odinn.results.years import Year, complete_years
from odinn.stepping.steps import Steps

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

BUDGET = ("accumulation", "ablation", "unmet_melt", "withheld", "clipped", "lost_at_border")


class Simulation(eqx.Module):
    """The result of a run of one glacier; arrays are NumPy.

    ``times`` (T,) decimal years, first the start; ``thickness`` (T, ny, nx) m. ``smb`` (T, ny, nx)
    is the realised balance between a time and the one before, m w.e. yr⁻¹ (NaN at the first
    time). ``budget_series`` has, per window, the totals of :attr:`budget` in m³ of ice;
    ``glacier_series`` accumulation, melt and rain over ice in m³ of water. ``steps`` can be handed
    to ``simulate(replay=)``; ``state`` to ``simulate(initial=)``. ``hydrology`` is the water by
    cell and month of ``simulate(hydrology=True)``, else None.

    >>> import odinn
    >>> grid = odinn.Grid(nx=8, ny=8, dx=100.0, dy=100.0)
    >>> ice = np.pad(np.full((4, 4), 50.0), 2)
    >>> glacier = odinn.Glacier("made", "Made", grid, np.full((8, 8), 2000.0), ice, ice > 0)
    >>> model = odinn.Model(flow=None, mass_balance=odinn.LinearBalance(gradient=0.01, ela=2100.0))
    >>> sim = odinn.simulate(model, glacier, 2000.0, 2002.0, save_every=1.0)
    >>> sim.thickness.shape
    (3, 8, 8)
    >>> sim.area / 1e6
    array([0.16, 0.16, 0.16])
    >>> sim.dataset.area_m2.dims, sim.dataset.speed.shape
    (('time',), (3, 8, 8))
    """

    glacier: Glacier
    model: Model
    times: Series
    thickness: Fields
    smb: Fields
    budget_series: dict[str, np.ndarray]
    glacier_series: dict[str, np.ndarray]
    steps: Steps
    state: State
    initial_volume: float
    final_volume: float
    seconds: float
    settings: dict[str, Any]
    hydrology: Hydrology | None = None

    @property
    def surface(self) -> Fields:
        """Surface altitude, m."""
        return surface_of(self.glacier, self.thickness)

    @property
    def months(self) -> Int[np.ndarray, " T"]:
        """The month (index 12 · year + month − 1) whose laws hold at each time: at its start that
        of the run's first month, at the end of a month the one that ends."""
        # A little before a time lies in the month that ends there.
        ending = [month_index(t - 1e-6) for t in self.times[1:]]
        return np.array([month_index(self.times[0]), *ending])

    @property
    def volume(self) -> Series:
        """Ice volume, m³."""
        return self._evolution.volume

    @property
    def is_glacier(self) -> Bool[np.ndarray, "T ny nx"]:
        """Cells that count as area, (T, ny, nx): those with at least 1 m of ice, now and at the
        last end of a balance year (October in the north, April in the south).

        Snow that falls on bare ground becomes area when it has outlasted a balance year, as ice
        that advances does; what is there at the start of the run is area at once. Where an end was
        not saved, the last saved time before it counts; where the hemisphere is not known, balance
        years are those of the run.
        """
        return self._evolution.is_glacier

    @property
    def area(self) -> Series:
        """Area, m², of the cells of :attr:`is_glacier`."""
        return self._evolution.area

    @property
    def budget(self) -> dict[str, float]:
        """Totals of the run, m³ of ice, each >= 0 but the residual.

        ``residual`` = initial + accumulation − ablation + clipped − lost_at_border − final.
        ``ablation`` is what melted; ``unmet_melt`` was asked for inside the outline where no ice
        was left; ``withheld`` is gain outside the outline on thin or no ice; ``clipped`` is ice
        made by lifting negative thickness to 0, and has to be 0.
        """
        totals = {key: float(self.budget_series[key].sum()) for key in BUDGET}
        gained = self.initial_volume + totals["accumulation"] + totals["clipped"]
        residual = gained - totals["ablation"] - totals["lost_at_border"] - self.final_volume
        return {
            "initial": self.initial_volume,
            **totals,
            "final": self.final_volume,
            "residual": residual,
        }

    @property
    def faults(self) -> list[str]:
        """What makes the run invalid by its own books, in sentences: more than a thousandth of its
        volume that left the grid, or that was made by lifting negative thickness. ``simulate``
        warns of each; :meth:`velocity` warns of ice that is faster than any glacier.
        """
        found = faults_of(self.budget_series, self.volume, self.initial_volume)
        return [of_glacier(self.glacier.rgi_id, sentence) for sentence in found]

    @property
    def relative_residual(self) -> float:
        """The budget's residual over the larger of the initial volume and what the balance turned
        over.
        """
        b = self.budget
        return abs(b["residual"]) / max(b["initial"], b["accumulation"] + b["ablation"], 1e-300)

    @property
    def water(self) -> dict[str, float]:
        """Totals of the run's water over the whole grid, m³ of water.

        ``residual`` = precipitation − runoff − snow − ice − lost_at_border + clipped, where
        ``snow`` and ``ice`` are changes of what is stored, the ice as the difference of the states
        at the run's ends. ``lost_at_border`` and ``clipped`` are those of :attr:`budget`.

        Raises:
            InputError: the run was made without ``hydrology=True``.
        """
        if self.hydrology is None:
            text = "the water was not recorded: simulate(..., hydrology=True)"
            raise InputError(of_glacier(self.glacier.rgi_id, text))
        budget = self.budget
        to_water = self.model.ice_density / WATER_DENSITY
        water = self.hydrology.whole | {
            "ice": to_water * (budget["final"] - budget["initial"]),
            "lost_at_border": to_water * budget["lost_at_border"],
            "clipped": to_water * budget["clipped"],
        }
        left = water["runoff"] + water["snow"] + water["ice"] + water["lost_at_border"]
        left -= water["clipped"]
        return water | {"residual": water["precipitation"] - left}

    @property
    def relative_water_residual(self) -> float:
        """The water's residual over the larger of precipitation and the ice there was."""
        water = self.water
        ice = self.model.ice_density / WATER_DENSITY * self.initial_volume
        return abs(water["residual"]) / max(water["precipitation"], ice, 1e-300)

    def velocity(self, at: VelocityKind = "surface") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(vx, vy, speed), each (T, ny, nx), m yr⁻¹: along projected x and y, 0 without ice.

        Args:
            at: "surface", "mean" (over depth) or "basal".
        """
        v = velocity_of(self.model, self.glacier, self.thickness, at, months=self.months)
        if sentence := too_fast(self.times, v[2]):
            warn(of_glacier(self.glacier.rgi_id, sentence))
        return v

    @cached_property
    def dataset(self) -> xr.Dataset:
        """The run as an ``xarray.Dataset``, made when first asked for and kept; its fields in time,
        velocities among them, are computed when their values are.
        """
        return self.to_dataset()

    def to_dataset(self) -> xr.Dataset:
        """The run as a new ``xarray.Dataset`` with CF-1.11 metadata. Fields in time are computed
        when their values are asked for.
        """
        from odinn.results.dataset import (
            axes,
            description,
            water_fields,
            with_months,
            with_variables,
        )

        ds = axes(self.glacier.grid, self.times, self.budget_series["time"])
        ds = with_variables(ds, self._fields() | self._evolution.series() | self._of_windows())
        if self.hydrology is not None:
            ds = with_months(ds, self.hydrology)
            ds = with_variables(ds, water_fields(self.hydrology) | self.hydrology.series())
        attrs = description(self.glacier, self.model, self.times, self.settings)
        return ds.assign_attrs(attrs | self._closure())

    def series(self, domain: np.ndarray | None = None) -> xr.Dataset:
        """Volume, area, altitudes at ``time`` and, with ``hydrology``, water by ``month``: an
        ``xarray.Dataset``.

        Args:
            domain: see :meth:`odinn.results.hydrology.Hydrology.series`.
        """
        from odinn.results.series import series_of_run

        return series_of_run(self._evolution, self.hydrology, domain)

    def annual(
        self,
        year: Year = "calendar",
        *,
        hydro_month: int | None = None,
        domain: np.ndarray | None = None,
    ) -> xr.Dataset:
        """The complete years of the run, with dimension ``year``.

        Volume, area, terminus are of the year's end, equilibrium line and ``specific_balance`` of
        the year. Water, where it was recorded, is summed over the year; ``snow_bucket`` is that of
        its end, areas are means.

        Args:
            year: "calendar", or "hydro": from ``hydro_month`` on, labelled by the year in which it
                ends.
            hydro_month: 1 to 12; default 10 in the north and 4 in the south.
            domain: see :meth:`odinn.results.hydrology.Hydrology.series`.

        Raises:
            InputError: no complete year, ends of years that were not saved, or a hemisphere that is
                not known.
        """
        from odinn.results.series import annual

        years = complete_years(self.glacier, self.times, year, hydro_month)
        return annual(self._evolution, years, self.hydrology, domain)

    def by_altitude(
        self, band: float = 50.0, year: Year = "calendar", *, hydro_month: int | None = None
    ) -> xr.Dataset:
        """Area and mean balance of each complete year in bands of surface altitude, with dimensions
        (year, altitude).

        Cells and altitudes are those of the area (:attr:`is_glacier`) at the start of the year; a
        band without is NaN.

        Args:
            band: width, m. ``altitude`` is the middle of the band.
            year, hydro_month: see :meth:`annual`.

        Raises:
            InputError: as :meth:`annual`, or a band that is not wider than 0.
        """
        from odinn.results.series import by_altitude

        years = complete_years(self.glacier, self.times, year, hydro_month)
        return by_altitude(self._evolution, years, band)

    @property
    def _evolution(self) -> Evolution:
        return Evolution(self.glacier, self.times, self.thickness, self.smb)

    def _fields(self) -> dict[str, Any]:
        """Fields under their names in files, those in time as functions that compute them."""

        @cache
        def velocity() -> tuple[np.ndarray, ...]:
            # In the single precision of files, so that it is kept in memory once.
            return tuple(v.astype(np.float32) for v in self.velocity())

        def smb() -> np.ndarray:
            return self.smb * WATER_DENSITY

        def surface() -> np.ndarray:
            return self.surface

        return {
            "thickness": self.thickness.copy,
            "surface": surface,
            "smb": smb,
            "vx": lambda: velocity()[0],
            "vy": lambda: velocity()[1],
            "speed": lambda: velocity()[2],
            "bed": np.asarray(self.glacier.bed),
            "glacier_mask": np.asarray(self.glacier.mask),
        }

    def _of_windows(self) -> dict[str, np.ndarray]:
        """Totals of each window, under their names in files."""
        water = {k: self.glacier_series[k] for k in ("accumulation", "melt", "rain")}
        ice = {f"budget_{k}": self.budget_series[k] for k in BUDGET}
        return water | ice

    def _closure(self) -> dict[str, float]:
        """The budgets of ice and water as attributes of a file."""
        attrs = {"budget_relative_residual": self.relative_residual}
        attrs |= {f"budget_{k}_m3": v for k, v in self.budget.items()}
        if self.hydrology is not None:
            attrs |= {f"water_{k}_m3": v for k, v in self.water.items()}
            attrs["water_relative_residual"] = self.relative_water_residual
        return attrs

    def plot(self, what: str = "glance") -> Figure:
        """A figure of the run; a notebook shows it.

        Args:
            what: one of those that ``odinn plot --list`` names, such as "summary", "before_after"
                or "section"; default: thickness at the end, its change, and volume and area in
                time.

        Raises:
            InputError: no figure of that name.
        """
        figure: Figure = drawing("figures").figure(self, what)
        return figure

    def _repr_html_(self) -> str:
        area = self.area / 1e6
        rows = {
            "period": f"{self.times[0]:.2f} to {self.times[-1]:.2f}, {len(self.times)} saved times",
            "volume": f"{self.initial_volume / 1e9:.3f} to {self.final_volume / 1e9:.3f} km³",
            "area": f"{area[0]:.2f} to {area[-1]:.2f} km²",
            "residual of the budget": f"{self.relative_residual:.1e}",
            "steps": f"{self.steps}, {self.seconds:.1f} s",
        }
        title = f"{self.glacier.rgi_id} {self.glacier.name}".strip()
        return table(title, rows, drawing("glance").beside(self))

    def __repr__(self) -> str:
        _, ny, nx = self.thickness.shape
        times = f"{len(self.times)} saved times of {ny} x {nx} cells"
        return f"Simulation({self}, {times})"

    def __str__(self) -> str:
        span = f"{self.times[0]:.2f} to {self.times[-1]:.2f}"
        volume = f"{self.initial_volume / 1e9:.3f} to {self.final_volume / 1e9:.3f} km3"
        return f"{self.glacier.rgi_id} {span}: volume {volume}, {self.steps}, {self.seconds:.1f} s"


class Failure(eqx.Module):
    """A glacier of a list that could not be run, and why.

    Args:
        state: the last one that was whole: of up to ten years before; None where it never began.
            Hand it to ``simulate(initial=)`` to try on from there, with shorter steps say.
    """

    rgi_id: str
    error: Exception
    state: State | None = None
