"""Laws as functions, and laws fitted to formulas."""

import jax
import numpy as np
import pytest

import odinn
from odinn.errors import CalibrationError, InputError

COLD = odinn.inputs.LongTermTemperature(range=(-10.0, 0.0))
DEGREES = np.linspace(-10.0, 0.0, 501)
FORMULA = odinn.laws.CuffeyPaterson()


@pytest.mark.parametrize(
    ("law", "accuracy"),
    [
        (odinn.laws.Neural([COLD], bounds=(8e-21, 8e-17)), 0.05),
        (odinn.laws.Neural([COLD], bounds=(1e-18, 1e-16), scale="linear", hidden=(8,)), 0.05),
        (odinn.laws.Basis([COLD], bounds=(1e-18, 1e-15)), 0.01),
    ],
)
def test_a_law_fitted_to_cuffey_and_paterson_is_theirs(law, accuracy):
    fit = law.fit_to(FORMULA)
    np.testing.assert_allclose(fit(DEGREES), FORMULA(DEGREES), rtol=accuracy)
    assert fit.misfit(FORMULA) < accuracy
    assert law.ranges is None  # the law itself is what it was


def test_the_same_fit_gives_the_same_weights():
    law = odinn.laws.Neural([COLD], bounds=(1e-18, 1e-15), hidden=(4,))
    first, second = (jax.tree.leaves(law.fit_to(FORMULA, steps=40).weights) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_misfit_is_a_relative_error_for_a_law_of_logarithms():
    law = odinn.laws.Basis([COLD], bounds=(1e-18, 1e-14))  # all weights 0: 1e-16, the middle
    assert law.misfit(lambda T: 1.02e-16 + 0 * T) == pytest.approx(np.log(1.02), rel=1e-9)
    linear = odinn.laws.Basis([COLD], bounds=(1.0, 3.0), scale="linear")
    assert linear.misfit(lambda T: 2.2) == pytest.approx(0.1, rel=1e-9)


def test_glens_mobility_is_learned_from_thickness_and_slope():
    """What a law U starts from: the mobility of shallow ice, as far as it lies between the
    bounds.
    """
    inputs = [
        odinn.inputs.IceThickness(range=(20.0, 300.0)),
        odinn.inputs.SurfaceSlope(range=(0.02, 0.6)),
    ]
    glen = lambda H, s: 2 * 5e-17 * (900 * 9.81) ** 3 / 5 * H**4 * s**2
    law = odinn.laws.Neural(inputs, bounds=(1e-2, 1e5), hidden=(8,))
    with pytest.raises(
        InputError,
        match=r"the formula is 0.000\d+ at ice thickness 20 m, surface slope 0.02, outside",
    ):
        law.fit_to(glen)
    fit = law.fit_to(glen, outside="clip", tolerance=0.3, steps=150)  # over seven decades
    assert float(fit(200.0, 0.2)) == pytest.approx(glen(200.0, 0.2), rel=0.3)
    assert float(fit(20.0, 0.02)) == pytest.approx(1e-2, rel=0.5)


def test_a_law_of_three_inputs_is_fitted():
    inputs = [
        odinn.inputs.Altitude(range=(0.0, 1.0)),
        odinn.inputs.Northness(),
        odinn.inputs.Eastness(),
    ]
    formula = lambda z, n, e: np.exp(z + 0.3 * n - 0.2 * e)
    assert (
        odinn.laws.Neural(inputs, bounds=(0.1, 10.0), hidden=(4,)).fit_to(formula).misfit(formula)
        < 0.01
    )


def test_fitting_with_glaciers_binds_to_them(slab):
    law = odinn.laws.Basis([odinn.inputs.Altitude()], bounds=(1e-18, 1e-15))
    formula = lambda z: 1e-17 * (1.0 + (z - 2500.0) / 5000.0)
    fit = law.fit_to(formula, slab)
    inside = slab.surface[slab.mask]
    np.testing.assert_allclose(fit(inside), formula(inside), rtol=1e-3)
    model = odinn.bind(odinn.Model(odinn.SIA2D(A=fit), None), slab)
    np.testing.assert_array_equal(model.flow.A.ranges, fit.ranges)
    np.testing.assert_array_equal(model.flow.A(inside), fit(inside))


def test_a_fit_that_cannot_be_made_says_why():
    law = odinn.laws.Neural([COLD], bounds=(1e-18, 1e-16), hidden=(2,))
    with pytest.raises(InputError, match=r"the range of 'altitude' is not known: give glaciers="):
        odinn.laws.Basis([odinn.inputs.Altitude()], bounds=(1e-18, 1e-16)).fit_to(FORMULA)
    with pytest.raises(
        InputError,
        match=r"the formula is 2e-16 at long-term air temperature, raw series -10 °C, outside",
    ):
        law.fit_to(lambda T: 2e-16 + 0 * T)
    with pytest.raises(InputError, match=r"the formula is nan .* has to be finite"):
        law.fit_to(lambda T: np.nan * T, outside="clip")
    with pytest.raises(InputError, match=r"shape \(2,\)"):
        law.fit_to(lambda T: np.array([1e-17, 1e-17]))
    with pytest.raises(
        CalibrationError, match=r"an error of 0\.\d+ \(rms, of logarithms\), tolerance 0.01"
    ):
        law.fit_to(lambda T: 1e-17 * (2 + np.sin(8 * T)), tolerance=0.01, steps=20)


def test_a_law_is_called_with_numbers_and_with_arrays_that_broadcast():
    law = odinn.laws.Function(
        lambda T, z: 1e-17 * (1 + 0.05 * T) * z / 3000.0, [COLD, odinn.inputs.Altitude()]
    )
    assert law(-5, 3000).shape == ()
    table = law(DEGREES[:, None], [2500.0, 3500.0])
    assert table.shape == (501, 2)
    assert float(table[250, 1]) == pytest.approx(float(law(-5.0, 3500.0)), rel=1e-12)
    slope = jax.grad(law)(-5.0, 3000.0)
    assert float(slope) == pytest.approx(5e-19, rel=1e-12)


def test_a_law_called_amiss_says_what_it_takes():
    with pytest.raises(
        InputError,
        match=r"takes 1 values \(long-term air temperature, raw series \(°C\)\), found 2",
    ):
        FORMULA(-5.0, 1.0)
    with pytest.raises(InputError, match=r"call odinn.bind\(model, glaciers\) first"):
        odinn.laws.Neural([COLD], bounds=(1e-18, 1e-16))(-5.0)


@pytest.mark.parametrize("make", [odinn.laws.Neural, odinn.laws.Basis])
def test_what_is_not_an_input_is_an_error(make):
    with pytest.raises(InputError, match=rf"{make.__name__}: found 'altitude' among the inputs"):
        make(["altitude"], bounds=(1e-18, 1e-16))


def test_synthetic_sliding_is_odinns_with_the_norms_of_the_fields():
    random = np.random.default_rng(0)
    melt, rough = random.uniform(0, 40, (9, 8)), random.uniform(0, 0.01, (9, 8))
    inputs = [odinn.inputs.Altitude(), odinn.inputs.TopographicRoughness(curvature="variability")]
    norms = np.linalg.norm(melt), np.linalg.norm(rough)
    law = odinn.laws.SyntheticSliding(inputs, norms, bounds=(1e-4, 1e-2))
    x = melt / norms[0] - 10.0 * rough / norms[1]
    np.testing.assert_allclose(
        law(melt, rough), 1e-4 + (1e-2 - 1e-4) / (1.0 + np.exp(-4.0 * (x - 1.0))), rtol=1e-12
    )
    assert float(law(melt[0, 0], rough[0, 0])) == pytest.approx(
        float(law(melt, rough)[0, 0]), rel=1e-14
    )
    for options, message in (
        ({"norms": (0.0, 1.0)}, "two positive"),
        ({"inputs": inputs[:1]}, "expected two"),
    ):
        with pytest.raises(InputError, match=message):
            odinn.laws.SyntheticSliding(**{"inputs": inputs, "norms": norms} | options)


def test_a_run_with_synthetic_sliding_slides_where_the_bed_is_smooth(slab):
    inputs = [odinn.inputs.Altitude(), odinn.inputs.TopographicRoughness(direction="both")]
    law = odinn.laws.SyntheticSliding(inputs, norms=(2000.0, 1e-2))
    sim = odinn.simulate(
        odinn.Model(odinn.SIA2D(C=law), None), slab, 2000.0, 2000.5, save_every=0.5
    )
    still = odinn.simulate(odinn.Model(odinn.SIA2D(), None), slab, 2000.0, 2000.5, save_every=0.5)
    assert sim.velocity()[2][-1].max() > 1.2 * still.velocity()[2][-1].max()
    assert sim.relative_residual < 1e-12
