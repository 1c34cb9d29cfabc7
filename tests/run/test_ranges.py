"""A law that is used beyond the range of its inputs is said, with where and how often."""

import re
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.climate import months_between
from odinn.errors import InputError
from odinn.physics.laws.coverage import beyond_ranges
from odinn.run.ranges import ranges_left

inputs = odinn.inputs
SPAN = (2001.0, 2002.0)


def beyond(item, slab, states=None, span=SPAN):
    law = odinn.bind(model(item), slab).flow.A
    return beyond_ranges(law, slab, states or [slab.thickness], months_between(*span))


def model(item):
    law = odinn.laws.Neural([item], bounds=(1e-17, 1e-15), hidden=(2,))
    return odinn.Model(odinn.SIA2D(A=law), None)


def test_the_share_of_cells_is_that_with_ice_where_the_input_leaves_its_range(slab):
    four = slab.thickness
    corners = 0.25 * (four[1:, 1:] + four[:-1, 1:] + four[1:, :-1] + four[:-1, :-1])
    there = corners[corners >= 1.0]
    (found,) = beyond(inputs.IceThickness(range=(20.0, 80.0)), slab)
    assert found.share == pytest.approx(((there < 20) | (there > 80)).mean())
    assert (found.lowest, found.highest) == pytest.approx((there.min(), there.max()))
    text = "input 'ice thickness', 20 to 80 m, on .*% of the cells with ice: it is .* to 119"
    assert re.search(text, str(found))


def test_states_later_in_a_run_count_too(slab):
    item = inputs.IceThickness(range=(0.0, 150.0))
    assert beyond(item, slab) == []
    (found,) = beyond(item, slab, [slab.thickness, 2.0 * slab.thickness])
    assert 0 < found.share < 0.5


@pytest.mark.parametrize(
    "item",
    [
        inputs.Altitude(),
        inputs.LongTermTemperature(),
        inputs.MonthlyTemperature(per="cell"),
        inputs.SurfaceSlope(range=(0.0, 2.0)),
    ],
    ids=lambda item: type(item).__name__,
)
def test_on_the_glaciers_that_made_the_ranges_no_law_leaves_them(slab, item):
    assert beyond(item, slab, span=(2001.0, 2004.0)) == []


def test_a_warmer_climate_leaves_the_range_in_its_warmest_months(slab):
    item = inputs.MonthlyTemperature(per="cell")
    law = odinn.bind(model(item), slab).flow.A
    warmer = slab.replace(climate=slab.climate.shift(temp=8.0))
    months = months_between(*SPAN)
    (found,) = beyond_ranges(law, warmer, [slab.thickness], months)
    values = item.in_months(warmer, months)[:, slab.mask]
    assert found.share == pytest.approx((values > law.range_of(0)[1]).mean(), abs=0.05)
    assert 0.05 < found.share < 0.6


def test_a_run_and_an_inversion_say_so(slab):
    narrow = model(inputs.IceThickness(range=(0.0, 60.0)))
    text = "TEST-00.00001: the law in flow.A is used outside the range of its input 'ice thickness'"
    with pytest.warns(UserWarning, match=f"^{text}"):
        odinn.simulate(narrow, slab, 2000.0, 2000.1)
    own = slab.replace(observations=odinn.Observations(thickness=np.asarray(slab.thickness)))
    with pytest.warns(UserWarning, match=f"^invert: {text}"):
        odinn.invert(
            narrow,
            own,
            odinn.losses.Thickness(),
            (2000.0, 2000.1),
            optimizer=odinn.optimizers.adam(0.01, 1),
            progress=False,
        )


def test_a_law_within_its_ranges_says_nothing(slab):
    wide = odinn.bind(model(inputs.IceThickness(range=(0.0, 200.0))), slab)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ranges_left(wide, slab, [slab.thickness], SPAN) == []
        assert ranges_left(odinn.Model(odinn.SIA2D(), None), slab, [slab.thickness], SPAN) == []


@pytest.mark.parametrize(
    "wrong", [(5.0, 5.0), (3.0, 1.0), (0.0, np.inf), (np.nan, 1.0), (1.0,), "wide", {"low": 0}]
)
def test_a_range_without_width_is_refused_where_it_is_given(wrong):
    with pytest.raises(InputError, match="range=.*expected"):
        inputs.IceThickness(range=wrong)


class Own(inputs.FixedInput):
    """An input that looks at nothing when it is made."""

    range: tuple = (2.0, 2.0)
    label = "own"
    unit = "1"

    def field(self, glacier):
        return glacier.surface


def test_a_range_without_width_of_an_input_of_ones_own_is_refused_where_the_law_is_made():
    with pytest.raises(InputError, match=r"range=\(2, 2\): expected finite low < high"):
        odinn.laws.Basis([Own()], bounds=(1e-17, 1e-15))


def test_a_range_may_be_given_as_an_array():
    assert inputs.IceThickness(range=jnp.array([0.0, 3.0])).range.tolist() == [0.0, 3.0]
