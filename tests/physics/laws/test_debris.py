"""A melt factor that debris lowers."""

import numpy as np
import pytest

import odinn
from odinn.errors import InputError


def test_ice_under_debris_melts_by_its_share_and_ice_beyond_the_outline_by_its_own_factor():
    law = odinn.laws.DebrisCover(bare=5e-3, share=0.2, top=1500.0, outside=0.1)
    low, middle, high, far = np.asarray(law([0.0, 1500.0, 3000.0, 1e5], 1.0))
    assert (low, middle) == pytest.approx((1e-3, 3e-3), rel=1e-9)
    assert (high, far) == pytest.approx((5e-3, 5e-3), rel=1e-9)
    assert float(law(0.0, 0.0)) == 0.1
    assert float(odinn.laws.DebrisCover(5e-3, 0.2, 1500.0)(0.0, 0.0)) == 5e-3


def test_on_a_glacier_it_follows_the_initial_surface_and_survives_a_file(slab, tmp_path):
    law = odinn.laws.DebrisCover(bare=5e-3, share=0.2, top=float(np.median(slab.surface)))
    field = np.asarray(law(*(item.field(slab) for item in law.inputs)))
    assert field[slab.mask].min() < 0.3 * law.bare
    assert (field[~slab.mask] == law.bare).all()
    model = odinn.Model(None, odinn.TemperatureIndex(melt_factor=law))
    shielded = odinn.simulate(model, slab, 2000, 2001, progress=False)
    same = odinn.TemperatureIndex(melt_factor=field)
    by_field = odinn.simulate(odinn.Model(None, same), slab, 2000, 2001, progress=False)
    np.testing.assert_allclose(shielded.thickness, by_field.thickness, rtol=1e-12, atol=1e-12)
    back = odinn.load(odinn.save(shielded, tmp_path / "run.nc"))
    assert back.model.mass_balance.melt_factor == law


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bare": -1.0}, r"DebrisCover\(bare=-1.0\)"),
        ({"share": 1.5}, r"DebrisCover\(share=1.5\)"),
        ({"width": 0.0}, r"DebrisCover\(width=0.0\)"),
        ({"outside": np.nan}, r"DebrisCover\(outside=nan\)"),
    ],
)
def test_numbers_that_make_no_cover_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        odinn.laws.DebrisCover(**({"bare": 5e-3, "share": 0.2, "top": 1500.0} | change))
