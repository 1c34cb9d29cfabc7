"""Parameters: bounds, scales, sharing."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odinn
from odinn.errors import InputError
from odinn.glacier import geometry
from odinn.numbers.parameter import Parameter


@settings(deadline=None)
@given(st.floats(1e-3, 0.999), st.sampled_from(["linear", "log"]))
def test_a_value_inside_its_bounds_survives_the_way_to_the_unconstrained_scale(share, scale):
    low, high = 1e-18, 1e-15
    value = low * (high / low) ** share if scale == "log" else low + share * (high - low)
    p = Parameter(value, (low, high), scale).allocated({"g": (2, 2)}, "x")
    assert float(p.physical()) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initial": 2.0, "bounds": (0.0, 1.0)}, "not strictly inside"),
        ({"initial": 1.0, "bounds": (0.0, 1.0)}, "not strictly inside"),
        ({"initial": 0.5, "bounds": (1.0, 0.0)}, "first has to be below"),
        ({"initial": 0.5, "bounds": (0.0, 1.0), "scale": "log"}, "two positive bounds"),
        ({"initial": 0.5, "scale": "cubic"}, "expected 'log' or 'linear'"),
        ({"initial": 0.5, "per": "valley"}, "expected 'all', 'glacier' or 'cell'"),
        ({"initial": np.ones((2, 2))}, "initial has to be one number"),
        ({"initial": np.nan}, "not strictly inside"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_an_error(arguments, message):
    with pytest.raises(InputError, match=message):
        Parameter(**arguments)


def test_a_scale_that_is_left_out_is_that_of_the_slot(slab):
    positive, open_ended = (1e-18, 1e-16), (0.0, None)
    model = odinn.Model(
        odinn.SIA2D(A=Parameter(1e-17, positive), C=Parameter(0.5, open_ended)),
        odinn.TemperatureIndex(Parameter(5e-3, (1e-3, 1e-2)), Parameter(2.0, (1.0, 3.0), "log")),
    )
    bound = odinn.bind(model, slab)
    assert bound.flow.A.scale == "log"
    assert bound.flow.C.scale == "linear"  # there is no logarithm without two positive bounds
    assert bound.mass_balance.melt_factor.scale == "linear"
    assert bound.mass_balance.precip_factor.scale == "log"
    learned = slab.replace(thickness=Parameter(slab.thickness, (0, None), per="cell"))
    assert learned.thickness.scale == "linear"
    for slot in odinn.bind(model, slab).slots().values():
        if slot.is_learned:
            assert float(slot.value.physical()) == pytest.approx(float(slot.value.initial))


def test_raw_numbers_without_their_scale_are_refused():
    with pytest.raises(InputError, match="say on which scale"):
        Parameter(1e-17, (1e-18, 1e-16), raw=np.zeros(()))


def test_each_kind_of_sharing_has_its_own_arrays(slab):
    shapes = {"all": (), "glacier": (), "cell": slab.grid.corner_shape}
    for per, shape in shapes.items():
        model = odinn.bind(
            odinn.Model(odinn.SIA2D(A=Parameter(1e-17, (1e-18, 1e-16), "log", per))), slab
        )
        raw = model.flow.A.raw if per == "all" else model.flow.A.raw[slab.rgi_id]
        assert raw.shape == shape
        params, static = odinn.trainable(model, slab)
        assert [leaf.shape for leaf in jax.tree.leaves(params)] == [shape]
        whole, (glacier,) = odinn.combine(params, static)
        assert jax.tree.structure(whole) == jax.tree.structure(model)
        assert glacier.rgi_id == slab.rgi_id


def test_binding_twice_changes_nothing(slab):
    model = odinn.bind(odinn.Model(odinn.SIA2D(A=Parameter(1e-17, (1e-18, 1e-16), "log"))), slab)
    again = odinn.bind(model, slab)
    assert jax.tree.leaves(again) == jax.tree.leaves(model) or all(
        np.array_equal(a, b)
        for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(model), strict=True)
    )


def test_a_parameter_in_a_slot_gives_the_same_run_as_its_number(slab):
    number = odinn.simulate(
        odinn.Model(odinn.SIA2D(A=3e-17), None), slab, 2000.0, 2002.0, save_every=1.0
    )
    parameter = odinn.bind(
        odinn.Model(odinn.SIA2D(A=Parameter(3e-17, (1e-18, 1e-16), "log")), None), slab
    )
    learned = odinn.simulate(parameter, slab, 2000.0, 2002.0, save_every=1.0)
    np.testing.assert_allclose(learned.thickness, number.thickness, rtol=1e-10)


def test_a_run_binds_what_is_not_bound(slab):
    bounds = (1e-18, 1e-16)
    run = lambda A: odinn.simulate(
        odinn.Model(odinn.SIA2D(A=A), None), slab, 2000.0, 2000.5, save_every=0.5
    )
    number = run(1e-17).thickness
    np.testing.assert_allclose(run(Parameter(1e-17, bounds)).thickness, number, rtol=1e-10)
    law = odinn.laws.Basis(
        [odinn.inputs.Altitude()], bounds, size=5
    )  # zero weights: the middle of the bounds
    np.testing.assert_allclose(run(law).thickness, number, rtol=1e-10)


def test_a_learned_thickness_is_exactly_zero_outside(slab):
    g = slab.replace(thickness=Parameter(slab.thickness, (0, None), per="cell"), keep="bed")
    bed, thickness = geometry(g)
    assert (np.asarray(thickness)[~slab.mask] == 0).all()
    np.testing.assert_allclose(
        np.asarray(thickness)[slab.mask], np.maximum(slab.thickness, 0.01)[slab.mask], rtol=1e-9
    )
    assert (np.asarray(bed) == slab.bed).all()
    kept = slab.replace(
        thickness=Parameter(slab.thickness * 0.8, (0, None), per="cell"), keep="surface"
    )
    np.testing.assert_allclose(kept.surface[slab.mask], slab.surface[slab.mask], atol=1e-9)
