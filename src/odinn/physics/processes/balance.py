"""Surface mass balance as a process: held through a window, evaluated at every stage, or applied at
month ends.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from odinn.grid import Array, Cell
from odinn.numbers.slot import LawRows
from odinn.physics.balance.base import AbstractMassBalance, Rates
from odinn.physics.domain import Domain
from odinn.physics.processes.base import (
    AbstractProcess,
    Ledger,
    Rate,
    Turnover,
    Water,
    Window,
)
from odinn.physics.state import State, StateField
from odinn.stepping.interface import Scalar

Detail = Literal["rate", "totals", "water"]
_IN_FORCE: Final = StateField("balance", "m yr-1", "balance in force, ice", restart="evaluated")


class BalanceInForce(eqx.Module):
    """A balance that holds: m of ice per year on cells. For the budget also what the outline rule
    withholds (m yr⁻¹) and, summed over the glacier, accumulation, melt and rain (m w.e. yr⁻¹); for
    the water these three on cells."""

    rate: Cell
    withheld: Cell | None = None
    on_glacier: Float[Array, " sums"] | None = None
    rates: Rates | None = None


class HeldBalance(AbstractProcess):
    """A balance that is evaluated when it is due (a month begins, a run begins) and acts at a
    constant rate.

    Args:
        balance: made by ``balance.on(site)``; frequency "monthly" or "fixed".
        water_to_ice: m of ice per m w.e.
        detail: what of it is kept for records beside the rate: "rate" (nothing), "totals", "water".
        carried: some window starts while the balance is in force, so it is part of the state.
    """

    balance: AbstractMassBalance
    water_to_ice: float = eqx.field(static=True)
    detail: Detail = eqx.field(static=True, default="totals")
    carried: bool = eqx.field(static=True, default=True)

    end_is_linear: ClassVar[bool] = True

    @property
    def fields(self) -> tuple[StateField, ...]:
        """The balance in force, where it is carried."""
        return (_IN_FORCE,) if self.carried else ()

    def begin(self, domain: Domain, state: State, window: Window) -> BalanceInForce:
        """The balance of the window: evaluated if it is due, else the one in force."""
        if not self.carried:
            return self.evaluated(domain, state.thickness, window)
        return lax.cond(
            window.evaluate,
            lambda: self.evaluated(domain, state.thickness, window),
            lambda: state.extras["balance"],
        )

    def evaluated(self, domain: Domain, thickness: Cell, window: Window) -> BalanceInForce:
        """The balance at the surface of the window's start."""
        thickness = jnp.maximum(
            thickness, 0.0
        )  # a state from elsewhere may be below 0 by round-off
        rates = rates_in(self.balance, domain, thickness, window)
        if self.balance.frequency == "monthly":  # a month's sums as rates per year
            rates = jax.tree.map(lambda amount: 12.0 * amount, rates)
        acting, withheld = where_it_acts(
            self.balance, domain, self.water_to_ice * rates.balance, thickness
        )
        if self.detail == "rate":
            return BalanceInForce(acting)
        sums = summed_on_glacier(self.balance, domain, rates, thickness)
        return BalanceInForce(acting, withheld, sums, rates if self.detail == "water" else None)

    def first(self, domain: Domain, thickness: Cell, window: Window) -> dict[str, BalanceInForce]:
        """A balance of zero, in the form that the state carries."""
        if not self.carried:
            return {}
        cell = np.zeros(thickness.shape, thickness.dtype)
        if self.detail == "rate":
            return {_IN_FORCE.name: BalanceInForce(cell)}
        rates = Rates(cell, cell, cell) if self.detail == "water" else None
        zero = BalanceInForce(cell, cell, np.zeros(3, cell.dtype), rates)
        return {_IN_FORCE.name: zero}

    def tendency(self, domain: Domain, held: BalanceInForce, t: Scalar, thickness: Cell) -> Rate:
        """See :class:`AbstractProcess`."""
        # Part of every stage, so that flow and balance act together and nothing jumps.
        return Rate(held.rate)

    def settle(
        self, domain: Domain, held: BalanceInForce, dt: Scalar, unknowns: None, tally: None
    ) -> tuple[Cell, None]:
        """See :class:`AbstractProcess`."""
        # What melt asks for explains a negative thickness; what is beyond that, flow has taken.
        return dt * jnp.maximum(-held.rate, 0.0), None

    def end(
        self, domain: Domain, window: Window, held: BalanceInForce, thickness: Cell, tally: None
    ) -> tuple[Cell, Turnover]:
        """See :class:`AbstractProcess`: nothing happens at the end, the turnover is rate times
        length.
        """
        gain, melt = (window.length * part for part in gain_and_melt(held.rate))
        withheld = None if held.withheld is None else window.length * held.withheld
        sums = None if held.on_glacier is None else window.length * held.on_glacier
        water = None if held.rates is None else water_of(window.length, held.rates, gain)
        return thickness, Turnover(gain, melt, None, withheld, sums, water)

    def record(
        self, state: State, held: BalanceInForce, ledger: Ledger | None
    ) -> dict[str, BalanceInForce]:
        """See :class:`AbstractProcess`."""
        return {"balance": held} if self.carried else {}


class AppliedInStep(NamedTuple):
    """What a balance at every stage did over a step, m of ice on cells: applied, and withheld."""

    applied: Cell
    withheld: Cell


class AppliedInWindow(NamedTuple):
    """The same over the steps of a window, split by sign."""

    gain: Cell
    melt: Cell
    withheld: Cell


class StageBalance(AbstractProcess):
    """A balance of the state (and of time), evaluated at every stage of every step."""

    balance: AbstractMassBalance
    water_to_ice: float = eqx.field(static=True)

    end_is_linear: ClassVar[bool] = True

    def begin(self, domain: Domain, state: State, window: Window) -> AbstractMassBalance | None:
        """The balance with this month's laws; None where it is the same in all windows."""
        return None if window.laws is None else self.balance.in_month(window.laws)

    def unknowns(self, thickness: Cell) -> AppliedInStep:
        """See :class:`AbstractProcess`: they are integrated beside the thickness, so that the
        budget has what the stages really added."""
        zero = jnp.zeros_like(thickness)
        return AppliedInStep(zero, zero)

    def empty_tally(self, thickness: Cell) -> AppliedInWindow:
        """See :class:`AbstractProcess`."""
        zero = jnp.zeros_like(thickness)
        return AppliedInWindow(zero, zero, zero)

    def tendency(
        self, domain: Domain, held: AbstractMassBalance | None, t: Scalar, thickness: Cell
    ) -> Rate:
        """See :class:`AbstractProcess`."""
        balance = self.balance if held is None else held
        rates = balance.rates(None, domain.bed + thickness, t)
        in_ice = self.water_to_ice * rates.balance
        acting, withheld = where_it_acts(balance, domain, in_ice, thickness)
        return Rate(acting, AppliedInStep(acting, withheld))

    def settle(
        self,
        domain: Domain,
        held: AbstractMassBalance | None,
        dt: Scalar,
        unknowns: AppliedInStep,
        tally: AppliedInWindow | None,
    ) -> tuple[Cell, AppliedInWindow | None]:
        """See :class:`AbstractProcess`."""
        gain, melt = gain_and_melt(unknowns.applied)
        if tally is None:
            return melt, None
        withheld = tally.withheld + unknowns.withheld
        return melt, AppliedInWindow(tally.gain + gain, tally.melt + melt, withheld)

    def end(
        self,
        domain: Domain,
        window: Window,
        held: AbstractMassBalance | None,
        thickness: Cell,
        tally: AppliedInWindow | None,
    ) -> tuple[Cell, Turnover | None]:
        """See :class:`AbstractProcess`."""
        if tally is None:
            return thickness, None
        return thickness, Turnover(tally.gain, tally.melt, None, tally.withheld)


class MonthEndBalance(AbstractProcess):
    """A month's balance applied at once at the month's end (``coupling="jump"``)."""

    balance: AbstractMassBalance
    water_to_ice: float = eqx.field(static=True)
    detail: Detail = eqx.field(static=True, default="totals")

    acts_at_end: ClassVar[bool] = True

    def end(
        self, domain: Domain, window: Window, held: None, thickness: Cell, tally: None
    ) -> tuple[Cell, Turnover]:
        """See :class:`AbstractProcess`."""
        idle = thickness, self._turnover(domain, *(jnp.zeros_like(thickness),) * 4, None)
        return lax.cond(window.jump, lambda: self._jump(domain, window, thickness), lambda: idle)

    def _jump(self, domain: Domain, window: Window, thickness: Cell) -> tuple[Cell, Turnover]:
        rates = rates_in(self.balance, domain, thickness, window)
        in_ice = self.water_to_ice * rates.balance
        acting, withheld = where_it_acts(self.balance, domain, in_ice, thickness)
        gain, melt = gain_and_melt(acting)
        melted = jnp.minimum(melt, thickness)  # at once, so no flow can bring more
        turnover = self._turnover(domain, gain, melt, melt - melted, withheld, (rates, thickness))
        return thickness + gain - melted, turnover

    def _turnover(
        self,
        domain: Domain,
        gain: Cell,
        melt: Cell,
        unmet: Cell,
        withheld: Cell,
        evaluated: tuple[Rates, Cell] | None,
    ) -> Turnover:
        """The turnover in the detail that is kept; ``evaluated`` are rates and ice, None for no
        month's end.
        """
        zero = jnp.zeros_like(gain)
        rates, ice = (Rates(zero, zero, zero), zero) if evaluated is None else evaluated
        sums = summed_on_glacier(self.balance, domain, rates, ice)
        water = water_of(1.0, rates, gain) if self.detail == "water" else None
        return Turnover(gain, melt, unmet, withheld, sums, water)


class BalanceSoFar(AbstractProcess):
    """Keeps the balance since the start in the state, for losses that look at it. It changes no
    ice.
    """

    fields: ClassVar[tuple[StateField, ...]] = (
        StateField("applied", "m", "balance since the start, ice"),
    )
    end_is_linear: ClassVar[bool] = True
    reads_ledger: ClassVar[bool] = True

    def record(self, state: State, held: None, ledger: Ledger | None) -> dict[str, Cell]:
        """See :class:`AbstractProcess`."""
        assert ledger is not None  # it says that it reads it
        return {"applied": state.extras["applied"] + ledger.balance}


def rates_in(
    balance: AbstractMassBalance, domain: Domain, thickness: Cell, window: Window
) -> Rates:
    """The balance of a window at a surface, with its laws refreshed."""
    laws: LawRows | None = window.laws
    balance = balance if laws is None else balance.in_month(laws)
    return balance.rates(window.forcing, domain.bed + thickness, window.start)


def where_it_acts(
    balance: AbstractMassBalance, domain: Domain, in_ice: Cell, thickness: Cell
) -> tuple[Cell, Cell]:
    """(balance in m of ice where it may act, gain that is withheld: outside the outline on thin or
    no ice).

    Melt acts everywhere, so ice that flows onto bare ground melts there. The ring stays ice-free
    and asks for nothing.
    """
    acts = domain.interior & (_may_gain(balance, domain, thickness) | (in_ice <= 0))
    withheld = jnp.where(domain.interior & ~acts, in_ice, 0.0)
    return jnp.where(acts, in_ice, 0.0), withheld


def summed_on_glacier(
    balance: AbstractMassBalance, domain: Domain, rates: Rates, thickness: Cell
) -> Float[Array, " sums"]:
    """Accumulation, melt and rain summed over the glacier: ice inside the outline, or thick enough
    to gain outside.
    """
    glacier = (thickness > 0) & _may_gain(balance, domain, thickness)
    parts = rates.accumulation, rates.melt, rates.rain
    return jnp.stack([jnp.sum(jnp.where(glacier, part, 0.0)) for part in parts])


def _may_gain(balance: AbstractMassBalance, domain: Domain, thickness: Cell) -> Array | bool:
    """Where ice can grow: inside the outline, or outside where it is thick.

    Snow stays thin on ground that is no glacier, and would make one of it within years.
    """
    threshold = balance.accumulation_threshold
    return True if threshold is None else domain.outline | (thickness > threshold)


def water_of(time: Scalar | float, rates: Rates, gain: Cell) -> Water:
    """What these rates bring in a time; where the ice gains, it takes the snow."""
    # below 0: degree-days that are left over melt the snow that lay there before
    left = jnp.where(gain > 0, 0.0, time * rates.balance)
    return Water(time * rates.accumulation, time * rates.rain, left)


def gain_and_melt(balance: Cell) -> tuple[Cell, Cell]:
    """A balance as gain and melt, both >= 0."""
    gain = jnp.where(balance > 0, balance, 0.0)
    return gain, gain - balance
