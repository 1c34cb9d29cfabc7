"""Calibration on fixed geometry."""

import dataclasses

import numpy as np
import pytest

import odinn
from odinn.errors import CalibrationError, InputError
from odinn.glacier import MassBalanceRecord
from odinn.learning.calibration import annual_balance, compare_with_measurements, monthly_balance

PERIOD = (2009.75, 2019.75)


def test_argentiere_takes_the_known_melt_factor(argentiere, calibrated):
    assert float(calibrated.mass_balance.melt_factor) == pytest.approx(
        3.885e-3, rel=0.01
    )  # data README
    years = annual_balance(calibrated, argentiere, PERIOD)
    assert list(years) == list(range(2010, 2020))
    assert np.mean(list(years.values())) == pytest.approx(-1.206, abs=0.01)


def test_calibrated_argentiere_forecasts_single_years_better_than_their_mean_does(
    argentiere, calibrated
):
    comparison = compare_with_measurements(calibrated, argentiere, PERIOD)
    assert len(comparison.years) == 10
    assert comparison.correlation > 0.7  # measured 0.83
    assert comparison.rmse < comparison.constant_rmse  # measured 0.31 against 0.55 m w.e.


def test_the_uncalibrated_default_is_no_real_glacier_and_says_so(argentiere):
    model = odinn.Model(mass_balance=odinn.TemperatureIndex())
    mean = monthly_balance(model, argentiere, np.arange(2009 * 12 + 9, 2019 * 12 + 9)).sum() / 10
    assert mean == pytest.approx(-5.3, abs=0.3)  # the figure
    with pytest.warns(UserWarning, match="odinn calibrate"):
        odinn.simulate(model, argentiere, 2010.0, 2011.0)


@pytest.mark.parametrize("vary", ["melt_factor", "precip_factor", "temp_bias"])
def test_each_number_can_be_calibrated(slab, vary):
    start = odinn.Model(None, odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=2.0))
    model = odinn.calibrate(start, slab, target=-0.4, period=(2001.0, 2003.0), vary=vary)
    months = np.arange(2001 * 12, 2003 * 12)
    assert monthly_balance(model, slab, months).sum() / 2 == pytest.approx(
        -0.4, abs=1e-8
    )  # Brent's tolerance
    others = {"melt_factor", "precip_factor", "temp_bias"} - {vary}
    assert all(
        float(getattr(model.mass_balance, o)) == float(getattr(start.mass_balance, o))
        for o in others
    )


def test_an_unreachable_target_reports_what_the_bounds_give(slab):
    model = odinn.Model(None, odinn.TemperatureIndex())
    with pytest.raises(CalibrationError, match=r"the bounds give .* vary another number"):
        odinn.calibrate(model, slab, target=50.0, period=(2001.0, 2003.0))


def test_without_measurements_a_target_is_asked_for(slab):
    with pytest.raises(InputError, match="give target="):
        odinn.calibrate(odinn.Model(None, odinn.TemperatureIndex()), slab)


def test_target_and_period_default_to_the_measured_years(data):
    g = odinn.open_glacier(data / "glaciers" / "hef_RGI60-11.00897.nc", climate="era5")
    start = odinn.Model(None, odinn.TemperatureIndex(precip_factor=2.5))
    comparison = compare_with_measurements(odinn.calibrate(start, g), g, (1979.75, 2018.75))
    assert comparison.modelled.mean() == pytest.approx(comparison.measured.mean(), abs=1e-6)
    assert comparison.correlation > 0.5


@pytest.fixture(scope="module")
def three(slab):
    """The slab, a warmer one, and a wetter one."""
    weather = [slab.climate, slab.climate.shift(temp=1.0), slab.climate.shift(precip=1.2)]
    return [
        dataclasses.replace(slab, rgi_id=f"TEST-00.0000{i}", climate=climate)
        for i, climate in enumerate(weather, start=1)
    ]


START = odinn.Model(None, odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=2.0))
SPAN = (2001.0, 2003.0)
TARGETS = (-0.4, -0.9, 0.2)


def mean_balance(model, glacier):
    months = np.arange(12 * 2001, 12 * 2003)
    return monthly_balance(model, glacier, months).sum() / 2


@pytest.mark.parametrize("form", ["list", "tuple", "by id"])
def test_each_glacier_of_a_list_meets_its_own_target(three, form):
    by_id = {g.rgi_id: t for g, t in zip(three, TARGETS, strict=True)}
    targets = {"list": list(TARGETS), "tuple": TARGETS, "by id": by_id | {"another": 9.0}}
    model = odinn.calibrate(START, three, targets[form], SPAN)
    assert set(model.mass_balance.melt_factor) == set(by_id)
    for glacier, target in zip(three, TARGETS, strict=True):
        assert mean_balance(model, glacier) == pytest.approx(target, abs=1e-8)  # Brent's tolerance
        alone = odinn.calibrate(START, glacier, target, SPAN)
        own = model.mass_balance.melt_factor[glacier.rgi_id]
        assert float(own) == float(alone.mass_balance.melt_factor)


def test_a_calibrated_list_runs(three):
    model = odinn.calibrate(START, three, -0.4, SPAN, "temp_bias")
    runs = odinn.simulate(model, three, 2001.0, 2001.5)
    assert [sim.glacier.rgi_id for sim in runs] == [g.rgi_id for g in three]


def test_a_list_of_one_glacier_gets_a_number_by_its_id(three):
    first, second, _ = three
    model = odinn.calibrate(START, [first], -0.4, SPAN)
    assert list(model.mass_balance.melt_factor) == [first.rgi_id]
    both = odinn.calibrate(model, [second], -0.4, SPAN)  # what is known of others stays
    assert set(both.mass_balance.melt_factor) == {first.rgi_id, second.rgi_id}


def test_glaciers_without_a_target_take_their_own_measurements(three):
    record = MassBalanceRecord(np.array([2001, 2002, 2003]), np.array([-0.3, -0.5, np.nan]))
    first = three[0].replace(observations=odinn.Observations(mass_balance=record))
    period = (2000.75, 2002.75)
    model = odinn.calibrate(START, [first, three[1]], [None, -0.9], period)
    for glacier, target in ((first, -0.4), (three[1], -0.9)):
        years = annual_balance(model, glacier, period)
        assert np.mean(list(years.values())) == pytest.approx(target, abs=1e-8)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([-0.4, -0.4], "TEST-00.00001: calibrate: 2 targets for 3 glaciers"),
        ({"TEST-00.00001": -0.4}, "TEST-00.00002: calibrate: target is given per glacier but"),
        ([-0.4, 50.0, -0.4], "TEST-00.00002: no melt_factor between .* vary another number"),
        ([-0.4, -0.4, None], "TEST-00.00003: no measured annual balance within"),
    ],
)
def test_a_list_that_cannot_be_calibrated_names_the_glacier(three, targets, message):
    with pytest.raises((InputError, CalibrationError), match=message):
        odinn.calibrate(START, three, targets, SPAN)


def moved(glacier, y0, crs):
    """The same glacier and weather elsewhere."""
    grid = dataclasses.replace(glacier.grid, y0=y0, crs=crs)
    return dataclasses.replace(glacier, grid=grid)


def measured_from(glacier, month, model=START):
    """A glacier whose annual balances, from a month (1 to 12) on, are those of a model."""
    labels = np.array([2001, 2002, 2003])
    first = 12 * 2000 + month - 1
    months = monthly_balance(model, glacier, np.arange(first, first + 36))
    record = MassBalanceRecord(labels, months.reshape(3, 12).sum(axis=1))
    return glacier.replace(observations=odinn.Observations(mass_balance=record))


@pytest.mark.parametrize(
    ("y0", "crs", "month", "hydro_month"),
    [
        (5_200_000.0, "EPSG:32632", 10, None),
        (5_220_000.0, "EPSG:32719", 4, None),
        (5_220_000.0, "EPSG:2193", 4, None),
        (0.0, "EPSG:32632", 7, 7),
        (5_220_000.0, "", 2, 2),
    ],
    ids=["north", "Andes", "New Zealand", "equator", "no crs"],
)
def test_a_twin_measured_in_its_own_balance_years_is_met_exactly(slab, y0, crs, month, hydro_month):
    twin = measured_from(moved(slab, y0, crs), month)
    how = {"hydro_month": hydro_month}
    comparison = compare_with_measurements(START, twin, (2000.0, 2004.0), **how)
    assert comparison.years.tolist() == [2001, 2002, 2003]
    assert comparison.rmse < 1e-12
    wrong = odinn.Model(None, odinn.TemperatureIndex(melt_factor=6e-3, precip_factor=2.0))
    found = odinn.calibrate(wrong, twin, **how).mass_balance.melt_factor
    assert float(found) == pytest.approx(4e-3, rel=1e-7)  # Brent's tolerance


def test_on_the_equator_measured_years_want_their_month_and_a_given_target_does_not(slab):
    tropical = measured_from(moved(slab, 0.0, "EPSG:32632"), 1)
    for ask in (
        lambda: odinn.calibrate(START, tropical),
        lambda: compare_with_measurements(START, tropical, (2000.0, 2004.0)),
    ):
        with pytest.raises(InputError, match="TEST-00.00001: .*on the equator.*hydro_month="):
            ask()
    assert odinn.calibrate(START, tropical, -0.4, SPAN)
    bare = tropical.replace(observations=odinn.Observations())
    assert compare_with_measurements(START, bare, (2000.0, 2004.0)) is None


def test_a_learned_thickness_is_calibrated_at_its_present_surface(slab):
    thicker = slab.thickness + 30.0 * slab.mask
    learned = slab.replace(thickness=odinn.Parameter(thicker, per="cell"))
    plain = slab.replace(thickness=thicker)
    found, wanted = (
        odinn.calibrate(START, g, -0.4, SPAN).mass_balance.melt_factor for g in (learned, plain)
    )
    assert float(found) == pytest.approx(float(wanted), rel=1e-9)  # Brent's tolerance
