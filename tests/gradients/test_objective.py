"""The objective: one pure function for values, gradients, Hessian products and samplers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.stepping.interface import LEFT, NOT_FINITE, OK, TOO_COARSE

PERIOD = (2000.0, 2000.5)
MODEL = odinn.Model(
    odinn.SIA2D(
        A=odinn.Parameter(2e-16, (1e-18, 1e-14), "log", per="glacier"),
        C=odinn.Parameter(1e-3, (1e-6, 1e-1), "log"),
    ),
    odinn.TemperatureIndex(odinn.Parameter(4e-3, (1e-3, 1e-2)), 2.0),
)
LOSS = (
    odinn.losses.Thickness()
    + 0.1 * odinn.losses.Velocity()
    + 1e-2 * odinn.losses.Prior("flow.C", 0.5)
)


@pytest.fixture(scope="module")
def twins(slab):
    truth = odinn.Model(odinn.SIA2D(A=4e-16, C=2e-3), odinn.TemperatureIndex(5e-3, 2.0))
    first = odinn.synthetic_observations(truth, slab, PERIOD)[0]
    other = odinn.Glacier(
        "TEST-00.00002",
        first.name,
        first.grid,
        first.bed,
        0.9 * first.thickness,
        first.mask,
        first.climate,
        first.observations,
    )
    return [first, other]


@pytest.fixture(scope="module", params=["frozen", "live"])
def ready(request, twins):
    return odinn.objective(MODEL, twins, LOSS, PERIOD, steps=request.param).prepare()


@pytest.fixture(scope="module")
def direction(ready):
    random = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape)), ready.params)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def moved(params, direction, h):
    return jax.tree.map(lambda p, t: p + h * t, params, direction)


def test_value_and_gradient_are_those_of_value_and_gradient(ready, twins):
    value, gradient = odinn.value_and_gradient(MODEL, twins, LOSS, PERIOD)
    assert float(ready.value(ready.params)) == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(flat(ready.gradient(ready.params)), flat(gradient), rtol=1e-11)


def test_it_passes_jit_vmap_grad_and_jvp_from_outside(ready, direction):
    params = ready.params
    value, gradient = float(ready.value(params)), flat(ready.gradient(params))
    assert float(jax.jit(ready.value)(params)) == pytest.approx(value, rel=1e-12)
    outside = jax.jit(jax.grad(ready.value))(params)
    np.testing.assert_allclose(flat(outside), gradient, rtol=1e-10)
    _, along = jax.jvp(ready.value, (params,), (direction,))
    assert float(along) == pytest.approx(gradient @ flat(direction), rel=1e-10)
    both = jax.tree.map(lambda p, t: jnp.stack([p, p + 0.01 * t]), params, direction)
    values = jax.jit(jax.vmap(ready.value))(both)
    second = float(ready.value(moved(params, direction, 0.01)))
    np.testing.assert_allclose(values, [value, second], rtol=1e-12)


def test_a_hessian_product_is_the_difference_of_gradients_and_symmetric(ready, direction):
    params = ready.params
    product = flat(ready.hessian_product(params, direction))
    h = 1e-5
    ends = [flat(ready.gradient(moved(params, direction, s))) for s in (h, -h)]
    # h² and round-off / h
    scale = np.abs(product).max()
    np.testing.assert_allclose(product, (ends[0] - ends[1]) / (2 * h), rtol=0, atol=1e-6 * scale)
    outside = jax.jvp(jax.grad(ready.value), (params,), (direction,))[1]
    np.testing.assert_allclose(flat(outside), product, rtol=1e-9)
    other = jax.tree.map(lambda leaf: jnp.cos(leaf + 1.0), direction)
    crossed = flat(ready.hessian_product(params, other)) @ flat(direction)
    assert crossed == pytest.approx(product @ flat(other), rel=1e-9)


def test_squares_of_residuals_are_the_loss_and_their_derivatives_are_adjoint(ready, direction):
    params = ready.params
    residuals, tangent = ready.jvp(params, direction)
    assert (flat(residuals) ** 2).sum() == pytest.approx(float(ready.value(params)), rel=1e-12)
    cotangent = jax.tree.map(jnp.sin, residuals)
    again, product = ready.vjp(params, cotangent)
    np.testing.assert_allclose(flat(again), flat(residuals), rtol=1e-12, atol=1e-14)
    forward = flat(tangent) @ flat(cotangent)
    assert forward == pytest.approx(flat(product) @ flat(direction), rel=1e-10)
    _, outside = jax.jvp(ready.residuals, (params,), (direction,))
    np.testing.assert_allclose(flat(outside), flat(tangent), rtol=1e-10, atol=1e-12)
    assert set(residuals) == {*(g.rgi_id for g in ready.glaciers), "regularization"}


def test_residuals_over_frozen_steps_have_a_reverse_mode_of_their_own(twins):
    ready = odinn.objective(MODEL, twins[0], LOSS, PERIOD).prepare()
    half = lambda p: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(ready.residuals(p)))
    gradient = flat(ready.gradient(ready.params))
    np.testing.assert_allclose(flat(jax.grad(half)(ready.params)), gradient, rtol=1e-10)


def test_what_fails_is_nan_and_its_status_says_why(ready, twins):
    wild = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), ready.params)
    assert np.isnan(float(jax.jit(ready.value)(wild)))
    assert np.isnan(flat(ready.gradient(wild))).all()
    assert {int(code) for code in ready.status(wild).values()} == {NOT_FINITE}
    assert {int(code) for code in ready.status(ready.params).values()} == {OK}
    short = odinn.objective(MODEL, twins, LOSS, PERIOD, steps="live", max_steps=2)
    with pytest.raises(odinn.SolverError, match="2 steps did not suffice"):
        short.prepare()


def test_buffers_that_are_too_small_give_nan_and_no_wrong_number(twins):
    ready = odinn.objective(MODEL, twins[0], LOSS, PERIOD, steps="live").prepare()
    # softer ice takes more stages than those that were prepared for
    soft = jax.tree.map(lambda leaf: leaf + 1.0, ready.params)
    status = int(ready.status(soft)[twins[0].rgi_id])
    assert status == 100
    assert np.isfinite(float(ready.value(soft)))
    assert np.isnan(flat(jax.jit(jax.grad(ready.value))(soft))).all()
    again = ready.prepare(soft)
    assert np.isfinite(flat(again.gradient(soft))).all()
    assert int(again.status(soft)[twins[0].rgi_id]) == 0
    # and ice that is softer still leaves the part of the grid that is computed
    softest = jax.tree.map(lambda leaf: leaf + 4.0, ready.params)
    assert int(ready.status(softest)[twins[0].rgi_id]) == LEFT
    assert np.isnan(float(ready.value(softest)))
    assert np.isnan(flat(ready.gradient(softest))).all()


@pytest.mark.parametrize("stepper", [odinn.RKC2(), odinn.SSPRK3(), odinn.Euler()])
def test_frozen_steps_that_have_become_too_long_give_nan_and_no_wrong_number(twins, stepper):
    glacier = twins[0]
    flow = odinn.SIA2D(A=odinn.Parameter(2e-16, (1e-18, 1e-10), "log"))
    model = odinn.Model(flow, odinn.TemperatureIndex(4e-3, 2.0))
    loss = odinn.losses.Thickness()
    ready = odinn.objective(model, glacier, loss, PERIOD, stepper=stepper).prepare()
    where = ready.params
    near = jax.tree.map(lambda leaf: leaf + 0.01, where)  # 2 % softer at most
    far = jax.tree.map(lambda leaf: leaf + 8.0, where)
    assert int(ready.status(near)[glacier.rgi_id]) == OK
    assert np.isfinite(float(ready.value(near)))
    assert int(ready.status(far)[glacier.rgi_id]) == TOO_COARSE
    assert np.isnan(float(jax.jit(ready.value)(far)))
    assert np.isnan(flat(jax.jit(jax.grad(ready.value))(far))).all()
    again = ready.prepare(far)
    assert np.isfinite(float(again.value(far)))


def test_a_loop_of_optax_lowers_the_loss(twins):
    import optax

    ready = odinn.objective(MODEL, twins, LOSS, PERIOD).prepare()
    rule = optax.adam(0.05)
    step = jax.jit(jax.value_and_grad(ready.value))
    params, memory = ready.params, rule.init(ready.params)
    values = []
    for _ in range(5):
        value, gradient = step(params)
        update, memory = rule.update(gradient, memory)
        params = optax.apply_updates(params, update)
        values.append(float(value))
    assert values[-1] < values[0]
    model, _ = ready.combined(params)
    assert float(model.flow.C.physical()) != 1e-3


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap])
def test_a_host_driver_inside_a_transformation_says_what_to_use(twins, transform):
    model = odinn.bind(MODEL, twins[0])
    raw = model.flow.C.raw

    def through(call):
        def volume(raw):
            import equinox as eqx

            return call(eqx.tree_at(lambda m: m.flow.C.raw, model, raw))

        return lambda: transform(volume)(raw[None] if transform is jax.vmap else raw)

    simulated = through(lambda m: odinn.simulate(m, twins[0], *PERIOD).thickness[-1].sum())
    gradient = through(lambda m: odinn.value_and_gradient(m, twins[0], LOSS, PERIOD)[0])
    replaced = lambda m: twins[0].replace(thickness=m.flow.C.raw * twins[0].thickness).thickness
    ice = through(lambda m: replaced(m).sum())
    for call in (simulated, gradient, ice):
        with pytest.raises(InputError, match=r"odinn\.objective\(model, glaciers, loss, period\)"):
            call()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_every": 1.0}, "save_every= says nothing here: a run stops where losses look"),
        ({"hydrology": True}, "hydrology= says nothing here"),
        ({"initial": None}, "initial= says nothing here"),
        ({"on_error": "keep"}, "on_error= says nothing here"),
        ({"steper": None}, "unknown keyword 'steper'; known: stepper, coupling"),
    ],
)
@pytest.mark.parametrize("call", [odinn.objective, odinn.value_and_gradient, odinn.invert])
def test_keywords_of_a_forward_run_that_say_nothing_are_refused(twins, call, options, message):
    with pytest.raises(InputError, match=message):
        call(MODEL, twins, LOSS, PERIOD, **options)


def test_an_objective_that_is_not_prepared_says_so(twins):
    whole = odinn.objective(MODEL, twins, LOSS, PERIOD)
    with pytest.raises(InputError, match=r"call \.prepare\(\) first"):
        whole.value(whole.params)
    with pytest.raises(InputError, match="expected 'frozen' or 'live'"):
        odinn.objective(MODEL, twins, LOSS, PERIOD, steps="melted")
