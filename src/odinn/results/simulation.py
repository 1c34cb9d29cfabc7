"""``Simulation``: the result of a run of one glacier."""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from odinn.constants import WATER_DENSITY
from odinn.dates import month_index
from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.model.model import Model, State
from odinn.model.velocities import velocity_of
from odinn.physics.flow.base import VelocityKind
from odinn.results.hydrology import Hydrology
from odinn.stepping.steps import Steps

BUDGET = ("accumulation", "ablation", "unmet_melt", "withheld", "clipped", "lost_at_border")


class Simulation(eqx.Module):
    """The result of a run of one glacier; arrays are NumPy.

    ``times`` (T,) decimal years, first the start; ``thickness`` (T, ny, nx) m. ``smb`` (T, ny, nx)
    is the realised balance between a time and the one before, m of ice per year (NaN at the first
    time). ``budget_series`` has, per window, the totals of :attr:`budget` in m³ of ice;
    ``glacier_series`` accumulation, melt and rain over ice in m³ of water. ``steps`` can be handed
    to ``simulate(replay=)``; ``state`` to ``simulate(initial=)``. ``hydrology`` is the water by
    cell and month of ``simulate(hydrology=True)``, else None.
    """

    glacier: Glacier
    model: Model
    times: Float[np.ndarray, " T"]
    thickness: Float[np.ndarray, "T ny nx"]
    smb: Float[np.ndarray, "T ny nx"]
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
    def surface(self) -> Float[np.ndarray, "T ny nx"]:
        """Surface altitude, m."""
        return np.asarray(self.glacier.bed) + self.thickness

    @property
    def months(self) -> Int[np.ndarray, " T"]:
        """The month (index 12 · year + month − 1) whose laws hold at each time: at its start that
        of the run's first month, at the end of a month the one that ends."""
        return np.array([month_index(t if i == 0 else t - 1e-6) for i, t in enumerate(self.times)])

    @property
    def volume(self) -> Float[np.ndarray, " T"]:
        """Ice volume, m³."""
        return self.thickness.sum(axis=(1, 2)) * self.glacier.grid.cell_area

    @property
    def budget(self) -> dict[str, float]:
        """Totals of the run, m³ of ice, each >= 0 but the residual.

        ``residual`` = initial + accumulation − ablation + clipped − lost_at_border − final.
        ``ablation`` is what melted; ``unmet_melt`` was asked for where no ice was left;
        ``withheld`` is gain outside the outline on thin or no ice; ``clipped`` is ice made by
        lifting negative thickness to 0, and has to be 0.
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
            raise InputError(
                where(
                    self.glacier.rgi_id, "the water was not recorded: simulate(..., hydrology=True)"
                )
            )
        budget, to_water = self.budget, self.model.ice_density / WATER_DENSITY
        water = self.hydrology.whole | {
            "ice": to_water * (budget["final"] - budget["initial"]),
            "lost_at_border": to_water * budget["lost_at_border"],
            "clipped": to_water * budget["clipped"],
        }
        left = (
            water["runoff"]
            + water["snow"]
            + water["ice"]
            + water["lost_at_border"]
            - water["clipped"]
        )
        return water | {"residual": water["precipitation"] - left}

    @property
    def relative_water_residual(self) -> float:
        """The water's residual over the larger of precipitation and the ice there was."""
        water, ice = self.water, self.model.ice_density / WATER_DENSITY * self.initial_volume
        return abs(water["residual"]) / max(water["precipitation"], ice, 1e-300)

    def velocity(self, at: VelocityKind = "surface") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(vx, vy, speed), each (T, ny, nx), m yr⁻¹: along projected x and y, 0 without ice.

        Args:
            at: "surface", "mean" (over depth) or "basal".
        """
        return velocity_of(self.model, self.glacier, self.thickness, at, months=self.months)

    def to_dataset(self) -> Any:
        """The run as an ``xarray.Dataset`` with CF-1.11 metadata."""
        from odinn.results.dataset import to_dataset

        return to_dataset(self)

    def series(self, domain: np.ndarray | None = None) -> Any:
        """Volume, area, altitudes at ``time`` and, with ``hydrology``, water by ``month``: an
        ``xarray.Dataset``.

        Args:
            domain: see :meth:`odinn.results.hydrology.Hydrology.series`.
        """
        from odinn.results.series import series

        return series(self, domain)

    def annual(
        self,
        year: Literal["calendar", "hydro"] = "calendar",
        *,
        hydro_month: int | None = None,
        domain: np.ndarray | None = None,
    ) -> Any:
        """The complete years of the run: see :func:`odinn.results.series.annual`."""
        from odinn.results.series import annual

        return annual(self, year, hydro_month=hydro_month, domain=domain)

    def by_altitude(
        self,
        band: float = 50.0,
        year: Literal["calendar", "hydro"] = "calendar",
        *,
        hydro_month: int | None = None,
    ) -> Any:
        """Balance and area by altitude and year: see :func:`odinn.results.series.by_altitude`."""
        from odinn.results.series import by_altitude

        return by_altitude(self, band, year, hydro_month=hydro_month)

    def __str__(self) -> str:
        return (
            f"{self.glacier.rgi_id} {self.times[0]:.2f} to {self.times[-1]:.2f}: volume "
            f"{self.initial_volume / 1e9:.3f} to "
            f"{self.final_volume / 1e9:.3f} km3, {self.steps}, {self.seconds:.1f} s"
        )


class Failure(eqx.Module):
    """A glacier of a list that could not be run, and why."""

    rgi_id: str
    error: Exception
