"""What is printed is what was called, with its numbers."""

import re

import jax
import numpy as np
import pytest

import odinn

BOUNDS = (1e-18, 1e-15)


def law():
    return odinn.laws.Neural(
        [odinn.inputs.LongTermTemperature(per="cell")], bounds=BOUNDS, hidden=(2,)
    )


def test_a_model_of_numbers_prints_as_a_call_that_makes_it_again():
    balance = odinn.TemperatureIndex(
        melt_factor=0.00388, precip_factor={"a": 2.5, "b": 1.5}, accumulation_threshold=None
    )
    for model in (
        odinn.Model(odinn.SIA2D(C=1e-3, q=1.0), balance),
        odinn.Model(flow=None),
        odinn.Model(),
    ):
        names = {name: getattr(odinn, name) for name in ("Model", "SIA2D", "TemperatureIndex")}
        floats = re.sub(
            r"(?<=[=( ])(\d+)(?=[,)])", r"\1.0", repr(model)
        )  # beartype, in tests, wants them
        again = eval(floats, names)
        assert repr(again) == repr(model)
        assert jax.tree.all(jax.tree.map(np.array_equal, again, model))


def test_fields_weights_and_many_glaciers_print_by_their_range(slab):
    field = np.linspace(1e-17, 8e-17, 23 * 29).reshape(23, 29)
    factors = {f"glacier {i}": 2.0 + i for i in range(100)}
    text = repr(
        odinn.Model(odinn.SIA2D(A=field, C=law()), odinn.TemperatureIndex(precip_factor=factors))
    )
    assert "A=<field 23x29, 1e-17 to 8e-17>" in text
    assert "weights=<7 numbers, " in text
    assert "precip_factor=<100 glaciers: 100 numbers, 2 to 101>" in text
    gaps = np.where(slab.mask, 50.0, np.nan)
    seen = repr(
        slab.replace(observations=odinn.Observations(thickness=gaps, dates={"thickness": 2003.0}))
    )
    assert "thickness=<field 24x30, 0 to 119" in seen
    assert f"mask=<field 24x30, {slab.mask.sum()} True>" in seen
    assert "climate=<made (daily, 2000-01 to 2003-12, 2500 m)>" in seen
    assert (
        f"thickness=<field 24x30, 50, {np.isnan(gaps).mean():.0%} missing>, "
        f"dates={{'thickness': 2003}}" in seen
    )
    assert "kept_surface" not in seen


def test_a_parameter_prints_its_bounds_and_where_it_is_now(slab):
    start = odinn.Parameter(1e-16, BOUNDS, "log", per="glacier")
    assert (
        repr(start) == "Parameter(initial=1e-16, bounds=(1e-18, 1e-15), scale='log', per='glacier')"
    )
    moved = jax.tree.map(lambda raw: raw + 1.0, odinn.bind(odinn.Model(odinn.SIA2D(A=start)), slab))
    (now,) = moved.flow.A.physical().values()
    assert f"now={{'{slab.rgi_id}': {float(now):.7g}}}" in repr(moved)
    field = odinn.bind(
        odinn.Model(odinn.SIA2D(A=odinn.Parameter(1e-16, BOUNDS, "log", "cell"))), slab
    )
    assert f"now={{'{slab.rgi_id}': <field 23x29, 1e-16>}}" in repr(field)


def test_what_has_lost_its_numbers_prints_too(slab):
    """Halves of a split model, traced models, and gradients, which are not converted to the unit of
    a parameter.
    """
    model = odinn.Model(odinn.SIA2D(A=odinn.Parameter(1e-16, BOUNDS, "log"), C=law()))
    params, static = odinn.trainable(model, slab)
    assert "raw=" in repr(params)
    assert "now=" not in repr(params)
    assert "raw" not in repr(static)
    seen = []
    jax.jit(lambda p: seen.append(repr(odinn.combine(p, static)[0])))(params)
    assert "now=f64[]" in seen[0]


def test_a_glacier_with_learned_ice_prints_its_present_ice(slab):
    learned = slab.replace(
        thickness=odinn.Parameter(slab.thickness, (0.0, None), per="cell"), keep="bed"
    )
    assert learned.volume == pytest.approx(
        slab.volume, rel=1e-6
    )  # a first guess of 0 inside starts at 0.01 m
    assert f"{slab.volume / 1e9:.3f} km3" in str(learned)
    assert "now={'TEST-00.00001': <field 24x30, 0.01 to 119" in repr(learned)
