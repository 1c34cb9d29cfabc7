"""Observations made by a model: for twin experiments, which are called that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from odinn.constants import WATER_DENSITY
from odinn.dates import decimal_year
from odinn.errors import InputError
from odinn.glacier import Glacier, Observations
from odinn.learning.choices import Time, as_dates, as_intervals
from odinn.learning.fields import AbstractFieldLoss, Moment
from odinn.learning.losses import ElevationChange, Thickness, Velocity
from odinn.model.binding import as_list
from odinn.model.model import Model
from odinn.results.simulation import Simulation
from odinn.run.driver import simulate

KINDS = ("thickness", "velocity", "elevation_change", "geodetic")

_THICKNESS, _VELOCITY, _CHANGE = Thickness(), Velocity(), ElevationChange()  # type: ignore[call-arg]  # equinox's defaults

Runs = dict[Moment, tuple[Simulation, int]]  # of each moment, the run that has it, and in which row


def synthetic_observations(
    model: Model,
    glaciers: Glacier | Sequence[Glacier],
    span: tuple[Any, Any],
    *,
    of: Sequence[str] = ("thickness", "velocity"),
    at: Any = None,
    between: Any = None,
    noise: Mapping[str, float] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[Glacier]:
    """The glaciers with ``observations`` replaced by what a model makes of them, as losses look at
    it.

    Args:
        of: "thickness" (m), "velocity" (vx, vy and speed, m yr⁻¹), "elevation_change" (m yr⁻¹),
            "geodetic" (the glacier-wide balance of the span, m w.e. yr⁻¹, which
            :class:`odinn.losses.MassBalance` reads).
        at: decimal year or date of thickness and velocity, or a list of such; default the end of
            the span.
        between: (start, end) or a list of such: velocity is its mean and elevation change its rate
            over each. Default velocity at ``at``, and the change over the span.
        noise: standard deviation by kind, relative to the value, such as {"thickness": 0.1,
            "velocity": 0.05}.
        options: keywords of :func:`odinn.simulate`.

    Fields are where the run has ice inside the outline (at their date, else at the last of ``at``),
    NaN elsewhere; of a list of K dates or intervals they are (K, ny, nx). Each kind is made by a
    run that stops where its loss does, so that without noise the loss is 0 at the truth. A loss
    with other stops beside it adds them to the run, whose steps then differ within the stepper's
    tolerance.

    Raises:
        InputError: an unknown kind, or a date outside the span.
    """
    unknown = [k for k in (*of, *(noise or {})) if k not in KINDS]
    if unknown:
        raise InputError(
            f"synthetic_observations: {unknown[0]!r} is unknown; known: {', '.join(KINDS)}"
        )
    t0, t1 = (decimal_year(t) for t in span)
    dated = [(t1,)] if at is None else list(as_dates(at) or ())
    intervals = as_intervals(between)
    for t in (*(t for (t,) in dated), *(t for interval in intervals or () for t in interval)):
        if not t0 <= t <= t1:
            raise InputError(
                f"synthetic_observations: {t:.4f} lies outside the span {t0:.4f} to {t1:.4f}"
            )
    water = model.ice_density / WATER_DENSITY
    out = []
    for position, glacier in enumerate(as_list(glaciers)):
        random = np.random.default_rng((seed, position))
        runs = cache(partial(_runs, model, glacier, t0, t1, options))
        thickness = _seen(_THICKNESS, dated, _thickness, runs)
        ice = glacier.mask & (thickness > 0)
        last = ice if len(dated) == 1 else ice[-1]

        def noisy(values: Any, kind: str, rng: Any = random) -> Any:
            return values * (1.0 + (noise or {}).get(kind, 0.0) * rng.normal(size=np.shape(values)))

        found: dict[str, Any] = {}
        dates: dict[str, Any] = {}
        if "thickness" in of:
            found["thickness"] = noisy(thickness, "thickness")
            dates["thickness"] = _single([t for (t,) in dated])
        if "velocity" in of:
            vx, vy = np.moveaxis(_seen(_VELOCITY, intervals or dated, _velocity, runs), -3, 0)
            factor = noisy(np.ones_like(vx), "velocity")
            found |= {
                "vx": vx * factor,
                "vy": vy * factor,
                "speed": np.sqrt(vx**2 + vy**2) * factor,
            }
            own = [t for (t,) in dated] if intervals is None else intervals
            dates |= dict.fromkeys(("vx", "vy", "speed"), _single(own))
        if "elevation_change" in of:
            change = _seen(_CHANGE, intervals or [(t0, t1)], _thickness, runs)
            found["elevation_change"] = noisy(change, "elevation_change")
            dates |= {} if intervals is None else {"elevation_change": _single(intervals)}
        dated_fields = ("thickness",) if intervals else ("thickness", "vx", "vy", "speed")
        found = {
            name: np.where(ice if name in dated_fields else last, f, np.nan)
            for name, f in found.items()
        }
        if "geodetic" in of:
            rate = water * _balance(runs(t1)[t1, False][0])[glacier.mask].mean() / (t1 - t0)
            found["geodetic"] = (float(noisy(rate, "geodetic")), t0, t1)
        out.append(glacier.replace(observations=Observations(**found, dates=dates)))
    return out


def _runs(
    model: Model, glacier: Glacier, t0: float, t1: float, options: dict[str, Any], *stops: float
) -> Runs:
    """Runs from stop to stop, each continuing the one before: where a loss has its stops, so that
    the steps are the same.
    """
    options = {"progress": False, **options}
    found: Runs = {}
    start, state = t0, options.pop("initial", None)
    for stop in [t for t in stops if t > t0] or [t1]:
        run = simulate(
            model, glacier, start, stop, **{"initial": state, "save_every": stop - start, **options}
        )
        found |= {(stop, False): (run, -1), (start, True): (run, 0)}
        found |= {(t0, False): (run, 0)} if start == t0 else {}
        start, state = stop, run.state
    return found


def _seen(
    loss: AbstractFieldLoss,
    times: Sequence[Time],
    field: Callable[[Simulation, int], np.ndarray],
    runs: Any,
) -> Any:
    """What a loss looks at, at each of K dates or over each of K intervals: (K, ...), or without K
    if there is one.
    """
    moments = [loss.moments(time) for time in times]
    rows = runs(*sorted({t for own in moments for t, _ in own}))
    at = {moment: field(*rows[moment]) for own in moments for moment in own}
    return _single([sum(factor * at[moment] for moment, factor in own.items()) for own in moments])


def _single(listed: Sequence[Any]) -> Any:
    """The only one of a list, else the list; arrays stacked."""
    if len(listed) == 1:
        return listed[0]
    return np.stack(listed) if isinstance(listed[0], np.ndarray) else list(listed)


def _thickness(run: Simulation, row: int) -> np.ndarray:
    return run.thickness[row]


def _velocity(run: Simulation, row: int) -> np.ndarray:
    return np.stack([component[row] for component in run.velocity()[:2]])


def _balance(run: Simulation) -> np.ndarray:
    """The balance of a run, m of ice."""
    return np.sum(run.smb[1:] * np.diff(run.times)[:, None, None], axis=0)
