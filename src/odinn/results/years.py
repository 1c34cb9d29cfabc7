"""Balance years: which saved times they lie between, and the balance between saved times."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from odinn.constants import MONTHS_PER_YEAR
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier

Year = Literal["calendar", "hydro"]
Times = Float[np.ndarray, " T"]
OfYears = Int[np.ndarray, " years"]
Indices = Int[np.ndarray, " N"]
CLOSE: Final = 1e-6  # years: decimal years this close are the same
_EQUATOR: Final = 1.0  # degrees from it within which no month starts a winter
_DAYS: Final = 0.01  # years by which a saved time may miss the start of the year before another


class Years(NamedTuple):
    """The complete years of a run: the month (1 to 12) in which they start, their labels, and which
    saved times are their starts and ends.
    """

    month: int
    labels: OfYears
    first: OfYears
    last: OfYears

    @property
    def meaning(self) -> str:
        """What the labels stand for."""
        if self.month == 1:
            return "calendar year"
        return f"hydrological year from month {self.month} on, labelled by the year it ends in"


def first_month(glacier: Glacier, year: Year = "hydro", hydro_month: int | None = None) -> int:
    """The month (1 to 12) in which years start: hydrological ones in ``hydro_month``, by default in
    October in the north and in April in the south.

    This is the one definition of a balance year: of results, calibration and comparisons.

    Raises:
        InputError: ``hydro_month`` is needed, on the equator (within 1 degree) or where the grid
            has no crs; or is no month.
    """
    if year not in ("calendar", "hydro"):
        raise InputError(f"year={year!r}: expected 'calendar' or 'hydro'")
    if year == "calendar":
        return 1
    if hydro_month is None:
        return _usual_month(glacier)
    if hydro_month not in range(1, MONTHS_PER_YEAR + 1):
        raise InputError(f"hydro_month={hydro_month!r}: expected 1 to 12")
    return hydro_month


def complete_years(
    glacier: Glacier,
    times: Times,
    year: Year = "calendar",
    hydro_month: int | None = None,
) -> Years:
    """The complete years within the saved times of a run (decimal years).

    Args:
        year: "calendar", or "hydro": from ``hydro_month`` on, labelled by the year in which it
            ends.
        hydro_month: see :func:`first_month`.

    Raises:
        InputError: no complete year, ends of years that were not saved, or a hemisphere that is not
            known.
    """
    month = first_month(glacier, year, hydro_month)
    offset = (month - 1) / MONTHS_PER_YEAR
    first = int(np.ceil(times[0] - offset - CLOSE))
    last = int(np.floor(times[-1] - offset + CLOSE))
    if last <= first:
        span = f"{times[0]:.3f} to {times[-1]:.3f}"
        text = f"the run from {span} holds no complete year from month {month} on"
        raise InputError(of_glacier(glacier.rgi_id, text))
    wanted = np.arange(first, last + 1) + offset
    at = np.minimum(np.searchsorted(times, wanted - CLOSE), len(times) - 1)
    missing = wanted[np.abs(times[at] - wanted) > CLOSE]
    if missing.size:
        text = f"{missing[0]:.4f}, an end of a year, is not among the saved times"
        advice = "start the run at one, with save_every=1 or a fraction of a year such as 1/12"
        raise InputError(of_glacier(glacier.rgi_id, f"{text}: {advice}"))
    # A hydrological year that starts in autumn bears the number of the next calendar year.
    labels = np.arange(first, last) + (1 if month > 1 else 0)
    return Years(month, labels, at[:-1], at[1:])


def years_before(
    times: Times,
) -> tuple[OfYears, OfYears]:
    """The saved times that end a year of the run, whichever its month, and those that start it: as
    indices (first, last).

    >>> years_before(np.array([2000.0, 2000.5, 2001.0, 2001.5]))
    (array([0, 1]), array([2, 3]))
    """
    first = np.searchsorted(times, times - 1.0 - CLOSE)
    last = np.arange(len(times))
    full = times - times[0] >= 1.0 - CLOSE
    exact = np.abs(times - times[first] - 1.0) <= _DAYS
    whole = full & exact & (first < last)
    return first[whole], last[whole]


def settled(glacier: Glacier, times: Times) -> Int[np.ndarray, " T"]:
    """For each saved time the index of the last one by which a balance year had ended; before the
    first such end, that of the start of the run.

    Where the hemisphere is not known, balance years are those of the run: from its start on.
    """
    try:
        offset = (first_month(glacier) - 1) / MONTHS_PER_YEAR
    except InputError:
        offset = float(times[0])
    ends = np.floor(times - offset + CLOSE) + offset
    return np.maximum(np.searchsorted(times, ends + CLOSE, side="right") - 1, 0)


def balance_between(
    times: Times,
    smb: Float[np.ndarray, "T cells"],
    first: Indices,
    last: Indices,
) -> Float[np.ndarray, "N cells"]:
    """What cells gained from one saved time to another, in the unit of ``smb`` times years.

    Args:
        times: decimal years.
        smb: mean rate between a time and the one before; the first is not used.
        first, last: indices of the times.
    """
    # Differences of a running sum: linear in time, however long and close the intervals are.
    total = np.zeros(smb.shape)
    np.cumsum(np.diff(times)[:, None] * smb[1:], axis=0, out=total[1:])
    return total[last] - total[first]


def _usual_month(glacier: Glacier) -> int:
    """October in the north, April in the south."""
    latitude = _latitude(glacier)
    if latitude is not None and abs(latitude) > _EQUATOR:
        return 10 if latitude > 0 else 4
    why = "the grid has no crs, so its hemisphere is not known"
    if latitude is not None:
        why = f"at latitude {latitude:.2f}, on the equator, no hemisphere says when years start"
    text = f"{why}: give hydro_month=, the month (1 to 12) in which balance years start"
    raise InputError(of_glacier(glacier.rgi_id, text))


def _latitude(glacier: Glacier) -> float | None:
    """Degrees, of the middle of the grid; None where it has no crs."""
    import pyproj

    grid = glacier.grid
    if not grid.crs:
        return None
    to_degrees = pyproj.Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    return to_degrees.transform(float(grid.x.mean()), float(grid.y.mean()))[1]
