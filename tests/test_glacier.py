"""A glacier and what replace keeps."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.glacier import geometry


def test_new_thickness_keeps_the_bed_or_the_surface(slab):
    thicker = slab.thickness * 1.5
    over_bed = slab.replace(thickness=thicker)
    assert (over_bed.bed == slab.bed).all()
    np.testing.assert_allclose(over_bed.surface - slab.surface, thicker - slab.thickness, atol=1e-9)
    under_surface = slab.replace(thickness=thicker, keep="surface")
    np.testing.assert_allclose(under_surface.surface, slab.surface, atol=1e-9)


def test_new_bed_keeps_the_surface_or_the_thickness(slab):
    lower = slab.bed - 20.0
    np.testing.assert_allclose(slab.replace(bed=lower).surface, slab.surface, atol=1e-9)
    assert (slab.replace(bed=lower, keep="thickness").thickness == slab.thickness).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thickness": -1.0}, "negative thickness"),
        ({"thickness": np.nan}, "thickness is not finite in 720 cells"),
        ({"thickness": 1.0, "keep": "thickness"}, "expected 'bed' or 'surface'"),
        ({"bed": 4000.0}, "rises above the surface"),
        ({"bed": 1.0, "thickness": 1.0}, "not both"),
        ({"keep": "bed"}, "needs thickness= or bed="),
    ],
)
def test_a_replacement_that_makes_no_sense_is_an_error(slab, change, message):
    with pytest.raises(InputError, match=message):
        slab.replace(**change)


def test_a_field_of_the_wrong_shape_is_an_error(slab):
    with pytest.raises(InputError, match=r"bed has shape \(3, 3\), expected \(24, 30\)"):
        odinn.Glacier("x", "x", slab.grid, np.zeros((3, 3)), slab.thickness, slab.mask)


def with_more_ice(glacier, metres):
    """The glacier with its learned thickness moved by metres in ``raw`` where there is ice."""
    learned = glacier.thickness
    (raw,) = learned.raw.values()
    raised = jnp.where(glacier.mask, raw + metres, raw)
    moved = dataclasses.replace(learned, raw={glacier.rgi_id: raised})
    return glacier.with_parameter("thickness", moved)


@pytest.fixture
def learned(slab):
    """A slab whose thickness is learned under a kept surface."""
    guess = odinn.Parameter(slab.thickness, per="cell")
    return slab.replace(thickness=guess, keep="surface")


@pytest.mark.parametrize("change", ["climate", "observations", "both"])
def test_a_learned_thickness_keeps_its_surface_when_something_else_is_replaced(
    slab, learned, change
):
    new = {"climate": slab.climate.shift(temp=1.0), "observations": odinn.Observations()}
    if change != "both":
        new = {change: new[change]}
    after = with_more_ice(learned.replace(**new), 5.0)
    np.testing.assert_allclose(after.surface, slab.surface, atol=1e-9)  # round-off at 2600 m
    thicker = geometry(after)[1] - slab.thickness
    np.testing.assert_allclose(thicker[slab.mask], 5.0, atol=1e-9)


def test_a_new_climate_leaves_all_else_of_a_glacier_as_it_is(slab, learned):
    noted = dataclasses.replace(learned, provenance={"source": "made", "thickness": "learned"})
    warmer = noted.replace(climate=slab.climate.shift(temp=1.0))
    for field in dataclasses.fields(odinn.Glacier):
        if field.name not in ("climate", "provenance"):
            assert getattr(warmer, field.name) is getattr(noted, field.name), field.name
    assert warmer.provenance == noted.provenance | {"climate": str(warmer.climate)}


def test_a_plain_thickness_in_place_of_a_learned_one_keeps_the_present_bed_or_surface(
    slab, learned
):
    present = with_more_ice(learned, 5.0)
    bed, thickness = geometry(present)
    over_bed = present.replace(thickness=slab.thickness)
    np.testing.assert_allclose(over_bed.bed, bed, atol=1e-9)
    assert over_bed.kept_surface is None
    under_surface = present.replace(thickness=slab.thickness, keep="surface")
    np.testing.assert_allclose(under_surface.surface, bed + thickness, atol=1e-9)


@pytest.mark.parametrize("keep", ["bed", "surface"])
def test_the_part_that_follows_what_is_learned_is_plain(slab, keep):
    first = slab.replace(bed=odinn.Parameter(slab.bed, per="cell"), keep="surface")
    both = first.replace(thickness=odinn.Parameter(slab.thickness, per="cell"), keep=keep)
    moved = with_more_ice(both, 5.0)
    np.testing.assert_allclose((geometry(moved)[1] - slab.thickness)[slab.mask], 5.0, atol=1e-9)
    rise = 5.0 if keep == "bed" else 0.0
    np.testing.assert_allclose((moved.surface - slab.surface)[slab.mask], rise, atol=1e-9)


def test_a_settled_glacier_is_plain_and_has_all_the_rest(slab, learned):
    settled = with_more_ice(learned, 5.0).without_parameters()
    assert isinstance(settled.bed, np.ndarray)
    assert isinstance(settled.thickness, np.ndarray)
    assert settled.kept_surface is None
    assert settled.climate is slab.climate
    assert settled.observations is learned.observations
    assert settled.provenance == learned.provenance
    assert slab.without_parameters() is slab
