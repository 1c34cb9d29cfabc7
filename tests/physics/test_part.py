"""A flow and a balance of one's own need their formulas alone."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.physics.balance.base import AbstractMassBalance
from odinn.physics.balance.temperature_index import net_rates
from odinn.physics.domain import domain_of
from odinn.physics.flow.base import AbstractFlow, Fluxes, divergence
from odinn.physics.flow.sia import AbstractShallowIce

SPAN = (2000.0, 2001.0)


class Creeping(AbstractShallowIce):
    """Ice with a linear rheology: D = k H³."""

    k: object = odinn.slot(unit="m⁻¹ yr⁻¹", place="corner", label="rate", smallest=0.0)
    ice_density: float = 900.0
    gravity: float = 9.81

    def mobility(self, thickness, slope_squared, at):
        return self.k * thickness**2

    def slope_exponent(self):
        return 1.0


class Spreading(AbstractFlow):
    """Thickness that diffuses like heat, with fluxes of its own and no stencil of shallow ice."""

    k: object = odinn.slot(unit="m² yr⁻¹", place="corner", label="diffusivity", smallest=0.0)
    ice_density: float = 900.0
    gravity: float = 9.81

    def fluxes(self, domain, thickness):
        H = thickness[1:-1, 1:-1]
        k = jnp.mean(self.k)
        x = -k * jnp.diff(jnp.pad(H, ((0, 0), (1, 1))), axis=1) / domain.dx
        y = -k * jnp.diff(jnp.pad(H, ((1, 1), (0, 0))), axis=0) / domain.dy
        return Fluxes(x, y, 8.0 * k / jnp.minimum(domain.dx, domain.dy) ** 2)

    def velocity(self, domain, thickness, at):
        still = jnp.zeros((thickness.shape[0] - 1, thickness.shape[1] - 1))
        return still, still


class Banded(AbstractMassBalance):
    """A monthly balance of a gradient alone."""

    gradient: object = odinn.slot(unit="yr⁻¹", place="cell", label="gradient")
    accumulation_threshold: float | None = None

    frequency: ClassVar[str] = "monthly"

    def forcing(self, glacier, months):
        return np.zeros(len(months))

    def rates(self, forcing, surface, time):
        return net_rates(self.gradient / 12 * (surface - 2600.0) + forcing)


@pytest.mark.parametrize("kind", [Creeping, Spreading])
def test_a_flow_of_ones_own_is_stepped_and_learned(slab, kind):
    guess = odinn.Parameter(2.0 if kind is Spreading else 1e-3, (1e-6, 1e3), "log")
    model = odinn.Model(kind(k=guess), Banded(gradient=odinn.Parameter(2e-3, (1e-4, 1e-1))))
    sim = odinn.simulate(model, slab, *SPAN)
    assert sim.relative_residual < 1e-12
    assert sim.budget["clipped"] == 0
    data = slab.replace(observations=odinn.Observations(thickness=slab.thickness + 1.0))
    learn = lambda method: odinn.value_and_gradient(
        model, data, odinn.losses.Thickness(), SPAN, method=method
    )
    (value, backward), (same, forward) = learn("discrete"), learn("forward")
    assert value == same
    for a, b in zip(jax.tree.leaves(backward), jax.tree.leaves(forward), strict=True):
        assert float(a) == pytest.approx(float(b), rel=1e-10)
        assert float(a) != 0


def test_a_monthly_balance_says_which_couplings_it_can_be_run_with(slab):
    model = odinn.Model(None, Banded(gradient=jnp.asarray(2e-3)))
    with pytest.raises(InputError, match="Banded needs coupling='source'"):
        odinn.simulate(model, slab, *SPAN, coupling="jump")


def test_a_part_on_a_glacier_has_fields_where_its_user_gave_numbers(slab):
    flow = odinn.SIA2D(A={slab.rgi_id: 5e-17, "other": 1.0}, C=0.0)
    here = flow.on(slab)
    assert here.A.shape == slab.grid.corner_shape
    assert here.C is None
    assert (here.n, here.ice_density) == (3.0, 900.0)
    assert odinn.TemperatureIndex().on(slab).melt_factor.shape == slab.grid.shape
    assert type(here) is odinn.SIA2D
    assert str(flow.for_transpose()) == str(flow)


def test_only_the_form_for_the_transpose_has_derivatives_by_hand(slab):
    """Forward mode passes the plain operators; the hand-written ones know the transpose alone."""
    domain, flow = domain_of(slab), odinn.SIA2D(A=5e-17, C=1e-3).on(slab)
    H = jnp.asarray(slab.thickness)
    rate = lambda flow: lambda H: divergence(flow.fluxes(domain, H), domain)
    plain, by_hand = rate(flow), rate(flow.for_transpose())
    assert (plain(H) == by_hand(H)).all()
    assert np.isfinite(jax.jvp(plain, (H,), (H,))[1]).all()
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(by_hand, (H,), (H,))
    bar = jnp.asarray(np.random.default_rng(0).normal(size=H.shape))
    a, b = (jax.vjp(f, H)[1](bar)[0] for f in (plain, by_hand))
    np.testing.assert_allclose(b, a, rtol=0, atol=1e-13 * float(jnp.abs(a).max()))
    assert not eqx.tree_equal(flow, flow.for_transpose())
