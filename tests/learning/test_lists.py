"""Gradients of lists: unlike glaciers go through few programs together, on parts of their grids,
and what comes out is the sum of what each gives alone on the whole of its own.
"""

import dataclasses

import jax
import numpy as np
import pytest

import odinn
from odinn.errors import SolverError
from odinn.learning.evaluation import Runs, value_of
from odinn.learning.misfit import compiled_gradient
from odinn.learning.terms import AbstractLoss
from odinn.model.frame import MARGINS
from tests.run.slopes import slope

SPAN = (2000.0, 2000.5)
TRUTH = odinn.Model(odinn.SIA2D(A=8e-17), odinn.TemperatureIndex(melt_factor=4e-3))
FACTOR = odinn.Parameter(5e-3, (1e-3, 1e-2))
MODEL = odinn.Model(
    odinn.SIA2D(A=odinn.Parameter(4e-17, (1e-18, 1e-15), "log", "cell")),
    odinn.TemperatureIndex(
        melt_factor=FACTOR, precip_factor=odinn.Parameter(1.0, (0.5, 2.0), "linear", "glacier")
    ),
)
LOSS = (
    odinn.losses.Thickness()
    + 0.1 * odinn.losses.Velocity(component="xy")
    + odinn.losses.MassBalance(target=-1.0)
    + 0.01 * odinn.losses.SmoothVelocity()
)


@pytest.fixture(scope="module")
def twins():
    """Three that are longer than high, of unlike spacing, and one with much ground without ice."""
    made = []
    for k in range(4):
        shape, border = ((24, 36), 0) if k < 3 else ((26, 24), 9)
        one = slope(shape, dx=36.0 + 4.0 * k, border=border, rgi_id=f"slope-{k}")
        made.append(odinn.synthetic_observations(TRUTH, one, SPAN)[0])
    return made


def alone(objective, number):
    """(value, gradient) of one glacier by the program for one, on the whole of its grid."""
    glacier, misfit = objective.glaciers[number], objective.misfits[number]
    local = objective.local(objective.params, glacier)
    record = value_of(misfit, local, glacier)[2]
    sized = dataclasses.replace(misfit, buffers=misfit.needs(record))
    (value, _), slope = compiled_gradient(sized, local)
    return float(value), slope


def test_the_gradient_of_a_list_is_the_sum_of_those_of_its_glaciers(twins):
    whole = odinn.objective(MODEL, twins, LOSS, SPAN)
    runs = Runs(whole)
    each, gradient = runs.gradients(whole.params)
    own, pull = jax.vjp(lambda params: whole.locals(params, range(len(twins))), whole.params)
    expected = [alone(whole, number) for number in range(len(twins))]
    for found, (value, _) in zip(each, expected, strict=True):
        assert found.value == pytest.approx(value, rel=1e-11)
    (total,) = pull([slope for _, slope in expected])
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(total), strict=True):
        # round-off of sums in another order, over the steps
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * np.abs(b).max())
    frames = [laid.frame for laid in runs.laid]
    assert any(frame.turned for frame in frames)
    assert any(frame.near_cut is not None for frame in frames)
    # three in a batch of four places, of which one is idle
    assert len(set(runs._programs)) == 2
    assert len(own) == len(twins)


def test_what_a_run_needs_of_the_grid_grows_with_the_ice():
    # thick ice on a gentle slope comes to the edge of the first crop
    glacier = slope((28, 90), thickness=160.0, dx=25.0, length=0.3)
    model = odinn.Model(odinn.SIA2D(A=6e-16), None)
    twin = odinn.synthetic_observations(model, glacier, (2000.0, 2003.0), of=("thickness",))[0]
    rate = odinn.Parameter(5e-16, (1e-18, 1e-14), "log")
    learned = odinn.Model(odinn.SIA2D(A=rate), None)
    whole = odinn.objective(learned, twin, odinn.losses.Thickness(), (2000.0, 2003.0))
    runs = Runs(whole)
    before = runs.laid[0].frame
    found, gradient = runs.gradients(whole.params)
    assert runs._margins[0][0] == MARGINS[1]
    assert runs.laid[0].frame.columns[1] > before.columns[1]
    value, slope_ = alone(whole, 0)
    assert found[0].value == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(gradient[0].flow.A.raw, slope_[0].flow.A.raw, rtol=1e-10)
    # a prepared objective has the part of the grid that its run needed
    ready = whole.prepare()
    assert ready.ready[0].frame == runs.laid[0].frame


def test_a_run_that_fails_is_named(twins):
    wild = twins[2].replace(thickness=np.where(twins[2].mask, 4000.0, 0.0), keep="bed")
    glaciers = [twins[0], wild, twins[3]]
    with pytest.raises(SolverError, match="slope-2: the thickness stopped being finite"):
        odinn.value_and_gradient(MODEL, glaciers, odinn.losses.Thickness(), SPAN)


class Corner(AbstractLoss):
    """The thickness in a corner of the grid, far from the ice; says nothing of frames."""

    name = "corner"

    def stops(self, glacier, period):
        return (period[1],)

    def targets(self, glacier, period, index):
        return np.array([index(period[1])])

    def residuals(self, outcome, targets):
        return outcome.thickness_at(targets)[0, 0, 0] - 1.0

    def count(self, targets):
        return 1


def test_a_loss_that_does_not_say_where_its_data_lie_sees_the_whole_grid(twins):
    whole = odinn.objective(MODEL, twins[3], Corner(), SPAN)
    runs = Runs(whole)
    assert runs.laid[0].frame.is_plain
    assert runs.values(whole.params)[0].value == 1.0


def test_points_are_read_where_they_are_on_any_part_of_the_grid(twins):
    wide = twins[2]
    x, y = np.meshgrid(wide.grid.x[4:-4:3], wide.grid.y[6:-6:4])
    inside = wide.mask[6:-6:4, 4:-4:3]
    table = {"x": x[inside] + 11.0, "y": y[inside] - 7.0, "thickness": np.full(inside.sum(), 50.0)}
    losses = odinn.losses.Thickness(points=table) + odinn.losses.Velocity(
        component="xy", points={**table, "vx": table["thickness"], "vy": table["thickness"]}
    )
    whole = odinn.objective(MODEL, wide, losses, SPAN)
    runs = Runs(whole)
    assert runs.laid[0].frame.turned
    values = runs.values(whole.params)[0].terms
    plain = value_of(whole.misfits[0], whole.local(whole.params, wide), wide)[1]
    np.testing.assert_allclose(values, plain, rtol=1e-12)
    far = {name: np.append(column, 0.0) for name, column in table.items()}
    far["x"][-1], far["y"][-1] = wide.grid.x[-1], wide.grid.y[-1]
    beyond = odinn.objective(MODEL, wide, odinn.losses.Thickness(points=far), SPAN)
    frame = Runs(beyond).laid[0].frame
    assert frame.is_plain or frame.within.sum() == wide.mask.size
