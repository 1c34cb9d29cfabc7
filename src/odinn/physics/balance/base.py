"""The interface of surface mass balance."""

import abc
from typing import Any, ClassVar, Literal

import equinox as eqx
import numpy as np

from odinn.glacier import Glacier
from odinn.grid import Cell, Scalar
from odinn.numbers.slot import GlacierLike, LawRows, check_slots, in_month, on_site
from odinn.printing import printed_as_call

Frequency = Literal["fixed", "monthly", "state"]
Coupling = Literal["source", "jump"]


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


@printed_as_call
class AbstractMassBalance(eqx.Module):
    """Surface mass balance in m w.e.; the driver converts it to metres of ice.

    A balance of a model holds numbers as its user gave them; ``on`` makes the same balance on one
    glacier, which holds fields and is what compiled code calls.

    ``frequency`` says when it has to be evaluated anew: "fixed" (once per run), "monthly" (at the
    surface of the start of each month) or "state" (at every stage of every step, time included).

    ``accumulation_threshold`` (m of ice): outside the outline a positive balance acts only where
    ice is thicker than this; None lets it act everywhere.

    ``couplings`` are those it can be run with: "source" (throughout) and, if monthly, "jump" (at
    the ends of months). ``distinguishes_water``: its rates tell snow, melt and rain apart, so that
    runoff can be recorded. ``acts_at_final_time``: a run that ends with a month has the event of
    that month's end; a run without it cannot be continued.

    ``is_local``: what it gives on a cell follows from this cell and its neighbours, whichever way
    the grid lies. Runs may then leave out ground far from the ice, fill the grid up, and exchange
    its axes. A class of one's own is run on the grid as it is unless it says so.
    """

    frequency: eqx.AbstractClassVar[Frequency]
    accumulation_threshold: eqx.AbstractVar[float | None]
    couplings: ClassVar[tuple[Coupling, ...]] = ("source",)
    distinguishes_water: ClassVar[bool] = False
    acts_at_final_time: ClassVar[bool] = True
    is_local: ClassVar[bool] = False

    def __check_init__(self) -> None:
        check_slots(self)

    @abc.abstractmethod
    def forcing(self, glacier: Glacier, months: np.ndarray) -> Any:
        """What the months with these indices bring: a pytree with leading axis (months,), or
        None.
        """

    @abc.abstractmethod
    def rates(self, forcing: Any, surface: Cell, time: float | Scalar) -> Rates:
        """Accumulation, melt and rain at a surface (m) under one month's forcing; of a balance on a
        glacier.
        """

    def on(self, site: GlacierLike) -> "AbstractMassBalance":
        """This balance on one glacier: each number a field on cells, or a law left open."""
        return on_site(self, site, "mass_balance")

    def in_month(self, rows: LawRows) -> "AbstractMassBalance":
        """This balance on a glacier with the monthly inputs of its laws filled in."""
        return in_month(self, rows)
