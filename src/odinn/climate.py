"""Climate series at a reference height, the months that mass balance is computed from, and
scenarios without end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from odinn.dates import Date, decimal_year, hydrological_year, month_index, month_name
from odinn.errors import ClimateError, InputError, of_glacier
from odinn.notebook import table
from odinn.printing import printed_as_call
from odinn.warming import AbstractWarming, Ramp, warming_of

Step = Literal["daily", "monthly"]

DAYS = 31  # columns of a daily table
# °C, on days that a month does not have: they neither melt nor, without precipitation, snow.
PADDING_TEMPERATURE = -1e4


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
        season = (months - first) % 12  # counted from the month in which the base starts
        if self.kind == "constant":
            return season[:, None] + 12 * np.arange(years)
        if self.kind == "repeat":
            return (months - first) % (12 * years)
        # years that start with the month in which the base does
        played, position = np.unique((months - first % 12) // 12, return_inverse=True)
        drawn = np.array([self._drawn(int(year), years) for year in played], int)
        return 12 * drawn[position] + season

    def _drawn(self, year: int, years: int) -> int:
        """The base year that is played in a year; a function of seed and year alone, on every
        machine.
        """
        block, offset = divmod(year, self.block_years)
        label = 2 * block if block >= 0 else -2 * block - 1  # seeds have to be >= 0
        (state,) = np.random.SeedSequence((self.seed, label)).generate_state(1, np.uint64)
        return (int(state) % years + offset) % years

    def __str__(self) -> str:
        if self.kind != "random":
            return self.kind
        blocks = f", blocks of {self.block_years} years" if self.block_years > 1 else ""
        return f"random with seed {self.seed}{blocks}"


@printed_as_call
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
        others: series beside it where it comes from, for errors.
        shifted: K and factor that :meth:`shift` has put into the series, for the record.
        warmed: what it has added that is no one number, in words.
        warming: of that, what a scenario adds by the date of the months that are drawn.
    """

    name: str = eqx.field(static=True)
    step: Step = eqx.field(static=True)
    ref_height: float = eqx.field(static=True)
    first_month: int = eqx.field(static=True)
    temp: Float[np.ndarray, "months ..."]
    precip: Float[np.ndarray, "months ..."]
    gradient: Float[np.ndarray, "months ..."]
    source: str = eqx.field(static=True, default="")
    scenario: Scenario | None = None
    shifted: tuple[float, float] = eqx.field(static=True, default=(0.0, 1.0))
    warmed: tuple[str, ...] = eqx.field(static=True, default=())
    warming: tuple[AbstractWarming, ...] = ()
    others: tuple[str, ...] = eqx.field(static=True, default=())

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
    def last_month(self) -> int:
        """Index of the last month of the series."""
        return self.first_month + len(self.temp) - 1

    @property
    def span(self) -> tuple[float, float]:
        """Decimal years (start, end) covered; a scenario has no end."""
        if self.scenario is not None:
            spans = [change.span for change in self.warming]
            return max((a for a, _ in spans), default=-np.inf), min(
                (b for _, b in spans), default=np.inf
            )
        return self.first_month / 12, (self.last_month + 1) / 12

    def rows(self, months: Sequence[int] | np.ndarray, rgi_id: str) -> Int[np.ndarray, " n"]:
        """Positions of months in the series, whatever the scenario; an error names the last one
        there is.
        """
        positions = np.asarray(months, int) - self.first_month
        outside = (positions < 0) | (positions >= len(self.temp))
        if outside.any():
            missing = month_name(np.asarray(months)[outside][0])
            message = (
                f"climate '{self.name}' covers {self._covered}, but {missing} is needed: shorten "
                "the run or choose another climate product"
            )
            if self.others:
                message += f"; beside it there are {', '.join(self.others)} (climate='name')"
            raise ClimateError(of_glacier(rgi_id, message))
        return positions

    def drawn(self, months: Sequence[int] | np.ndarray, rgi_id: str) -> Int[np.ndarray, "n ..."]:
        """Positions in the series of what months bring: (n,); for a constant climate (n, years),
        whose balances are to be averaged."""
        if self.scenario is None:
            return self.rows(months, rgi_id)
        return self.scenario.rows(np.asarray(months, int), self.first_month, len(self.temp) // 12)

    def temperature(
        self, months: Sequence[int] | np.ndarray, rows: Int[np.ndarray, "n ..."], rgi_id: str
    ) -> Float[np.ndarray, "n ..."]:
        """°C that months bring, from the positions that :meth:`drawn` gives, with what a scenario
        adds by date.
        """
        temp = self.temp[rows]
        if not self.warming:
            return temp
        try:
            kelvin = sum(change.at(np.asarray(months)) for change in self.warming)
        except ClimateError as error:
            raise ClimateError(of_glacier(rgi_id, f"climate '{self.name}': {error}")) from error
        by_month = np.reshape(kelvin, (-1, *(1,) * (temp.ndim - 1)))
        # days that a month does not have stay as cold as they are
        return np.where(self.used[rows], temp + by_month, temp)

    def constant(self, period: tuple[Date, Date]) -> Climate:
        """A climate without end and without variability: each month's balance is the mean of that
        month's over the years.

        The balances are averaged, not the weather: the mean of the days of several years would have
        fewer degree-days and another share of snow than the years themselves (as OGGM's
        ``ConstantMassBalance``).

        Args:
            period: (start, end) of the base, decimal years or dates, the end excluded: (1995, 2015)
                is the 20 years 1995 to 2014, (2009.75, 2019.75) ten northern hydrological years.

        Raises:
            ClimateError: not whole years, or not covered by the series.
        """
        return self._scenario(Scenario("constant"), period)

    def repeat(self, period: tuple[Date, Date]) -> Climate:
        """A climate without end that plays a period over and over; within the base period it is
        the series itself.

        Args: see :meth:`constant`.
        """
        return self._scenario(Scenario("repeat"), period)

    def random(self, period: tuple[Date, Date], seed: int = 0, block_years: int = 1) -> Climate:
        """A climate without end that plays whole years in random order, drawn with replacement.

        Args:
            period: see :meth:`constant`; a year starts with the month in which the period does, so
                that (2009.75, 2019.75) keeps northern winters whole, and (2009.25, 2019.25)
                southern ones.
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
        out = self._scenario(Scenario("random", int(seed), int(block_years)), period)
        if 12 * block_years > len(out.temp):
            raise InputError(
                f"climate '{self.name}': random(block_years={block_years}): the base period has "
                f"{len(out.temp) // 12} years"
            )
        return out

    def shift(
        self,
        temp: float | Ramp | Sequence[float] | Mapping[str, Date] | Any = 0.0,
        precip: float = 1.0,
    ) -> Climate:
        """The same climate, warmer by ``temp`` (K), with precipitation times ``precip``; it covers
        the same span.

        Shifts add up, and may stand before or after :meth:`constant`, :meth:`repeat` and
        :meth:`random`.

        Args:
            temp: K; or an :class:`odinn.Ramp` (K per decade from a year on), or a mapping of its
                arguments; or 12 numbers, January to December; or a monthly series with dates
                (pandas, or xarray with ``time``), which has to cover every month that is used.
                A ramp and a series go by the date: put before a scenario they become part of the
                series that it is made from, put after it they go by the years of the run.
            precip: factor.

        >>> import odinn
        >>> base = odinn.demo_glaciers()[-1].climate.repeat((2000, 2010))
        >>> print(base.shift(temp=odinn.Ramp(per_decade=0.3, start=2020)))
        idealised (monthly, repeat from 2000-01 to 2009-12, +0.3 K per decade from 2020, 765 m)
        """
        change = warming_of(temp, f"climate '{self.name}': shift(temp=)")
        if not np.isfinite(precip) or precip < 0:
            raise InputError(
                f"climate '{self.name}': shift(precip={precip!r}): expected a factor >= 0, such "
                "as 1.1"
            )
        shifted = dataclasses.replace(
            self,
            precip=self.precip * precip,
            shifted=(self.shifted[0], self.shifted[1] * float(precip)),
        )
        if isinstance(change, float):
            return shifted._warmer(change, by=change)
        shifted = dataclasses.replace(shifted, warmed=(*self.warmed, str(change)))
        if self.scenario is not None and change.by_date:
            return dataclasses.replace(shifted, warming=(*self.warming, change))
        kelvin = change.at(self.months)
        return shifted._warmer(np.reshape(kelvin, (-1, *(1,) * (self.temp.ndim - 1))))

    def _warmer(self, kelvin: float | np.ndarray, by: float = 0.0) -> Climate:
        """With K added to the series; ``by`` goes to the record."""
        # days that a month does not have stay as cold as they are
        temp = np.where(self.used, self.temp + kelvin, self.temp)
        shifted = (self.shifted[0] + by, self.shifted[1])
        return dataclasses.replace(self, temp=temp, shifted=shifted)

    @property
    def used(self) -> Bool[np.ndarray, "months ..."]:
        """False on the days of the table that a month does not have."""
        return self.temp > 0.5 * PADDING_TEMPERATURE

    def _scenario(self, scenario: Scenario, period: tuple[Date, Date]) -> Climate:
        """The scenario whose base is these years, cut out of the series."""
        call = f"climate '{self.name}': {scenario.kind}({period!r})"
        if self.scenario is not None:
            raise InputError(
                f"{call}: this climate is a scenario already ({self}); start from the series"
            )
        first, end = _whole_years(period, call)
        if first < self.first_month or end - 1 > self.last_month:
            raise ClimateError(
                f"{call}: the series covers {self._covered}, the base period is "
                f"{month_name(first)} to {month_name(end - 1)}: choose years inside the series"
            )
        base = slice(first - self.first_month, end - self.first_month)
        return dataclasses.replace(
            self,
            first_month=first,
            temp=self.temp[base],
            precip=self.precip[base],
            gradient=self.gradient[base],
            scenario=scenario,
            # by date of the series, not of the run
            warmed=tuple(f"{change} in its base" for change in self.warmed),
        )

    @property
    def _covered(self) -> str:
        return f"{month_name(self.first_month)} to {month_name(self.last_month)}"

    def complete_years(self, hydro_month: int) -> list[int]:
        """Years from a month (1 to 12) on that the series covers, labelled by the year in which
        they end.
        """
        years = [hydrological_year(int(k), hydro_month) for k in self.months]
        return [year for year in sorted(set(years)) if years.count(year) == 12]

    def _repr_html_(self) -> str:
        years = len(self.temp) / 12
        rows = {
            "series": f"{self.step}, {self._covered}",
            "height": f"{self.ref_height:.0f} m",
            "mean temperature": f"{self.temp[self.used].mean():.1f} °C",
            "precipitation": f"{self.precip[self.used].sum() / years:.0f} kg m⁻² per year",
            "scenario": self if self.scenario is not None or self.shifted != (0.0, 1.0) else "none",
        }
        return table(f"Climate {self.name}", rows)

    def __str__(self) -> str:
        rule = "" if self.scenario is None else f"{self.scenario} from "
        parts = [self.step, rule + self._covered]
        warmer, wetter = self.shifted
        if warmer:
            parts.append(f"{warmer:+g} K")
        parts += self.warmed
        if wetter != 1.0:
            parts.append(f"precipitation x {wetter:g}")
        parts.append(f"{self.ref_height:.0f} m")
        return f"{self.name} ({', '.join(parts)})"


def _whole_years(years: tuple[Date, Date], call: str) -> tuple[int, int]:
    """Indices of the first month and of that after the last one."""
    try:
        start, end = (decimal_year(t) for t in years)
    except (TypeError, ValueError) as error:
        raise InputError(f"{call}: expected (start, end), such as (1995, 2015)") from error
    first, after = round(12 * start), round(12 * end)
    within_month = max(abs(12 * start - first), abs(12 * end - after)) > 1e-6
    if within_month or after <= first or (after - first) % 12:
        raise ClimateError(
            f"{call}: expected whole years, such as (1995, 2015) or (2009.75, 2019.75)"
        )
    return first, after


def months_between(t0: float, t1: float) -> np.ndarray:
    """Indices of the months that the span [t0, t1] (decimal years) touches."""
    last = month_index(t1)
    # a span that ends where a month starts does not touch that month
    if last / 12 >= t1 - 1e-9:
        last -= 1
    return np.arange(month_index(t0), last + 1)
