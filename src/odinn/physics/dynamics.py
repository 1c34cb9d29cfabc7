"""dH/dt = flow + balance as a system to be stepped: the physics of a run, its clipping rules and
its budget.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from odinn.constants import WATER_DENSITY
from odinn.glacier import geometry
from odinn.grid import Array, Cell, Scalar, cell_mean, interior_mask
from odinn.model.model import Model, State
from odinn.numbers.parameter import without_numbers
from odinn.physics.balance.base import AbstractMassBalance, Rates
from odinn.physics.flow.base import AbstractFlow, VelocityKind
from odinn.physics.flow.kernel import PLAIN, TRANSPOSED
from odinn.physics.laws.base import in_month
from odinn.stepping.interface import AbstractSystem

Coupling = Literal["source", "jump"]
Accounts = Literal["water", "budget", "balance", "none"]

_BEYOND_ROUND_OFF = 1.0 + 1e-12
_NOTHING = 1e-30  # m of ice; keeps reciprocals and their squares finite


class Window(eqx.Module):
    """A stretch of a run between two stops. Leading axis (windows,) when given to ``integrate``.

    ``evaluate``: the balance is evaluated at the start. ``jump``: the month's balance is applied at
    the end. ``laws`` are the monthly inputs of laws by slot (None if there are none).
    """

    start: Array
    length: Array
    evaluate: Array
    jump: Array
    forcing: Any = None
    laws: dict[str, tuple[Array, ...]] | None = None


class Forcing(eqx.Module):
    """What holds throughout a window: the balance, and, where laws renew them each month, the
    numbers of the flow and of a balance that is evaluated at every stage."""

    source: Source | None
    flow_values: Any = None
    balance_values: Any = None


class Source(eqx.Module):
    """A balance in force: m of ice per year on cells, and for the budget what the outline rule
    withholds (m yr⁻¹) and, summed over the glacier, accumulation, melt and rain (m w.e. yr⁻¹); for
    the water, these three on cells, too."""

    rate: Cell
    withheld: Cell | None
    on_glacier: Array | None
    rates: Rates | None = None


class Water(eqx.Module):
    """What a window brings, m w.e. on cells: snow, rain, and snow minus melt where the ice does not
    gain it (< 0: what snow that lies there from before loses, if it lasts)."""

    snowfall: Cell
    rain: Cell
    left_to_snow: Cell


class Unknowns(eqx.Module):
    """What the stepper advances: thickness, and for state-dependent balances the applied and
    withheld balance (m of ice since the last step)."""

    thickness: Cell
    applied: Cell | None = None
    withheld: Cell | None = None


class Tally(eqx.Module):
    """What settling took, m on cells: removed < 0 is ice added to lift a cell to 0, > 0 (ring only)
    ice lost at the border; ``clipped`` is the part of the former that melt does not explain."""

    removed: Cell
    clipped: Cell
    gain: Cell | None = None
    loss: Cell | None = None
    withheld: Cell | None = None


class Report(eqx.Module):
    """A window's result: thickness at its end and balance over it (m of ice), and totals (m of ice
    summed over cells; ``on_glacier``: accumulation, melt, rain in m w.e. summed over cells with
    ice)."""

    thickness: Cell
    balance: Cell
    accumulation: Scalar
    ablation: Scalar
    unmet_melt: Scalar
    withheld: Scalar
    clipped: Scalar
    lost_at_border: Scalar
    on_glacier: Array
    water: Water | None = None


class Dynamics(AbstractSystem):
    """One glacier under one model: every array that a run depends on, but for the climate, which
    windows bring.

    Args:
        flow, mass_balance: the model's parts without their numbers, which are in the two
            ``_values`` as fields.
        bed: m. outline: True inside. interior: False on the outermost ring, which stays ice-free.
        water_to_ice: m of ice per m w.e.
        signed: ODINN's scheme: thickness may be negative, and balances are added without conversion
            to ice.
        carries: windows may start within a month, so the balance in force is part of the state.
        accounts: "water" (windows report all of :class:`Report`), "budget" (all but the water),
            "balance" (the state carries the balance since the start, m of ice, as the extra
            "applied") or "none" (windows report nothing: less to compute and to transpose).
        by_hand: use the operators with hand-written transposes (for the backward pass).
    """

    flow: AbstractFlow | None
    mass_balance: AbstractMassBalance | None
    flow_values: Any
    balance_values: Any
    bed: Cell
    outline: Any
    interior: Any
    dx: float = eqx.field(static=True)
    dy: float = eqx.field(static=True)
    water_to_ice: float = eqx.field(static=True)
    coupling: Coupling = eqx.field(static=True)
    signed: bool = eqx.field(static=True)
    carries: bool = eqx.field(static=True, default=True)
    accounts: Accounts = eqx.field(static=True, default="budget")
    by_hand: bool = eqx.field(static=True, default=False)

    def begin(self, state: State, window: Window) -> tuple[Forcing, Unknowns, Tally | None]:
        """Evaluate the balance if it is due, else carry on with the one in force; refresh the
        flow's laws.
        """
        zero = jnp.zeros_like(state.thickness)
        source = None
        if self.has_source:
            evaluate = lambda: self._source(state.thickness, window)
            source = (
                lax.cond(window.evaluate, evaluate, lambda: state.extras["balance"])
                if self.carries
                else evaluate()
            )
        forcing = Forcing(source)
        if window.laws is not None:
            balance_values = in_month(self.balance_values, window.laws) if self.in_stages else None
            forcing = Forcing(source, in_month(self.flow_values, window.laws), balance_values)
        tally = Tally(zero, zero, *(zero,) * 3) if self.in_stages else Tally(zero, zero)
        y = Unknowns(state.thickness, zero, zero) if self.in_stages else Unknowns(state.thickness)
        return forcing, y, None if self.accounts == "none" else tally

    def tendency(self, forcing: Forcing, t: Any, y: Unknowns) -> tuple[Unknowns, Scalar]:
        """dH/dt from flow and balance, m yr⁻¹."""
        thickness = jnp.where(self.interior & (y.thickness > 0), y.thickness, 0.0)
        rate: Any
        stiffness: Any
        if self.flow is None:
            rate, stiffness = jnp.zeros_like(thickness), jnp.zeros((), thickness.dtype)
        else:
            operators = TRANSPOSED if self.by_hand else PLAIN
            values = self.flow_values if forcing.flow_values is None else forcing.flow_values
            rate, stiffness = self.flow.tendency(
                values, self.bed, thickness, self.dx, self.dy, operators
            )
        if forcing.source is not None:
            return Unknowns(rate + forcing.source.rate), stiffness
        if self.in_stages:
            values = (
                self.balance_values if forcing.balance_values is None else forcing.balance_values
            )
            rates = self.mass_balance.rates(values, None, self.bed + thickness, t)
            applied, withheld = self._allowed(rates, thickness)
            return Unknowns(rate + applied, applied, withheld), stiffness
        return Unknowns(rate), stiffness

    def continuous_tendency(self, forcing: Forcing, t: Any, y: Unknowns) -> Unknowns:
        """dH/dt without melt where there is no ice, so that thickness stays >= 0 by itself."""
        rates, _ = self.tendency(forcing, t, y)
        bare = y.thickness <= 0
        if forcing.source is not None:
            melt = jnp.minimum(forcing.source.rate, 0.0)
            rates = Unknowns(jnp.where(bare, rates.thickness - melt, rates.thickness))
        return Unknowns(
            jnp.where(self.interior, rates.thickness, 0.0), rates.applied, rates.withheld
        )

    def settle(
        self, forcing: Forcing, dt: Any, raw: Unknowns, tally: Tally | None
    ) -> tuple[Unknowns, Tally | None]:
        """Back to H >= 0 and an ice-free ring.

        A step much longer than the Euler limit may let a thin cell export more ice than it holds
        (some 1e-10 of the volume in a run). Such ice is taken back from the neighbours that got it,
        so none is made.
        """
        kept: Any
        H = raw.thickness
        if self.signed:
            kept = jnp.where(self.interior, H, 0.0)
            return Unknowns(kept), None if tally is None else Tally(
                tally.removed + (H - kept), tally.clipped
            )
        kept = jnp.where(self.interior & (H > 0), H, 0.0)
        short = jnp.where(self.interior, kept - H, 0.0)
        if self.in_stages:
            gain, loss = _split(raw.applied)
        else:
            source = forcing.source
            loss = jnp.zeros_like(H) if source is None else dt * jnp.maximum(-source.rate, 0.0)
        owed = jnp.maximum(short - _BEYOND_ROUND_OFF * loss, 0.0)
        zero = jnp.zeros_like(H)
        is_owed = jnp.any(owed > _NOTHING)
        if tally is None:
            nothing = lambda: (kept, zero)
            kept, _ = lax.cond(is_owed, lambda: _repay(kept, owed), nothing)
            return Unknowns(kept, zero, zero) if self.in_stages else Unknowns(kept), None

        def repaid() -> tuple[Any, Any, Any]:
            thickness, left = _repay(kept, owed)
            # what neighbours could not give melted where it went (unmet melt), or else was made
            return thickness, left, tally.clipped + jnp.maximum(left - _around(loss), 0.0)

        kept, left, clipped = lax.cond(is_owed, repaid, lambda: (kept, zero, tally.clipped))
        y = Unknowns(kept, zero, zero) if self.in_stages else Unknowns(kept)
        removed: Any = tally.removed + jnp.where(self.interior, owed - left - short, H)
        if self.in_stages:
            totals = tally.gain + gain, tally.loss + loss, tally.withheld + raw.withheld
            return y, Tally(removed, clipped, *totals)
        return y, Tally(removed, clipped)

    def end(
        self, state: State, window: Window, forcing: Forcing, y: Unknowns, tally: Tally | None
    ) -> tuple[State, Report | None]:
        """Apply a jump if one is due, close the window's budget."""
        thickness, time = y.thickness, window.start + window.length
        extras = {"balance": forcing.source} if self.has_source and self.carries else {}
        jump = None
        if self.has_jump:
            zero = jnp.zeros_like(thickness)
            water = Water(zero, zero, zero) if self.accounts == "water" else None
            nothing = _Jump(thickness, *(zero,) * 4, jnp.zeros(3, thickness.dtype), water)
            jump = lax.cond(window.jump, lambda: self._jump(thickness, window), lambda: nothing)
            thickness = jump.thickness
        if tally is None:
            return State(time, thickness, extras), None
        report = self._report(state, window, forcing.source, tally, thickness, jump)
        if self.keeps_budget:
            return State(time, thickness, extras), report
        return State(
            time, thickness, extras | {"applied": state.extras["applied"] + report.balance}
        ), None

    def _report(
        self,
        state: State,
        window: Window,
        source: Source | None,
        tally: Tally,
        thickness: Cell,
        jump: _Jump | None,
    ) -> Report:
        """The budget of a window that ends with this thickness."""
        gain: Any
        loss: Any
        withheld: Any
        unmet: Any
        melted: Any
        zero: Any = jnp.zeros_like(thickness)
        on_glacier: Any = jnp.zeros(3, thickness.dtype)
        water: Water | None = None
        if source is not None:
            gain, loss = (window.length * part for part in _split(source.rate))
            withheld = zero
            if self.accounts == "water":
                water = _water(window.length, source.rates, gain)
            if source.withheld is not None and source.on_glacier is not None:
                withheld, on_glacier = (
                    window.length * source.withheld,
                    window.length * source.on_glacier,
                )
        elif self.in_stages:
            gain, loss, withheld = tally.gain, tally.loss, tally.withheld
        else:
            gain = loss = withheld = zero
        lifted = zero if self.signed else jnp.where(self.interior, -tally.removed, 0.0)
        lost = jnp.sum(jnp.where(self.interior, 0.0, tally.removed))
        unmet = (
            lifted - tally.clipped
        )  # ice-free ground asks for melt, too: that is not counted below
        melted = loss - unmet
        had_ice = (state.thickness > 0) | (melted > 1e-9 * loss)  # round-off is not ice
        if jump is not None:
            gain, melted, unmet, withheld, on_glacier, water = (
                jump.gain,
                jump.melted,
                jump.unmet,
                jump.withheld,
                jump.on_glacier,
                jump.water,
            )
            had_ice = jnp.ones_like(had_ice)
        return Report(
            jnp.maximum(thickness, 0.0) if self.signed else thickness,
            gain - melted,
            jnp.sum(gain),
            jnp.sum(melted),
            jnp.sum(jnp.where(had_ice, unmet, 0.0)),
            jnp.sum(withheld),
            jnp.sum(tally.clipped),
            lost,
            on_glacier,
            water,
        )

    def for_transpose(self) -> Dynamics:
        """With hand-written transposes of the stencils."""
        return dataclasses.replace(self, by_hand=True)

    def norm(self, error: Unknowns, y0: Unknowns, y1: Unknowns) -> Scalar:
        """Root mean square over cells with ice, m."""
        ice = self.interior & ((y0.thickness > 0) | (y1.thickness > 0))
        squares = jnp.sum(jnp.where(ice, error.thickness**2, 0.0))
        return jnp.sqrt(squares / jnp.maximum(jnp.sum(ice), 1))

    def velocity(
        self, thickness: Cell, laws: Any, at: VelocityKind = "surface"
    ) -> tuple[Array, Array]:
        """(vx, vy) on cells, m yr⁻¹, 0 without ice; ``laws`` as in :class:`Window`, of one
        window.
        """
        values = self.flow_values if laws is None else in_month(self.flow_values, laws)
        u, v = self.flow.velocity(values, self.bed, thickness, self.dx, self.dy, at)
        return jnp.where(thickness > 0, cell_mean(u), 0.0), jnp.where(
            thickness > 0, cell_mean(v), 0.0
        )

    @property
    def keeps_budget(self) -> bool:
        """Windows report."""
        return self.accounts in ("budget", "water")

    @property
    def end_is_linear(self) -> bool:
        """All but jumps of the balance are."""
        return not self.has_jump

    @property
    def has_source(self) -> bool:
        """The balance is held in the forcing of a window."""
        return self.mass_balance is not None and not self.in_stages and not self.has_jump

    @property
    def has_jump(self) -> bool:
        """The balance is applied at the ends of months."""
        return (
            self.mass_balance is not None
            and self.mass_balance.frequency == "monthly"
            and self.coupling == "jump"
        )

    @property
    def in_stages(self) -> bool:
        """The balance is evaluated at every stage."""
        return self.mass_balance is not None and self.mass_balance.frequency == "state"

    def _rates(self, thickness: Cell, window: Window) -> Rates:
        """The balance of a window at a surface, with its laws refreshed."""
        values = (
            self.balance_values
            if window.laws is None
            else in_month(self.balance_values, window.laws)
        )
        return self.mass_balance.rates(values, window.forcing, self.bed + thickness, window.start)

    def no_source(self, window: Window) -> Source:
        """A balance of nothing, in the form that the state carries."""
        shapes = jax.eval_shape(self._source, self.bed, window)
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def _source(self, thickness: Cell, window: Window) -> Source:
        """The balance at a surface, as rates in m of ice per year."""
        thickness = jnp.maximum(thickness, 0.0)
        rates = self._rates(thickness, window)
        if self.mass_balance.frequency == "monthly":
            rates = Rates(12.0 * rates.accumulation, 12.0 * rates.melt, 12.0 * rates.rain)
        applied, withheld = self._allowed(rates, thickness)
        if not self.keeps_budget:
            return Source(applied, None, None)
        on_glacier = self._sum_on_glacier(rates, thickness)
        return Source(applied, withheld, on_glacier, rates if self.accounts == "water" else None)

    def _allowed(self, rates: Rates, thickness: Cell) -> tuple[Cell, Cell]:
        """Balance in m of ice where it may act, and what is withheld: gain outside the outline on
        thin or no ice.
        """
        balance = self.water_to_ice * rates.balance
        threshold = self.mass_balance.accumulation_threshold
        may_gain = True if threshold is None else self.outline | (thickness > threshold)
        acts = self.interior & (may_gain | (balance <= 0))
        withheld = jnp.where(
            self.interior & ~acts, balance, 0.0
        )  # the ring stays ice-free and asks for nothing
        return jnp.where(acts, balance, 0.0), withheld

    def _sum_on_glacier(self, rates: Rates, thickness: Cell) -> Array:
        """Accumulation, melt and rain summed over the glacier: ice inside the outline, or thick
        enough to gain outside.
        """
        threshold = self.mass_balance.accumulation_threshold
        belongs = True if threshold is None else self.outline | (thickness > threshold)
        glacier = (thickness > 0) & belongs
        return jnp.stack(
            [
                jnp.sum(jnp.where(glacier, r, 0.0))
                for r in (rates.accumulation, rates.melt, rates.rain)
            ]
        )

    def _jump(self, thickness: Cell, window: Window) -> _Jump:
        """A month's balance at once."""
        ice = jnp.maximum(thickness, 0.0)
        rates = self._rates(ice, window)
        on_glacier = self._sum_on_glacier(rates, ice)
        withheld: Any
        if self.signed:
            balance = rates.balance
            acts = self.interior & (
                ((thickness > 0) & (balance < 0)) | ((thickness > 10.0) & (balance >= 0))
            )
            gain, melt = _split(jnp.where(acts, balance, 0.0))
            withheld = jnp.where(self.interior & ~acts & (balance > 0), balance, 0.0)
            return _Jump(
                thickness + gain - melt, gain, melt, jnp.zeros_like(gain), withheld, on_glacier
            )
        applied, withheld = self._allowed(rates, ice)
        gain, melt = _split(applied)
        melted = jnp.minimum(melt, ice)
        unmet = jnp.where(ice > 0, melt - melted, 0.0)
        water = _water(1.0, rates, gain) if self.accounts == "water" else None
        return _Jump(thickness + gain - melted, gain, melted, unmet, withheld, on_glacier, water)


class _Jump(eqx.Module):
    """A month's balance applied at once: the thickness after it, and its parts, m of ice."""

    thickness: Cell
    gain: Cell
    melted: Cell
    unmet: Cell
    withheld: Cell
    on_glacier: Array
    water: Water | None = None


def dynamics_of(
    model: Model,
    glacier: Any,
    coupling: Coupling,
    *,
    carries: bool = True,
    accounts: Accounts = "budget",
) -> Dynamics:
    """The system of one glacier (or site) under one model, with the model's numbers as fields on
    its grid.
    """
    flow, balance = model.flow, model.mass_balance
    bed, _ = geometry(glacier)
    return Dynamics(
        flow=None if flow is None else without_numbers(flow),
        mass_balance=None if balance is None else without_numbers(balance),
        flow_values=None if flow is None else flow.coefficients(glacier),
        balance_values=None if balance is None else balance.coefficients(glacier),
        bed=bed,
        outline=jnp.asarray(glacier.mask),
        interior=jnp.asarray(interior_mask(glacier.grid.shape)),
        dx=glacier.grid.dx,
        dy=glacier.grid.dy,
        water_to_ice=WATER_DENSITY / model.ice_density,
        coupling=coupling,
        signed=getattr(balance, "scheme", None) == "odinn",
        carries=carries,
        accounts=accounts,
    )


def _repay(thickness: Cell, owed: Cell) -> tuple[Cell, Cell]:
    """Take the ice that cells owe from their four neighbours, which a long step gave too much:
    (thickness, still owed).

    Each neighbour gives in proportion to what it has, to one debtor at most a quarter of it.
    """
    wealth = _around(thickness)
    owed = jnp.where(owed > _NOTHING, owed, 0.0)
    able = (owed > 0) & (0.25 * wealth > owed)
    share = jnp.where(able, owed / jnp.where(able, wealth, 1.0), jnp.where(owed > 0, 0.25, 0.0))
    return thickness - thickness * _around(share), jnp.where(able, 0.0, owed - share * wealth)


def _around(cell: Cell) -> Cell:
    """Sum of the four neighbours."""
    wide = jnp.pad(cell, 1)
    return (wide[:-2, 1:-1] + wide[2:, 1:-1]) + (wide[1:-1, :-2] + wide[1:-1, 2:])


def _water(time: Any, rates: Any, gain: Cell) -> Water:
    """What these rates bring in a time; where the ice gains, it takes the snow."""
    left = jnp.where(gain > 0, 0.0, time * rates.balance)
    return Water(time * rates.accumulation, time * rates.rain, left)


def _split(balance: Any) -> tuple[Any, Any]:
    """Gain and loss, both >= 0."""
    gain = jnp.where(balance > 0, balance, 0.0)
    return gain, gain - balance
