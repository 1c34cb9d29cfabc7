"""Temperature-index mass balance, and the linear one of idealised glaciers."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from odinn.climate import DAYS, Climate
from odinn.constants import ACCUMULATION_THRESHOLD, LAPSE_RATE_LIMITS
from odinn.dates import days_in_month
from odinn.errors import ClimateError, InputError, where
from odinn.glacier import Glacier
from odinn.grid import Array, Cell
from odinn.numbers.conversion import for_glacier, plain_numbers
from odinn.numbers.parameter import on_cells
from odinn.numbers.slot import Number, slot
from odinn.physics.balance.base import AbstractMassBalance, Frequency, Rates
from odinn.physics.balance.odinn_scheme import OdinnMonth, odinn_months

_UNROLLED = 4  # days in one pass over the cells


class DailyMonth(eqx.Module):
    """One month of daily weather at ``ref_height``: °C, kg m⁻² and K m⁻¹, (31,) with unused days
    far below freezing.
    """

    temp: Array
    precip: Array
    gradient: Array
    ref_height: Array

    def degree_days_and_snow(
        self,
        surface: Cell,
        bias: Cell,
        melt_temperature: float,
        snow_temperature: tuple[float, float],
        spread: Any,
    ) -> tuple[Cell, Cell]:
        """Degree-days (K d) and solid precipitation (kg m⁻²) at a surface (m).

        T_d(z) = T_d + bias + Γ_d (z − z_ref) for each day, so both sums are exact, also where the
        lapse rate varies within the month. Precipitation is solid below the first snow temperature,
        liquid above the second, and a linear mixture between (Maussion et al. 2019, §2.3).
        """
        days = jnp.stack(
            [jnp.asarray(self.temp), jnp.asarray(self.precip), jnp.asarray(self.gradient)], axis=1
        )
        thresholds = melt_temperature, *snow_temperature
        return _sums_over_days(
            thresholds, days, surface - self.ref_height, jnp.broadcast_to(bias, surface.shape)
        )

    @property
    def total_precip(self) -> Array:
        """Precipitation of the month, kg m⁻²."""
        return jnp.sum(self.precip)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _sums_over_days(
    thresholds: tuple[float, float, float], days: Array, height: Cell, bias: Cell
) -> tuple[Cell, Cell]:
    """(degree-days, snow) of days (temperature, precipitation, lapse rate) at a height above their
    own.
    """

    def add(i: Any, sums: tuple[Cell, Cell]) -> tuple[Cell, Cell]:
        _, degrees, snow = _day(thresholds, days[i], height, bias)
        return sums[0] + degrees, sums[1] + snow

    zero = jnp.zeros_like(height)
    return lax.fori_loop(0, DAYS, add, (zero, zero), unroll=_UNROLLED)


@_sums_over_days.defjvp
def _sums_over_days_jvp(thresholds: tuple, at: tuple, along: tuple) -> tuple[tuple, tuple]:
    """A cell depends on itself alone, so four more sums hold the whole derivative. The weather is
    not differentiated.
    """
    (days, height, bias), (_, rise, warming) = at, along
    melt, solid, liquid = thresholds

    def add(i: Any, sums: tuple[Cell, ...]) -> tuple[Cell, ...]:
        temp, degrees, snow = _day(thresholds, days[i], height, bias)
        _, precip, gradient = days[i]
        melts = jnp.where(temp > melt, 1.0, 0.0)
        turns = jnp.where((temp > solid) & (temp < liquid), precip / (solid - liquid), 0.0)
        more = degrees, snow, gradient * melts, melts, gradient * turns, turns
        return tuple(a + b for a, b in zip(sums, more, strict=True))

    degrees, snow, *slopes = lax.fori_loop(
        0, DAYS, add, (jnp.zeros_like(height),) * 6, unroll=_UNROLLED
    )
    return (degrees, snow), (
        slopes[0] * rise + slopes[1] * warming,
        slopes[2] * rise + slopes[3] * warming,
    )


def _day(
    thresholds: tuple[float, float, float], day: Array, height: Cell, bias: Cell
) -> tuple[Cell, Cell, Cell]:
    """(temperature, degrees above melting, snow) of one day."""
    melt, solid, liquid = thresholds
    temp = day[0] + bias + day[2] * height
    return (
        temp,
        jnp.maximum(temp - melt, 0.0),
        day[1] * jnp.clip((liquid - temp) / (liquid - solid), 0.0, 1.0),
    )


class MeanMonth(eqx.Module):
    """One month of monthly data at ``ref_height``: mean °C, kg m⁻² per month, K m⁻¹, and its number
    of days.
    """

    temp: Array
    precip: Array
    gradient: Array
    days: Array
    month: Array
    ref_height: Array

    def degree_days_and_snow(
        self,
        surface: Cell,
        bias: Cell,
        melt_temperature: float,
        snow_temperature: tuple[float, float],
        spread: Any,
    ) -> tuple[Cell, Cell]:
        """Degree-days (K d) and solid precipitation (kg m⁻²): expectations over normally
        distributed daily temperatures.

        E[max(T, 0)] = σ φ(μ/σ) + μ Φ(μ/σ) (Calov & Greve 2005, eq. 6); the solid fraction is the
        expectation of the ramp between the snow temperatures. ``spread`` is σ (K): a number, a cell
        field or 12 values.
        """
        if jnp.ndim(spread) == 1:
            spread = spread[self.month]
        mean = self.temp + bias + self.gradient * (surface - self.ref_height)
        excess = lambda m: _expected_excess(m, spread)
        solid, liquid = snow_temperature
        fraction = (excess(liquid - mean) - excess(solid - mean)) / (liquid - solid)
        return self.days * excess(mean - melt_temperature), self.precip * fraction

    @property
    def total_precip(self) -> Array:
        """Precipitation of the month, kg m⁻²."""
        return self.precip


class MeanOfMonths(eqx.Module):
    """The same month of several years, (years,) leading: its sums are the means of theirs, so that
    balances are averaged and not the weather."""

    each: DailyMonth | MeanMonth

    def degree_days_and_snow(
        self,
        surface: Cell,
        bias: Cell,
        melt_temperature: float,
        snow_temperature: tuple[float, float],
        spread: Any,
    ) -> tuple[Cell, Cell]:
        """Degree-days (K d) and solid precipitation (kg m⁻²): means over the years."""

        @jax.checkpoint  # going back, the days of one year at a time are kept
        def add(
            sums: tuple[Array, Array], month: DailyMonth | MeanMonth
        ) -> tuple[tuple[Array, Array], None]:
            degree_days, snow = month.degree_days_and_snow(
                surface, bias, melt_temperature, snow_temperature, spread
            )
            return (sums[0] + degree_days, sums[1] + snow), None

        zero = jnp.zeros_like(surface)
        years = len(self.each.ref_height)
        (degree_days, snow), _ = lax.scan(add, (zero, zero), jax.tree.map(jnp.asarray, self.each))
        return degree_days / years, snow / years

    @property
    def total_precip(self) -> Array:
        """Precipitation of the month, kg m⁻²: the mean over the years."""
        return jnp.sum(self.each.precip) / len(self.each.ref_height)


def _expected_excess(mean: Array, spread: Array) -> Array:
    """E[max(X, 0)] for X normal with this mean and standard deviation."""
    z = mean / spread
    density = jnp.exp(-0.5 * z * z) * (1.0 / math.sqrt(2.0 * math.pi))
    return spread * density + mean * 0.5 * lax.erfc(-z * math.sqrt(0.5))


class TemperatureIndexCoefficients(eqx.Module):
    """The numbers of :class:`TemperatureIndex` on cells."""

    melt_factor: Array
    precip_factor: Array
    temp_bias: Array
    spread: Array


class TemperatureIndex(AbstractMassBalance):
    """Temperature-index balance: snow minus melt factor times degree-days (Hock 2003; Maussion et
    al. 2019, §2.3).

    b = precip_factor · snow − melt_factor · degree-days, per month, at the surface of the start of
    the month.

    Args:
        melt_factor: m w.e. K⁻¹ d⁻¹. precip_factor: 1. temp_bias: K, added to the series.
        snow_temperature: °C, all solid below the first and all liquid above the second.
        melt_temperature: °C, above which degree-days count.
        temperature_std: K, spread of daily temperatures about a monthly mean; used with monthly
            data only. A number, a cell field or 12 values (January to December).
        lapse_rate: "data" (clipped to −9 … −3 K km⁻¹; −6.5 where the series has none) or a number,
            K m⁻¹.
        accumulation_threshold: m; see :class:`AbstractMassBalance`.
        scheme: "degree-day" (default), or "odinn": ODINN's published monthly scheme with its double
            lapse-rate correction and without conversion to ice, for comparison with it; needs daily
            data and coupling="jump".

    The first three are numbers, cell fields (ny, nx) or ``{rgi_id: number or field}``.
    """

    melt_factor: Number = slot(
        7e-3,
        unit="m w.e. K⁻¹ d⁻¹",
        place="cell",
        label="melt factor",
        smallest=0.0,
    )
    precip_factor: Number = slot(
        1.0, unit="1", place="cell", label="precipitation factor", smallest=0.0
    )
    temp_bias: Number = slot(0.0, unit="K", place="cell", label="temperature bias")
    snow_temperature: tuple[float, float] = eqx.field(default=(0.0, 2.0), converter=tuple)
    melt_temperature: float = 0.0
    temperature_std: Number = slot(
        3.0,
        unit="K",
        place="cell",
        label="spread of daily temperatures",
        smallest=0.0,
        inclusive=False,
    )
    lapse_rate: float | str = "data"
    accumulation_threshold: float | None = ACCUMULATION_THRESHOLD
    scheme: Literal["degree-day", "odinn"] = eqx.field(static=True, default="degree-day")

    frequency: ClassVar[Frequency] = "monthly"

    def __check_init__(self) -> None:
        highest = max((float(m.max()) for m in plain_numbers(self.melt_factor)), default=0.0)
        if highest > 0.1:
            raise InputError(
                f"TemperatureIndex: melt_factor is {highest:g}; expected m w.e. K-1 d-1, such as "
                "0.005 for 5 mm (OGGM's "
                "melt_f is in mm)"
            )
        solid, liquid = self.snow_temperature
        if not solid < liquid:
            raise InputError(
                f"snow_temperature={self.snow_temperature}: the first has to be below the second"
            )
        if self.scheme not in ("degree-day", "odinn"):
            raise InputError(f"scheme={self.scheme!r}: expected 'degree-day' or 'odinn'")
        if isinstance(self.lapse_rate, str) and self.lapse_rate != "data":
            raise InputError(
                f"lapse_rate={self.lapse_rate!r}: expected 'data' or a number in K m-1 such as "
                "-0.0065"
            )
        if not isinstance(self.lapse_rate, str) and not -0.02 <= self.lapse_rate <= 0.0:
            raise InputError(
                f"lapse_rate={self.lapse_rate:g}: expected K m-1 between -0.02 and 0, such as "
                "-0.0065"
            )

    @classmethod
    def from_oggm(cls, glacier: Glacier) -> TemperatureIndex:
        """The calibration that came with an OGGM directory (its ``mb_calib.json`` or
        ``settings.yml``).

        OGGM's monthly scheme has no spread of daily temperatures, so the balance differs from
        OGGM's; a calibration with :func:`odinn.calibrate` is the better choice for a run.
        """
        import json

        stored = glacier.provenance.get("oggm_calibration")
        if stored is None:
            raise InputError(
                where(
                    glacier.rgi_id,
                    "no OGGM calibration: it has to be opened from an OGGM directory",
                )
            )
        numbers = json.loads(stored)
        return cls(
            melt_factor=numbers["melt_f"] / 1000.0,
            precip_factor=numbers["prcp_fac"],
            temp_bias=numbers["temp_bias"],
            melt_temperature=numbers["temp_melt"],
            snow_temperature=(numbers["temp_all_solid"], numbers["temp_all_liq"]),
        )

    def coefficients(self, site: Any) -> TemperatureIndexCoefficients:
        """Fields on cells for one glacier."""
        spread = jnp.asarray(
            for_glacier(self.temperature_std, site.rgi_id, "mass_balance.temperature_std"), float
        )
        if spread.shape != (12,):
            spread = on_cells(spread, site, "mass_balance.temperature_std")
        field = lambda name: on_cells(getattr(self, name), site, f"mass_balance.{name}")
        return TemperatureIndexCoefficients(
            field("melt_factor"), field("precip_factor"), field("temp_bias"), spread
        )

    def forcing(
        self, glacier: Glacier, months: np.ndarray
    ) -> DailyMonth | MeanMonth | MeanOfMonths | OdinnMonth:
        """Months of the glacier's climate, with lapse rates limited."""
        climate = _climate_of(glacier)
        if self.scheme == "odinn":
            return odinn_months(glacier, climate, months)
        rows = climate.drawn(months, glacier.rgi_id)
        gradient = climate.gradient[rows]
        if self.lapse_rate == "data":
            gradient = np.where(climate.used[rows], np.clip(gradient, *LAPSE_RATE_LIMITS), 0.0)
        else:
            gradient = np.full_like(gradient, float(self.lapse_rate))
        weather = climate.temp[rows], climate.precip[rows], gradient
        reference = np.full(rows.shape, climate.ref_height)
        month: DailyMonth | MeanMonth
        if climate.step == "daily":
            month = DailyMonth(*weather, reference)
        else:
            drawn = climate.first_month + rows
            days = np.vectorize(days_in_month, otypes=[float])(drawn)
            month = MeanMonth(*weather, days, drawn % 12, reference)
        return month if rows.ndim == 1 else MeanOfMonths(month)

    def rates(
        self, values: TemperatureIndexCoefficients, forcing: Any, surface: Cell, time: Any
    ) -> Rates:
        """m w.e. per month."""
        if isinstance(forcing, OdinnMonth):
            degree_days, snow, rain = forcing.degree_days_snow_and_rain(surface)
        else:
            degree_days, snow = forcing.degree_days_and_snow(
                surface,
                values.temp_bias,
                self.melt_temperature,
                self.snow_temperature,
                values.spread,
            )
            rain = forcing.total_precip - snow
        water = values.precip_factor * 1e-3  # kg m⁻² to m w.e.
        return Rates(water * snow, values.melt_factor * degree_days, water * rain)


class LinearBalance(AbstractMassBalance):
    """Balance that grows linearly with altitude: b = min(gradient · (S − ela), maximum), m w.e.
    yr⁻¹.

    Args:
        gradient: m w.e. yr⁻¹ per m. ela: equilibrium-line altitude, m. maximum: m w.e. yr⁻¹, None
            for no limit.
    """

    gradient: Number = slot(7e-3, unit="m w.e. yr⁻¹ m⁻¹", place="cell", label="balance gradient")
    ela: Number = slot(3000.0, unit="m", place="cell", label="equilibrium-line altitude")
    maximum: float | None = None
    accumulation_threshold: float | None = ACCUMULATION_THRESHOLD

    frequency: ClassVar[Frequency] = "state"

    def coefficients(self, site: Any) -> tuple[Array, Array]:
        """(gradient, ela) on cells."""
        return (
            on_cells(self.gradient, site, "mass_balance.gradient"),
            on_cells(self.ela, site, "mass_balance.ela"),
        )

    def forcing(self, glacier: Glacier, months: np.ndarray) -> None:
        """No climate."""

    def rates(self, values: tuple[Array, Array], forcing: None, surface: Cell, time: Any) -> Rates:
        """m w.e. per year."""
        gradient, ela = values
        balance = gradient * (surface - ela)
        if self.maximum is not None:
            balance = jnp.minimum(balance, self.maximum)
        return net_rates(balance)


class PrescribedBalance(AbstractMassBalance):
    """A balance field that does not change: m w.e. yr⁻¹, a number, a cell field or one per
    glacier.
    """

    balance: Number = slot(unit="m w.e. yr⁻¹", place="cell", label="mass balance")
    accumulation_threshold: float | None = ACCUMULATION_THRESHOLD

    frequency: ClassVar[Frequency] = "fixed"

    def coefficients(self, site: Any) -> Array:
        """The field on cells."""
        return on_cells(self.balance, site, "mass_balance.balance")

    def forcing(self, glacier: Glacier, months: np.ndarray) -> None:
        """No climate."""

    def rates(self, values: Array, forcing: None, surface: Cell, time: Any) -> Rates:
        """m w.e. per year."""
        return net_rates(values)


def net_rates(balance: Cell) -> Rates:
    """Rates of a balance that does not tell accumulation from melt."""
    gain = jnp.where(balance > 0, balance, 0.0)
    return Rates(gain, gain - balance, jnp.zeros_like(balance))


def _climate_of(glacier: Glacier) -> Climate:
    if glacier.climate is None:
        raise ClimateError(
            where(
                glacier.rgi_id,
                "the mass balance needs a climate and this glacier has none: open it with "
                "climate=...",
            )
        )
    return glacier.climate
