"""Climate that goes on: constant, repeated, random, shifted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.data.climate_series import climate_from_series
from odinn.errors import ClimateError, InputError
from odinn.learning.calibration import monthly_balance

BALANCE = odinn.TemperatureIndex(4e-3, 2.0)
MODEL = odinn.Model(odinn.SIA2D(A=6e-17), BALANCE)


@pytest.fixture(scope="module")
def monthly():
    """Six years of monthly weather that differ from each other."""
    time = np.arange("2000-01", "2006-01", dtype="datetime64[M]")
    noise = np.random.default_rng(3)
    temp = 1.0 - 9.0 * np.cos(2 * np.pi * np.arange(72) / 12) + noise.normal(0, 2, 72)
    return climate_from_series(
        time, temp, noise.gamma(4.0, 20.0, 72), None, 2500.0, name="own", rgi_id="TEST"
    )


def months(start, end):
    return np.arange(round(12 * start), round(12 * end))


@pytest.mark.parametrize("span", [(2000, 2004), (2000.75, 2003.75), (2001, 2002)])
@pytest.mark.parametrize("step", ["daily", "monthly"])
def test_the_constant_climate_has_the_mean_balance_of_the_real_years_at_a_fixed_surface(
    slab, monthly, step, span
):
    g = slab if step == "daily" else slab.replace(climate=monthly)
    real = monthly_balance(MODEL, g, months(*span)).reshape(-1, 12).mean(axis=0)
    held = g.replace(climate=g.climate.constant(span))
    for first in (2100, -50):
        got = monthly_balance(MODEL, held, months(first + span[0] % 1, first + 1 + span[0] % 1))
        np.testing.assert_allclose(
            got, real, rtol=1e-12, atol=1e-14
        )  # the same sums in another order: round-off


def test_the_mean_weather_would_not_have_the_mean_balance(slab):
    """Why balances are averaged: degree-days are convex in temperature."""
    c = slab.climate
    mean = lambda field: np.where(c.used[:12], field.reshape(-1, 12, 31).mean(axis=0), field[:12])
    weather = odinn.Climate(
        c.name, c.step, c.ref_height, c.first_month, mean(c.temp), mean(c.precip), mean(c.gradient)
    )
    real = monthly_balance(MODEL, slab, months(2000, 2004)).sum() / 4
    averaged = monthly_balance(MODEL, slab.replace(climate=weather), months(2000, 2001)).sum()
    assert averaged > real + 0.1  # m w.e. yr-1 less melt


def test_the_repeated_climate_is_the_series_itself_within_its_base_and_goes_round_without(slab):
    again = slab.replace(climate=slab.climate.repeat((2001, 2004)))
    real = monthly_balance(MODEL, slab, months(2001, 2004))
    np.testing.assert_array_equal(monthly_balance(MODEL, again, months(2001, 2004)), real)
    np.testing.assert_array_equal(monthly_balance(MODEL, again, months(2121, 2124)), real)
    np.testing.assert_array_equal(monthly_balance(MODEL, again, months(1999, 2001)), real[12:])


def years_played(climate, start, end, base=2000):
    rows = climate.drawn(months(start, end), "TEST").reshape(-1, 12)
    assert (np.diff(rows, axis=1) == 1).all()  # seasons stay whole
    assert (rows[:, 0] % 12 == 0).all()
    return base + rows[:, 0] // 12


def test_random_years_follow_from_seed_and_year_alone(monthly):
    climate = monthly.random((2000, 2006), seed=5)
    played = years_played(climate, 1900, 2100)
    np.testing.assert_array_equal(years_played(climate, 1950, 1960), played[50:60])
    other = monthly.shift(temp=3.0).random(
        (2000, 2006), seed=5
    )  # another glacier's weather, the same years
    np.testing.assert_array_equal(years_played(other, 1900, 2100), played)
    assert (years_played(monthly.random((2000, 2006), seed=6), 1900, 2100) != played).mean() > 0.7
    assert played[[0, 1, 2, 120]].tolist() == [
        2002,
        2002,
        2003,
        2002,
    ]  # and stay so from release to release


@pytest.mark.parametrize("block", [1, 2, 4])
def test_every_base_year_is_as_likely_and_blocks_keep_their_order(monthly, block):
    played = years_played(monthly.random((2000, 2006), seed=1, block_years=block), 0, 3000) - 2000
    counts = np.bincount(played, minlength=6)
    expected = len(played) / 6
    # six classes; the counts of a block's years go together, which widens the spread by the root of
    # its length
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected * block)
    inside = np.arange(len(played) - 1) % block != block - 1
    np.testing.assert_array_equal(played[1:][inside], (played[:-1][inside] + 1) % 6)


def test_hydrological_years_are_drawn_whole(slab):
    climate = slab.climate.random((2000.75, 2003.75), seed=2)
    rows = climate.drawn(months(2050.75, 2060.75), "TEST").reshape(-1, 12)
    assert (rows[:, 0] % 12 == 0).all()
    assert (np.diff(rows, axis=1) == 1).all()
    assert climate.first_month % 12 == 9


def test_a_random_run_that_is_split_is_the_run_in_one_piece(slab):
    g = slab.replace(climate=slab.climate.random((2000, 2004), seed=7))
    whole = odinn.simulate(MODEL, g, 2020.0, 2023.0, save_every=1.0)
    first = odinn.simulate(MODEL, g, 2020.0, 2021.5, save_every=1.0)
    rest = odinn.simulate(MODEL, g, 2021.5, 2023.0, save_every=1.0, initial=first.state)
    np.testing.assert_array_equal(whole.thickness[-1], rest.thickness[-1])


def test_a_shift_adds_kelvin_as_the_temperature_bias_does_and_multiplies_precipitation(slab):
    shifted = slab.replace(climate=slab.climate.shift(temp=1.0).shift(temp=1.0, precip=1.2))
    biased = odinn.Model(None, odinn.TemperatureIndex(4e-3, 2.4, 2.0))
    want = monthly_balance(biased, slab, months(2000, 2004))
    np.testing.assert_allclose(
        monthly_balance(MODEL, shifted, months(2000, 2004)), want, rtol=1e-11, atol=1e-13
    )
    assert shifted.climate.span == slab.climate.span
    before, after = (c((2000, 2004)) for c in (shifted.climate.constant, slab.climate.constant))
    np.testing.assert_allclose(after.shift(2.0, 1.2).temp, before.temp, rtol=1e-14)
    assert (
        str(after.shift(2.0, 1.2))
        == "made (daily, constant from 2000-01 to 2003-12, +2 K, precipitation x 1.2, 2500 m)"
    )


def test_a_commitment_run_is_one_line_and_the_result_says_which_climate_it_had(slab, tmp_path):
    sim = odinn.simulate(
        MODEL,
        slab.replace(climate=slab.climate.constant((2000, 2004)).shift(temp=2.0)),
        2020,
        2023,
        save_every=1.0,
    )
    assert sim.relative_residual < 1e-12  # round-off
    loss = -np.diff(sim.volume)
    assert (
        loss[1:] < loss[:-1]
    ).all()  # without variability a wasting glacier loses less each year
    back = odinn.load(odinn.save(sim, tmp_path / "run.nc"))
    assert back.glacier.provenance["climate"].startswith(
        "made (daily, constant from 2000-01 to 2003-12, +2 K"
    )
    scenario = back.glacier.climate.drawn(months(2050, 2051), "TEST")
    np.testing.assert_array_equal(scenario, sim.glacier.climate.drawn(months(2020, 2021), "TEST"))


def test_the_constant_climates_balance_can_be_differentiated(slab):
    g = slab.replace(climate=slab.climate.constant((2000, 2004)))
    balance = BALANCE.on(g)
    july = jax.tree.map(lambda a: jnp.asarray(a[0]), BALANCE.forcing(g, np.array([12 * 2030 + 6])))
    surface = jnp.asarray(slab.surface)
    total = jax.jit(lambda lift: jnp.sum(balance.rates(july, surface + lift, 0.0).balance))
    slope = jax.grad(total)(0.0)
    assert slope > 0
    assert slope == pytest.approx(float(jax.jvp(total, (0.0,), (1.0,))[1]), rel=1e-12)
    assert slope == pytest.approx(
        float(total(1e-4) - total(-1e-4)) / 2e-4, rel=1e-4
    )  # kinks within the step


@pytest.mark.parametrize("kind", ["constant", "repeat", "random"])
def test_laws_see_the_mean_temperature_of_the_base_period_and_of_the_shift(slab, kind):
    temperature = odinn.inputs.LongTermTemperature()
    series = odinn.inputs.LongTermTemperature(period=(2001, 2003)).field(slab)
    scenario = getattr(slab.climate, kind)((2001, 2003))
    assert temperature.field(slab.replace(climate=scenario)) == pytest.approx(
        float(series), rel=1e-12
    )
    warmer = slab.replace(climate=scenario.shift(temp=2.0))
    assert temperature.field(warmer) == pytest.approx(float(series) + 2.0, rel=1e-12)


BAD = [
    (lambda c: c.constant((2000, 2003.5)), ClimateError, r"constant.*expected whole years"),
    (lambda c: c.repeat((2003, 2000)), ClimateError, "expected whole years"),
    (
        lambda c: c.constant((1990, 2003)),
        ClimateError,
        "covers 2000-01 to 2003-12, the base period is 1990-01 to 2002-12",
    ),
    (lambda c: c.constant(("then", "now")), InputError, "expected .start, end."),
    (lambda c: c.constant((2000, 2004)).random((2000, 2004)), InputError, "is a scenario already"),
    (lambda c: c.random((2000, 2004), seed=-1), InputError, r"seed=-1\): expected a whole number"),
    (lambda c: c.random((2000, 2004), block_years=5), InputError, "the base period has 4 years"),
    (lambda c: c.shift(temp=np.nan), InputError, "expected K"),
    (lambda c: c.shift(precip=-0.1), InputError, "expected a factor >= 0"),
]


@pytest.mark.parametrize(("make", "error", "message"), BAD)
def test_a_scenario_that_makes_no_sense_says_why(slab, make, error, message):
    with pytest.raises(error, match=f"climate 'made': .*{message}"):
        make(slab.climate)


def test_measured_balances_and_odinns_scheme_want_the_series(slab):
    g = slab.replace(climate=slab.climate.constant((2000, 2004)))
    with pytest.raises(
        InputError, match="TEST-00.00001: measured balances belong to the climate of their years"
    ):
        odinn.calibrate(MODEL, g, period=(2000, 2004))
    balanced = odinn.calibrate(
        MODEL, g, target=0.0, period=(2000, 2001), vary="temp_bias"
    )  # an equilibrium climate
    assert monthly_balance(balanced, g, months(2000, 2001)).sum() == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ClimateError, match="follows the days of a real series"):
        odinn.OdinnBalance().forcing(g, months(2000, 2001))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"melt_factor": -1e-3}, "melt_factor is -0.001; expected a number >= 0"),
        ({"precip_factor": {"a": 1.0, "b": -2.0}}, "precip_factor is -2"),
        ({"melt_factor": np.array([[1.0, np.nan]])}, "melt_factor is nan in 1 places"),
        ({"temperature_std": 0}, "temperature_std is 0; expected a number > 0"),
    ],
)
def test_a_balance_with_a_wrong_sign_is_refused(numbers, message):
    with pytest.raises(InputError, match=message):
        odinn.TemperatureIndex(**numbers)


RAMP = odinn.Ramp(per_decade=2.0, start=2001, end=2003)


def ramp_of(k):
    return 0.2 * np.clip((k + 0.5) / 12 - 2001, 0.0, 2.0)


@pytest.mark.parametrize("step", ["daily", "monthly"])
def test_a_ramp_warms_a_series_by_its_dates_and_leaves_what_was_before(slab, monthly, step):
    climate = slab.climate if step == "daily" else monthly
    warmer = climate.shift(temp=RAMP)
    added = np.where(climate.used, warmer.temp - climate.temp, 0.0)
    want = ramp_of(climate.months).reshape(-1, *(1,) * (climate.temp.ndim - 1))
    np.testing.assert_allclose(added, np.where(climate.used, want, 0.0), atol=1e-12)
    assert "+2 K per decade from 2001 to 2003" in str(warmer)
    assert warmer.shifted == (0.0, 1.0)
    assert not warmer.warming  # a series has it in itself


@pytest.mark.parametrize("kind", ["constant", "repeat", "random"])
@pytest.mark.parametrize("step", ["daily", "monthly"])
def test_a_ramp_on_a_scenario_goes_by_the_years_of_the_run(slab, monthly, kind, step):
    g = slab if step == "daily" else slab.replace(climate=monthly)
    base = getattr(g.climate, kind)((2000, 2004))
    ramp = odinn.Ramp(per_decade=1.0, start="2050-01-01")
    ramped, k = base.shift(temp=ramp), months(2049, 2052)
    got = monthly_balance(MODEL, g.replace(climate=ramped), k)
    still = monthly_balance(MODEL, g.replace(climate=base), k)
    np.testing.assert_array_equal(got[:12], still[:12])
    # a month of a ramp is a month of a climate that is warmer by as much
    warmer = base.shift(temp=0.1 * ((k[30] + 0.5) / 12 - 2050))
    want = monthly_balance(MODEL, g.replace(climate=warmer), k[30:31])
    np.testing.assert_allclose(got[30:31], want, rtol=1e-11, atol=1e-13)
    assert str(ramped).endswith("+1 K per decade from 2050-01-01, 2500 m)")
    temperature = odinn.inputs.MonthlyTemperature()
    change = [temperature.in_months(g.replace(climate=c), k) for c in (base, ramped)]
    np.testing.assert_allclose(change[1] - change[0], ramp.at(k), atol=1e-12)


def test_a_ramp_before_a_scenario_is_part_of_its_base(monthly):
    base = monthly.shift(temp=RAMP).constant((2000, 2004))
    want = monthly.constant((2000, 2004)).temp + ramp_of(months(2000, 2004))
    np.testing.assert_allclose(base.temp, want, atol=1e-12)
    assert not base.warming
    assert "+2 K per decade from 2001 to 2003 in its base" in str(base)


def test_months_of_the_year_and_dated_series_are_added_where_they_belong(monthly):
    import pandas as pd
    import xarray as xr

    seasonal = np.linspace(0.5, 2.0, 12)
    k = months(2000, 2006)
    for climate in (monthly, monthly.repeat((2000, 2006))):
        got = climate.shift(temp=list(seasonal))
        np.testing.assert_allclose(got.temp - monthly.temp, seasonal[k % 12], atol=1e-12)
    assert "+0.5 to +2 K by month of the year" in str(got)
    kelvin = np.linspace(-1.0, 3.0, 72)
    time = pd.date_range("2000-01", periods=72, freq="MS")
    for series in (
        pd.Series(kelvin, time),
        pd.Series(kelvin, time.to_period("M")),
        xr.DataArray(kelvin, {"time": time}, "time"),
    ):
        np.testing.assert_allclose(monthly.shift(temp=series).temp, monthly.temp + kelvin)
        dated = monthly.repeat((2000, 2002)).shift(temp=series)
        assert dated.span == (2000.0, 2006.0)
        drawn = dated.drawn(k, "TEST")
        got = dated.temperature(k, drawn, "TEST") - dated.temp[drawn]
        np.testing.assert_allclose(got, kelvin, atol=1e-12)
        with pytest.raises(ClimateError, match="covers 2000-01 to 2005-12, but 2006-01 is needed"):
            dated.temperature(k + 1, drawn, "TEST")


def test_a_scenario_with_a_ramp_runs_and_survives_a_file(slab, tmp_path):
    g = slab.replace(climate=slab.climate.repeat((2000, 2002)).shift(temp=RAMP).shift(temp=0.5))
    back = odinn.load(odinn.save(g, tmp_path / "glacier.nc"))
    assert str(back.climate) == str(g.climate)
    k = months(2000, 2004)
    same = [monthly_balance(MODEL, one, k) for one in (g, back)]
    np.testing.assert_array_equal(*same)


@pytest.mark.parametrize(
    "temp",
    [[1.0, 2.0], "warm", {"per": 1}, [np.nan] * 12, np.ones((2, 2)), 1e9, {}, [[1], [1, 2]], True],
)
def test_what_is_no_change_of_temperature_is_refused(monthly, temp):
    with pytest.raises(InputError, match=r"climate 'own': shift\(temp=\)"):
        monthly.shift(temp=temp)


@pytest.mark.parametrize("wrong", [(np.nan, 2000), (1.0, 2000, 1990), (1.0, "soon"), ("1", 2000)])
def test_a_ramp_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError):
        odinn.Ramp(*wrong)
