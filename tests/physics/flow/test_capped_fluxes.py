"""The operators of shallow ice and their hand-written transposes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odinn.physics.flow.capped_fluxes import PLAIN, TRANSPOSED

NY, NX = 17, 23
SPACING = jnp.asarray(60.0), jnp.asarray(80.0)
ROUND_OFF = 1e-14  # of sums of at most eight terms, relative to the largest


@pytest.fixture(params=range(3))
def random(request):
    return np.random.default_rng(request.param)


def normal(random, *shape):
    return jnp.asarray(random.normal(size=shape))


def ice(random):
    """(diffusivity, thickness, bed) of patchy ice on ground so rough that the cap is active."""
    thickness = jnp.asarray(np.maximum(random.normal(30, 40, (NY, NX)), 0.0))
    bed = 2000 + 30 * normal(random, NY, NX)
    return jnp.asarray(random.uniform(0, 1e4, (NY - 1, NX - 1))), thickness, bed


def arguments(name, random):
    """What an operator is differentiated with respect to."""
    diffusivity, thickness, bed = ice(random)
    return {
        "corner_geometry": (thickness, bed),
        "capped_fluxes": (diffusivity, thickness, bed),
        "flux_divergence": (normal(random, NY - 2, NX - 1), normal(random, NY - 1, NX - 2)),
    }[name]


OPERATORS = pytest.mark.parametrize("name", PLAIN._fields)


def test_a_thin_cell_on_a_tower_gives_each_neighbour_no_more_than_its_own_thickness():
    """The drop on all four sides is 100 m and the donor 5 m thick: each face sees a drop of 5 m."""
    thickness = jnp.zeros((5, 5)).at[2, 2].set(5.0)
    bed = jnp.zeros((5, 5)).at[2, 2].set(95.0)
    qx, qy = PLAIN.capped_fluxes(jnp.full((4, 4), 7.0), thickness, bed, *SPACING)
    expected = {"west": -5.0 * 7.0 / 60.0, "east": 5.0 * 7.0 / 60.0}
    expected |= {"north": -5.0 * 7.0 / 80.0, "south": 5.0 * 7.0 / 80.0}
    seen = {"west": qx[1, 1], "east": qx[1, 2], "north": qy[1, 1], "south": qy[2, 1]}
    assert {k: float(v) for k, v in seen.items()} == pytest.approx(expected, rel=ROUND_OFF)
    assert int((qx != 0).sum()) == int((qy != 0).sum()) == 2  # ground without ice exports none


@OPERATORS
def test_hand_written_transposes_agree_with_automatic_ones(name, random):
    at = arguments(name, random)
    values, automatic = jax.vjp(lambda *x: getattr(PLAIN, name)(*x, *SPACING), *at)
    same, by_hand = jax.vjp(lambda *x: getattr(TRANSPOSED, name)(*x, *SPACING), *at)
    bars = jax.tree.map(lambda v: normal(random, *v.shape), values)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), values, same))
    for a, b in zip(automatic(bars), by_hand(bars), strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=ROUND_OFF * float(jnp.abs(a).max()))
        assert float(jnp.abs(a).max()) > 0  # of the thickness: the cap was active somewhere


@OPERATORS
def test_hand_written_transposes_are_the_transposes_of_the_derivative(name, random):
    at = arguments(name, random)
    tangents = tuple(normal(random, *x.shape) for x in at)
    values, along = jax.jvp(lambda *x: getattr(PLAIN, name)(*x, *SPACING), at, tangents)
    bars = jax.tree.map(lambda v: normal(random, *v.shape), values)
    back = jax.vjp(lambda *x: getattr(TRANSPOSED, name)(*x, *SPACING), *at)[1](bars)
    dot = lambda a, b: sum(float(jnp.vdot(x, y)) for x, y in zip(a, b, strict=True))
    as_tuple = lambda v: v if isinstance(v, tuple) else (v,)
    forward = dot(as_tuple(along), as_tuple(bars))
    sizes = dot(map(jnp.abs, as_tuple(along)), map(jnp.abs, as_tuple(bars)))
    assert forward == pytest.approx(dot(tangents, back), abs=1e-14 * sizes)  # sums of 1000 terms


@OPERATORS
def test_spacings_are_traced_and_have_no_cotangent(name, random):
    at = arguments(name, random)

    @jax.jit
    def back(dx, dy):
        values, pull = jax.vjp(lambda *s: getattr(TRANSPOSED, name)(*at, *s), dx, dy)
        return values, pull(jax.tree.map(jnp.ones_like, values))

    values, bars = back(*SPACING)
    assert [float(b) for b in bars] == [0.0, 0.0]
    # with 1/dx known to the compiler, constants are multiplied in another order
    expected = getattr(PLAIN, name)(*at, np.asarray(60.0), np.asarray(80.0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), values, expected)
