"""dH/dt as a sum of processes: the system that is stepped."""

from __future__ import annotations

from typing import Final

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, PyTree

from odinn.grid import Array, Cell
from odinn.physics.domain import Domain
from odinn.physics.flow.base import AbstractFlow
from odinn.physics.processes.base import AbstractProcess, Ledger, Rate, Window, closed, total
from odinn.physics.processes.border import AbstractEdge, EdgeTally, EdgeTurnover, IceFreeBorder
from odinn.physics.processes.flow import IceFlow
from odinn.physics.state import State, StateField
from odinn.stepping.interface import AbstractSystem, Rates, Scalar

# m of ice. Explicit steps spread thinner ice, 1e-70 m and less, a cell further with each stage;
# what flows of it is beyond round-off, and how far it has come must not matter.
TRACE: Final = 1e-6


class Prognostic(eqx.Module):
    """What the stepper advances: thickness (m), and what processes integrate beside it over a
    step.
    """

    thickness: Cell
    of_processes: tuple[PyTree, ...]


class StepTally(eqx.Module):
    """What the steps of a window did, at the edge and by process."""

    edge: EdgeTally
    of_processes: tuple[PyTree, ...]


class Levels(eqx.Module):
    """What there is at a window's end, on cells: thickness (m), and where the water is recorded the
    snowpack (kg m⁻²).
    """

    thickness: Cell
    snow: Cell | None = None


class Amounts(eqx.Module):
    """What came in a window, on cells: the balance (m of ice), and where the water is recorded snow
    and rain (m w.e.). Amounts of consecutive windows add up.
    """

    balance: Cell
    snowfall: Cell | None = None
    rain: Cell | None = None


class Totals(eqx.Module):
    """What a window brought, m of ice summed over cells; ``on_glacier``: accumulation, melt, rain
    in m w.e. summed over cells with ice.
    """

    accumulation: Scalar
    ablation: Scalar
    unmet_melt: Scalar
    withheld: Scalar
    clipped: Scalar
    lost_at_border: Scalar
    on_glacier: Float[Array, " sums"]


class Report(eqx.Module):
    """A window's result; ``near_cut``: ice has come close to where the grid was cut."""

    levels: Levels
    amounts: Amounts
    totals: Totals
    near_cut: Bool[Array, ""]


class System(AbstractSystem):
    """One glacier under one model: every array that a run depends on, but for the climate, which
    windows bring.

    Args:
        domain: bed, outline, spacing. processes: what adds up to dH/dt.
        edge: the rule where ice ends.
        reports: windows report (:class:`Report`). Without, nothing is added up that no process asks
            for: less to compute, and to transpose.
    """

    domain: Domain
    processes: tuple[AbstractProcess, ...]
    edge: AbstractEdge = IceFreeBorder()
    reports: bool = eqx.field(static=True, default=True)

    @property
    def fields(self) -> tuple[StateField, ...]:
        """The fields of the state beside the thickness, as the processes declare them."""
        return tuple(field for process in self.processes for field in process.fields)

    @property
    def flow(self) -> AbstractFlow | None:
        """The ice flow on this glacier, if there is one."""
        flows = [process.flow for process in self.processes if isinstance(process, IceFlow)]
        return flows[0] if flows else None

    @property
    def closes_windows(self) -> bool:
        """Whether anything asks for the sums of a window."""
        return self.reports or any(process.reads_ledger for process in self.processes)

    @property
    def end_is_linear(self) -> bool:
        """See :class:`AbstractSystem`."""
        return all(process.end_is_linear for process in self.processes)

    def begin(
        self, state: State, window: Window
    ) -> tuple[tuple[PyTree, ...], Prognostic, StepTally | None]:
        """What processes hold throughout the window, the unknowns at its start, and an empty
        tally.
        """
        state = self._cut(state)
        held = tuple(p.begin(self.domain, state, window) for p in self.processes)
        zeros = self._zeros(state.thickness)
        y = Prognostic(state.thickness, zeros)
        if not self.closes_windows:
            return held, y, None
        zero = jnp.zeros_like(state.thickness)
        tallies = tuple(p.empty_tally(state.thickness) for p in self.processes)
        return held, y, StepTally(EdgeTally(zero, zero), tallies)

    def tendency(
        self,
        held: tuple[PyTree, ...],
        t: Scalar,
        y: Prognostic,
        lasting: tuple[Rate | None, ...] | None = None,
    ) -> Rates:
        """dH/dt (m yr⁻¹) and the stiffness (yr⁻¹): sums over the processes. What lasts are the
        rates of some of these.
        """
        # The flow sees the ring without ice; what it sends there is emptied after each step.
        seen = self.domain.interior & (y.thickness > 0)
        thickness = jnp.where(seen, y.thickness, 0.0)
        known = (None,) * len(self.processes) if lasting is None else lasting
        rates = [
            process.tendency(self.domain, part, t, thickness) if rate is None else rate
            for process, part, rate in zip(self.processes, held, known, strict=True)
        ]
        change = total([rate.thickness for rate in rates], jnp.zeros_like(thickness))
        # Bounds add up: the spectral radius of a sum is at most the sum of the radii.
        stiffness = total([rate.stiffness for rate in rates], jnp.zeros((), thickness.dtype))
        lasts = tuple(
            rate if process.lasts(part) else None
            for process, part, rate in zip(self.processes, held, rates, strict=True)
        )
        # what acts at a window's end leaves other ice than that of the last step
        gone = any(process.acts_at_end for process in self.processes) or not any(lasts)
        changes = Prognostic(change, tuple(rate.unknowns for rate in rates))
        return Rates(changes, stiffness, None if gone else lasts)

    def continuous_tendency(self, held: tuple[PyTree, ...], t: Scalar, y: Prognostic) -> Prognostic:
        """dH/dt without melt where there is no ice, so that thickness stays >= 0 by itself.

        Held melt is left out; that of a balance at every stage is not.
        """
        rates = self.tendency(held, t, y).change
        bare = y.thickness <= 0
        thickness = rates.thickness
        for process, part, unknowns in zip(self.processes, held, y.of_processes, strict=True):
            if unknowns is None:  # of a year at its rate
                melt, _ = process.settle(self.domain, part, jnp.ones(()), None, None)
                thickness = (
                    thickness if melt is None else jnp.where(bare, thickness + melt, thickness)
                )
        return Prognostic(jnp.where(self.domain.interior, thickness, 0.0), rates.of_processes)

    def settle(
        self, held: tuple[PyTree, ...], dt: Scalar, raw: Prognostic, tally: StepTally | None
    ) -> tuple[Prognostic, StepTally | None]:
        """Back to what is allowed after a step: processes say what they asked of the ice, the edge
        decides.
        """
        asked: list[Cell | None] = []
        tallies = []
        for i, process in enumerate(self.processes):
            before = None if tally is None else tally.of_processes[i]
            melt, after = process.settle(self.domain, held[i], dt, raw.of_processes[i], before)
            asked.append(melt)
            tallies.append(after)
        edge = None if tally is None else tally.edge
        thickness, edge = self.edge.settle(self.domain, raw.thickness, total(asked, None), edge)
        y = Prognostic(thickness, self._zeros(thickness))
        return y, None if edge is None else StepTally(edge, tuple(tallies))

    def end(
        self,
        state: State,
        window: Window,
        held: tuple[PyTree, ...],
        y: Prognostic,
        tally: StepTally | None,
    ) -> tuple[State, Report | None]:
        """Let processes act at the window's end, close its ledger, and keep the fields of the
        state.
        """
        thickness = y.thickness
        turnovers = []
        for i, process in enumerate(self.processes):
            sums = None if tally is None else tally.of_processes[i]
            before = thickness
            thickness, turnover = process.end(self.domain, window, held[i], before, sums)
            assert process.acts_at_end or thickness is before
            if turnover is not None:
                turnovers.append(turnover)
        ledger = edge = None
        if tally is not None:
            edge = self.edge.close(self.domain, tally.edge)
            ledger = closed(turnovers, edge.deficit)
        extras: dict[str, PyTree] = {}
        for process, part in zip(self.processes, held, strict=True):
            extras |= process.record(state, part, ledger)
        # windows of length zero fill up the last call of a run: nothing happens in them
        for field in self.fields:
            if field.restart == "zero":
                before = state.extras[field.name]
                extras[field.name] = jnp.where(window.length > 0, extras[field.name], before)
        after = State(window.start + window.length, thickness, extras)
        if not self.reports or ledger is None or edge is None:
            return after, None
        return after, self._report(after, ledger, edge)

    def _report(self, state: State, ledger: Ledger, edge: EdgeTurnover) -> Report:
        water = ledger.water
        # Ground that never bore ice asks for melt, too; what counts is what the glacier's own
        # ground asked for. A fixed place keeps the sum independent of how the run is cut into
        # windows.
        unmet = jnp.where(self.domain.outline, ledger.unmet, 0.0)
        levels = Levels(self.edge.ice(state.thickness), state.extras.get("snow"))
        amounts = Amounts(ledger.balance)
        if water is not None:
            amounts = Amounts(ledger.balance, water.snowfall, water.rain)
        totals = Totals(
            accumulation=jnp.sum(ledger.gain),
            ablation=jnp.sum(ledger.melted),
            unmet_melt=jnp.sum(unmet),
            withheld=jnp.sum(ledger.withheld),
            clipped=edge.made,
            lost_at_border=edge.lost,
            on_glacier=ledger.on_glacier,
        )
        return Report(levels, amounts, totals, self.has_left(state))

    def has_left(self, state: State) -> Array:
        """Whether ice has come close to where the grid was cut."""
        near = self.domain.near_cut
        if near is None:
            return jnp.asarray(False)
        return jnp.any(near & (self.edge.ice(state.thickness) > TRACE))

    def for_transpose(self) -> System:
        """With hand-written transposes of the flow's stencils."""
        processes = tuple(process.for_transpose() for process in self.processes)
        return System(self.domain, processes, self.edge, self.reports)

    def norm(self, error: Prognostic, y0: Prognostic, y1: Prognostic) -> Array:
        """Root mean square over cells with more than a trace of ice, m."""
        ice = self.domain.interior & ((y0.thickness > TRACE) | (y1.thickness > TRACE))
        squares = jnp.sum(jnp.where(ice, error.thickness**2, 0.0))
        return jnp.sqrt(squares / jnp.maximum(jnp.sum(ice), 1))

    def _cut(self, state: State) -> State:
        """The state without gradients through the fields that are declared so."""
        constant = [f.name for f in self.fields if not f.differentiated]
        extras = {k: lax.stop_gradient(v) if k in constant else v for k, v in state.extras.items()}
        return State(state.time, state.thickness, extras)

    def _zeros(self, thickness: Cell) -> tuple[PyTree, ...]:
        return tuple(process.unknowns(thickness) for process in self.processes)


def initial_state(
    system: System, time: Scalar, thickness: Cell, given: dict[str, PyTree], first: Window
) -> State:
    """The state in which a run starts, with every field that its processes declare.

    Args:
        given: fields of an earlier run's state. first: the first window, for the form of a balance.
    """
    extras: dict[str, PyTree] = {}
    for process in system.processes:
        extras |= process.first(system.domain, thickness, first)
    extras |= {name: value for name, value in given.items() if name in extras}
    return State(time, thickness, extras)
