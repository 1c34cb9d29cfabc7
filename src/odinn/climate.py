"""Climate series at a reference height, the months that mass balance is computed from, and
scenarios without end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from odinn.constants import DEFAULT_LAPSE_RATE
from odinn.dates import days_in_month, decimal_year, month_index, month_name
from odinn.errors import ClimateError, InputError, where

DAYS = 31
PADDING_TEMPERATURE = (
    -1e4
)  # °C; days that a month does not have: they neither melt nor, without precipitation, snow
PLAUSIBLE_TEMPERATURE = (-100.0, 70.0)  # °C


class Scenario(eqx.Module):
    """The rule by which months without end are taken from a base period of whole years.

    Args:
        kind: "constant" (the mean over the years of each month's balance), "repeat" (the base
            period over and over) or "random" (its years in random order).
        seed, block_years: of "random".
    """

    kind: Literal["constant", "repeat", "random"] = eqx.field(static=True)
    seed: int = eqx.field(static=True, default=0)
    block_years: int = eqx.field(static=True, default=1)

    def rows(
        self, months: Int[np.ndarray, " n"], first: int, years: int
    ) -> Int[np.ndarray, "n ..."]:
        """Positions in a base of ``years`` years from month ``first`` on: (n,), for "constant" (n,
        years).
        """
        season = (months - first) % 12
        if self.kind == "constant":
            return season[:, None] + 12 * np.arange(years)
        if self.kind == "repeat":
            return (months - first) % (12 * years)
        played, where_played = np.unique((months - first % 12) // 12, return_inverse=True)
        drawn = np.array([self._drawn(int(year), years) for year in played], int)
        return 12 * drawn[where_played] + season

    def _drawn(self, year: int, years: int) -> int:
        """The base year that is played in a year; a function of seed and year alone, on every
        machine.
        """
        block, offset = divmod(year, self.block_years)
        label = 2 * block if block >= 0 else -2 * block - 1  # seeds have to be >= 0
        start = (
            int(np.random.SeedSequence((self.seed, label)).generate_state(1, np.uint64)[0]) % years
        )
        return (start + offset) % years

    def __str__(self) -> str:
        if self.kind != "random":
            return self.kind
        blocks = f", blocks of {self.block_years} years" if self.block_years > 1 else ""
        return f"random with seed {self.seed}{blocks}"


class Climate(eqx.Module):
    """A daily or monthly series at one reference height, cut into whole months; or a scenario made
    from one.

    Args:
        name: of the product, such as "w5e5".
        step: "daily" or "monthly".
        ref_height: height of the series, m.
        first_month: index of the first month (12 · year + month − 1).
        temp: °C; precip: kg m⁻² per step; gradient: K m⁻¹, as given. Each (months, 31) for daily
            series, with unused days at −10⁴ °C and without precipitation, or (months,) for monthly
            ones.
        source: where the series comes from, for the record.
        scenario: None for a series that ends; else the series is the base period, and every month
            there is has a climate.
        shifted: K and factor that :meth:`shift` has put into the series, for the record.
    """

    name: str = eqx.field(static=True)
    step: Literal["daily", "monthly"] = eqx.field(static=True)
    ref_height: float = eqx.field(static=True)
    first_month: int = eqx.field(static=True)
    temp: Float[np.ndarray, "months ..."]
    precip: Float[np.ndarray, "months ..."]
    gradient: Float[np.ndarray, "months ..."]
    source: str = eqx.field(static=True, default="")
    scenario: Scenario | None = None
    shifted: tuple[float, float] = eqx.field(static=True, default=(0.0, 1.0))

    def __check_init__(self) -> None:
        for label, series in (("precip", self.precip), ("gradient", self.gradient)):
            if np.shape(series) != np.shape(self.temp):
                found = f"{label} has shape {np.shape(series)}, temp {np.shape(self.temp)}"
                raise ClimateError(f"climate '{self.name}': {found}; expected the same")
        for label in ("temp", "precip", "gradient"):
            if not np.isfinite(getattr(self, label)).all():
                raise ClimateError(f"climate '{self.name}': {label} is not finite; fill the gaps")

    @property
    def months(self) -> Int[np.ndarray, " months"]:
        """Indices of the months of the series; of a scenario those of its base period."""
        return self.first_month + np.arange(len(self.temp))

    @property
    def span(self) -> tuple[float, float]:
        """Decimal years (start, end) covered; a scenario has no end."""
        if self.scenario is not None:
            return -np.inf, np.inf
        return self.first_month / 12, (self.first_month + len(self.temp)) / 12

    def rows(self, months: Sequence[int] | np.ndarray, rgi_id: str) -> Int[np.ndarray, " n"]:
        """Positions of months in the series, whatever the scenario; an error names the last one
        there is.
        """
        positions = np.asarray(months, int) - self.first_month
        outside = (positions < 0) | (positions >= len(self.temp))
        if outside.any():
            missing = int(np.asarray(months)[outside][0])
            last = self.first_month + len(self.temp) - 1
            raise ClimateError(
                where(
                    rgi_id,
                    f"climate '{self.name}' covers {month_name(self.first_month)} to "
                    f"{month_name(last)}, but "
                    f"{month_name(missing)} is needed: shorten the run or choose another climate "
                    "product",
                )
            )
        return positions

    def drawn(self, months: Sequence[int] | np.ndarray, rgi_id: str) -> Int[np.ndarray, "n ..."]:
        """Positions in the series of what months bring: (n,); for a constant climate (n, years),
        whose balances are to be averaged."""
        if self.scenario is None:
            return self.rows(months, rgi_id)
        return self.scenario.rows(np.asarray(months, int), self.first_month, len(self.temp) // 12)

    def constant(self, years: tuple[Any, Any]) -> Climate:
        """A climate without end and without variability: each month's balance is the mean of that
        month's over the years.

        The balances are averaged, not the weather: the mean of the days of several years would have
        fewer degree-days and another share of snow than the years themselves (as OGGM's
        ``ConstantMassBalance``).

        Args:
            years: (start, end) of the base period, decimal years or dates, the end excluded: (1995,
                2015) is the 20 years 1995 to 2014, (2009.75, 2019.75) ten hydrological years.

        Raises:
            ClimateError: not whole years, or not covered by the series.
        """
        return self._scenario(Scenario("constant"), years)

    def repeat(self, years: tuple[Any, Any]) -> Climate:
        """A climate without end that plays the years over and over; within the base period it is
        the series itself.

        Args: see :meth:`constant`.
        """
        return self._scenario(Scenario("repeat"), years)

    def random(self, years: tuple[Any, Any], seed: int = 0, block_years: int = 1) -> Climate:
        """A climate without end that plays whole years in random order, drawn with replacement.

        Args:
            years: see :meth:`constant`; a year starts with the month in which the base period does,
                so that (2009.75, 2019.75) keeps winters whole.
            seed: another seed is another climate. What a year brings follows from seed and year
                alone, wherever a run starts, and is the same for all glaciers with the same base
                period.
            block_years: years drawn at once, which keeps their order. A block that passes the end
                of the base period goes on at its start, so that every year is as likely (the
                circular block bootstrap, Politis & Romano 1992).
        """
        for label, value, least in (("seed", seed, 0), ("block_years", block_years, 1)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise InputError(
                    f"climate '{self.name}': random({label}={value!r}): expected a whole number "
                    f">= {least}"
                )
        out = self._scenario(Scenario("random", int(seed), int(block_years)), years)
        if 12 * block_years > len(out.temp):
            raise InputError(
                f"climate '{self.name}': random(block_years={block_years}): the base period has "
                f"{len(out.temp) // 12} years"
            )
        return out

    def shift(self, temp: float = 0.0, precip: float = 1.0) -> Climate:
        """The same climate, warmer by ``temp`` (K), with precipitation times ``precip``; it covers
        the same span.

        Shifts add up, and may stand before or after :meth:`constant`, :meth:`repeat` and
        :meth:`random`.
        """
        if not np.isfinite(temp) or abs(temp) > 50:
            raise InputError(
                f"climate '{self.name}': shift(temp={temp!r}): expected K that are added, such as "
                "2.0"
            )
        if not np.isfinite(precip) or precip < 0:
            raise InputError(
                f"climate '{self.name}': shift(precip={precip!r}): expected a factor >= 0, such "
                "as 1.1"
            )
        return dataclasses.replace(
            self,
            temp=np.where(self.used, self.temp + temp, self.temp),
            precip=self.precip * precip,
            shifted=(self.shifted[0] + float(temp), self.shifted[1] * float(precip)),
        )

    @property
    def used(self) -> Bool[np.ndarray, "months ..."]:
        """False on the days of the table that a month does not have."""
        return self.temp > 0.5 * PADDING_TEMPERATURE

    def _scenario(self, scenario: Scenario, years: tuple[Any, Any]) -> Climate:
        """The scenario whose base is these years, cut out of the series."""
        call = f"climate '{self.name}': {scenario.kind}({years!r})"
        if self.scenario is not None:
            raise InputError(
                f"{call}: this climate is a scenario already ({self}); start from the series"
            )
        try:
            start, end = (decimal_year(t) for t in years)
        except (TypeError, ValueError) as error:
            raise InputError(f"{call}: expected (start, end), such as (1995, 2015)") from error
        first, last = round(12 * start), round(12 * end)
        if (
            max(abs(12 * start - first), abs(12 * end - last)) > 1e-6
            or last <= first
            or (last - first) % 12
        ):
            raise ClimateError(
                f"{call}: expected whole years, such as (1995, 2015) or (2009.75, 2019.75)"
            )
        rows = np.arange(first, last) - self.first_month
        if rows[0] < 0 or rows[-1] >= len(self.temp):
            there = month_name(self.first_month), month_name(self.first_month + len(self.temp) - 1)
            raise ClimateError(
                f"{call}: the series covers {there[0]} to {there[1]}, the base period is "
                f"{month_name(first)} to "
                f"{month_name(last - 1)}: choose years inside the series"
            )
        return dataclasses.replace(
            self,
            first_month=first,
            temp=self.temp[rows],
            precip=self.precip[rows],
            gradient=self.gradient[rows],
            scenario=scenario,
        )

    def complete_years(self, hydro_month: int = 10) -> list[int]:
        """Hydrological years that the series covers, labelled by the year in which they end."""
        first, last = self.first_month, self.first_month + len(self.temp)
        years = range(first // 12, last // 12 + 2)
        start = lambda y: 12 * (y - (hydro_month > 1)) + hydro_month - 1
        return [y for y in years if start(y) >= first and start(y) + 12 <= last]

    def __str__(self) -> str:
        last = self.first_month + len(self.temp) - 1
        rule = "" if self.scenario is None else f"{self.scenario} from "
        warmer, wetter = self.shifted
        shift = f", {warmer:+g} K" if warmer else ""
        shift += f", precipitation x {wetter:g}" if wetter != 1.0 else ""
        return (
            f"{self.name} ({self.step}, {rule}{month_name(self.first_month)} to "
            f"{month_name(last)}{shift}, "
            f"{self.ref_height:.0f} m)"
        )


def climate_from_series(
    time: np.ndarray,
    temp: np.ndarray,
    precip: np.ndarray,
    gradient: np.ndarray | float | None,
    ref_height: float,
    *,
    name: str,
    rgi_id: str,
    source: str = "",
    clip_negative_precip: bool = False,
) -> Climate:
    """Check a series and cut it into whole months.

    Args:
        time: (n,) ``datetime64``, daily or monthly, ascending without gaps.
        temp: (n,) °C at ``ref_height`` (m). precip: (n,) kg m⁻² per step.
        gradient: (n,) K m⁻¹, or one number; None takes −0.0065 K m⁻¹.

    Raises:
        ClimateError: kelvin, missing months or days, NaN, negative precipitation, an unknown time
            step.
    """
    import warnings

    fail = lambda message: ClimateError(where(rgi_id, f"climate '{name}': {message}"))
    time = np.asarray(time, "datetime64[ns]")
    temp, precip = np.asarray(temp, float), np.asarray(precip, float)
    if gradient is None:
        gradient = DEFAULT_LAPSE_RATE
    gradient = np.broadcast_to(np.asarray(gradient, float), temp.shape)
    if not np.isfinite(ref_height):
        raise fail("no reference height: the temperature needs an attribute 'ref_hgt' (m)")
    if len(time) < 28:
        raise fail(f"only {len(time)} values; at least 28 days or months are needed")
    for label, values in (("temp", temp), ("prcp", precip), ("gradient", gradient)):
        if values.shape != time.shape:
            raise fail(f"{label} has {values.size} values for {time.size} times")
        if not np.isfinite(values).all():
            bad = str(time[~np.isfinite(values)][0])[:10]
            raise fail(f"{label} is missing (NaN) on {bad}: fill the gap or choose another product")
    if temp.mean() > 150:
        raise fail(
            f"temperatures average {temp.mean():.1f}: this looks like kelvin, expected °C "
            "(subtract 273.15)"
        )
    low, high = PLAUSIBLE_TEMPERATURE
    wild = (temp < low) | (temp > high)
    if wild.any():
        bad = f"temp is {temp[wild][0]:g} on {str(time[wild][0])[:10]}"
        raise fail(
            f"{bad}, not an air temperature in °C: mark missing values as NaN and fill them, or "
            "correct the unit"
        )
    if gradient.mean() > 1e-3:
        raise fail(
            f"gradient averages {gradient.mean():+.4g} K m-1; temperature falls with height: "
            "expected about -0.0065"
        )
    if (precip < 0).any():
        bad = str(time[precip < 0][0])[:7]
        message = (
            f"prcp is {precip[precip < 0][0]:.4g} kg m-2 on {bad}; precipitation cannot be negative"
        )
        if not clip_negative_precip:
            raise fail(message + ": correct the series")
        warnings.warn(
            f"{rgi_id}: climate '{name}': {message}; set to 0 (a known value of this product)",
            stacklevel=3,
        )
        precip = np.maximum(precip, 0.0)
    spacing = np.diff(time) / np.timedelta64(1, "D")
    if (spacing <= 0).any():
        raise fail(f"time does not increase at {str(time[1:][spacing <= 0][0])[:10]}")
    typical = float(np.median(spacing))
    if 0.9 < typical < 1.1:
        return _daily(time, temp, precip, gradient, ref_height, name, source, fail)
    if 27 < typical < 32:
        return _monthly(time, temp, precip, gradient, ref_height, name, source, fail)
    raise fail(f"the time step is {typical:g} days; expected daily or monthly values")


def _daily(time, temp, precip, gradient, ref_height, name, source, fail) -> Climate:  # type: ignore[no-untyped-def]
    days = time.astype("datetime64[D]")
    gaps = np.diff(days).astype(int) != 1
    if gaps.any():
        raise fail(f"days are missing after {days[:-1][gaps][0]}")
    months = days.astype("datetime64[M]").astype(int) + 1970 * 12
    first, last = months[0], months[-1]
    counts = np.bincount(months - first)
    first += int(counts[0] != days_in_month(first))
    last -= int(counts[-1] != days_in_month(last))
    if last < first:
        raise fail("the series holds no complete month")
    table = lambda fill: np.full((last - first + 1, DAYS), fill)
    out = {"temp": table(PADDING_TEMPERATURE), "precip": table(0.0), "gradient": table(0.0)}
    keep = (months >= first) & (months <= last)
    position = months[keep] - first, (days - days.astype("datetime64[M]")).astype(int)[keep]
    for key, values in (("temp", temp), ("precip", precip), ("gradient", gradient)):
        out[key][position] = values[keep]
    return Climate(
        name,
        "daily",
        float(ref_height),
        int(first),
        out["temp"],
        out["precip"],
        out["gradient"],
        source,
    )


def _monthly(time, temp, precip, gradient, ref_height, name, source, fail) -> Climate:  # type: ignore[no-untyped-def]
    months = time.astype("datetime64[M]").astype(int) + 1970 * 12
    gaps = np.diff(months) != 1
    if gaps.any():
        raise fail(f"months are missing after {month_name(months[:-1][gaps][0])}")
    return Climate(
        name, "monthly", float(ref_height), int(months[0]), temp, precip, np.array(gradient), source
    )


def months_between(t0: float, t1: float) -> np.ndarray:
    """Indices of the months that the span [t0, t1] (decimal years) touches."""
    last = month_index(t1)
    if last / 12 >= t1 - 1e-9:
        last -= 1
    return np.arange(month_index(t0), last + 1)
