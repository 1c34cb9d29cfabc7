"""Where a balance acts: gain outside the outline needs ice, melt does not."""

import numpy as np
import pytest

import odinn
from odinn.data.climate_series import climate_from_series

THICKNESS = np.array([0.0, 5.0, 10.0, 10.5, 30.0])  # m; the threshold is 10 m
INSIDE, OUTSIDE = slice(1, 3), slice(3, 5)  # rows; the outermost ring stays free of ice
SPAN = (2000.0, 2000 + 1 / 12)
ROUND_OFF = 1e-12


def weather(temp):
    """Three years of one temperature (°C) and 90 kg m⁻² of precipitation a month."""
    time = np.arange("2000-01", "2003-01", dtype="datetime64[M]")
    temps, precip = np.full(time.size, temp), np.full(time.size, 90.0)
    return climate_from_series(time, temps, precip, 0.0, 0.0, name="made", rgi_id="OUT-1")


@pytest.fixture
def glacier():
    """The same five thicknesses in two rows inside the outline and in two outside."""
    grid = odinn.Grid(nx=7, ny=6, dx=100.0, dy=100.0)
    ice, mask = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    ice[1:-1, 1:-1] = THICKNESS
    mask[INSIDE, 1:-1] = True
    bed = np.full(grid.shape, 3000.0)
    return odinn.Glacier("OUT-1", "", grid, bed, ice, mask, weather(-30.0))


def snow(threshold):
    """0.1 m of ice each month, in the three ways in which a balance is evaluated."""
    fixed = odinn.PrescribedBalance(1.08, accumulation_threshold=threshold)
    state = odinn.LinearBalance(1.0, 0.0, maximum=1.08, accumulation_threshold=threshold)
    monthly = odinn.TemperatureIndex(accumulation_threshold=threshold)
    return {"fixed": fixed, "state": state, "monthly": monthly}


@pytest.mark.parametrize("threshold", [10.0, 20.0])
@pytest.mark.parametrize(
    ("kind", "coupling"),
    [("fixed", "source"), ("state", "source"), ("monthly", "source"), ("monthly", "jump")],
)
def test_outside_the_outline_only_ice_thicker_than_the_threshold_gains(
    glacier, kind, coupling, threshold
):
    model = odinn.Model(None, snow(threshold)[kind])
    sim = odinn.simulate(model, glacier, *SPAN, coupling=coupling)
    gain = (sim.thickness[-1] - sim.thickness[0])[1:-1, 1:-1]
    np.testing.assert_allclose(gain[:2], 0.1, rtol=1e-9)  # ice of 900 kg m⁻³, differences of 30 m
    expected = np.where(THICKNESS > threshold, 0.1, 0.0)
    np.testing.assert_allclose(gain[2:], [expected, expected], rtol=1e-9)
    withheld = 2 * np.sum(THICKNESS <= threshold) * 0.1 * glacier.grid.cell_area
    assert sim.budget["withheld"] == pytest.approx(withheld, rel=ROUND_OFF)
    received = (10 + 2 * np.sum(THICKNESS > threshold)) * 0.1 * glacier.grid.cell_area
    assert sim.budget["accumulation"] == pytest.approx(received, rel=ROUND_OFF)


@pytest.mark.parametrize("coupling", ["source", "jump"])
def test_melt_acts_on_thin_ice_outside_the_outline_too(glacier, coupling):
    warm = glacier.replace(climate=weather(10.0))
    model = odinn.Model(None, odinn.TemperatureIndex(3e-3, lapse_rate=0.0))
    sim = odinn.simulate(model, warm, *SPAN, coupling=coupling)
    loss = (sim.thickness[0] - sim.thickness[-1])[1:-1, 1:-1]
    assert loss[0, -1] > 0.5  # m in a January of 10 °C
    np.testing.assert_allclose(loss, np.minimum(loss[0, -1], THICKNESS)[None].repeat(4, axis=0))
    assert sim.budget["withheld"] == 0.0


def test_without_a_threshold_a_gain_acts_everywhere(glacier):
    sim = odinn.simulate(odinn.Model(None, snow(None)["fixed"]), glacier, *SPAN)
    gain = (sim.thickness[-1] - sim.thickness[0])[1:-1, 1:-1]
    np.testing.assert_allclose(gain, 0.1, rtol=1e-9)
    assert sim.budget["withheld"] == 0.0
