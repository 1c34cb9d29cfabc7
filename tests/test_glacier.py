"""A glacier and what replace keeps."""

import numpy as np
import pytest

import odinn
from odinn.errors import InputError


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
