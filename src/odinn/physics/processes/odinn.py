"""ODINN's monthly event, for comparison with it: the balance in metres of ice as it is, at the ends
of months.
"""

from __future__ import annotations

from typing import ClassVar, Final

import jax.numpy as jnp
from jax import lax

from odinn.grid import Cell
from odinn.physics.balance.base import AbstractMassBalance, Rates
from odinn.physics.domain import Domain
from odinn.physics.processes.balance import gain_and_melt, rates_in, summed_on_glacier
from odinn.physics.processes.base import (
    AbstractProcess,
    Turnover,
    Window,
)

_GAINS_ABOVE: Final = 10.0  # m of ice, everywhere


class OdinnMonthEnd(AbstractProcess):
    """The month's balance at once: melt where there is ice, gain where there is more than 10 m of
    it. Melt may take more than there is, so it belongs with
    :class:`odinn.physics.processes.border.SignedThickness`."""

    balance: AbstractMassBalance

    acts_at_end: ClassVar[bool] = True

    def end(
        self, domain: Domain, window: Window, held: None, thickness: Cell, tally: None
    ) -> tuple[Cell, Turnover]:
        """See :class:`AbstractProcess`."""
        zero = jnp.zeros_like(thickness)
        sums = summed_on_glacier(self.balance, domain, Rates(zero, zero, zero), zero)
        idle = thickness, Turnover(zero, zero, None, zero, sums)
        return lax.cond(window.jump, lambda: self._jump(domain, window, thickness), lambda: idle)

    def _jump(self, domain: Domain, window: Window, thickness: Cell) -> tuple[Cell, Turnover]:
        ice = jnp.maximum(thickness, 0.0)
        rates = rates_in(self.balance, domain, ice, window)
        balance = rates.balance
        melts = (thickness > 0) & (balance < 0)
        gains = (thickness > _GAINS_ABOVE) & (balance >= 0)
        acts = domain.interior & (melts | gains)
        gain, melt = gain_and_melt(jnp.where(acts, balance, 0.0))
        withheld = jnp.where(domain.interior & ~acts & (balance > 0), balance, 0.0)
        sums = summed_on_glacier(self.balance, domain, rates, ice)
        return thickness + gain - melt, Turnover(gain, melt, None, withheld, sums)
