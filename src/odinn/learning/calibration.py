"""Calibration of one number of a mass balance on fixed geometry, and the comparison with measured
balances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from odinn.climate import months_between
from odinn.dates import Date, decimal_year, hydrological_year, span_of_year
from odinn.errors import CalibrationError, InputError, of_glacier
from odinn.glacier import Glacier
from odinn.model.binding import as_list
from odinn.model.model import Model
from odinn.numbers.conversion import for_glacier
from odinn.numbers.slot import Number
from odinn.physics.balance.base import AbstractMassBalance
from odinn.physics.laws.base import AbstractLaw
from odinn.results.years import first_month

Vary = Literal["melt_factor", "precip_factor", "temp_bias"]
Target = float | None  # m w.e. yr⁻¹; None: what was measured
Period = tuple[Date, Date]

BOUNDS: dict[str, tuple[float, float]] = {
    "melt_factor": (0.5e-3, 20e-3),
    "precip_factor": (0.1, 10.0),
    "temp_bias": (-15.0, 15.0),
}


def monthly_balance(
    model: Model, glacier: Glacier, months: np.ndarray
) -> Float[np.ndarray, " months"]:
    """Glacier-wide balance of months on the glacier's present geometry, m w.e. per month: the mean
    inside the outline.
    """
    balance = model.mass_balance
    if balance is None or balance.frequency != "monthly":
        raise _error(glacier, "calibration needs a monthly mass balance such as TemperatureIndex")
    if not glacier.mask.any():
        raise _error(glacier, "the outline is empty: there are no cells to average over")
    here = balance.on(glacier)
    if any(callable(v) for v in jax.tree.leaves(here, is_leaf=callable)):
        raise _error(
            glacier, "a law of the balance is renewed each month: calibrate with numbers instead"
        )
    forcing = balance.forcing(glacier, np.asarray(months))
    inside = jnp.asarray(glacier.surface[glacier.mask])
    # a cell depends on itself alone, so those inside the outline do; spreads by month stay whole
    here = jax.tree.map(lambda v: v[glacier.mask] if np.shape(v) == glacier.grid.shape else v, here)
    return np.asarray(_means(here, forcing, inside))


def annual_balance(
    model: Model, glacier: Glacier, period: Period, hydro_month: int | None = None
) -> dict[int, float]:
    """Glacier-wide balance of the hydrological years inside a period, on fixed geometry, {year: m
    w.e.}; ``hydro_month`` as in :func:`calibrate`.
    """
    first = first_month(glacier, hydro_month=hydro_month)
    months = months_between(*(decimal_year(t) for t in period))
    series = monthly_balance(model, glacier, months)
    years = np.array([hydrological_year(k, first) for k in months])
    # the first and the last may have lost months to the period
    complete = [y for y in np.unique(years) if (years == y).sum() == 12]
    return {int(y): float(series[years == y].sum()) for y in complete}


def calibrate(
    model: Model,
    glacier: Glacier | Sequence[Glacier],
    target: Target | Sequence[Target] | Mapping[str, Target] = None,
    period: Period | None = None,
    vary: Vary = "melt_factor",
    *,
    bounds: tuple[float, float] | None = None,
    hydro_month: int | None = None,
) -> Model:
    """A model whose mean balance over a period, on a glacier's present geometry, is the target.

    Args:
        model: with a monthly balance.
        glacier: one with a climate that covers the period, or a list of such.
        target: m w.e. yr⁻¹, the mean inside the outline; None takes the mean of the measured annual
            balances of the hydrological years inside the period. For a list one for all, a list, or
            ``{rgi_id: target}``.
        period: (start, end), decimal years or dates, whole months; None takes the hydrological
            years that climate and measurements share.
        vary: the number to solve for. bounds: where to look; default melt_factor 0.5e-3 … 20e-3,
            precip_factor 0.1 … 10, temp_bias −15 … 15.
        hydro_month: 1 to 12, in which the measured years start; default 10 in the north and 4 in
            the south. A glacier on the equator, or whose grid has no crs, needs it for measured
            years.

    Returns:
        The model with that number replaced; for a list by ``{rgi_id: number}``, beside what it held
        for other glaciers.

    Raises:
        InputError: targets, period or model do not fit. CalibrationError: no value within the
            bounds reaches the target; the message says what the bounds give. Both name the glacier.

    Root finding: Brent's method (``scipy.optimize.brentq``), as in OGGM's calibration (Maussion et
    al. 2019).
    """
    glaciers = as_list(glacier)
    _check_varied(model, vary, glaciers[0])
    if isinstance(target, Sequence) and (
        isinstance(glacier, Glacier) or len(target) != len(glaciers)
    ):
        raise _error(
            glaciers[0],
            f"calibrate: {len(target)} targets for {len(glaciers)} glaciers in the list",
        )
    tasks = []
    # what is wrong with one of them is said before the first is solved
    for position, own in enumerate(glaciers):
        wanted = target[position] if isinstance(target, Sequence) else target
        one = for_glacier(wanted, own.rgi_id, "calibrate: target")
        tasks.append(_task(own, one, period, hydro_month))
    low, high = bounds or BOUNDS[vary]
    found = {}
    for task in tasks:
        found[task.glacier.rgi_id] = jnp.asarray(_root(model, task, vary, low, high))
    if isinstance(glacier, Glacier):
        return _with_number(model, vary, found[glacier.rgi_id])
    # glaciers may be calibrated list by list
    before = getattr(model.mass_balance, vary)
    others = dict(before) if isinstance(before, Mapping) else {}
    return _with_number(model, vary, others | found)


class _Task(eqx.Module):
    """What one glacier is calibrated to: a mean balance (m w.e. yr⁻¹) over months."""

    glacier: Glacier
    target: float
    period: Period
    months: np.ndarray


def _task(
    glacier: Glacier, target: Target, period: Period | None, hydro_month: int | None
) -> _Task:
    target, period = measured_target(glacier, target, period, hydro_month)
    start, end = (decimal_year(t) for t in period)
    if not end > start:
        raise _error(
            glacier, f"calibrate: the period ends at {period[1]}, not after its start {period[0]}"
        )
    for t in (start, end):
        # decimal years of dates carry round-off
        if abs(12 * t - round(12 * t)) > 1e-6:
            raise _error(glacier, f"calibrate: the period needs whole months; {t} is within one")
    return _Task(glacier, target, period, months_between(start, end))


def _check_varied(model: Model, vary: str, glacier: Glacier) -> None:
    """Raise :class:`InputError` where the model has no such number to vary."""
    if vary not in BOUNDS:
        raise _error(glacier, f"vary={vary!r}: expected one of {', '.join(BOUNDS)}")
    balance = model.mass_balance
    if balance is None or not hasattr(balance, vary):
        kind = type(balance).__name__
        raise _error(
            glacier, f"calibrate varies {vary} of a TemperatureIndex; the model has {kind}"
        )
    if isinstance(getattr(balance, vary), AbstractLaw):
        # a law that was learned would be lost without a word
        raise _error(
            glacier,
            f"calibrate would replace the law in {vary}; vary another number, or calibrate first "
            "and put the law in then",
        )


def _with_number(model: Model, vary: str, number: Number) -> Model:
    return eqx.tree_at(lambda m: getattr(m.mass_balance, vary), model, number)


def _root(model: Model, task: _Task, vary: str, low: float, high: float) -> float:
    """The number between low and high that meets a glacier's target."""
    from scipy.optimize import brentq

    def misfit(value: float) -> float:
        # an array, so that another value compiles nothing
        trial = _with_number(model, vary, jnp.asarray(float(value)))
        balance = monthly_balance(trial, task.glacier, task.months)
        return float(balance.sum()) * 12.0 / len(task.months) - task.target

    at_low, at_high = misfit(low), misfit(high)
    # written so that a misfit that is not a number is an error, too
    if not at_low * at_high <= 0:
        start, end = task.period
        message = (
            f"no {vary} between {low:g} and {high:g} gives {task.target:+.3f} m w.e. yr-1 over "
            f"{start} to {end}: the bounds give {at_low + task.target:+.3f} and "
            f"{at_high + task.target:+.3f}; vary another number "
            f"({', '.join(v for v in BOUNDS if v != vary)}) or change the others first"
        )
        raise CalibrationError(of_glacier(task.glacier.rgi_id, message))
    return float(brentq(misfit, low, high, xtol=1e-12, rtol=1e-10))


def measured_target(
    glacier: Glacier, target: Target, period: Period | None, hydro_month: int | None = None
) -> tuple[float, Period]:
    """Target and period, filled from the glacier's measured annual balances where they are not
    given; ``hydro_month`` as in :func:`calibrate`.
    """
    climate = glacier.climate
    # a scenario's years are not those in which the balance was measured
    is_scenario = climate is not None and climate.scenario is not None
    if is_scenario and (target is None or period is None):
        raise _error(
            glacier,
            f"measured balances belong to the climate of their years, not to {climate}: calibrate "
            "with the series first and replace the climate then, or give target= and period=",
        )
    if period is None:
        period = _measured_period(glacier, hydro_month)
    if target is None:
        measured = measured_years(glacier, period, hydro_month)
        if not measured:
            raise _error(
                glacier,
                f"no measured annual balance within {period[0]} to {period[1]}: give target=",
            )
        target = float(np.mean(list(measured.values())))
    return float(target), period


def _measured_period(glacier: Glacier, hydro_month: int | None) -> Period:
    """From the first to the last hydrological year that climate and measurements share."""
    record = glacier.observations.mass_balance
    if record is None or glacier.climate is None:
        raise _error(
            glacier, "no measured balances: give target= (m w.e. yr-1) and period=(start, end)"
        )
    first = first_month(glacier, hydro_month=hydro_month)
    covered = glacier.climate.complete_years(first)
    measured = np.asarray(record.years)[np.isfinite(record.annual)]
    shared = np.intersect1d(measured, covered)
    if not shared.size:
        raise _error(
            glacier, "climate and measured balances share no hydrological year: give period="
        )
    return span_of_year(int(shared[0]), first)[0], span_of_year(int(shared[-1]), first)[1]


def measured_years(
    glacier: Glacier, period: Period, hydro_month: int | None = None
) -> dict[int, float]:
    """Measured annual balances of the hydrological years inside a period, {year: m w.e.};
    ``hydro_month`` as in :func:`calibrate`.
    """
    record = glacier.observations.mass_balance
    if record is None:
        return {}
    month = first_month(glacier, hydro_month=hydro_month)
    start, end = (decimal_year(t) for t in period)
    measured = {}
    for year, balance in zip(record.years, record.annual, strict=True):
        first, last = span_of_year(int(year), month)
        is_inside = first >= start - 1e-6 and last <= end + 1e-6  # margins for round-off
        if is_inside and np.isfinite(balance):
            measured[int(year)] = float(balance)
    return measured


class Comparison(eqx.Module):
    """Modelled against measured annual balance, m w.e.: years, both series, and three numbers.

    ``constant_rmse`` is the error of forecasting the measured mean every year: a model has to be
    better than that.
    """

    years: np.ndarray
    modelled: np.ndarray
    measured: np.ndarray

    @property
    def correlation(self) -> float:
        """Pearson's correlation of the annual series."""
        return float(np.corrcoef(self.modelled, self.measured)[0, 1])

    @property
    def rmse(self) -> float:
        """Root mean square difference, m w.e."""
        return float(np.sqrt(np.mean((self.modelled - self.measured) ** 2)))

    @property
    def constant_rmse(self) -> float:
        """Root mean square difference of a constant forecast at the measured mean, m w.e."""
        return float(np.std(self.measured))


def compare_with_measurements(
    model: Model, glacier: Glacier, period: Period, hydro_month: int | None = None
) -> Comparison | None:
    """Annual balances on fixed geometry beside those measured; None where fewer than three years
    are shared. ``hydro_month`` as in :func:`calibrate`.
    """
    measured = measured_years(glacier, period, hydro_month)
    # without measurements it does not matter when years start
    modelled = annual_balance(model, glacier, period, hydro_month) if measured else {}
    years = sorted(set(modelled) & set(measured))
    # the correlation of two is 1 or -1, whatever they are
    if len(years) < 3:
        return None
    return Comparison(
        years=np.array(years),
        modelled=np.array([modelled[y] for y in years]),
        measured=np.array([measured[y] for y in years]),
    )


def _error(glacier: Glacier, message: str) -> InputError:
    return InputError(of_glacier(glacier.rgi_id, message))


@eqx.filter_jit
def _means(balance: AbstractMassBalance, forcing: PyTree, surface: jax.Array) -> jax.Array:
    """The mean of each month, one after the other so that memory does not grow with them."""

    def mean(month: PyTree) -> jax.Array:
        return jnp.mean(balance.rates(month, surface, 0.0).balance)

    return jax.lax.map(mean, jax.tree.map(jnp.asarray, forcing))
