"""Published laws, networks, inputs."""

import dataclasses

import jax
import numpy as np
import pytest

import odinn
from odinn.constants import SECONDS_PER_YEAR
from odinn.errors import InputError

TABLE = {
    0: 2.4e-24,
    -2: 1.7e-24,
    -5: 9.3e-25,
    -10: 3.5e-25,
    -15: 2.1e-25,
    -20: 1.2e-25,
    -25: 6.8e-26,
    -30: 3.7e-26,
}
# ODINN's polynomial at points between, Pa⁻³ yr⁻¹ (reference values of its description)
BETWEEN = {
    2: 1.068e-16,
    1: 8.95e-17,
    -1: 6.4027e-17,
    -3: 4.4397e-17,
    -7: 1.90606e-17,
    -12: 8.679e-18,
    -22.5: 2.7865e-18,
}


@pytest.mark.parametrize("polynomial", [False, True])
def test_cuffey_and_paterson_pass_through_their_table(polynomial):
    law = odinn.laws.CuffeyPaterson(polynomial=polynomial)
    for temperature, rate in TABLE.items():
        assert float(law.evaluate(float(temperature))) == pytest.approx(
            rate * SECONDS_PER_YEAR, rel=1e-6
        )


def test_the_polynomial_is_odinns_and_oscillates_where_ours_does_not():
    poly, ours = odinn.laws.CuffeyPaterson(polynomial=True), odinn.laws.CuffeyPaterson()
    for temperature, rate in BETWEEN.items():
        assert float(poly.evaluate(float(temperature))) == pytest.approx(
            rate, rel=1e-3
        )  # printed digits
    cold = np.linspace(-50, 2, 500)
    values = np.array([float(ours.evaluate(t)) for t in cold])
    assert (np.diff(values) >= 0).all()
    assert float(poly.evaluate(-42.0)) < 0
    assert float(ours.evaluate(5.0)) == float(ours.evaluate(0.0))


def test_a_network_stays_between_its_bounds_and_starts_near_their_middle(slab):
    law = odinn.laws.Neural([odinn.inputs.LongTermTemperature()], bounds=(1e-18, 1e-16), seed=4)
    model = odinn.bind(odinn.Model(odinn.SIA2D(A=law)), slab)
    values = np.asarray(model.flow.A.evaluate(np.linspace(-60, 60, 200)))
    assert (values > 1e-18).all()
    assert (values < 1e-16).all()
    middle = float(model.flow.A.evaluate(float(odinn.inputs.LongTermTemperature().field(slab))))
    assert 3e-18 < middle < 3e-17
    assert (
        len(jax.tree.leaves(odinn.trainable(model, slab)[0])) == 8
    )  # four layers, matrix and shift each


def test_a_law_that_is_not_bound_says_so(slab):
    law = odinn.laws.Neural([odinn.inputs.LongTermTemperature()], bounds=(1e-18, 1e-16))
    with pytest.raises(InputError, match="odinn.bind"):
        law.evaluate(np.zeros(3))
    assert (
        1e-18 < float(odinn.bind(odinn.Model(odinn.SIA2D(A=law), None), slab).flow.A(-5.0)) < 1e-16
    )


def test_a_state_input_needs_its_range(slab):
    law = odinn.laws.Neural([odinn.inputs.IceThickness()], bounds=(1e-18, 1e-16))
    with pytest.raises(InputError, match="give its range="):
        odinn.bind(odinn.Model(odinn.HybridSIA2D(Y=law)), slab)


def test_long_term_temperature_is_the_mean_at_the_glaciers_own_height(slab):
    temp = slab.climate.temp[slab.climate.temp > -999]
    gradient = slab.climate.gradient[slab.climate.temp > -999]
    height = slab.surface[slab.mask].mean() - slab.climate.ref_height
    field = odinn.inputs.LongTermTemperature().field(slab)
    assert float(field) == pytest.approx(temp.mean() + gradient.mean() * height, rel=1e-12)
    cells = odinn.inputs.LongTermTemperature(per="cell").field(slab)
    assert cells.shape == slab.grid.shape
    assert cells[slab.mask].mean() == pytest.approx(float(field), rel=1e-12)
    first_year = odinn.inputs.LongTermTemperature(period=(2000.0, 2001.0)).field(slab)
    days = slab.climate.temp[:12]
    assert float(first_year) == pytest.approx(
        days[days > -999].mean() + slab.climate.gradient[:12][days > -999].mean() * height,
        rel=1e-12,
    )


def test_a_law_as_a_formula_equals_the_field_it_makes(slab):
    formula = lambda z: 1e-17 * (1.0 + (z - 2500.0) / 5000.0)
    law = odinn.laws.Function(formula, [odinn.inputs.Altitude()])
    from odinn.grid import corner_mean

    field = formula(np.asarray(corner_mean(slab.surface)))
    a = odinn.simulate(odinn.Model(odinn.SIA2D(A=law), None), slab, 2000.0, 2005.0, save_every=5.0)
    b = odinn.simulate(
        odinn.Model(odinn.SIA2D(A=field), None), slab, 2000.0, 2005.0, save_every=5.0
    )
    np.testing.assert_allclose(a.thickness, b.thickness, rtol=1e-12)


def test_a_law_of_the_state_that_is_glens_gives_glens_flow(slab):
    """U(H, slope) = 2A(ρg)³/5 H⁴ |∇S|²: the mobility of shallow ice."""
    A, weight = 5e-17, 900 * 9.81
    glen = lambda H, s: 2 * A * weight**3 / 5 * H**4 * s**2
    law = odinn.laws.Function(glen, [odinn.inputs.IceThickness(), odinn.inputs.SurfaceSlope()])
    a = odinn.simulate(
        odinn.Model(odinn.DiffusiveSIA2D(U=law), None), slab, 2000.0, 2010.0, save_every=10.0
    )
    b = odinn.simulate(odinn.Model(odinn.SIA2D(A=A), None), slab, 2000.0, 2010.0, save_every=10.0)
    np.testing.assert_allclose(a.thickness, b.thickness, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["bspline", "polynomial", "rbf"])
def test_basis_functions_are_what_their_names_say(kind):
    from scipy.interpolate import BSpline

    from odinn.physics.laws.basis import functions

    x = np.linspace(0, 1, 101)
    values = np.asarray(functions(kind, 7, x))
    assert values.shape == (101, 7)
    if kind == "bspline":
        knots = np.concatenate([np.zeros(3), np.linspace(0, 1, 5), np.ones(3)])
        np.testing.assert_allclose(
            values[:-1], BSpline.design_matrix(x[:-1], knots, 3).toarray(), atol=1e-12
        )
        np.testing.assert_allclose(values.sum(axis=1), 1.0, atol=1e-12)
    if kind == "polynomial":
        np.testing.assert_allclose(
            values, np.polynomial.chebyshev.chebvander(2 * x - 1, 6), atol=1e-4
        )  # ends moved in by 1e-12, under a root
    if kind == "rbf":
        assert (values.argmax(axis=1)[::17] == np.rint(x[::17] * 6)).all()
    gradient = jax.jacfwd(lambda t: functions(kind, 7, t))(x[:3])
    assert np.isfinite(np.asarray(gradient)).all()


@pytest.mark.parametrize("kind", ["bspline", "polynomial", "rbf"])
def test_a_basis_learns_a_law_of_one_and_of_two_inputs(slab, kind):
    inputs = [odinn.inputs.LongTermTemperature(per="cell")]
    laws = [odinn.laws.Basis(inputs, bounds=(1e-18, 1e-16), kind=kind, size=5)]
    laws.append(
        odinn.laws.Basis(
            [*inputs, odinn.inputs.Altitude()], bounds=(1e-18, 1e-16), kind=kind, size=4
        )
    )
    for law in laws:
        model = odinn.bind(odinn.Model(odinn.SIA2D(A=law), None), slab)
        field = np.asarray(model.flow.on(slab).A)
        assert field.shape == slab.grid.corner_shape
        np.testing.assert_allclose(
            field, field[0, 0], rtol=1e-12
        )  # all weights are 0: mid-range everywhere
        params, _ = odinn.trainable(model, slab)
        assert jax.tree.leaves(params)[0].size == law.weights.size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": []}, "expected one or two"),
        ({"kind": "wavelet"}, "expected 'bspline'"),
        ({"size": 2}, "expected at least 4"),
        ({"bounds": (1.0, 0.5)}, "low < high"),
        ({"scale": "root"}, "expected 'log' or 'linear'"),
    ],
)
def test_a_basis_that_makes_no_sense_is_an_error(arguments, message):
    options = {"inputs": [odinn.inputs.Altitude()], "bounds": (1e-18, 1e-16)} | arguments
    with pytest.raises(InputError, match=message):
        odinn.laws.Basis(options.pop("inputs"), **options)


def test_degree_days_are_those_of_the_series_day_by_day(slab):
    climate = slab.climate
    months = np.arange(2001 * 12, 2003 * 12)
    rows = climate.rows(months, slab.rgi_id)
    temp, gradient = (
        climate.temp[rows].ravel(),
        np.clip(climate.gradient[rows].ravel(), -0.009, -0.003),
    )
    real = temp > -999
    expected = [
        np.maximum(temp + gradient * (z - climate.ref_height), 0.0)[real].sum() / 2
        for z in (slab.surface[3, 4],)
    ]
    field = odinn.inputs.DegreeDays(period=(2001.0, 2003.0)).field(slab)
    assert field.shape == slab.grid.shape
    assert field[3, 4] == pytest.approx(expected[0], rel=1e-12)
    with pytest.raises(odinn.ClimateError, match="degree-days"):
        odinn.inputs.DegreeDays().field(
            odinn.Glacier(slab.rgi_id, slab.name, slab.grid, slab.bed, slab.thickness, slab.mask)
        )


def test_a_synthetic_sliding_law_of_degree_days_and_roughness_runs(slab):
    inputs = [odinn.inputs.DegreeDays(), odinn.inputs.TopographicRoughness(position="surface")]
    norms = [float(np.linalg.norm(i.field(slab))) for i in inputs]
    law = odinn.laws.SyntheticSliding(inputs, norms, (1e-6, 1e-3))
    sim = odinn.simulate(
        odinn.Model(odinn.SIA2D(A=1e-17, C=law), None), slab, 2001.0, 2001.5, save_every=0.5
    )
    assert sim.relative_residual < 1e-12
    assert np.abs(sim.velocity("basal")[2][-1]).max() > 0


@pytest.mark.parametrize("name", ["LongTermTemperature", "MonthlyTemperature"])
def test_a_temperature_is_that_of_the_raw_series_unless_more_is_asked_for(slab, name):
    make = getattr(odinn.inputs, name)
    steep = dataclasses.replace(slab.climate, gradient=np.full_like(slab.climate.temp, -0.02))
    glacier = slab.replace(climate=steep)

    def mean_of(**options):
        item = make(**options)
        if name == "LongTermTemperature":
            return float(item.field(glacier)), item.label
        return float(item.in_months(glacier, steep.months).mean()), item.label

    raw, label = mean_of()
    assert label.endswith("temperature, raw series")
    warmer, label = mean_of(bias=1.5)
    assert warmer == pytest.approx(raw + 1.5)
    assert label.endswith("temperature, +1.5 K")
    clipped, label = mean_of(clip=True)
    height = np.asarray(glacier.surface)[glacier.mask].mean() - steep.ref_height
    # The lapse rate that the balance takes is at most 9 K per km.
    assert clipped == pytest.approx(raw + (0.02 - 0.009) * height)
    assert label.endswith("temperature, lapse rate clipped")
