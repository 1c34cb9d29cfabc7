"""The interface of surface mass balance."""

import abc
from typing import Any, Literal

import equinox as eqx
import numpy as np

from odinn.glacier import Glacier
from odinn.grid import Cell
from odinn.numbers.slot import check_slots

Frequency = Literal["fixed", "monthly", "state"]


class Rates(eqx.Module):
    """Accumulation, melt and rain on cells, each >= 0, in m w.e.: per month for monthly balances,
    else per year.
    """

    accumulation: Cell
    melt: Cell
    rain: Cell

    @property
    def balance(self) -> Cell:
        """Accumulation minus melt."""
        return self.accumulation - self.melt


class AbstractMassBalance(eqx.Module):
    """Surface mass balance in m w.e.; the driver converts it to metres of ice.

    ``frequency`` says when it has to be evaluated anew: "fixed" (once per run), "monthly" (at the
    surface of the start of each month) or "state" (at every stage of every step, time included).

    ``accumulation_threshold`` (m of ice): outside the outline a positive balance acts only where
    ice is thicker than this; None lets it act everywhere.
    """

    frequency: eqx.AbstractClassVar[Frequency]
    accumulation_threshold: eqx.AbstractVar[float | None]

    def __check_init__(self) -> None:
        check_slots(self)

    @abc.abstractmethod
    def coefficients(self, site: Any) -> Any:
        """The numbers of this balance as fields on the cells of the grid of a site (a glacier, or a
        ``Site``).
        """

    @abc.abstractmethod
    def forcing(self, glacier: Glacier, months: np.ndarray) -> Any:
        """What the months with these indices bring: a pytree with leading axis (months,), or
        None.
        """

    @abc.abstractmethod
    def rates(self, values: Any, forcing: Any, surface: Cell, time: Any) -> Rates:
        """Accumulation, melt and rain at a surface (m), given coefficients and one month's
        forcing.
        """
