"""The three forms of shallow ice, and their velocities."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.model.velocities import velocity_of
from odinn.physics.domain import domain_of
from odinn.physics.flow.base import divergence
from odinn.physics.flow.power import power

RG = 900.0 * 9.81


def tendency(flow, g):
    domain = domain_of(g)
    return np.asarray(divergence(flow.on(g).fluxes(domain, g.thickness), domain))


def velocity(flow, g, at="surface"):
    return [np.asarray(v) for v in flow.on(g).velocity(domain_of(g), g.thickness, at)]


def uniform_slab(thickness=100.0, slope=0.1):
    """Ice of one thickness on a plane that falls to the east: away from the border everything is
    known.
    """
    grid = odinn.Grid(12, 10, 50.0, 50.0)
    bed = 3000.0 - slope * np.broadcast_to(grid.x, grid.shape)
    ice = np.full(grid.shape, thickness)
    return odinn.Glacier("plane", "", grid, bed, ice, ice > 0)


def test_speed_on_a_plane_is_the_textbooks():
    """Cuffey & Paterson 2010, eq. 8.35 and 8.36: u_s = 2A/(n+1) τ^n H, depth mean (n+1)/(n+2) of
    it.
    """
    A, H, slope = 5e-17, 100.0, 0.1
    tau = RG * H * np.sqrt(slope**2 + 1e-10)  # the regularised slope of the scheme
    g = uniform_slab(H, slope)
    surface, _ = velocity(odinn.SIA2D(A=A), g)
    mean, _ = velocity(odinn.SIA2D(A=A), g, "mean")
    np.testing.assert_allclose(
        surface, 2 * A / 4 * tau**3 * H, rtol=1e-6
    )  # slope in place of regularised slope once
    np.testing.assert_allclose(mean / surface, 4 / 5, rtol=1e-13)


def test_sliding_is_budds_law_and_moves_all_depths_alike():
    C, p, q, H, slope = 2e-3, 3.0, 2.0, 100.0, 0.1
    g = uniform_slab(H, slope)
    both, none = odinn.SIA2D(C=C, p=p, q=q), odinn.SIA2D()
    expected = C * (RG * H * slope) ** p / (RG * H) ** q
    for at in ("surface", "mean"):
        np.testing.assert_allclose(
            velocity(both, g, at)[0] - velocity(none, g, at)[0], expected, rtol=1e-5
        )
    np.testing.assert_allclose(velocity(both, g, "basal")[0], expected, rtol=1e-5)
    np.testing.assert_allclose(velocity(none, g, "basal")[0], 0.0, atol=0)


def test_nothing_slides_on_bare_ground_also_where_the_overburden_cancels():
    """With p = q the speed does not depend on the thickness, until there is none."""
    g = uniform_slab()
    half = g.replace(thickness=np.where(np.arange(g.grid.nx) < 6, g.thickness, 0.0))
    basal, _ = velocity(odinn.SIA2D(C=1e-3, p=2.0, q=2.0), half, "basal")
    assert (basal[:, 6:] == 0).all()  # corners between four bare cells
    assert (basal[:, :5] > 1e-6).all()  # C slope² is 1e-5 m yr⁻¹ under the ice


def test_oggms_sliding_is_f_s_tau_cubed_over_thickness():
    arguments = odinn.laws.oggm_sliding()
    assert arguments["C"] == pytest.approx(1.59e-8, rel=2e-3)
    g = uniform_slab(80.0, 0.2)
    expected = 5.7e-20 * 31557600 * (RG * 80.0 * 0.2) ** 3 / 80.0
    np.testing.assert_allclose(
        velocity(odinn.SIA2D(**arguments), g, "basal")[0], expected, rtol=1e-5
    )


def test_flux_is_thickness_times_mean_velocity():
    flow = odinn.SIA2D(A=5e-17, C=1e-3)
    g = uniform_slab()
    fluxes = flow.on(g).fluxes(domain_of(g), g.thickness)
    along = velocity(flow, g, "mean")[0][0, 0]
    np.testing.assert_allclose(fluxes.x[:, 1:-1], 100.0 * along, rtol=1e-9)


def test_velocity_points_down_the_slope_with_y_to_the_north(slab):
    north_facing = odinn.Glacier(
        "n",
        "",
        slab.grid,
        3000.0 - 0.8 * (slab.grid.y[:, None] - 5.2e6) + 0 * slab.bed,
        slab.thickness,
        slab.mask,
    )
    _, vy, speed = velocity_of(odinn.Model(), north_facing, north_facing.thickness[None])
    ice = slab.thickness > 60
    assert (
        vy[0][ice] > 0
    ).all()  # falls to the north, so flows to the north: positive along projected y
    assert (speed[0][~slab.mask] == 0).all()


@pytest.mark.parametrize("wide", [True, False])
def test_velocity_is_the_same_on_the_size_that_it_is_computed_on(slab, wide):
    """A wide grid is turned there."""
    from odinn.model import velocities

    g = slab if wide else odinn.Glacier("t", "", *_turned(slab))
    rate = 1e-16 * (1.0 + np.arange(np.prod(g.grid.corner_shape)).reshape(g.grid.corner_shape))
    flow = odinn.SIA2D(A=rate, C=1e-3)
    thickness = np.stack([g.thickness, 0.5 * g.thickness])
    on_size = velocities.velocity_of(odinn.Model(flow), g, thickness)
    for at, ice in enumerate(thickness):
        vx, vy = velocities.velocity_on_cells(flow.on(g), domain_of(g), ice, None)
        # the stencils are the same, added in another order where the grid is turned
        np.testing.assert_allclose(on_size[0][at], vx, rtol=1e-12, atol=1e-12 * np.abs(vx).max())
        np.testing.assert_allclose(on_size[1][at], vy, rtol=1e-12, atol=1e-12 * np.abs(vy).max())


def _turned(g):
    grid = odinn.Grid(g.grid.ny, g.grid.nx, g.grid.dy, g.grid.dx)
    return grid, g.bed.T, g.thickness.T, g.mask.T


def test_velocities_of_grids_of_alike_size_share_a_program():
    from odinn.model import velocities
    from tests.conftest import make_slab

    def run(ny, nx):
        g = make_slab(ny, nx)
        velocities.velocity_of(odinn.Model(), g, g.thickness[None])

    run(20, 24)
    before = velocities._velocities._cached._cache_size()
    run(24, 27)  # turned
    run(34, 24)  # cropped
    assert velocities._velocities._cached._cache_size() == before


def test_hybrid_with_constant_law_equals_the_standard_form(slab):
    for C in (0.0, 1e-3):
        a, b = odinn.SIA2D(A=5e-17, C=C), odinn.HybridSIA2D(Y=5e-17, C=C)
        np.testing.assert_allclose(tendency(a, slab), tendency(b, slab), rtol=1e-14)
        np.testing.assert_allclose(velocity(a, slab), velocity(b, slab), rtol=1e-14)
    other = odinn.HybridSIA2D(Y=5e-17, n_H=2.0, n_S=2.5)
    assert not np.allclose(tendency(other, slab), tendency(odinn.SIA2D(A=5e-17), slab))


def test_the_prescribed_mobility_gives_linear_diffusion(slab):
    flow = odinn.DiffusiveSIA2D(U=300.0, surface_factor=0.8)
    vx, _ = velocity(flow, slab)
    mean, _ = velocity(flow, slab, "mean")
    np.testing.assert_allclose(mean, 0.8 * vx, rtol=1e-14)
    with pytest.raises(InputError, match="no basal velocity"):
        velocity(flow, slab, "basal")


def test_an_exponent_as_an_array_equals_the_same_exponent_compiled_in(slab):
    static = tendency(odinn.SIA2D(A=5e-17, C=1e-3), slab)
    traced = tendency(
        odinn.SIA2D(A=5e-17, C=1e-3, n=jnp.asarray(3.0), p=jnp.asarray(3.0), q=jnp.asarray(2.0)),
        slab,
    )
    np.testing.assert_allclose(
        traced, static, rtol=1e-11, atol=1e-11 * np.abs(static).max()
    )  # exp(n log x) loses digits


def test_a_zero_of_sliding_that_is_an_array_keeps_the_term(slab):
    assert odinn.SIA2D(C=0.0).on(slab).C is None
    assert odinn.SIA2D(C=jnp.asarray(0.0)).on(slab).C is not None


def test_numbers_may_be_fields_or_one_per_glacier(slab):
    field = np.full(slab.grid.corner_shape, 5e-17)
    same = tendency(odinn.SIA2D(A=5e-17), slab)
    assert (tendency(odinn.SIA2D(A=field), slab) == same).all()
    assert (tendency(odinn.SIA2D(A={slab.rgi_id: 5e-17, "other": 1.0}), slab) == same).all()
    with pytest.raises(
        InputError, match=r"TEST-00.00001: flow.A is given per glacier .*has: other"
    ):
        odinn.SIA2D(A={"other": 1.0}).on(slab)
    with pytest.raises(
        InputError, match=r"flow.A has shape \(24, 30\), .* corner field of shape \(23, 29\)"
    ):
        odinn.SIA2D(A=np.ones(slab.grid.shape)).on(slab)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 2.2, -1.0, -0.5])
def test_powers_and_their_derivatives_are_right_and_finite_at_zero(exponent):
    x = jnp.array([0.0, 1e-3, 0.7, 12.0])
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(
            power(x, exponent)[1:], np.asarray(x)[1:] ** exponent, rtol=1e-13
        )
    gradient = jax.grad(lambda v: jnp.sum(power(v, exponent)))(x)
    assert np.isfinite(np.asarray(gradient)).all()
    np.testing.assert_allclose(
        gradient[1:], exponent * np.asarray(x)[1:] ** (exponent - 1), rtol=1e-12
    )


def test_flat_ice_free_ground_has_finite_derivatives(slab):
    flow = odinn.SIA2D(A=5e-17, C=1e-3).on(slab)
    domain = replace(domain_of(slab), bed=jnp.full(slab.grid.shape, 2000.0))
    rate = lambda H: jnp.sum(divergence(flow.fluxes(domain, H), domain) ** 2)
    assert np.isfinite(np.asarray(jax.grad(rate)(jnp.asarray(slab.thickness)))).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: odinn.SIA2D(A=-1e-17), "SIA2D: A is -1e-17; expected a number >= 0"),
        (lambda: odinn.SIA2D(C=np.array([[1.0, -2.0]])), "SIA2D: C is -2 in 1 places"),
        (lambda: odinn.HybridSIA2D(Y={"a": 1.0, "b": float("nan")}), "HybridSIA2D: Y is nan"),
        (lambda: odinn.DiffusiveSIA2D(U=-5), "DiffusiveSIA2D: U is -5"),
    ],
)
def test_a_number_of_the_flow_below_zero_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_rate_factor_per_second_is_noticed():
    with pytest.warns(UserWarning, match="looks like Pa-3 s-1"):
        odinn.SIA2D(A=2.4e-24)
    with pytest.warns(UserWarning, match="looks like Pa-3 s-1"):
        odinn.SIA2D(A=odinn.Parameter(1e-24, (1e-26, 1e-22), "log"))
