"""Degree-days, snow, and where a balance acts."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import odinn
from odinn.errors import ClimateError
from odinn.physics.balance.degree_days import DailyMonth, MeanMonth


def month_of_days(temp, precip, gradient):
    pad = 31 - len(temp)
    fill = lambda a, value: np.concatenate([a, np.full(pad, value)])
    return DailyMonth(fill(temp, -1e4), fill(precip, 0.0), fill(gradient, 0.0), np.array(2000.0))


days = st.integers(28, 31)


@settings(max_examples=50, deadline=None)
@given(days, st.integers(0, 10_000), st.floats(-15, 15))
def test_daily_degree_days_and_snow_are_the_sums_over_real_days(n, seed, bias):
    rng = np.random.default_rng(seed)
    temp, precip = rng.normal(0, 8, n), rng.gamma(0.5, 10, n)
    gradient = rng.uniform(-0.009, -0.003, n)
    surface = np.array([[1500.0, 2000.0], [2800.0, 4200.0]])
    got = month_of_days(temp, precip, gradient).degree_days_and_snow(
        jnp.asarray(surface), jnp.full((2, 2), bias), 0.0, (0.0, 2.0), None
    )
    at = temp[:, None, None] + bias + gradient[:, None, None] * (surface - 2000.0)
    want = np.maximum(at, 0).sum(0), (precip[:, None, None] * np.clip(1 - at / 2, 0, 1)).sum(0)
    np.testing.assert_allclose(
        got[0], want[0], rtol=1e-12, atol=1e-11
    )  # the same sums: round-off alone
    np.testing.assert_allclose(got[1], want[1], rtol=1e-12, atol=1e-11)


def test_single_precision_stays_single_with_monthly_data():
    month = MeanMonth(
        *(jnp.asarray(v, jnp.float32) for v in (1.0, 90.0, -0.0065, 30.0)),
        np.array(4),
        jnp.float32(2000.0),
    )
    field = jnp.full((1, 1), 2000.0, jnp.float32)
    got = month.degree_days_and_snow(field, 0 * field, 0.0, (0.0, 2.0), 0 * field + 3)
    assert all(
        part.dtype == jnp.float32 for part in got
    )  # else a run in single precision cannot be compiled


@pytest.mark.parametrize("mean", [-12.0, -3.0, 0.0, 1.0, 8.0])
@pytest.mark.parametrize("spread", [1.0, 3.0, 6.0])
def test_monthly_degree_days_and_snow_are_expectations_over_normal_days(mean, spread):
    month = MeanMonth(
        *(np.array(v) for v in (mean, 90.0, -0.0065, 30.0)), np.array(4), np.array(2000.0)
    )
    surface = jnp.full((1, 1), 2000.0)
    got = month.degree_days_and_snow(
        surface, jnp.zeros((1, 1)), 0.0, (0.0, 2.0), jnp.full((1, 1), spread)
    )
    pdf = stats.norm(mean, spread).pdf
    melt = integrate.quad(lambda t: t * pdf(t), 0, mean + 12 * spread + 12, epsabs=1e-12)[0]
    solid = (
        stats.norm(mean, spread).cdf(0)
        + integrate.quad(lambda t: (1 - t / 2) * pdf(t), 0, 2, epsabs=1e-13)[0]
    )
    # the bar is 0.1 % + 0.01 K d; the closed form is exact to the quadrature's error
    np.testing.assert_allclose(got[0], 30 * melt, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(got[1], 90 * solid, rtol=1e-8, atol=1e-8)


def test_twelve_spreads_give_each_month_its_own(data):
    g = odinn.open_glacier(data / "glaciers" / "hef_RGI60-11.00897.nc")
    months = np.arange(2000 * 12, 2001 * 12)
    spreads = np.linspace(1.0, 6.0, 12)
    every = odinn.learning.calibration.monthly_balance
    together = every(odinn.Model(None, odinn.TemperatureIndex(temperature_std=spreads)), g, months)
    for k in (0, 6):
        alone = every(
            odinn.Model(None, odinn.TemperatureIndex(temperature_std=float(spreads[k]))), g, months
        )
        assert together[k] == pytest.approx(alone[k], rel=1e-12)


def test_each_of_twelve_spreads_belongs_to_its_month_also_in_a_series_from_october():
    """The synthetic twin of the test above, for each month by itself."""
    series = np.full(24, 1.0), np.full(24, 90.0), np.full(24, -0.0065)
    climate = odinn.Climate("made", "monthly", 1000.0, 12 * 2000 + 9, *series)
    grid, bed = odinn.Grid(4, 4, 100.0, 100.0), np.full((4, 4), 1000.0)
    g = odinn.Glacier("made", "", grid, bed, 0.0 * bed + 50.0, bed > 0, climate)
    months = np.arange(12 * 2000 + 9, 12 * 2001 + 9)
    spreads = np.linspace(1.0, 6.0, 12)  # January to December

    def balance_of(spread):
        model = odinn.Model(None, odinn.TemperatureIndex(temperature_std=spread))
        return odinn.learning.calibration.monthly_balance(model, g, months)

    together = balance_of(spreads)
    for k, month in enumerate(months):
        own = balance_of(float(spreads[month % 12]))[k]
        assert together[k] == pytest.approx(own, rel=1e-12)  # the same sums: round-off alone
    assert np.ptp(together) > 0.01  # m w.e.: what is compared differs from month to month


def test_the_balance_is_snow_minus_melt_in_metres_of_water():
    """The example of Muninn.jl's unit test, as one month."""
    surface = jnp.zeros((4, 4))
    balance = odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=2.0)
    grid = odinn.Grid(4, 4, 1.0, 1.0)
    balance = balance.on(SimpleNamespace(rgi_id="x", grid=grid))
    cold = month_of_days(np.full(30, -5.0), np.full(30, 0.1), np.zeros(30))
    warm = month_of_days(np.full(30, 4.0), np.full(30, 0.1), np.zeros(30))
    assert float(balance.rates(cold, surface, 0.0).balance[0, 0]) == pytest.approx(2.0 * 3.0 / 1000)
    assert float(balance.rates(warm, surface, 0.0).balance[0, 0]) == pytest.approx(-4e-3 * 120.0)
    assert float(balance.rates(warm, surface, 0.0).rain[0, 0]) == pytest.approx(2.0 * 3.0 / 1000)


def test_lapse_rates_are_limited_to_minus_nine_and_minus_three_kelvin_per_kilometre(slab):
    forcing = odinn.TemperatureIndex().forcing(slab, np.arange(2000 * 12, 2001 * 12))
    used = forcing.gradient[forcing.temp > -999]
    assert used.min() == -0.009
    assert used.max() == -0.003
    fixed = odinn.TemperatureIndex(lapse_rate=-0.005).forcing(slab, np.arange(2000 * 12, 2001 * 12))
    assert (fixed.gradient == -0.005).all()


def test_the_balance_has_an_exact_derivative_with_respect_to_temperature(slab):
    forcing = odinn.TemperatureIndex().forcing(slab, np.arange(2000 * 12 + 4, 2000 * 12 + 5))
    month = jax.tree.map(lambda a: a[0], forcing)
    surface = jnp.asarray(slab.surface)
    degree_days = lambda b: month.degree_days_and_snow(
        surface, jnp.full(surface.shape, b), 0.0, (0.0, 2.0), None
    )[0]
    _, slope = jax.jvp(degree_days, (0.3,), (1.0,))
    np.testing.assert_allclose(
        slope, (degree_days(0.3 + 1e-7) - degree_days(0.3 - 1e-7)) / 2e-7, atol=1e-5
    )
    assert float(slope.max()) <= 31.0


def test_running_out_of_climate_names_the_last_month(slab):
    model = odinn.Model(mass_balance=odinn.TemperatureIndex())
    with pytest.raises(ClimateError, match="covers 2000-01 to 2003-12, but 2004-01 is needed"):
        odinn.simulate(model, slab, 2003.0, 2005.0)


def test_a_run_without_climate_says_how_to_give_one(slab):
    bare = odinn.Glacier(slab.rgi_id, slab.name, slab.grid, slab.bed, slab.thickness, slab.mask)
    with pytest.raises(ClimateError, match="open it with climate="):
        odinn.simulate(odinn.Model(mass_balance=odinn.TemperatureIndex()), bare, 2000.0, 2001.0)


def test_gain_outside_the_outline_acts_on_ice_thicker_than_the_threshold_only(slab):
    wet = odinn.PrescribedBalance(balance=1.0)
    sim = odinn.simulate(odinn.Model(None, wet), slab, 2000.0, 2001.0)
    gained = sim.thickness[-1] - sim.thickness[0]
    inside = slab.mask & (np.arange(slab.grid.nx) > 0)[None, :]
    np.testing.assert_allclose(gained[inside], 1000 / 900, rtol=1e-12)
    assert (gained[~slab.mask] == 0).all()
    assert sim.budget["withheld"] > 0
    everywhere = odinn.PrescribedBalance(balance=1.0, accumulation_threshold=None)
    sim = odinn.simulate(odinn.Model(None, everywhere), slab, 2000.0, 2001.0)
    np.testing.assert_allclose(
        (sim.thickness[-1] - sim.thickness[0])[1:-1, 1:-1], 1000 / 900, rtol=1e-12
    )
    assert sim.budget["withheld"] == 0


def test_argentiere_grows_no_false_ice_outside_its_outline(argentiere, calibrated):
    outside = lambda s: float(
        ((s.thickness[-1] > 1) & ~argentiere.mask).sum() * argentiere.grid.cell_area / 1e6
    )
    sim = odinn.simulate(calibrated, argentiere, 2009.75, 2019.75, save_every=10.0)
    assert outside(sim) < 0.3  # km2, the bar; measured 0.015
    import equinox as eqx

    naive = eqx.tree_at(lambda m: m.mass_balance.accumulation_threshold, calibrated, 0.0)
    grown = outside(odinn.simulate(naive, argentiere, 2009.75, 2019.75, save_every=10.0))
    assert grown > 3.0  # "wherever ice stands" grew 5.2 km2 where it was first measured


def test_a_melt_factor_in_mm_is_refused():
    with pytest.raises(odinn.InputError, match="OGGM's melt_f is in mm"):
        odinn.TemperatureIndex(melt_factor=5.0)
