"""Curves: what they show is what the run did."""

import numpy as np
import pytest

import odinn
from odinn.plot import series

GRADIENT, ELA = 0.01, 2150.0


def make_glacier(thickest: float = 150.0) -> odinn.Glacier:
    """A paraboloid of ice on a slope that dips to the west; 24 x 30 cells of 100 m."""
    grid = odinn.Grid(nx=30, ny=24, dx=100.0, dy=100.0)
    across, along = np.meshgrid(np.linspace(-1, 1, 30), np.linspace(-1, 1, 24))
    shape = np.maximum(0.6 - across**2 - along**2, 0.0)
    bed = np.broadcast_to(2000.0 + 10.0 * np.arange(30), grid.shape)
    return odinn.Glacier(
        "test-1", "Paraboloid", grid, bed=bed, thickness=thickest * shape, mask=shape > 0
    )


def run(
    thickest: float = 150.0, years: float = 3.0, save_every: float = 1.0, flow: bool = True
) -> odinn.Simulation:
    balance = odinn.LinearBalance(gradient=GRADIENT, ela=ELA)
    model = (
        odinn.Model(mass_balance=balance) if flow else odinn.Model(flow=None, mass_balance=balance)
    )
    return odinn.simulate(
        model, make_glacier(thickest), 2000.0, 2000.0 + years, save_every=save_every
    )


@pytest.fixture(scope="module")
def sim() -> odinn.Simulation:
    return run()


def bars(ax):
    """Middle and length of horizontal bars."""
    return np.array([(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bar in ax.patches]).T


def test_volume_and_area_are_those_of_the_run(sim):
    ax = series.volume_and_area(sim)
    area_ax = ax.figure.axes[1]
    (volume,), (area,) = ax.lines, area_ax.lines
    np.testing.assert_array_equal(volume.get_xdata(), sim.times)
    np.testing.assert_allclose(volume.get_ydata() * 1e9, sim.volume)
    np.testing.assert_allclose(area.get_ydata() * 1e6, (sim.thickness >= 1).sum(axis=(1, 2)) * 1e4)
    assert ax.get_ylabel() == "ice volume (km³)"
    assert area_ax.get_ylabel() == "area (km²)"
    change = 100 * (sim.volume[-1] / sim.volume[0] - 1)
    assert f"{abs(change):.1f} %" in ax.get_title()


def test_volume_of_a_small_glacier_has_a_smaller_unit():
    assert "10⁶ m³" in series.volume_and_area(run(10.0, 1.0, flow=False)).get_ylabel()


def test_balance_by_altitude_is_the_profile_that_the_model_has(sim):
    ax = series.balance_by_altitude(sim)
    height, balance = bars(ax)
    # Cells lie up to half a band from its middle and rise or sink within a year.
    np.testing.assert_allclose(balance, GRADIENT * (height - ELA), atol=GRADIENT * 25 + 0.02)
    assert "(m w.e. yr⁻¹)" in ax.get_xlabel()
    (text,) = (t.get_text() for t in ax.texts)
    assert float(text.split()[2]) == pytest.approx(ELA, abs=10)


def test_area_beside_the_balance_is_the_glacier_in_the_mean(sim):
    beside = series.balance_by_altitude(sim).figure.axes[1]
    ice = sim.thickness >= 1.0
    expected = (ice[:-1] & ice[1:]).sum(axis=(1, 2)).mean() * 1e4
    assert bars(beside)[1].sum() * 1e6 == pytest.approx(expected)
    assert beside.get_ylim() == beside.figure.axes[0].get_ylim()


def test_ice_that_melts_away_does_not_soften_the_balance():
    thin = run(10.0, 4.0, flow=False)
    lost = (thin.thickness[0] >= 1.0) & (thin.thickness[-1] == 0.0)
    assert lost.any()
    height, balance = bars(series.balance_by_altitude(thin, band=20.0))
    np.testing.assert_allclose(balance, GRADIENT * (height - ELA), atol=GRADIENT * 10 + 0.02)


def test_thickness_change_by_altitude_adds_up_to_the_volume_lost(sim):
    ax = series.thickness_change_by_altitude(sim, band=20.0)
    (height, change), (also_height, area) = bars(ax), bars(ax.figure.axes[1])
    np.testing.assert_array_equal(height, also_height)
    start = sim.thickness[0] >= 1.0
    volume = (sim.thickness[-1] - sim.thickness[0])[start].sum() * 1e4
    assert (change * area).sum() * 1e6 == pytest.approx(volume)
    assert volume != 0
    assert np.ptp(height % 20.0) < 1e-9


def test_intervals_count_by_their_length():
    uneven = run(years=2.0, save_every=0.75)
    np.testing.assert_allclose(np.diff(uneven.times), [0.75, 0.75, 0.5])
    gained = series.mean_balance(uneven).sum() * 1e4 * 2.0
    # Nothing flows over the border, so that the balance is the only change of volume; 0.9 is the
    # density of ice.
    assert gained == pytest.approx((uneven.volume[-1] - uneven.volume[0]) * 0.9, rel=1e-9)


def test_series_are_drawn_by_the_names_that_they_have_in_the_file(sim):
    ds = sim.to_dataset()
    ax = series.named(sim, "volume_m3")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), ds.volume_m3.values / 1e9)
    assert ax.get_ylabel() == "km³"
    ax = series.named(ds, "budget_accumulation", "budget_ablation")
    values, edges, _ = ax.patches[1].get_data()
    np.testing.assert_allclose(values * 1e6, ds.budget_ablation.values)
    np.testing.assert_array_equal(edges, [2000.0, *ds.window_end.values])
    assert ax.get_ylabel() == "per window, 10⁶ m³"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [
        "budget_accumulation",
        "budget_ablation",
    ]


def test_series_that_cannot_be_drawn_are_named(sim):
    ds = sim.to_dataset()
    with pytest.raises(odinn.InputError, match=r"no series 'runof': known are .*volume_m3"):
        series.named(ds, "runof")
    with pytest.raises(odinn.InputError, match=r"volume_m3 \(m3\), area_m2 \(m2\)"):
        series.named(ds, "volume_m3", "area_m2")
    with pytest.raises(odinn.InputError, match="no name"):
        series.named(ds)


def test_annual_balance_compares_the_years_that_both_have():
    years = np.arange(2000, 2006)
    measured = np.array([-1.0, np.nan, -0.5, 0.2, -1.4, np.nan])
    modelled = np.where(years == 2005, np.nan, np.nan_to_num(measured) - 0.25)
    ax = series.annual_balance(years, modelled, measured)
    assert ax.get_title() == "bias −0.25, rms 0.25 m w.e. yr⁻¹, r = 1.00 (4 years)"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), modelled)
    assert "m w.e. yr⁻¹" in ax.get_ylabel()
    ax.figure.draw_without_rendering()


def test_annual_balance_without_measurements_is_drawn():
    ax = series.annual_balance([2000, 2001], [-1.0, 0.5], [np.nan, np.nan])
    assert ax.get_title() == ""
    ax.figure.draw_without_rendering()


def test_annual_balance_refuses_series_of_different_length():
    with pytest.raises(odinn.InputError, match=r"\(3,\), \(2,\) and \(3,\)"):
        series.annual_balance([1, 2, 3], [1.0, 2.0], [1.0, 2.0, 3.0])


def test_curves_of_a_glacier_without_ice_say_so():
    bare = odinn.simulate(
        odinn.Model(mass_balance=None), make_glacier(0.0), 2000.0, 2001.0, save_every=1.0
    )
    for curve in (series.balance_by_altitude, series.thickness_change_by_altitude):
        assert [text.get_text() for text in curve(bare).texts] == ["no ice"]
    assert series.volume_and_area(bare).get_title() == "volume from 0, area from 0"


def test_summary_holds_the_three_curves_and_cuts_no_label(sim):
    fig = series.summary(sim)
    fig.draw_without_rendering()
    labels = {ax.get_ylabel() for ax in fig.axes}
    assert {"ice volume (km³)", "area (km²)", "surface altitude (m)"} <= labels
    for box in (ax.get_tightbbox() for ax in fig.axes):
        assert fig.bbox.x0 - 1 <= box.x0 < box.x1 <= fig.bbox.x1 + 1
