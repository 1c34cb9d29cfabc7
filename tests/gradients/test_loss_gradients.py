"""Gradients of losses at points, over intervals, under masks, and of smooth velocity, on a small
glacier made in code.
"""

import numpy as np
import pytest

import odinn
from tests.gradients.differences import wrong_derivatives

SPAN = (2000.0, 2001.0)
BAR = 1e-6  # as of the gradient matrix
MODEL = odinn.Model(
    odinn.SIA2D(
        A=odinn.Parameter(1e-16, (1e-18, 1e-14), "log"),
        C=odinn.Parameter(1e-3, (1e-6, 1e-1), "log", "cell"),
    ),
    odinn.TemperatureIndex(odinn.Parameter(4e-3, (1e-3, 1e-2)), 2.0),
)
X, Y = 501_000.0 + np.array([410.0, 730.0, 860.0]), 5_198_900.0 + np.array([40.0, -170.0, 260.0])
PLACE = {"x": X, "y": Y}
HALVES = [(2000.0, 2000.5), (2000.25, 2001.0)]
CHECKERS = np.indices((24, 30)).sum(axis=0) % 2 == 0
losses = odinn.losses
LOSSES = {
    "thickness at points": losses.Thickness(
        points=PLACE
        | {"thickness": [90.0, 70.0, 80.0], "date": ["2000-03-01", "2000-12-01", "2000-03-01"]},
        error=2.0,
    ),
    "velocity at points": losses.Velocity(
        "xy", points=PLACE | {"vx": [9.0, 8, 7], "vy": [1.0, -1, 0]}
    ),
    "mean velocity at points": losses.Velocity(
        points=PLACE
        | {
            "speed": [9.0, 8, 7],
            "start": [2000.0, 2000.0, 2000.25],
            "end": [2000.5, 2000.5, 2001.0],
        }
    ),
    "mean velocities, half of the cells": losses.Velocity(
        "log", period=HALVES, where=CHECKERS, error=0.2
    ),
    "mean components": losses.Velocity("xy", period=(2000.0, 2000.5), margin=2),
    "elevation change at points": losses.ElevationChange(
        points=PLACE | {"value": [-3.0, -2.0, -2.5]}
    ),
    "elevation changes": losses.ElevationChange(period=HALVES, mean=True),
    "balances": losses.MassBalance(target=[-2.0, -1.0], period=HALVES),
    "smooth velocity": losses.SmoothVelocity(at=[2000.5, 2001.0], margin=2),
}


@pytest.fixture(scope="module")
def twin(slab):
    truth = odinn.Model(odinn.SIA2D(A=3e-16, C=2e-3), odinn.TemperatureIndex(5e-3, 2.0))
    return odinn.synthetic_observations(
        truth, slab, SPAN, of=("thickness", "velocity", "elevation_change")
    )[0]


def test_the_gradient_of_all_losses_together_is_that_of_the_steps_that_ran(twin):
    assert not wrong_derivatives(MODEL, [twin], sum(LOSSES.values()), SPAN, bar=BAR)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_each_loss_is_that_of_the_steps_that_ran(twin, name):
    assert not wrong_derivatives(MODEL, [twin], LOSSES[name], SPAN, bar=BAR)
