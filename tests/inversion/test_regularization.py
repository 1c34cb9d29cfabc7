"""Regularisation against hand computations."""

import numpy as np
import pytest
from scipy.special import logit

import odinn
from odinn.errors import InputError

Prior, Smoothness = odinn.regularization.Prior, odinn.regularization.Smoothness
BOUNDS = (1e-18, 1e-14)


def bound(slab, A):
    return odinn.bind(odinn.Model(odinn.SIA2D(A=A)), slab)


def moved(slab, initial=1e-16, to=2e-16, scale="log"):
    """A model whose A has been learned away from its first guess."""
    at = odinn.Parameter(to, BOUNDS, scale).allocated({slab.rgi_id: slab.grid.corner_shape}, "A")
    return bound(slab, odinn.Parameter(initial, BOUNDS, scale, raw=at.raw))


def check(term, model, glaciers, expected):
    """The value, and that it is the mean of the squared residuals."""
    residuals, number = term.residuals(model, glaciers)
    assert float(term.value(model, glaciers)) == pytest.approx(expected, rel=1e-9)
    assert (np.asarray(residuals) ** 2).sum() / number == pytest.approx(expected, rel=1e-9)


def share(value):
    return np.log(value / BOUNDS[0]) / np.log(BOUNDS[1] / BOUNDS[0])


@pytest.mark.parametrize(
    ("arguments", "departure"),
    [
        ({}, logit(share(2e-16)) - logit(share(1e-16))),
        ({"scale": "unit", "sigma": 0.1}, (share(2e-16) - share(1e-16)) / 0.1),
        ({"scale": "log", "sigma": 0.5}, np.log(2.0) / 0.5),
        ({"scale": "physical", "sigma": 1e-17, "guess": 1.7e-16}, 3.0),
        ({"scale": "log", "guess": {"TEST-00.00001": 5e-17}}, np.log(4.0)),
    ],
)
def test_a_prior_measures_the_departure_on_its_scale_in_units_of_sigma(slab, arguments, departure):
    if isinstance(arguments.get("guess"), dict):
        A = odinn.Parameter({slab.rgi_id: 2e-16}, BOUNDS, "log", "glacier")
        return check(Prior("flow.A", **arguments), bound(slab, A), [slab], departure**2)
    return check(Prior("flow.A", **arguments), moved(slab), [slab], departure**2)


def test_a_law_departs_from_a_formula_over_the_ranges_of_its_inputs(slab):
    inputs = [odinn.inputs.LongTermTemperature(range=(-10.0, 0.0))]
    law = odinn.laws.Neural(inputs, bounds=(1e-18, 1e-15), hidden=(2,))
    model, formula = bound(slab, law), odinn.laws.CuffeyPaterson()
    temperature = np.linspace(-10.0, 0.0, 32)
    ratio = np.log(np.asarray(model.flow.A.evaluate(temperature)) / np.asarray(formula.evaluate(temperature)))
    check(Prior("flow.A", sigma=0.5, guess=formula), model, [slab], np.mean((ratio / 0.5) ** 2))
    check(Prior("flow.A", guess=law), model, [slab], 0.0)
    with pytest.raises(InputError, match="a law of the same inputs"):
        Prior("flow.A", guess=1e-16).value(model, [slab])


def test_smoothness_is_the_mean_squared_difference_of_neighbours_and_variation_their_mean_size(slab):
    ny, nx = slab.grid.corner_shape
    unit = 0.3 + 0.01 * np.arange(nx)[None] + 0.0 * np.arange(ny)[:, None]
    A = odinn.Parameter(BOUNDS[0] * (BOUNDS[1] / BOUNDS[0]) ** unit, BOUNDS, "log", "cell")
    model = bound(slab, A)
    flat = (nx - 1) * ny / ((nx - 1) * ny + (ny - 1) * nx)  # of the differences, those along x
    check(Smoothness("flow.A"), model, [slab], 1e-4 * flat)
    variation = float(Smoothness("flow.A", kind="variation").value(model, [slab]))
    assert variation == pytest.approx((np.hypot(0.01, 1e-4) - 1e-4) * flat, rel=1e-9)


def test_a_learned_thickness_is_smooth_inside_the_outline_only(slab):
    level = slab.replace(thickness=np.where(slab.mask, 50.0, 0.0))
    learned = level.replace(thickness=odinn.Parameter(level.thickness, (0.0, None), per="cell"))
    check(Smoothness("thickness"), odinn.Model(), [learned], 0.0)
    check(
        Prior("thickness", sigma=10.0, guess=np.full(slab.grid.shape, 30.0), scale="physical"),
        odinn.Model(),
        [learned],
        4.0,
    )


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (lambda: Prior("flow.A", sigma=0.0), "positive departure"),
        (lambda: Prior("flow.A", scale="cubic"), "scale='cubic'"),
        (lambda: Smoothness("flow.A", kind="cubic"), "kind='cubic'"),
        (lambda: Prior("flow.Q"), "no slot 'flow.Q'"),
        (lambda: Prior("flow.C"), "flow.C: nothing is learned there"),
        (lambda: Smoothness("flow.A"), "is no field"),
        (lambda: Prior("flow.A", guess=1.0), "not strictly inside the bounds"),
        (lambda: Prior("flow.A", guess=odinn.laws.CuffeyPaterson()), "a law is no guess for a parameter"),
        (lambda: Prior("flow.A", guess=np.ones((2, 2)), scale="log"), r"guess has shape \(2, 2\), expected \(\)"),
    ],
)
def test_a_regularisation_that_makes_no_sense_is_an_error(slab, term, message):
    with pytest.raises(InputError, match=message):
        term().value(moved(slab), [slab])
