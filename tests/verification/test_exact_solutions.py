"""The exact solutions solve their equations: what the model is measured against is measured
first.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from odinn.grid import Grid
from odinn.verification.exact_solutions import (
    BedrockStep,
    Circles,
    ExactBalance,
    Halfar,
    OscillatingDome,
    radius,
    with_derivative,
)
from odinn.verification.measures import square

ROUND_OFF = 1e-12  # relative: every derivative is exact, so only round-off is left


def total(density, r):
    """Integral over a disc of a density on radii r."""
    return 2 * np.pi * np.trapezoid(r * np.asarray(density), r)


@pytest.mark.parametrize("growth", [0.0, 1.0, 5.0])
@pytest.mark.parametrize("age", [1.1, 100.0])
def test_similarity_solutions_solve_the_ice_equation(growth, age):
    dome = Halfar(growth=growth)
    t = age * dome.start
    x, y = np.meshgrid([0.01, 0.1, -0.5], [0.1, 0.4, 0.6])  # where ODINN looks
    r = dome.radius * np.hypot(x, y)
    _, rate = with_derivative(
        lambda time: dome.thickness(r, time * jnp.ones_like(r)), jnp.full_like(r, t)
    )
    left, right = rate + dome.divergence(r, t), dome.balance(r, t)
    np.testing.assert_allclose(left, right, rtol=0, atol=ROUND_OFF * np.abs(rate).max())
    assert np.abs(rate).max() > 1e-3


def test_halfars_dome_keeps_its_volume_and_the_growing_one_reaches_the_published_volume():
    dome = Halfar()
    shape = np.linspace(0.0, 1.0, 10_001)
    volumes = [
        total(dome.thickness(s * dome.margin(t), t), s * dome.margin(t))
        for s, t in ((shape, dome.start), (shape, 60.0 * dome.start))
    ]
    assert volumes[1] == pytest.approx(volumes[0], rel=ROUND_OFF)
    growing = Halfar(growth=5.0)
    r = np.linspace(0.0, growing.radius, 200_001)
    # Published to seven digits.
    assert total(growing.thickness(r, growing.start), r) == pytest.approx(3997940e9, rel=2e-7)


def test_the_growing_dome_starts_from_nothing():
    dome, r = Halfar(growth=5.0), np.array([0.0, 1.0, 1e5])
    assert (np.asarray(dome.thickness(r, 0.0)) == 0).all()
    assert (np.asarray(dome.balance(r, 0.0)) == 0).all()
    assert np.asarray(dome.thickness(r, 1e-3))[0] > 0


def test_surface_speed_is_five_quarters_of_flux_over_thickness():
    dome = Halfar()
    t = dome.start + 25000.0
    r = np.linspace(0.05, 0.95, 7) * dome.margin(t)
    np.testing.assert_allclose(
        dome.surface_speed(r, t), 1.25 * dome.flux(r, t) / dome.thickness(r, t), rtol=ROUND_OFF
    )
    assert np.asarray(dome.surface_speed(np.array([1.01 * dome.margin(t)]), t)) == 0


def test_the_oscillating_domes_balance_pays_for_its_change_of_volume():
    dome = OscillatingDome()
    r = np.linspace(0.0, dome.radius, 20_001)
    for t in (0.0, 1300.0, 3750.0):
        change = jax.jvp(lambda time: dome.thickness(r, time), (t,), (1.0,))[1]
        gain = total(dome.balance(r, t), r)
        # Trapezoids over the two jumps of the balance (0.3 and 0.9 of the radius) leave a step's
        # worth, 5e-5.
        assert gain == pytest.approx(
            total(change, r), abs=1e-4 * total(np.abs(dome.balance(r, t)), r)
        )


def test_the_oscillating_domes_balance_is_finite_at_dome_and_margin_and_negative_beyond():
    dome = OscillatingDome()
    r = np.array([0.0, 1e-9, dome.radius * (1 - 1e-15), dome.radius, 1.5 * dome.radius])
    balance = np.asarray(jax.jit(dome.balance)(r, 700.0))
    assert np.isfinite(balance).all()
    assert balance[0] == pytest.approx(balance[1])
    assert (balance[2:] < -1.0).all()


def test_balance_reaches_the_model_in_water_equivalent_on_cells():
    dome, grid = Halfar(growth=5.0), square(11, 150e3)
    balance = ExactBalance(dome=dome, circles=Circles.of(grid))
    rates = balance.rates(None, jnp.zeros(grid.shape), dome.start)
    expected = 0.91 * dome.balance(radius(grid), dome.start)
    np.testing.assert_allclose(rates.balance, expected, rtol=ROUND_OFF)
    assert (np.asarray(rates.melt) == 0).all()


def test_radius_counts_from_the_origin_of_the_grid():
    grid = Grid(nx=3, ny=2, dx=3.0, dy=4.0, x0=-3.0, y0=4.0)
    np.testing.assert_array_equal(radius(grid), [[5.0, 4.0, 5.0], [3.0, 0.0, 3.0]])


@pytest.mark.parametrize(("dx", "volume"), [(1000.0, 4645451.9), (500.0, 4582299.8)])
def test_bedrock_step_has_the_published_volume(dx, volume):
    x = np.arange(0.0, 30e3 + 1, dx)
    assert np.trapezoid(BedrockStep().thickness(x), x) == pytest.approx(
        volume, abs=0.05
    )  # published to 0.1 m2


def test_bedrock_step_is_steady_on_either_side_of_the_cliff():
    step = BedrockStep()
    gamma = 2 * step.A * (step.ice_density * step.gravity) ** 3 / 5

    def flux(x):
        height, slope = with_derivative(step.thickness, x)
        return -gamma * height**5 * slope**3

    x = jnp.array([500.0, 3000.0, 6900.0, 7100.0, 12e3, 19e3])
    _, divergence = with_derivative(flux, x)
    np.testing.assert_allclose(
        divergence, step.balance(x), rtol=1e-10
    )  # 3/8-th powers of large numbers
    assert (
        float(step.thickness(jnp.array([6999.9]))[0])
        < float(step.thickness(jnp.array([7000.0]))[0]) - 200
    )
