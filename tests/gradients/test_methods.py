"""Four ways to one gradient, the hand-written transposes, and second derivatives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.learning.evaluation import Runs
from odinn.learning.misfit import (
    Buffers,
    compiled_derivative,
    compiled_gradient,
    placed_params,
)
from odinn.model.binding import bind

SPAN = (2000.0, 2001.0)
MODEL = odinn.Model(
    odinn.SIA2D(
        A=odinn.Parameter(2e-16, (1e-18, 1e-14), "log"),
        C=odinn.Parameter(1e-3, (1e-6, 1e-1), "log"),
    ),
    odinn.TemperatureIndex(odinn.Parameter(4e-3, (1e-3, 1e-2)), 2.0),
)
LOSS = odinn.losses.Thickness() + 0.1 * odinn.losses.Velocity()


@pytest.fixture(scope="module")
def twin(slab):
    truth = odinn.Model(odinn.SIA2D(A=4e-16, C=2e-3), odinn.TemperatureIndex(5e-3, 2.0))
    return odinn.synthetic_observations(truth, slab, SPAN)[0]


def flat(tree):
    return np.array([float(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.fixture(scope="module")
def discrete(twin):
    return odinn.value_and_gradient(MODEL, twin, LOSS, SPAN)


@pytest.fixture(scope="module")
def frozen(twin):
    """(misfit of the glacier over the steps of a run, what is learned of it)"""
    ready = odinn.objective(MODEL, twin, LOSS, SPAN).prepare()
    laid = ready.ready[0]
    return laid.misfit, placed_params(ready.local(ready.params, twin), laid.frame)


@pytest.mark.parametrize(
    ("method", "tolerance"),
    [
        ("autodiff", 1e-11),
        ("forward", 1e-11),
        ("finite-difference", 1e-6),
    ],  # round-off; h² and round-off over h
)
def test_all_methods_give_one_gradient(twin, discrete, method, tolerance):
    value, gradient = odinn.value_and_gradient(MODEL, twin, LOSS, SPAN, method=method)
    assert value == pytest.approx(discrete[0], rel=1e-13)
    scale = np.abs(flat(discrete[1])).max()
    np.testing.assert_allclose(flat(gradient), flat(discrete[1]), rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("method", ["discrete", "autodiff", "forward", "finite-difference"])
def test_another_value_of_what_is_learned_compiles_nothing_new(twin, method, caplog):
    model = bind(MODEL, twin)
    value, _ = odinn.value_and_gradient(model, twin, LOSS, SPAN, method=method)
    moved = eqx.tree_at(
        lambda m: m.flow.A.raw, model, model.flow.A.raw + 1e-6
    )  # a step so small that buffers fit
    with jax.log_compiles():
        other, _ = odinn.value_and_gradient(moved, twin, LOSS, SPAN, method=method)
        jax.jit(lambda x: x + 1.0)(1.0)  # this one has to be seen
    assert other != value
    assert len([r for r in caplog.records if "Compiling" in r.getMessage()]) == 1


def test_a_gradient_in_single_precision_is_that_of_double_to_its_rounding(twin, discrete):
    value, gradient = odinn.value_and_gradient(MODEL, twin, LOSS, SPAN, dtype="float32")
    assert value == pytest.approx(discrete[0], rel=1e-3)  # float32 steps are not the same steps
    np.testing.assert_allclose(
        flat(gradient), flat(discrete[1]), rtol=0, atol=1e-3 * np.abs(flat(discrete[1])).max()
    )


def test_a_gradient_over_replayed_steps_is_that_of_the_run(twin, discrete):
    model = odinn.Model(odinn.SIA2D(A=2e-16, C=1e-3), odinn.TemperatureIndex(4e-3, 2.0))
    steps = odinn.simulate(model, twin, *SPAN, save_every=1.0).steps
    value, gradient = odinn.value_and_gradient(MODEL, twin, LOSS, SPAN, replay=steps)
    assert value == pytest.approx(discrete[0], rel=1e-12)
    np.testing.assert_allclose(flat(gradient), flat(discrete[1]), rtol=1e-9)


def test_forward_and_backward_derivatives_are_adjoint(frozen):
    misfit, params = frozen
    tangent = jax.tree.map(lambda p: jnp.full_like(p, 0.7), params)
    _, forward = compiled_derivative(misfit, params, tangent)
    _, backward = compiled_gradient(misfit, params)
    assert 0.7 * flat(backward).sum() == pytest.approx(float(forward), rel=1e-11)


def test_hessian_vector_products_come_from_the_forward_derivative_of_the_gradient(frozen):
    misfit, params = frozen
    f = lambda p: misfit.value(p, "adjoint")[0]
    gradient = jax.jit(jax.grad(f))
    tangent = jax.tree.map(jnp.ones_like, params)
    product = flat(jax.jit(lambda p: jax.jvp(jax.grad(f), (p,), (tangent,))[1])(params))
    moved = lambda h: flat(gradient(jax.tree.map(lambda p: p + h, params)))
    difference = (moved(1e-5) - moved(-1e-5)) / 2e-5
    np.testing.assert_allclose(
        product, difference, rtol=0, atol=1e-6 * np.abs(difference).max()
    )  # h² and round-off / h


def test_buffers_that_are_too_small_grow_instead_of_giving_a_wrong_gradient(twin, discrete):
    whole = odinn.objective(MODEL, twin, LOSS, SPAN)
    runs = Runs(whole)
    runs.values(whole.params)
    sizes = runs._buffers["adjoint"]
    needed = dict(sizes)
    sizes.update(dict.fromkeys(sizes, Buffers(1, 2)))
    _, gradient = runs.gradients(whole.params)
    np.testing.assert_allclose(flat(gradient), flat(discrete[1]), rtol=1e-12)
    assert sizes == needed


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: odinn.value_and_gradient(odinn.Model(), g, LOSS, SPAN), "nothing to learn"),
        (
            lambda g: odinn.value_and_gradient(MODEL, g, LOSS, SPAN, method="magic"),
            "method='magic'",
        ),
        (
            lambda g: odinn.value_and_gradient(MODEL, g, LOSS, SPAN, steper=1),
            "unknown keyword 'steper'",
        ),
        (lambda g: odinn.value_and_gradient(MODEL, [g, g], LOSS, SPAN), "appears twice"),
        (lambda g: odinn.value_and_gradient(MODEL, [], LOSS, SPAN), "list of glaciers is empty"),
        (
            lambda g: odinn.value_and_gradient(MODEL, g, odinn.losses.ElevationChange(), SPAN),
            "no observed elevation_change",
        ),
        (
            lambda g: odinn.value_and_gradient(MODEL, g, odinn.losses.Thickness(at=1999.0), SPAN),
            "outside the period",
        ),
        (
            lambda g: odinn.value_and_gradient(MODEL, g, odinn.losses.Thickness(error=0.0), SPAN),
            "positive standard error",
        ),
    ],
)
def test_what_cannot_be_learned_is_an_error_that_says_why(twin, call, message):
    with pytest.raises(InputError, match=message):
        call(twin)


@pytest.mark.slow
def test_the_continuous_adjoint_agrees_with_tight_steps_to_its_tolerance(twin):
    value, gradient = odinn.value_and_gradient(MODEL, twin, LOSS, SPAN, method="continuous")
    tight = odinn.value_and_gradient(MODEL, twin, LOSS, SPAN, stepper=odinn.RKC2(tol=1e-7))
    assert value == pytest.approx(
        tight[0], rel=1e-5
    )  # Bosh3 with 1e-6 per step, melt at the margin to first order
    np.testing.assert_allclose(
        flat(gradient), flat(tight[1]), rtol=0, atol=1e-5 * np.abs(flat(tight[1])).max()
    )


def test_the_continuous_adjoint_knows_no_jumps(twin):
    with pytest.raises(InputError, match="no jumps"):
        odinn.value_and_gradient(MODEL, twin, LOSS, SPAN, method="continuous", coupling="jump")
