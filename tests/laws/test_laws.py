"""Published laws, networks, inputs."""

import jax
import numpy as np
import pytest

import odinn
from odinn.constants import SECONDS_PER_YEAR
from odinn.errors import InputError

TABLE = {0: 2.4e-24, -2: 1.7e-24, -5: 9.3e-25, -10: 3.5e-25, -15: 2.1e-25, -20: 1.2e-25, -25: 6.8e-26, -30: 3.7e-26}
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
        assert float(law.evaluate(float(temperature))) == pytest.approx(rate * SECONDS_PER_YEAR, rel=1e-6)


def test_the_polynomial_is_odinns_and_oscillates_where_ours_does_not():
    poly, ours = odinn.laws.CuffeyPaterson(polynomial=True), odinn.laws.CuffeyPaterson()
    for temperature, rate in BETWEEN.items():
        assert float(poly.evaluate(float(temperature))) == pytest.approx(rate, rel=1e-3)  # printed digits
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
    assert len(jax.tree.leaves(odinn.trainable(model, slab)[0])) == 8  # four layers, matrix and shift each


def test_a_law_that_is_not_bound_says_so(slab):
    law = odinn.laws.Neural([odinn.inputs.LongTermTemperature()], bounds=(1e-18, 1e-16))
    with pytest.raises(InputError, match="odinn.bind"):
        odinn.simulate(odinn.Model(odinn.SIA2D(A=law), None), slab, 2000.0, 2001.0)


def test_a_state_input_needs_its_range(slab):
    law = odinn.laws.Neural([odinn.inputs.Thickness()], bounds=(1e-18, 1e-16))
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
        days[days > -999].mean() + slab.climate.gradient[:12][days > -999].mean() * height, rel=1e-12
    )


def test_a_law_as_a_formula_equals_the_field_it_makes(slab):
    formula = lambda z: 1e-17 * (1.0 + (z - 2500.0) / 5000.0)
    law = odinn.laws.Function(formula, [odinn.inputs.Altitude()])
    from odinn.grid import corner_mean

    field = formula(np.asarray(corner_mean(slab.surface)))
    a = odinn.simulate(odinn.Model(odinn.SIA2D(A=law), None), slab, 2000.0, 2005.0, save_every=5.0)
    b = odinn.simulate(odinn.Model(odinn.SIA2D(A=field), None), slab, 2000.0, 2005.0, save_every=5.0)
    np.testing.assert_allclose(a.thickness, b.thickness, rtol=1e-12)


def test_a_law_of_the_state_that_is_glens_gives_glens_flow(slab):
    """U(H, slope) = 2A(ρg)³/5 H⁴ |∇S|²: the mobility of shallow ice."""
    A, weight = 5e-17, 900 * 9.81
    glen = lambda H, s: 2 * A * weight**3 / 5 * H**4 * s**2
    law = odinn.laws.Function(glen, [odinn.inputs.Thickness(), odinn.inputs.SurfaceSlope()])
    a = odinn.simulate(odinn.Model(odinn.DiffusiveSIA2D(U=law), None), slab, 2000.0, 2010.0, save_every=10.0)
    b = odinn.simulate(odinn.Model(odinn.SIA2D(A=A), None), slab, 2000.0, 2010.0, save_every=10.0)
    np.testing.assert_allclose(a.thickness, b.thickness, rtol=1e-9, atol=1e-9)
