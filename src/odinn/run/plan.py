"""How a run is cut: windows, and what each brings. A plan serves runs, inversions and ``--check``
alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float, Int, PyTree

from odinn.climate import months_between
from odinn.dates import MONTH, month_index, snap
from odinn.glacier import Glacier
from odinn.model.model import Model
from odinn.numbers.parameter import cast_floats
from odinn.physics.laws.refresh import monthly_laws, monthly_rows
from odinn.physics.processes.base import Window
from odinn.run.march import Leg
from odinn.run.settings import Settings

# windows of one compiled call, and rows of fields that it keeps: few sizes, so that runs of every
# length share programs
LEGS: Final = (12, 120)
# bytes of one kept field; where more windows would need more, a call has the fewest
_ROOM: Final = 2**27
CHUNK: Final = LEGS[0]  # windows of a gradient are filled up to a multiple of it
_CLOSE: Final = 1e-9  # years (or months): closer is the same

Ends = Float[np.ndarray, " windows"]


class Chunk(NamedTuple):
    """Windows of one compiled call: those from ``first`` on, ``size`` of them in use, up to the
    time ``end``, in decimal years. ``kept`` are the windows, counted from the start of the run,
    that end a row of fields. ``forcing`` and ``laws`` are what its months bring, (windows, ...).
    """

    first: int
    size: int
    end: float
    kept: Int[np.ndarray, " kept"]
    leg: Leg
    forcing: PyTree
    laws: PyTree


class Plan(eqx.Module):
    """A run cut into windows; arrays are NumPy.

    Args:
        windows: with leading axis (windows,). saved: whether a window's end is a save time,
            (windows,). holds: a balance holds from where it is evaluated until it is again.
        renewed: it is again at the start of each month.
    """

    windows: Window
    saved: Bool[np.ndarray, " windows"]
    holds: bool = eqx.field(static=True)
    renewed: bool = eqx.field(static=True)

    @property
    def count(self) -> int:
        """Number of windows."""
        return len(self.saved)

    @property
    def starts(self) -> Ends:
        """Decimal years."""
        return np.asarray(self.windows.start)

    @property
    def lengths(self) -> Ends:
        """Years."""
        return np.asarray(self.windows.length)

    @property
    def ends(self) -> Ends:
        """Decimal years."""
        return self.starts + self.lengths

    @property
    def carries(self) -> bool:
        """Whether some window starts while a balance is in force, which the state then has to
        carry.
        """
        return self.holds and not bool(np.all(self.windows.evaluate))

    def enters_or_leaves_a_balance(self, resumes: bool) -> bool:
        """Whether a balance is in force before the run, or after it.

        Args:
            resumes: the run goes on from a state.
        """
        if not self.holds:
            return False
        renews = bool(self.windows.evaluate[0])
        months = self.ends[-1] * 12
        whole = abs(months - round(months)) < _CLOSE and self.renewed
        return not whole or (resumes and not renews)

    def nearest(self, times: Sequence[float]) -> Int[np.ndarray, " rows"]:
        """The windows whose ends are nearest to some times, each once, in order."""
        return np.unique([int(np.argmin(np.abs(self.ends - t))) for t in times])

    def evaluated_at_start(self) -> Plan:
        """The plan with a balance that is evaluated in the first window."""
        evaluate = np.array(self.windows.evaluate)
        evaluate[0] = True
        return eqx.tree_at(lambda plan: plan.windows.evaluate, self, evaluate)

    def chunks(self, precision: str, cells: int, *, each: bool = False) -> Iterator[Chunk]:
        """The windows by compiled calls, in a precision.

        Args:
            cells: of the batch, which decide how many windows a call may have. each: fields of
                every window are kept, not of save times alone.
        """
        bytes_per_row = 8 * cells
        roomy = self.count > LEGS[0] and LEGS[1] * bytes_per_row <= _ROOM
        length = LEGS[1] if roomy else LEGS[0]
        ends, windows = self.ends, cast_floats(self.windows, precision)
        keeps = np.ones(self.count, bool) if each else self.saved
        for first in range(0, self.count, length):
            size = min(length, self.count - first)
            kept = np.flatnonzero(keeps[first : first + size])
            rows = LEGS[0] if len(kept) <= LEGS[0] else length
            row = np.full(length, rows, np.int32)
            row[kept] = np.arange(len(kept))
            filled = padded(_rows(windows, slice(first, first + size)), length)
            bare = dataclasses.replace(filled, forcing=None, laws=None)
            leg = Leg(bare, np.asarray(size, np.int32), row, rows)
            end = float(ends[first + size - 1])
            yield Chunk(first, size, end, first + kept, leg, filled.forcing, filled.laws)


def plan_run(
    model: Model,
    glacier: Glacier,
    settings: Settings,
    *,
    stops: Sequence[float] = (),
    resumes: bool = False,
) -> Plan:
    """Cut a run at save times, at further stops, and, for a monthly balance or law, at months.

    Args:
        stops: decimal years. resumes: the run goes on from a state that brings its balance in
            force.
    """
    months = months_between(*settings.span)
    laws = monthly_rows(model, glacier, months)
    balance = model.mass_balance
    monthly = balance is not None and balance.frequency == "monthly"
    at_months = monthly or bool(laws)
    cut = _cut(*settings.span, settings.save_every, tuple(stops), at_months)
    forcing = balance.forcing(glacier, months) if monthly else None
    windows = Window(
        start=cut.start,
        length=cut.length,
        evaluate=_evaluated(model, cut.at_start, resumes),
        jump=_jumps(model, settings, cut.at_end),
        forcing=_rows(forcing, cut.month - months[0]),
        laws=_rows(laws, cut.month - months[0]) if laws else None,
    )
    holds = balance is not None and balance.frequency != "state"
    return Plan(windows, cut.saved, holds, _is_renewed(model))


def padded(windows: Window, count: int) -> Window:
    """Windows of length zero, which do nothing, up to a number: runs of similar length share a
    program.
    """
    size = len(windows.start)
    if size == count:
        return windows
    # what an idle window brings is that of the last one: any values do, but not NaN
    last = np.minimum(np.arange(count), size - 1)
    longer = _rows(windows, last)
    idle = np.arange(count) >= size
    end = windows.start[-1] + windows.length[-1]
    return Window(
        start=np.where(idle, end, longer.start).astype(longer.start.dtype),
        length=np.where(idle, 0.0, longer.length).astype(longer.length.dtype),
        evaluate=longer.evaluate & ~idle,
        jump=longer.jump & ~idle,
        forcing=longer.forcing,
        laws=longer.laws,
    )


def _rows(table: PyTree, rows: slice | Int[np.ndarray, " rows"]) -> PyTree:
    """Rows of every array of a table."""
    return jax.tree.map(lambda column: np.asarray(column)[rows], table)


class _Cut(NamedTuple):
    """Windows before anything is known of what they bring, (windows,): start (decimal years),
    length (years), the month that each is in, whether it starts and ends with it, and whether its
    end is a save time.
    """

    start: Ends
    length: Ends
    month: Int[np.ndarray, " windows"]
    at_start: Bool[np.ndarray, " windows"]
    at_end: Bool[np.ndarray, " windows"]
    saved: Bool[np.ndarray, " windows"]


# of many glaciers one after the other, all are cut alike
@lru_cache(maxsize=16)
def _cut(
    t0: float, t1: float, save_every: float, stops: tuple[float, ...], at_months: bool
) -> _Cut:
    """Cut a span at save times, at stops, and at months if these matter."""
    saves = _save_times(t0, t1, save_every)
    ends = set(saves) | {snap(t) for t in stops if t0 < t < t1}
    if at_months:
        months = range(month_index(t0) + 1, month_index(t1) + 1)
        ends |= {k / 12 for k in months if t0 < k / 12 < t1}
    end = np.array(sorted(ends))
    start = np.concatenate([[t0], end[:-1]])
    month = np.array([month_index(t) for t in start])
    at_start = np.isclose(start * 12, month, atol=_CLOSE, rtol=0)
    at_end = np.isclose(end * 12, month + 1, atol=_CLOSE, rtol=0)
    # a whole month is the same number everywhere, so that runs do not differ by how they were cut
    length = np.where(at_start & at_end, MONTH, end - start)
    return _Cut(start, length, month, at_start, at_end, np.isin(end, saves))


def _save_times(t0: float, t1: float, save_every: float) -> list[float]:
    # a span of 1 year holds 12 twelfths, whatever the last bit says
    count = int(np.floor((t1 - t0) / save_every + 1e-6))
    # multiples of 1/12 add up to starts of months only after rounding
    regular = [snap(round(t0 + i * save_every, 9)) for i in range(1, count + 1)]
    return sorted({t for t in regular if t < t1 - _CLOSE} | {t1})


def _evaluated(
    model: Model, at_start: Bool[np.ndarray, " windows"], resumes: bool
) -> Bool[np.ndarray, " windows"]:
    """Windows in which a held balance is evaluated: where a month begins, if it is new each month,
    and at the start of a run that brings none along."""
    balance = model.mass_balance
    evaluate = np.zeros(at_start.size, bool)
    if balance is None or balance.frequency == "state":
        return evaluate
    if _is_renewed(model):
        evaluate |= at_start
    # a run that goes on within a month brings the balance that is in force
    evaluate[0] |= not resumes
    return evaluate


def _is_renewed(model: Model) -> bool:
    """Whether a balance is evaluated anew each month."""
    balance = model.mass_balance
    if balance is None:
        return False
    return balance.frequency == "monthly" or bool(monthly_laws(Model(None, balance)))


def _jumps(
    model: Model, settings: Settings, at_end: Bool[np.ndarray, " windows"]
) -> Bool[np.ndarray, " windows"]:
    """Windows at whose ends a month's balance is applied at once."""
    balance = model.mass_balance
    if balance is None or balance.frequency != "monthly" or settings.coupling != "jump":
        return np.zeros(at_end.size, bool)
    # a window that ends within a month leaves the month's event to the run that goes on
    jumps = at_end.copy()
    if not balance.acts_at_final_time:
        jumps[-1] = False
    return jumps
