"""Calibration on fixed geometry."""

import numpy as np
import pytest

import odinn
from odinn.errors import CalibrationError, InputError
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
