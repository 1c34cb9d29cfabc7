"""Water: conserved, in agreement with the ice, and the same however a run is cut."""

import dataclasses

import jax
import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.results.hydrology import SUMS

TI = odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=2.0)
MODEL = odinn.Model(odinn.SIA2D(A=5e-17), TI)
OGGM = {f"{k}_{at}_glacier" for k in ("snowfall", "liq_prcp", "melt") for at in ("on", "off")}


@pytest.fixture(scope="module")
def glacier(slab):
    """The slab with an outline that ends above its tongue, so that ice and snow lie outside."""
    mask = slab.mask.copy()
    mask[:, 18:] = False
    return dataclasses.replace(slab, mask=mask)


@pytest.fixture(scope="module")
def run(glacier):
    return odinn.simulate(MODEL, glacier, 2000.0, 2002.0, hydrology=True)


def _precipitation(glacier, months):
    """What the climate brings to the whole grid, m³."""
    fallen = glacier.climate.precip[:months].sum() * float(TI.precip_factor) / 1000.0
    return fallen * glacier.thickness.size * glacier.grid.cell_area


@pytest.mark.parametrize("coupling", ["source", "jump"])
def test_water_is_conserved_and_agrees_with_the_ice(glacier, coupling):
    sim = odinn.simulate(MODEL, glacier, 2000.0, 2002.0, coupling=coupling, hydrology=True)
    water, ice = sim.water, sim.budget
    assert sim.relative_water_residual < 1e-12
    assert (
        min(water["runoff"], water["snow"], -water["ice"]) > 0.01 * water["precipitation"]
    )  # there was something to close
    s = sim.hydrology.series(np.ones(glacier.grid.shape, bool))
    total = lambda name: s[f"{name}_on_glacier"] + s[f"{name}_off_glacier"]
    np.testing.assert_allclose(s["runoff"], total("liq_prcp") + total("melt"), rtol=1e-12)
    gained = 0.9 * (ice["accumulation"] - ice["ablation"])  # m³ of ice to m³ of water
    assert s["ice_balance"].sum() == pytest.approx(gained, rel=1e-12)
    assert water["ice"] == pytest.approx(
        gained, rel=1e-11
    )  # but for what is lost at the border: nothing


def test_what_the_climate_brings_is_what_falls(run, glacier):
    everywhere = np.ones(glacier.grid.shape, bool)
    s = run.hydrology.series(everywhere)
    assert s["precipitation"].sum() == pytest.approx(_precipitation(glacier, 24), rel=1e-12)
    h, inside = run.hydrology, run.hydrology.series()
    assert h.domain[glacier.mask | (run.thickness >= 1).any(axis=0)].all()
    assert (
        glacier.mask.sum() < h.domain.sum() < 1.5 * (glacier.thickness > 0).sum()
    )  # no film of ice around the glacier
    assert inside["runoff"].sum() < s["runoff"].sum()
    leaving = 1 - inside["ice_balance"].sum() / s["ice_balance"].sum()
    assert abs(leaving) < 1e-3  # ice that melts in the film
    np.testing.assert_allclose(
        s["on_area"] + s["off_area"], glacier.thickness.size * glacier.grid.cell_area
    )


def test_every_cell_closes_and_nothing_melts_backwards(run):
    h = run.hydrology
    assert h.melt.min() > -1e-6  # a step that exports more ice than a cell holds, some 1e-8 kg m⁻²
    assert h.snow.min() >= 0
    before = np.concatenate([h.snow_at_start[None], h.snow[:-1]])
    into_ice = h.snowfall - h.melt - (h.snow - before)
    np.testing.assert_allclose(
        into_ice, 1000 * run.smb[1:] / 12, atol=1e-9
    )  # kg m⁻²: round-off of a metre of ice


def test_where_ice_lasts_melt_is_what_the_degree_days_melt(run, glacier):
    july, forcing = 6, TI.forcing(glacier, np.array([12 * 2000 + 6]))
    month = jax.tree.map(lambda a: a[0], forcing)
    rates = TI.on(glacier).rates(month, run.surface[july], None)
    lasts = (run.thickness[july : july + 2] > 1).all(axis=0)
    h = run.hydrology
    assert lasts.sum() > 50
    np.testing.assert_allclose(h.melt[july][lasts], 1000 * np.asarray(rates.melt)[lasts], rtol=1e-9)
    np.testing.assert_allclose(h.rain[july], 1000 * np.asarray(rates.rain), rtol=1e-12)
    assert (h.on_glacier[july] == (run.thickness[july] >= 1)).all()


def test_recording_the_water_does_not_change_the_run(run, glacier):
    plain = odinn.simulate(MODEL, glacier, 2000.0, 2002.0)
    np.testing.assert_allclose(plain.thickness, run.thickness, rtol=0, atol=1e-12)
    assert plain.hydrology is None
    assert "snow" not in plain.state.extras
    with pytest.raises(InputError, match="hydrology=True"):
        _ = plain.water


def test_snow_beside_the_ice_comes_in_winter_and_is_gone_after_the_melt():
    """One ice-free cell under weather made by hand, against the same in scalars."""
    shape = (5, 5)
    months = np.arange(24)
    temp = np.where(
        months % 12 < 6, -20.0, 3.0
    )  # spread 3 K: nothing melts in the cold half, and no rain falls
    climate = odinn.Climate(
        "made", "monthly", 1000.0, 24000, temp, np.full(24, 100.0), np.full(24, -0.0065)
    )
    bare = odinn.Glacier(
        "bare",
        "",
        odinn.Grid(5, 5, 100.0, 100.0),
        np.full(shape, 1000.0),
        np.zeros(shape),
        np.zeros(shape, bool),
        climate,
    )
    sim = odinn.simulate(
        odinn.Model(None, odinn.TemperatureIndex(2e-3)), bare, 2000.0, 2002.0, hydrology=True
    )
    h = sim.hydrology
    potential = (
        1000 * 2e-3 * _degree_days(3.0, 3.0) * np.array([31, 31, 30, 31, 30, 31])
    )  # July to December
    snow, expected = 600.0, []
    for fell, melts in zip(h.snowfall[6:12, 2, 2], potential, strict=True):
        snow = max(snow + fell - melts, 0.0)
        expected.append(snow)
    assert 0.0 < expected[0] < 600.0  # it does not go at once
    assert expected[-1] == 0.0
    np.testing.assert_allclose(
        h.snow[:6, 2, 2], np.arange(100.0, 601.0, 100.0), rtol=1e-10
    )  # erfc in the tail
    np.testing.assert_allclose(h.snow[6:12, 2, 2], expected, rtol=1e-9)
    np.testing.assert_allclose(h.melt[:6], 0.0, atol=1e-8)
    assert h.melt[:12, 2, 2].sum() == pytest.approx(h.snowfall[:12, 2, 2].sum(), rel=1e-12)


def _degree_days(mean, spread):
    from scipy.stats import norm

    return spread * norm.pdf(mean / spread) + mean * norm.cdf(mean / spread)


@pytest.mark.parametrize("cut", [2001.0, 2000.29], ids=["month", "within a month"])
def test_a_run_in_two_parts_has_the_water_of_the_whole(glacier, run, cut, tmp_path):
    first = odinn.simulate(MODEL, glacier, 2000.0, cut, hydrology=True)
    again, state = odinn.restart(odinn.save(first, tmp_path / "part.nc"))
    second = odinn.simulate(MODEL, again, cut, 2002.0, initial=state, hydrology=True)
    domain = first.hydrology.domain | second.hydrology.domain
    whole, parts = run.hydrology, (first.hydrology, second.hydrology)
    np.testing.assert_allclose(state.extras["snow"], second.hydrology.snow_at_start)
    # a run that is cut within a month takes other steps: tol=1e-2 m
    tolerance = {"rtol": 1e-12, "atol": 1e-9} if cut == 2001.0 else {"rtol": 1e-3, "atol": 0.1}
    for name in SUMS:
        np.testing.assert_allclose(
            sum(getattr(p, name).sum(axis=0) for p in parts),
            getattr(whole, name).sum(axis=0),
            **tolerance,
        )
    np.testing.assert_allclose(second.hydrology.snow[-1], whole.snow[-1], **tolerance)
    if cut == 2001.0:
        np.testing.assert_array_equal(domain, whole.domain)
        for name, values in whole.series(domain).items():
            np.testing.assert_allclose(
                np.concatenate([p.series(domain)[name] for p in parts]),
                values,
                rtol=1e-11,
                atol=1e-3,
            )


def test_a_state_without_water_starts_without_snow_but_not_within_a_month(glacier):
    state = odinn.simulate(MODEL, glacier, 2000.0, 2000.25).state
    sim = odinn.simulate(MODEL, glacier, 2000.25, 2000.5, initial=state, hydrology=True)
    assert (sim.hydrology.snow_at_start == 0).all()
    assert sim.relative_water_residual < 1e-12
    within = odinn.simulate(MODEL, glacier, 2000.0, 2000.29).state
    with pytest.raises(InputError, match="within a month"):
        odinn.simulate(MODEL, glacier, 2000.29, 2000.5, initial=within, hydrology=True)
    odinn.simulate(MODEL, glacier, 2000.5, 2000.55, initial=sim.state)  # and the other way round


def test_single_precision_keeps_the_months_and_the_water_to_its_round_off(glacier, run):
    single = odinn.simulate(MODEL, glacier, 2000.0, 2002.0, dtype="float32", hydrology=True)
    np.testing.assert_array_equal(single.hydrology.start, run.hydrology.start)
    np.testing.assert_array_equal(single.times, run.times)
    assert (
        single.relative_water_residual < 2e-5
    )  # 100 m of ice are known to 7.6e-6 m in each of 24 months, of 4 m of precipitation
    np.testing.assert_allclose(
        single.hydrology.series()["runoff"], run.hydrology.series()["runoff"], rtol=1e-2, atol=10
    )


def test_a_saved_run_keeps_its_water(run, tmp_path):
    back = odinn.load(odinn.save(run, tmp_path / "run.nc"))
    for f in dataclasses.fields(run.hydrology):
        kept, had = getattr(back.hydrology, f.name), getattr(run.hydrology, f.name)
        if f.name not in ("sums", "whole"):
            np.testing.assert_allclose(kept, had, rtol=1e-6)  # kept in single precision
            assert np.asarray(kept).dtype == np.asarray(had).dtype
    for name, values in run.hydrology.series().items():
        np.testing.assert_array_equal(back.hydrology.series()[name], values)
        np.testing.assert_allclose(
            back.hydrology.series(run.hydrology.domain)[name], values, rtol=1e-5, atol=0.1
        )
    assert back.water == run.water


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda g: odinn.simulate(
                odinn.Model(None, odinn.LinearBalance()), g, 2000, 2001, hydrology=True
            ),
            "LinearBalance",
        ),
        (lambda g: odinn.simulate(odinn.Model(), g, 2000, 2001, hydrology=True), "no mass balance"),
        (
            lambda g: odinn.simulate(
                odinn.Model(None, odinn.OdinnBalance()),
                g,
                2000,
                2001,
                coupling="jump",
                hydrology=True,
            ),
            "does not conserve water",
        ),
    ],
)
def test_balances_without_water_are_refused(slab, call, message):
    with pytest.raises(InputError, match=message):
        call(slab)


def test_names_are_those_of_oggm(run):
    assert set(run.hydrology.series()) >= OGGM
    with pytest.raises(InputError, match="domain"):
        run.hydrology.series(np.ones(3))
