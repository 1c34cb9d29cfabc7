"""Calibration of one number of a mass balance on fixed geometry, and the comparison with measured
balances.
"""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from odinn.climate import months_between
from odinn.dates import decimal_year, hydrological_year
from odinn.errors import CalibrationError, InputError, where
from odinn.glacier import Glacier
from odinn.model.model import Model
from odinn.physics.balance.base import AbstractMassBalance
from odinn.physics.laws.base import AbstractLaw

Vary = Literal["melt_factor", "precip_factor", "temp_bias"]

BOUNDS: dict[str, tuple[float, float]] = {
    "melt_factor": (0.5e-3, 20e-3),
    "precip_factor": (0.1, 10.0),
    "temp_bias": (-15.0, 15.0),
}
HYDRO_MONTH = 10


def monthly_balance(
    model: Model, glacier: Glacier, months: np.ndarray
) -> Float[np.ndarray, " months"]:
    """Glacier-wide balance of months on the glacier's present geometry, m w.e. per month: the mean
    inside the outline.
    """
    balance = model.mass_balance
    if balance is None or balance.frequency != "monthly":
        raise InputError(
            where(
                glacier.rgi_id, "calibration needs a monthly mass balance such as TemperatureIndex"
            )
        )
    if not glacier.mask.any():
        raise InputError(
            where(glacier.rgi_id, "the outline is empty: there are no cells to average over")
        )
    here = balance.on(glacier)
    if any(callable(v) for v in jax.tree.leaves(here, is_leaf=callable)):
        raise InputError(
            where(
                glacier.rgi_id,
                "a law of the balance is renewed each month: calibrate with numbers instead",
            )
        )
    forcing = balance.forcing(glacier, np.asarray(months))
    inside = jnp.asarray(glacier.surface[glacier.mask])
    # a cell depends on itself alone, so those inside the outline do
    here = jax.tree.map(lambda v: v[glacier.mask] if np.shape(v) == glacier.grid.shape else v, here)
    return np.asarray(_means(here, forcing, inside))


def annual_balance(
    model: Model, glacier: Glacier, period: tuple[Any, Any], hydro_month: int = HYDRO_MONTH
) -> dict[int, float]:
    """Glacier-wide balance of the hydrological years inside a period, on fixed geometry, {year: m
    w.e.}.
    """
    months = months_between(*(decimal_year(t) for t in period))
    series = monthly_balance(model, glacier, months)
    years = np.array([hydrological_year(k, hydro_month) for k in months])
    return {
        int(y): float(series[years == y].sum())
        for y in np.unique(years)
        if (years == y).sum() == 12
    }


def calibrate(
    model: Model,
    glacier: Glacier,
    target: float | None = None,
    period: tuple[Any, Any] | None = None,
    vary: Vary = "melt_factor",
    *,
    bounds: tuple[float, float] | None = None,
) -> Model:
    """A model whose mean balance over a period, on the glacier's present geometry, is the target.

    Args:
        model: with a monthly balance. glacier: with a climate that covers the period.
        target: m w.e. yr⁻¹, the mean inside the outline; None takes the mean of the measured annual
            balances of the hydrological years inside the period.
        period: (start, end), decimal years or dates, whole months; None takes the hydrological
            years that climate and measurements share.
        vary: the number to solve for. bounds: where to look; default melt_factor 0.5e-3 … 20e-3,
            precip_factor 0.1 … 10, temp_bias −15 … 15.

    Returns:
        The model with that number replaced.

    Raises:
        CalibrationError: no value within the bounds reaches the target; the message says what the
            bounds give.

    Root finding: Brent's method (``scipy.optimize.brentq``), as in OGGM's calibration (Maussion et
    al. 2019).
    """
    from scipy.optimize import brentq

    if vary not in BOUNDS:
        raise InputError(
            where(glacier.rgi_id, f"vary={vary!r}: expected one of {', '.join(BOUNDS)}")
        )
    if model.mass_balance is None or not hasattr(model.mass_balance, vary):
        kind = type(model.mass_balance).__name__
        raise InputError(
            where(
                glacier.rgi_id,
                f"calibrate varies {vary} of a TemperatureIndex; the model has {kind}",
            )
        )
    if isinstance(getattr(model.mass_balance, vary), AbstractLaw):
        message = f"calibrate would replace the law in {vary}; vary another number, or calibrate first and put the law in then"
        raise InputError(where(glacier.rgi_id, message))
    target, period = measured_target(glacier, target, period)
    start, end = (decimal_year(t) for t in period)
    if not end > start:
        raise InputError(
            where(
                glacier.rgi_id,
                f"calibrate: the period ends at {period[1]}, not after its start {period[0]}",
            )
        )
    for t in (start, end):
        if abs(12 * t - round(12 * t)) > 1e-6:
            raise InputError(
                where(
                    glacier.rgi_id, f"calibrate: the period needs whole months; {t} is within one"
                )
            )
    months = months_between(*(decimal_year(t) for t in period))
    low, high = bounds or BOUNDS[vary]

    def with_value(value: float) -> Model:
        return eqx.tree_at(
            lambda m: getattr(m.mass_balance, vary), model, jnp.asarray(float(value))
        )

    def misfit(value: float) -> float:
        return (
            float(monthly_balance(with_value(value), glacier, months).sum()) * 12.0 / len(months)
            - target
        )

    ends = misfit(low), misfit(high)
    if not ends[0] * ends[1] <= 0:
        raise CalibrationError(
            where(
                glacier.rgi_id,
                f"no {vary} between {low:g} and {high:g} gives {target:+.3f} m w.e. yr-1 over "
                f"{period[0]} to {period[1]}: "
                f"the bounds give {ends[0] + target:+.3f} and {ends[1] + target:+.3f}; vary "
                "another number "
                f"({', '.join(v for v in BOUNDS if v != vary)}) or change the others first",
            )
        )
    return with_value(brentq(misfit, low, high, xtol=1e-12, rtol=1e-10))


def measured_target(
    glacier: Glacier, target: float | None, period: tuple[Any, Any] | None
) -> tuple[float, tuple[Any, Any]]:
    """Target and period, filled from the glacier's measured annual balances where they are not
    given.
    """
    record = glacier.observations.mass_balance
    if (
        glacier.climate is not None
        and glacier.climate.scenario is not None
        and (target is None or period is None)
    ):
        raise InputError(
            where(
                glacier.rgi_id,
                "measured balances belong to the climate of their years, not to "
                f"{glacier.climate}: calibrate with the series "
                "first and replace the climate then, or give target= and period=",
            )
        )
    if period is None:
        if record is None or glacier.climate is None:
            raise InputError(
                where(
                    glacier.rgi_id,
                    "no measured balances: give target= (m w.e. yr-1) and period=(start, end)",
                )
            )
        measured = {
            int(y) for y, b in zip(record.years, record.annual, strict=True) if np.isfinite(b)
        }
        years = sorted(measured & set(glacier.climate.complete_years(HYDRO_MONTH)))
        if not years:
            raise InputError(
                where(
                    glacier.rgi_id,
                    "climate and measured balances share no hydrological year: give period=",
                )
            )
        period = (years[0] - 1 + (HYDRO_MONTH - 1) / 12, years[-1] + (HYDRO_MONTH - 1) / 12)
    if target is None:
        shared = measured_years(glacier, period)
        if not shared:
            raise InputError(
                where(
                    glacier.rgi_id,
                    f"no measured annual balance within {period[0]} to {period[1]}: give target=",
                )
            )
        target = float(np.mean(list(shared.values())))
    return float(target), period


def measured_years(
    glacier: Glacier, period: tuple[Any, Any], hydro_month: int = HYDRO_MONTH
) -> dict[int, float]:
    """Measured annual balances of the hydrological years inside a period, {year: m w.e.}."""
    record = glacier.observations.mass_balance
    if record is None:
        return {}
    start, end = (decimal_year(t) for t in period)
    offset = (hydro_month - 1) / 12
    inside = lambda y: y - 1 + offset >= start - 1e-6 and y + offset <= end + 1e-6
    return {
        int(y): float(b)
        for y, b in zip(record.years, record.annual, strict=True)
        if np.isfinite(b) and inside(int(y))
    }


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
    model: Model, glacier: Glacier, period: tuple[Any, Any]
) -> Comparison | None:
    """Annual balances on fixed geometry beside those measured; None where fewer than three years
    are shared.
    """
    modelled = annual_balance(model, glacier, period)
    measured = measured_years(glacier, period)
    years = sorted(set(modelled) & set(measured))
    if len(years) < 3:
        return None
    pick = lambda series: np.array([series[y] for y in years])
    return Comparison(np.array(years), pick(modelled), pick(measured))


@eqx.filter_jit
def _means(balance: AbstractMassBalance, forcing: Any, surface: jax.Array) -> jax.Array:
    one = lambda month: jnp.mean(balance.rates(month, surface, 0.0).balance)
    return jax.lax.map(one, jax.tree.map(jnp.asarray, forcing))
