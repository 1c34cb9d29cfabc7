"""Ice is neither made nor lost: on real beds, on cliffs, in ODINN's set-ups, and face by face in
the kernel.
"""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import odinn
from odinn.grid import interior_mask
from odinn.physics.domain import Domain
from odinn.physics.flow.base import divergence

CREEP = odinn.SIA2D(A=2.4e-24 * 31557600)  # temperate ice, the softest there is
ROUND_OFF = 1e-12  # relative to the initial volume: thousands of steps of 1e-16 each


def run(glacier, years, flow=CREEP, **options):
    """In one window, so that the steps are as long as their error allows."""
    return odinn.simulate(
        odinn.Model(flow=flow), glacier, 2000.0, 2000.0 + years, **({"save_every": years} | options)
    )


def assert_conserved(sim):
    budget = sim.budget
    assert budget["clipped"] == 0
    assert (
        abs(budget["final"] + budget["lost_at_border"] - budget["initial"])
        <= ROUND_OFF * budget["initial"]
    )
    assert sim.thickness.min() >= 0
    assert np.abs(sim.thickness[-1] - sim.thickness[0]).max() > 1.0  # m; the ice has moved


def cliff(height, dx=100.0):
    """300 m of ice on a plateau that ends in a cliff."""
    bed, ice = np.zeros((24, 60)), np.zeros((24, 60))
    bed[:, :25] = height
    ice[5:-5, 5:25] = 300.0
    return odinn.Glacier("cliff", "", odinn.Grid(nx=60, ny=24, dx=dx, dy=dx), bed, ice, ice > 0)


@pytest.mark.parametrize(
    ("years", "save_every"), [(20.0, 20.0), (2.0, 1 / 12)], ids=["20 years", "months"]
)
@pytest.mark.parametrize(
    "name",
    [
        "argentiere_RGI60-11.03638",
        "aletsch_RGI60-11.01450",
        "bodleybreen_RGI60-07.00042",
        "vegafonna_RGI60-07.00065",
    ],
)
def test_a_glacier_on_its_real_bed_keeps_its_ice(data, name, years, save_every):
    glacier = odinn.open_glacier(data / "glaciers" / f"{name}.nc")
    assert_conserved(run(glacier, years, save_every=save_every))


def test_melt_at_the_margin_makes_no_ice():
    """Steps longer than thin ice lasts: what such ice gave away has to come from somewhere."""
    ny, nx = 34, 42
    x, y = 100.0 * np.arange(nx), 100.0 * np.arange(ny)[:, None]
    noise = np.random.default_rng(7).uniform(0.0, 120.0, (ny, nx))
    bed = 3000.0 - 0.35 * x + 0.1 * y + 250.0 * np.sin(x / 500.0) * np.cos(y / 700.0) + noise
    ice = np.maximum(120.0 * (1 - ((x - 1700.0) / 900.0) ** 2 - ((y - 1500.0) / 700.0) ** 2), 0.0)
    glacier = odinn.Glacier(
        "rugged", "", odinn.Grid(nx=nx, ny=ny, dx=100.0, dy=100.0), bed, ice, ice > 0
    )
    flow, balance = (
        odinn.SIA2D(A=7e-17, C=1e-3),
        odinn.LinearBalance(gradient=5e-3, ela=2700.0, maximum=1.0),
    )
    sim = odinn.simulate(odinn.Model(flow, balance), glacier, 2000.0, 2010.0, save_every=10.0)
    assert sim.budget["clipped"] == 0
    assert sim.relative_residual <= ROUND_OFF
    flowed_out = (sim.thickness[-1] > 0) & ~glacier.mask
    assert (sim.thickness[-1][flowed_out] < 1.0).any()  # there was thin ice to melt away
    assert sim.budget["ablation"] > 0


@pytest.mark.parametrize(
    "stepper", [odinn.RKC2(), odinn.SSPRK3(), odinn.Euler()], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize("height", [100.0, 500.0, 1000.0])
def test_ice_that_falls_over_a_cliff_is_conserved(height, stepper):
    sim = run(cliff(height), 30.0, stepper=stepper)
    assert_conserved(sim)
    assert (
        sim.budget["lost_at_border"] > 0.1 * sim.budget["initial"]
    )  # and what leaves the domain is counted
    assert (sim.thickness[-1][:, 26:] > 1.0).any()


def odinn_setups():
    for size in (80, 110, 140):
        i = np.arange(1, size + 1)
        r2 = (i - size / 2) ** 2 + (i[:, None] - size / 2) ** 2
        dome = np.maximum(0.5 * ((size / 4) ** 2 - r2), 0.0)
        third = (i >= size // 3) & (i <= 2 * size // 3)
        block = np.where(third & third[:, None], 400.0, 0.0)
        for shape, ice in (("dome", dome), ("block", block)):
            waves = 0.5 * ice.max() * np.sin(i / 5) * np.sin(i[:, None] / 5)
            for bed_name, bed in (
                ("flat", np.zeros_like(ice)),
                ("waves", waves),
                ("bowl", -ice / 2),
            ):
                yield pytest.param(ice, bed, id=f"{size}-{shape}-{bed_name}")


@pytest.mark.parametrize(("ice", "bed"), odinn_setups())
def test_odinns_set_ups_conserve_mass_within_the_domain(ice, bed):
    grid = odinn.Grid(nx=len(ice), ny=len(ice), dx=50.0, dy=50.0)
    glacier = odinn.Glacier("set-up", "", grid, bed, ice, ice > 0)
    for A in (4e-17, 8e-17):
        sim = run(glacier, 10.0, odinn.SIA2D(A=A))
        assert_conserved(sim)
        final = sim.thickness[-1]
        assert max(final[1].max(), final[:, 1].max()) < 1e-7  # ODINN's own condition


SHAPE = (7, 8)
DX = 100.0
fields = lambda low, high: arrays(float, SHAPE, elements=st.floats(low, high, width=32))
patchy = fields(0.0, 400.0).flatmap(
    lambda H: arrays(bool, SHAPE).map(lambda ice: np.pad(np.where(ice, H, 0.0)[1:-1, 1:-1], 1))
)


@jax.jit
def rate_and_stiffness(bed, thickness):
    grid = odinn.Grid(nx=SHAPE[1], ny=SHAPE[0], dx=DX, dy=DX)
    domain = Domain(
        bed, jnp.ones(SHAPE, bool), interior_mask(SHAPE), jnp.asarray(DX), jnp.asarray(DX)
    )
    flow = CREEP.on(SimpleNamespace(rgi_id="", grid=grid))
    fluxes = flow.fluxes(domain, thickness)
    return divergence(fluxes, domain), fluxes.stiffness


@given(bed=fields(0.0, 3000.0), thickness=patchy)
@settings(deadline=None, max_examples=300)
def test_ice_free_ground_never_exports_ice(bed, thickness):
    rate = np.asarray(rate_and_stiffness(jnp.asarray(bed), jnp.asarray(thickness))[0])
    assert (rate[thickness == 0] >= 0).all()


@given(bed=fields(0.0, 3000.0), thickness=patchy)
@settings(deadline=None, max_examples=300)
def test_fluxes_cancel_and_a_stable_euler_step_leaves_no_negative_thickness(bed, thickness):
    rate, stiffness = map(np.asarray, rate_and_stiffness(jnp.asarray(bed), jnp.asarray(thickness)))
    assert (
        abs(rate.sum()) <= 1e-14 * np.abs(rate).sum()
    )  # pairs of equal and opposite numbers, summed
    if stiffness > 0:
        assert (thickness + 2.0 / stiffness * rate >= 0).all()
