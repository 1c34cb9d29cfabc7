"""Pictures of an inversion."""

import numpy as np
import pytest

from odinn.cli import pictures


@pytest.mark.parametrize("kind", ["thickness", "velocity"])
def test_data_model_and_residuals_are_drawn_on_the_same_cells(slab, kind):
    there = slab.mask.copy()
    there[:, :14] = False  # half of the glacier was measured
    there[2, 20] = True  # and a place where the model has no ice
    modelled = np.where(slab.mask, 20.0, 0.0)
    observed = np.where(there, 25.0 + np.arange(30.0), np.nan)
    figure = pictures.misfit_map(kind, slab, observed, modelled, 1.5 * modelled)
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title().split(":")[0] for ax in panels] == [
        "observed",
        "modelled",
        "before",
        "after",
    ]
    for ax in panels:
        np.testing.assert_array_equal(~np.ma.getmaskarray(ax.images[1].get_array()), there)
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in panels}) == 1
