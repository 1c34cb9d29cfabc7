"""Regularisation against hand computations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logit

import odinn
from odinn.errors import InputError
from tests.conftest import make_slab

Prior, Smoothness = odinn.losses.Prior, odinn.losses.Smoothness
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
    ratio = np.log(
        np.asarray(model.flow.A.evaluate(temperature)) / np.asarray(formula.evaluate(temperature))
    )
    check(Prior("flow.A", sigma=0.5, guess=formula), model, [slab], np.mean((ratio / 0.5) ** 2))
    check(Prior("flow.A", guess=law), model, [slab], 0.0)
    with pytest.raises(InputError, match="a law of the same inputs"):
        Prior("flow.A", guess=1e-16).value(model, [slab])


def test_smoothness_is_the_mean_squared_difference_of_neighbours_and_variation_their_mean_size(
    slab,
):
    ny, nx = slab.grid.corner_shape
    unit = 0.3 + 0.01 * np.arange(nx)[None] + 0.0 * np.arange(ny)[:, None]
    A = odinn.Parameter(BOUNDS[0] * (BOUNDS[1] / BOUNDS[0]) ** unit, BOUNDS, "log", "cell")
    model = bound(slab, A)
    flat = (nx - 1) * ny / ((nx - 1) * ny + (ny - 1) * nx)  # of the differences, those along x
    check(Smoothness("flow.A"), model, [slab], 1e-4 * flat)
    check(
        Smoothness("flow.A", kind="variation"), model, [slab], (np.hypot(0.01, 1e-4) - 1e-4) * flat
    )


def test_the_residuals_of_variation_are_smooth_where_neighbours_are_equal(slab):
    term, model = (
        Smoothness("flow.A", kind="variation"),
        bound(slab, odinn.Parameter(1e-16, BOUNDS, "log", "cell")),
    )
    raw = model.flow.A.raw[slab.rgi_id]
    of = lambda r: term.residuals(
        eqx.tree_at(lambda m: m.flow.A.raw[slab.rgi_id], model, r), [slab]
    )[0]
    push = jnp.asarray(np.random.default_rng(0).normal(size=raw.shape))
    residuals, slope = jax.jvp(of, (raw,), (push,))
    assert (residuals == 0.0).all()
    unit = (1 - share(1e-16)) * share(1e-16) * push  # of the sigmoid
    difference = np.concatenate([np.diff(unit, axis=axis).ravel() for axis in (0, 1)])
    np.testing.assert_allclose(slope, difference / np.sqrt(2e-4), rtol=1e-9)  # r is d/√(2ε) there
    value = lambda r: term.value(eqx.tree_at(lambda m: m.flow.A.raw[slab.rgi_id], model, r), [slab])
    curvature = jax.jvp(lambda r: jax.jvp(value, (r,), (push,))[1], (raw,), (push,))[1]
    assert float(curvature) == pytest.approx(
        2 * float((slope**2).mean()), rel=1e-9
    )  # Gauss–Newton's is exact there


def test_variation_keeps_an_edge_that_squares_smear():
    small, span = make_slab(8, 10, 280.0), (2000.0, 2000.1)
    ny, nx = small.grid.corner_shape
    edge = np.where(np.arange(nx) < nx // 2, 1e-16, 4e-16) * np.ones((ny, 1))
    gridded = lambda values: odinn.Model(
        odinn.SIA2D(A=odinn.Parameter(values, (1e-17, 1e-14), "log", "cell")), None
    )
    noise = {"velocity": 0.2}
    (twin,) = odinn.synthetic_observations(
        gridded(edge), small, span, of=("velocity",), noise=noise
    )

    def learned(weight, kind):
        """(the edge's height over the true one, mean size of the other differences along x) amid
        the ice.
        """
        loss = odinn.losses.Velocity("log", error=0.2) + weight * Smoothness("flow.A", kind=kind)
        start, newton = gridded(np.full(edge.shape, 2e-16)), odinn.optimizers.gauss_newton(10)
        fit = odinn.invert(start, twin, loss, span, optimizer=newton, progress=False)
        assert fit.records["loss"][-1] < 0.1 * fit.records["loss"][0]
        steps = np.diff(np.log(fit.model.flow.A.physical(small.rgi_id))[2:-2], axis=1) / np.log(4.0)
        return steps[:, nx // 2 - 1].mean(), np.abs(np.delete(steps, nx // 2 - 1, axis=1)).mean()

    (kept, rest), (smeared, slopes) = (
        learned(30.0, "variation"),
        learned(300.0, "squared"),
    )  # penalties of like size
    assert kept > 1.1 * smeared
    assert rest < 0.6 * slopes


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
        (
            lambda: Prior("flow.A", guess=odinn.laws.CuffeyPaterson()),
            "a law is no guess for a parameter",
        ),
        (
            lambda: Prior("flow.A", guess=np.ones((2, 2)), scale="log"),
            r"guess has shape \(2, 2\), expected \(\)",
        ),
    ],
)
def test_a_regularisation_that_makes_no_sense_is_an_error(slab, term, message):
    with pytest.raises(InputError, match=message):
        term().value(moved(slab), [slab])
