"""Observations made by a model: for twin experiments, which are called that."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from odinn.dates import Date, decimal_year
from odinn.errors import InputError, one_of
from odinn.glacier import Glacier, Observations, When
from odinn.learning.choices import Time, as_dates, as_intervals
from odinn.learning.fields import AbstractFieldLoss, Moment
from odinn.learning.losses import ElevationChange, Thickness, Velocity
from odinn.model.binding import as_list
from odinn.model.model import Model
from odinn.results.simulation import Simulation
from odinn.run.driver import simulate

KINDS = ("thickness", "velocity", "elevation_change", "geodetic")

# Equinox's defaults are unknown to the checker of types.
_THICKNESS = Thickness()  # type: ignore[call-arg]
_VELOCITY = Velocity()  # type: ignore[call-arg]
_CHANGE = ElevationChange()  # type: ignore[call-arg]

# Of each moment, the run that has it, and in which row.
Runs = dict[Moment, tuple[Simulation, int]]


def synthetic_observations(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    period: tuple[Date, Date],
    *,
    of: Sequence[str] = ("thickness", "velocity"),
    at: object = None,
    over: object = None,
    noise: Mapping[str, float] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[Glacier]:
    """The glaciers with ``observations`` replaced by what a model makes of them, as losses look at
    it.

    Args:
        of: "thickness" (m), "velocity" (vx, vy and speed, m yr⁻¹), "elevation_change" (m yr⁻¹),
            "geodetic" (the glacier-wide balance of the period, m w.e. yr⁻¹, which
            :class:`odinn.losses.MassBalance` reads).
        at: decimal year or date of thickness and velocity, or a list of such; default the end of
            the period.
        over: (start, end) or a list of such: velocity is its mean and elevation change its rate
            over each. Default velocity at ``at``, and the change over the period.
        noise: standard deviation by kind, relative to the value, such as {"thickness": 0.1,
            "velocity": 0.05}.
        options: keywords of :func:`odinn.simulate`.

    A learned thickness or bed is run at its present values, and stays learned in what is returned.
    Fields are where the run has ice inside the outline (at their date, else at the last of ``at``),
    NaN elsewhere; of a list of K dates or intervals they are (K, ny, nx). Each kind is made by a
    run that stops where its loss does, so that without noise the loss is 0 at the truth. A loss
    with other stops beside it adds them to the run, whose steps then differ within the stepper's
    tolerance.

    Raises:
        InputError: an unknown kind, or a date outside the period.
    """
    for kind in (*of, *(noise or {})):
        one_of("of", kind, KINDS, about="synthetic_observations")
    t0, t1 = (decimal_year(t) for t in period)
    dated = as_dates(at) or ((t1,),)
    intervals = as_intervals(over, "over")
    for t in itertools.chain(*dated, *(intervals or ())):
        if not t0 <= t <= t1:
            raise InputError(
                f"synthetic_observations: {t:.4f} lies outside the period {t0:.4f} to {t1:.4f}"
            )
    wanted = _Wanted(of, (t0, t1), dated, intervals)
    out = []
    for position, glacier in enumerate(as_list(glaciers)):
        # kinds that stop alike share their runs
        runs = cache(partial(_runs, model, glacier.without_parameters(), t0, t1, options))
        # draws of one glacier do not depend on the others in the list
        errors = _Errors(np.random.default_rng((seed, position)), noise or {})
        observations = _observed(wanted, runs, glacier.mask, errors)
        out.append(glacier.replace(observations=observations))
    return out


class _Wanted(NamedTuple):
    """Kinds of observations, the period of the run, and when they are made."""

    kinds: Sequence[str]
    period: tuple[float, float]
    dates: Sequence[Time]
    intervals: Sequence[Time] | None


class _Errors(NamedTuple):
    """Draws of relative errors; each call draws, so that kinds do not shift each other's."""

    random: np.random.Generator
    deviations: Mapping[str, float]

    def on(self, values: np.ndarray, kind: str) -> np.ndarray:
        """Values times 1 plus an error."""
        draw = self.random.normal(size=np.shape(values))
        return values * (1.0 + self.deviations.get(kind, 0.0) * draw)


def _observed(
    wanted: _Wanted, runs: Callable[..., Runs], mask: np.ndarray, errors: _Errors
) -> Observations:
    """What these runs show of one glacier, where there is ice inside the outline."""
    thickness = _seen(_THICKNESS, wanted.dates, _thickness, runs)
    ice = mask & (thickness > 0)
    # what holds over an interval has no date of its own
    last = ice if len(wanted.dates) == 1 else ice[-1]
    fields: dict[str, Any] = {}
    dates: dict[str, When] = {}
    if "thickness" in wanted.kinds:
        fields["thickness"] = np.where(ice, errors.on(thickness, "thickness"), np.nan)
        dates["thickness"] = _stated(wanted.dates)
    if "velocity" in wanted.kinds:
        times = wanted.intervals or wanted.dates
        vx, vy = np.moveaxis(_seen(_VELOCITY, times, _velocity, runs), -3, 0)
        # one error for a vector: a wrong displacement, not a wrong direction
        factor = errors.on(np.ones_like(vx), "velocity")
        there = last if wanted.intervals else ice
        for name, component in (("vx", vx), ("vy", vy), ("speed", np.sqrt(vx**2 + vy**2))):
            fields[name] = np.where(there, component * factor, np.nan)
            dates[name] = _stated(times)
    if "elevation_change" in wanted.kinds:
        change = _seen(_CHANGE, wanted.intervals or [wanted.period], _thickness, runs)
        change = errors.on(change, "elevation_change")
        fields["elevation_change"] = np.where(last, change, np.nan)
        if wanted.intervals:
            dates["elevation_change"] = _stated(wanted.intervals)
    geodetic = None
    if "geodetic" in wanted.kinds:
        rate = errors.on(_geodetic(wanted.period, runs, mask), "geodetic")
        geodetic = (float(rate), *wanted.period)
    return dataclasses.replace(Observations(dates=dates, geodetic=geodetic), **fields)


def _geodetic(
    period: tuple[float, float], runs: Callable[..., Runs], mask: np.ndarray
) -> np.ndarray:
    """The glacier-wide balance of a period, m w.e. yr⁻¹."""
    start, end = period
    run, _ = runs(end)[end, False]
    return _balance(run)[mask].mean() / (end - start)


def _runs(
    model: Model, glacier: Glacier, t0: float, t1: float, options: dict[str, Any], *stops: float
) -> Runs:
    """Runs from stop to stop, each continuing the one before: where a loss has its stops, so that
    the steps are the same.
    """
    options = {"progress": False, **options}
    by_moment: Runs = {}
    start, state = t0, options.pop("initial", None)
    later = [t for t in stops if t > t0]
    for stop in later or [t1]:
        settings = {"initial": state, "save_every": stop - start, **options}
        run = simulate(model, glacier, start, stop, **settings)
        # at a stop the laws of the month that ends hold, or those of the month that begins
        by_moment |= {(stop, False): (run, -1), (start, True): (run, 0)}
        if start == t0:
            by_moment[t0, False] = (run, 0)
        start, state = stop, run.state
    return by_moment


def _seen(
    loss: AbstractFieldLoss,
    times: Sequence[Time],
    field: Callable[[Simulation, int], np.ndarray],
    runs: Callable[..., Runs],
) -> np.ndarray:
    """What a loss looks at, at each of K dates or over each of K intervals: (K, ...), or without K
    if there is one.
    """
    moments = [loss.moments(time) for time in times]
    rows = runs(*sorted({t for factors in moments for t, _ in factors}))
    # of each moment the field is made once, though intervals may share it
    needed = set().union(*moments)
    at = {moment: field(*rows[moment]) for moment in needed}
    seen = []
    for factors in moments:
        parts = [factor * at[moment] for moment, factor in factors.items()]
        seen.append(sum(parts[1:], start=parts[0]))
    return seen[0] if len(seen) == 1 else np.stack(seen)


def _stated(times: Sequence[Time]) -> When:
    """Dates as numbers and intervals as pairs; the only one, else a list."""
    listed: list[Any] = [time[0] if len(time) == 1 else time for time in times]
    # a field without an axis of dates goes with one date
    return listed[0] if len(listed) == 1 else listed


def _thickness(run: Simulation, row: int) -> np.ndarray:
    return run.thickness[row]


def _velocity(run: Simulation, row: int) -> np.ndarray:
    return np.stack([component[row] for component in run.velocity()[:2]])


def _balance(run: Simulation) -> np.ndarray:
    """The balance of a run, m w.e."""
    # rates are means over the years that end at each saved state
    return np.sum(run.smb[1:] * np.diff(run.times)[:, None, None], axis=0)
