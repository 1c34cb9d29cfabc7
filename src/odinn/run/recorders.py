"""What is collected on the host while a run goes on: states, budget, water, steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import jax
import numpy as np
from jaxtyping import Bool, Float

from odinn.constants import AREA_THRESHOLD, WATER_DENSITY
from odinn.dates import month_index, snap
from odinn.glacier import Glacier
from odinn.model.model import Model
from odinn.physics.processes.system import Amounts, Levels, Totals
from odinn.physics.state import State
from odinn.results.hydrology import SUMS, Hydrology
from odinn.results.simulation import BUDGET, Simulation
from odinn.run.march import Kept
from odinn.run.plan import Chunk, Plan
from odinn.run.settings import Settings
from odinn.stepping.steps import Record, Steps, flat

Field = Float[np.ndarray, "ny nx"]
_ON_GLACIER: Final = ("accumulation", "melt", "rain")
_ROUND_OFF: Final = 1e6  # times the precision of a number near 1: kg m⁻² below which melt is 0


class States:
    """Thickness at save times, and the mean balance between them, m of ice yr⁻¹."""

    def __init__(self, plan: Plan, thickness: Field) -> None:
        self._ends, self._saved = plan.ends, plan.saved
        self._pending = np.zeros(thickness.shape)  # m of ice since the last save time
        self.times = [float(plan.starts[0])]
        self.thickness = [thickness]
        self.smb = [np.full(thickness.shape, np.nan)]  # there is no balance before the start

    def add(self, chunk: Chunk, kept: Kept) -> None:
        """The kept rows of a chunk."""
        for row, window in enumerate(chunk.kept):
            self._pending = self._pending + kept.amounts.balance[row]
            if not self._saved[window]:
                continue
            time = snap(float(self._ends[window]))
            self.smb.append(self._pending / (time - self.times[-1]))
            self.thickness.append(np.asarray(kept.levels.thickness[row]))
            self.times.append(time)
            self._pending = np.zeros(self._pending.shape)  # a new array: the old one was kept


class Budget:
    """Totals of each window: m³ of ice, and on the glacier m³ of water."""

    def __init__(self, plan: Plan, cell_area: float) -> None:
        self._ends, self._cell_area = plan.ends, cell_area
        self._totals: dict[str, list[np.ndarray]] = {name: [] for name in BUDGET}
        self._on_glacier: list[np.ndarray] = []

    def add(self, totals: Totals) -> None:
        """The windows of a chunk."""
        for name, parts in self._totals.items():
            parts.append(getattr(totals, name) * self._cell_area)
        self._on_glacier.append(np.asarray(totals.on_glacier) * self._cell_area)

    def series(self) -> dict[str, np.ndarray]:
        """By name, (windows,), with the windows' ends as "time"."""
        totals = {name: np.concatenate(parts) for name, parts in self._totals.items()}
        return {"time": self._ends, **totals}

    def on_glacier(self) -> dict[str, np.ndarray]:
        """Accumulation, melt and rain, (windows,), with the windows' ends as "time"."""
        columns = np.concatenate(self._on_glacier).T
        return {"time": self._ends, **dict(zip(_ON_GLACIER, columns, strict=True))}


class StepRecord:
    """The steps that were taken."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._count: list[np.ndarray] = []
        self._dt: list[np.ndarray] = []
        self._stages: list[np.ndarray] = []
        self._rejected = self._evaluations = 0

    def add(self, chunk: Chunk, record: Record) -> None:
        """The steps of a chunk."""
        dt, stages, count = flat(record.steps)
        self._count.append(count[: chunk.size])
        self._dt.append(dt)
        self._stages.append(stages)
        self._rejected += int(record.tally.rejected)
        self._evaluations += int(record.tally.evaluations)

    def steps(self) -> Steps:
        """All of them."""
        return Steps(
            start=self._plan.starts,
            length=self._plan.lengths,
            count=np.concatenate(self._count),
            dt=np.concatenate(self._dt),
            stages=np.concatenate(self._stages),
            rejected=self._rejected,
            evaluations=self._evaluations,
        )


class WaterByMonth:
    """Snow, rain, melt and snowpack by cell, added up to months.

    What neither the ice nor the snowpack keeps of the snow has melted:
    snowfall = melt + balance of the ice + change of the pack, on every cell.
    """

    def __init__(
        self,
        plan: Plan,
        glacier: Glacier,
        ice_density: float,
        thickness: Field,
        snow: Field,
        dtype: str,
    ) -> None:
        self._starts, self._ends = plan.starts, plan.ends
        self._ice_density = ice_density
        self._cell_area = glacier.grid.cell_area
        self._round_off = _ROUND_OFF * float(np.finfo(dtype).eps)
        self._before, self._snow, self._snow_at_start = thickness, snow, snow
        self._domain = np.array(glacier.mask)
        self._melted_ice = np.zeros(thickness.shape)  # kg m⁻²
        self._months: list[int] = []
        self._start: list[float] = []
        self._end: list[float] = []
        self._on_glacier: list[Bool[np.ndarray, "ny nx"]] = []
        self._fields: dict[str, list[Field]] = {name: [] for name in (*SUMS, "snow")}

    def add(self, chunk: Chunk, kept: Kept) -> None:
        """The windows of a chunk, each of which has its row."""
        for row, window in enumerate(chunk.kept):
            own = jax.tree.map(lambda column, i=row: column[i], (kept.levels, kept.amounts))
            self._add_window(int(window), *own)

    def _add_window(self, window: int, levels: Levels, amounts: Amounts) -> None:
        thickness, snow = np.asarray(levels.thickness), np.asarray(levels.snow)
        balance = self._ice_density * np.asarray(amounts.balance)
        fell = WATER_DENSITY * np.asarray(amounts.snowfall)
        rain = WATER_DENSITY * np.asarray(amounts.rain)
        melt = fell - balance - (snow - self._snow)
        melt[np.abs(melt) < self._round_off] = 0.0  # a difference of large sums in winter
        was_ice = self._before >= AREA_THRESHOLD
        self._domain |= was_ice | (thickness >= AREA_THRESHOLD)
        self._melted_ice = self._melted_ice + np.maximum(-balance, 0.0)
        # windows within a month, from save times between, add up to it
        month = month_index(float(self._starts[window]))
        if not self._months or self._months[-1] != month:
            self._begin_month(month, window, was_ice)
        for name, amount in (("snowfall", fell), ("rain", rain), ("melt", melt)):
            self._fields[name][-1] = self._fields[name][-1] + amount
        self._fields["snow"][-1] = snow
        self._end[-1] = float(self._ends[window])
        self._before, self._snow = thickness, snow

    def _begin_month(self, month: int, window: int, was_ice: Bool[np.ndarray, "ny nx"]) -> None:
        self._months.append(month)
        self._start.append(float(self._starts[window]))
        self._end.append(np.nan)
        self._on_glacier.append(was_ice)
        for months in self._fields.values():
            months.append(np.zeros(was_ice.shape))

    def hydrology(self) -> Hydrology:
        """What was collected."""
        domain = self._domain | (self._melted_ice >= self._ice_density * AREA_THRESHOLD)
        fields = {name: np.stack(months) for name, months in self._fields.items()}
        bare = Hydrology(
            start=np.array(self._start),
            end=np.array(self._end),
            on_glacier=np.stack(self._on_glacier),
            snow_at_start=self._snow_at_start,
            domain=domain,
            cell_area=self._cell_area,
            sums={},
            whole={},
            **fields,
        )
        everywhere = bare.series(np.ones_like(domain))
        whole = {name: float(everywhere[name].sum()) for name in ("precipitation", "runoff")}
        stored = float((self._snow - self._snow_at_start).sum())
        whole["snow"] = stored * self._cell_area / WATER_DENSITY
        return replace(bare, sums=bare.series(domain), whole=whole)


class Recorders:
    """All that a run collects, as its settings ask for it."""

    def __init__(
        self, plan: Plan, model: Model, glacier: Glacier, settings: Settings, start: State
    ) -> None:
        self._model, self._glacier, self._settings = model, glacier, settings
        self._cell_area = glacier.grid.cell_area
        first = np.asarray(start.thickness, float)
        self._initial_volume = float(np.sum(first) * self._cell_area)
        # ODINN's scheme may start a run with less than no ice
        self._states = States(plan, np.maximum(first, 0.0))
        self._budget = Budget(plan, self._cell_area)
        self._steps = StepRecord(plan)
        self._water: WaterByMonth | None = None
        if settings.hydrology:
            ice, snow = self._states.thickness[0], np.asarray(start.extras["snow"], float)
            self._water = WaterByMonth(plan, glacier, model.ice_density, ice, snow, settings.dtype)

    def add(self, chunk: Chunk, kept: Kept) -> None:
        """What a chunk has left, on the host."""
        self._states.add(chunk, kept)
        self._budget.add(kept.totals)
        self._steps.add(chunk, kept.record)
        if self._water is not None:
            self._water.add(chunk, kept)

    def simulation(self, end: State, seconds: float) -> Simulation:
        """The result of the run that ended with a state."""
        last = np.asarray(end.thickness)
        to_water = self._model.ice_density / WATER_DENSITY
        return Simulation(
            glacier=self._glacier,
            model=self._model,
            times=np.array(self._states.times),
            thickness=np.stack(self._states.thickness),
            smb=np.stack(self._states.smb) * to_water,
            budget_series=self._budget.series(),
            glacier_series=self._budget.on_glacier(),
            steps=self._steps.steps(),
            state=State(self._settings.t1, last, jax.tree.map(np.asarray, end.extras)),
            initial_volume=self._initial_volume,
            final_volume=float(np.sum(last.astype(float)) * self._cell_area),
            seconds=seconds,
            settings=self._settings.described(),
            hydrology=None if self._water is None else self._water.hydrology(),
        )
