"""What happens at the edge of the ice after each step: where there is less than no ice, and on the
border of the grid.
"""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from odinn.grid import Cell
from odinn.physics.domain import Domain
from odinn.stepping.batch import anywhere
from odinn.stepping.interface import Scalar

_BEYOND_ROUND_OFF = 1.0 + 1e-12
_NOTHING = 1e-30  # m of ice; keeps reciprocals and their squares finite


class EdgeTally(eqx.Module):
    """What settling took in the steps of a window, m on cells.

    ``removed`` < 0 is ice added to lift a cell to 0, > 0 (on the ring only) ice that left; ``made``
    is the part of the former that melt does not explain.
    """

    removed: Cell
    made: Cell


class EdgeTurnover(eqx.Module):
    """A closed window at the edge: melt that found no ice (m on cells), ice made and ice lost
    (sums, m).
    """

    deficit: Cell
    made: Scalar
    lost: Scalar


class AbstractEdge(eqx.Module):
    """The rule at the edge of the ice and of the grid. A calving front is another such rule.

    ``settle`` is called after each accepted step. ``asked`` is the melt that processes asked for in
    the step (m of ice >= 0; None: none), 0 on the ring. A tally of None is not kept.
    """

    @abc.abstractmethod
    def settle(
        self, domain: Domain, raw: Cell, asked: Cell | None, tally: EdgeTally | None
    ) -> tuple[Cell, EdgeTally | None]:
        """(allowed thickness, tally) from the thickness after a step."""

    @abc.abstractmethod
    def close(self, domain: Domain, tally: EdgeTally) -> EdgeTurnover:
        """The window's turnover."""

    @abc.abstractmethod
    def ice(self, thickness: Cell) -> Cell:
        """The ice that a state stands for, m, >= 0."""


class IceFreeBorder(AbstractEdge):
    """Thickness is never negative, and the outermost ring of cells stays free of ice: what enters
    it is lost.

    A step much longer than the Euler limit may let a thin cell export more ice than it holds (some
    1e-10 of the volume in a run). Such ice is taken back from the neighbours that got it, so none
    is made.
    """

    def settle(
        self, domain: Domain, raw: Cell, asked: Cell | None, tally: EdgeTally | None
    ) -> tuple[Cell, EdgeTally | None]:
        """See :class:`AbstractEdge`."""
        interior = domain.interior
        zero = jnp.zeros_like(raw)
        melt = zero if asked is None else asked
        kept = jnp.where(interior & (raw > 0), raw, 0.0)
        short = jnp.where(raw < 0, -raw, 0.0)
        owed = jnp.maximum(short - _BEYOND_ROUND_OFF * melt, 0.0)
        # rare, so it is looked for first; nobody repays who owes nothing
        is_owed = anywhere(jnp.any(owed > _NOTHING))
        if tally is None:
            # Of a choice, the derivative keeps what any branch needs: of this one its arguments.
            repay = jax.checkpoint(_repay)
            kept, _ = lax.cond(is_owed, repay, lambda *as_they_are: as_they_are, kept, owed)
            return kept, None

        def repaid() -> tuple[Cell, Cell, Cell]:
            thickness, left = _repay(kept, owed)
            # What neighbours could not give melted where it went, or else was made. On the ring
            # nothing melts.
            unexplained = jnp.maximum(left - _around(melt), 0.0)
            return thickness, left, tally.made + jnp.where(interior, unexplained, left)

        kept, left, made = lax.cond(is_owed, repaid, lambda: (kept, zero, tally.made))
        lifted = short - (owed - left)
        removed = jnp.where(interior, -lifted, jnp.maximum(raw, 0.0))
        return kept, EdgeTally(tally.removed + removed, made)

    def close(self, domain: Domain, tally: EdgeTally) -> EdgeTurnover:
        """See :class:`AbstractEdge`."""
        lifted = jnp.where(domain.interior, -tally.removed - tally.made, 0.0)
        lost = jnp.where(domain.interior, 0.0, tally.removed)
        return EdgeTurnover(lifted, jnp.sum(tally.made), jnp.sum(lost))

    def ice(self, thickness: Cell) -> Cell:
        """See :class:`AbstractEdge`: the thickness itself."""
        return thickness


class SignedThickness(AbstractEdge):
    """ODINN's rule: the state may hold negative thickness, which flow and output take as no ice;
    the ring is emptied.
    """

    def settle(
        self, domain: Domain, raw: Cell, asked: Cell | None, tally: EdgeTally | None
    ) -> tuple[Cell, EdgeTally | None]:
        """See :class:`AbstractEdge`."""
        kept = jnp.where(domain.interior, raw, 0.0)
        if tally is None:
            return kept, None
        return kept, EdgeTally(tally.removed + (raw - kept), tally.made)

    def close(self, domain: Domain, tally: EdgeTally) -> EdgeTurnover:
        """See :class:`AbstractEdge`."""
        zero = jnp.zeros_like(tally.removed)
        return EdgeTurnover(zero, jnp.zeros((), zero.dtype), jnp.sum(tally.removed))

    def ice(self, thickness: Cell) -> Cell:
        """See :class:`AbstractEdge`."""
        return jnp.maximum(thickness, 0.0)


def _repay(thickness: Cell, owed: Cell) -> tuple[Cell, Cell]:
    """Take the ice that cells owe from their four neighbours, which a long step gave too much:
    (thickness, still owed).

    Each neighbour gives in proportion to what it has, to one debtor at most a quarter of it.
    """
    wealth = _around(thickness)
    owed = jnp.where(owed > _NOTHING, owed, 0.0)
    able = (owed > 0) & (0.25 * wealth > owed)
    asked = jnp.where(owed > 0, 0.25, 0.0)
    share = jnp.where(able, owed / jnp.where(able, wealth, 1.0), asked)
    return thickness - thickness * _around(share), jnp.where(able, 0.0, owed - share * wealth)


def _around(cell: Cell) -> Cell:
    """Sum of the four neighbours."""
    wide = jnp.pad(cell, 1)
    return (wide[:-2, 1:-1] + wide[2:, 1:-1]) + (wide[1:-1, :-2] + wide[1:-1, 2:])
