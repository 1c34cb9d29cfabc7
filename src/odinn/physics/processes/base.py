"""The interface of a process, and what passes between processes and the system that adds them
up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from odinn.grid import Array, Cell
from odinn.numbers.slot import LawRows
from odinn.physics.domain import Domain
from odinn.physics.state import State, StateField
from odinn.stepping.interface import Scalar


class Window(eqx.Module):
    """A stretch of a run between two stops. Leading axis (windows,) when given to ``integrate``.

    ``evaluate``: the balance is evaluated at the start. ``jump``: the month's balance is applied at
    the end. ``forcing`` is what the month brings, ``laws`` are the monthly inputs of laws by slot
    (None if there are none).
    """

    start: Array
    length: Array
    evaluate: Array
    jump: Array
    forcing: PyTree = None
    laws: LawRows | None = None


class Water(eqx.Module):
    """What a window brings, m w.e. on cells: snow, rain, and snow minus melt where the ice does not
    gain it (< 0: what snow that lies there from before loses, if it lasts)."""

    snowfall: Cell
    rain: Cell
    left_to_snow: Cell


class Turnover(eqx.Module):
    """What a process brought to the ice and asked of it in a window, m of ice on cells.

    Args:
        gain: >= 0. melt: asked for, >= 0. unmet: the part of it that the process itself found no
            ice for.
        withheld: gain outside the outline on thin or no ice.
        on_glacier: accumulation, melt, rain (m w.e.) summed over cells with ice.
        water: on cells, where it is recorded.
    """

    gain: Cell
    melt: Cell
    unmet: Cell | None = None
    withheld: Cell | None = None
    on_glacier: Float[Array, " sums"] | None = None
    water: Water | None = None


class Ledger(eqx.Module):
    """A closed window: the sums over processes, m of ice on cells; ``melted`` is what melt really
    took.
    """

    gain: Cell
    melted: Cell
    unmet: Cell
    withheld: Cell
    on_glacier: Float[Array, " sums"]
    water: Water | None

    @property
    def balance(self) -> Cell:
        """The realised balance of the window, m of ice."""
        return self.gain - self.melted


class Rate(NamedTuple):
    """dH/dt by a process (m yr⁻¹), the rates of its own unknowns, and a bound on its stiffness
    (yr⁻¹); None: nothing.
    """

    thickness: Cell | None = None
    unknowns: PyTree = None
    stiffness: Scalar | None = None


class AbstractProcess(eqx.Module):
    """One thing that changes the ice. Processes add up to dH/dt.

    In a window: ``begin`` says what holds throughout it, ``tendency`` is evaluated at every stage
    of every step, ``settle`` looks at every accepted step, ``end`` acts at the window's end, and
    ``record`` says what of the closed window is kept in the state. All are pure functions of
    arrays, and all do nothing unless a process says otherwise.

    ``fields``: those of the state, beside the thickness, that are the process's.
    ``end_is_linear``: whether what ``end`` and ``record`` return is linear in the thickness and in
    the tally of the steps, so that its derivative needs no values of them. ``reads_ledger``:
    whether ``record`` needs the sums of the window. ``acts_at_end``: whether ``end`` changes the
    thickness.
    """

    end_is_linear: ClassVar[bool] = False
    reads_ledger: ClassVar[bool] = False
    acts_at_end: ClassVar[bool] = False

    @property
    def fields(self) -> tuple[StateField, ...]:
        """None."""
        return ()

    def first(self, domain: Domain, thickness: Cell, window: Window) -> dict[str, PyTree]:
        """These fields in a run that starts without them, before its first window: cells of
        zero.
        """
        zero = np.zeros(thickness.shape, thickness.dtype)
        return {field.name: zero for field in self.fields}

    def begin(self, domain: Domain, state: State, window: Window) -> PyTree:
        """What the process holds throughout the window; None for nothing."""
        return None

    def unknowns(self, thickness: Cell) -> PyTree:
        """Zeros in the form of what the stepper advances for this process beside the thickness:
        over each step, from zero; None for nothing."""
        return None

    def empty_tally(self, thickness: Cell) -> PyTree:
        """Zeros in the form of what ``settle`` adds up over the steps of a window; None for
        nothing.
        """
        return None

    def tendency(self, domain: Domain, held: PyTree, t: Scalar, thickness: Cell) -> Rate:
        """What the process adds at a time, to a thickness that is >= 0, and 0 on the ring."""
        return Rate()

    def lasts(self, held: PyTree) -> bool:
        """Whether ``tendency`` depends on the thickness alone: on no time, and on nothing that the
        window brings."""
        return False

    def settle(
        self, domain: Domain, held: PyTree, dt: Scalar, unknowns: PyTree, tally: PyTree
    ) -> tuple[Cell | None, PyTree]:
        """(melt that was asked for in an accepted step, m of ice; the tally of the window's steps).
        A tally of None is not kept."""
        return None, tally

    def end(
        self, domain: Domain, window: Window, held: PyTree, thickness: Cell, tally: PyTree
    ) -> tuple[Cell, Turnover | None]:
        """(thickness after the process has acted at the window's end, its turnover in the
        window).
        """
        return thickness, None

    def record(self, state: State, held: PyTree, ledger: Ledger | None) -> dict[str, PyTree]:
        """The process's fields of the state at the window's end."""
        return {}

    def for_transpose(self) -> AbstractProcess:
        """The same with hand-written transposes, where it has some."""
        return self


def closed(turnovers: list[Turnover], deficit: Cell) -> Ledger:
    """The ledger of a window: turnovers added up, less the melt that found no ice.

    Args:
        deficit: what melt asked for in vain within steps, m of ice.
    """
    zero = jnp.zeros_like(deficit)
    # Deficits within steps belong to all that asked; a process that acts at once knows its own.
    unmet = total([deficit, *(t.unmet for t in turnovers)], zero)
    asked = total([t.melt for t in turnovers], zero)
    sums = total([t.on_glacier for t in turnovers], jnp.zeros(3, deficit.dtype))
    waters = [t.water for t in turnovers if t.water is not None]
    return Ledger(
        gain=total([t.gain for t in turnovers], zero),
        melted=asked - unmet,
        unmet=unmet,
        withheld=total([t.withheld for t in turnovers], zero),
        on_glacier=sums,
        water=waters[0] if waters else None,
    )


def total(parts: Sequence[Array | None], nothing: Any) -> Any:
    """The sum of what is there; ``nothing`` if nothing is."""
    there = [part for part in parts if part is not None]
    return sum(there[1:], there[0]) if there else nothing
