"""How a run is cut: windows, and what each brings. A plan serves runs, inversions and ``--check``
alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    that end a row of fields.
    """

    first: int
    size: int
    end: float
    kept: Int[np.ndarray, " kept"]
    leg: Leg


class Plan(eqx.Module):
    """A run cut into windows; arrays are NumPy.

    Args:
        windows: with leading axis (windows,). saved: whether a window's end is a save time,
            (windows,). holds: a balance holds from where it is evaluated until it is again.
    """

    windows: Window
    saved: Bool[np.ndarray, " windows"]
    holds: bool = eqx.field(static=True)

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
            leg = Leg(filled, np.asarray(size, np.int32), row, rows)
            yield Chunk(first, size, float(ends[first + size - 1]), first + kept, leg)


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
    saves = _save_times(settings)
    ends = _ends(settings, saves, stops, at_months=monthly or bool(laws))
    starts = np.concatenate([[settings.t0], ends[:-1]])
    month = np.array([month_index(t) for t in starts])
    at_start = np.isclose(starts * 12, month, atol=_CLOSE, rtol=0)
    at_end = np.isclose(ends * 12, month + 1, atol=_CLOSE, rtol=0)
    forcing = balance.forcing(glacier, months) if monthly else None
    windows = Window(
        start=starts,
        # a whole month is the same number everywhere, so that runs do not differ by how they were
        # cut
        length=np.where(at_start & at_end, MONTH, ends - starts),
        evaluate=_evaluated(model, at_start, resumes),
        jump=_jumps(model, settings, at_end),
        forcing=_rows(forcing, month - months[0]),
        laws=_rows(laws, month - months[0]) if laws else None,
    )
    holds = balance is not None and balance.frequency != "state"
    return Plan(windows, np.isin(ends, saves), holds)


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


def _save_times(settings: Settings) -> list[float]:
    t0, t1 = settings.span
    # a span of 1 year holds 12 twelfths, whatever the last bit says
    count = int(np.floor((t1 - t0) / settings.save_every + 1e-6))
    # multiples of 1/12 add up to starts of months only after rounding
    regular = [snap(round(t0 + i * settings.save_every, 9)) for i in range(1, count + 1)]
    return sorted({t for t in regular if t < t1 - _CLOSE} | {t1})


def _ends(settings: Settings, saves: list[float], stops: Sequence[float], at_months: bool) -> Ends:
    t0, t1 = settings.span
    ends = set(saves) | {snap(t) for t in stops if t0 < t < t1}
    if at_months:
        months = range(month_index(t0) + 1, month_index(t1) + 1)
        ends |= {k / 12 for k in months if t0 < k / 12 < t1}
    return np.array(sorted(ends))


def _evaluated(
    model: Model, at_start: Bool[np.ndarray, " windows"], resumes: bool
) -> Bool[np.ndarray, " windows"]:
    """Windows in which a held balance is evaluated: where a month begins, if it is new each month,
    and at the start of a run that brings none along."""
    balance = model.mass_balance
    evaluate = np.zeros(at_start.size, bool)
    if balance is None or balance.frequency == "state":
        return evaluate
    renewed = balance.frequency == "monthly" or bool(monthly_laws(Model(None, balance)))
    if renewed:
        evaluate |= at_start
    # a run that goes on within a month brings the balance that is in force
    evaluate[0] |= not resumes
    return evaluate


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
