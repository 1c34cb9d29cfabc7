"""Spacings are numbers like any other: glaciers of one shape share a program."""

import dataclasses

import numpy as np
import pytest

import odinn
from odinn.learning.misfit import compiled_gradient, compiled_value
from odinn.run.march import march
from tests.conftest import make_slab

SPACINGS = [90.0 + i for i in range(20)]  # m
SPAN = (2000.0, 2000.25)


def slabs():
    """The same fields on grids with spacings of their own, in x and in y."""
    slab = make_slab()
    for i, dx in enumerate(SPACINGS):
        grid = dataclasses.replace(slab.grid, dx=dx, dy=dx + 1.0)
        observed = odinn.Observations(thickness=slab.thickness + 1.0)
        yield odinn.Glacier(
            f"slab-{i}", "", grid, slab.bed, slab.thickness, slab.mask, slab.climate, observed
        )


def programs(function):
    return function._cached._cache_size()


def test_twenty_spacings_compile_what_one_does():
    model = odinn.Model(mass_balance=odinn.TemperatureIndex(4e-3, 2.5))
    first, *others = slabs()
    speeds = [odinn.simulate(model, first, *SPAN).velocity()[2][-1].max()]
    before = programs(march)
    for slab in others:
        speeds.append(odinn.simulate(model, slab, *SPAN).velocity()[2][-1].max())
    assert programs(march) == before
    # slopes fall with 1/dx, creep with their third power: the spacings do act
    assert speeds[-1] < 0.8 * speeds[0]
    assert np.all(np.diff(speeds) < 0)


def test_twenty_spacings_compile_the_gradient_of_one():
    rate = odinn.Parameter(4e-17, (1e-18, 1e-15), "log")
    model = odinn.Model(odinn.SIA2D(A=rate), odinn.TemperatureIndex(4e-3, 2.5))
    gradient = lambda slab: odinn.value_and_gradient(model, slab, odinn.losses.Thickness(), SPAN)
    first, *others = slabs()
    values = [gradient(first)[0]]
    before = programs(compiled_value), programs(compiled_gradient)
    values += [gradient(slab)[0] for slab in others]
    assert (programs(compiled_value), programs(compiled_gradient)) == before
    assert len(set(values)) == len(values)


def test_a_gradient_on_cells_that_are_no_squares_is_that_of_differences():
    *_, slab = slabs()
    grid = dataclasses.replace(slab.grid, dy=130.0)
    slab = dataclasses.replace(slab, grid=grid)
    rate = odinn.Parameter(4e-17, (1e-18, 1e-15), "log")
    model = odinn.Model(odinn.SIA2D(A=rate), None)
    derivative = lambda method: float(
        odinn.value_and_gradient(model, slab, odinn.losses.Thickness(), SPAN, method=method)[1][
            0
        ].flow.A.raw
    )
    assert derivative("discrete") == pytest.approx(derivative("forward"), rel=1e-11)
