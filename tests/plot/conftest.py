"""One short run for all figures that only have to show what it did."""

import pytest

import odinn


@pytest.fixture(scope="session")
def slab_run(slab):
    model = odinn.Model(odinn.SIA2D(A=5e-17), odinn.LinearBalance(gradient=0.02, ela=2680.0))
    return odinn.simulate(model, slab, 2000.0, 2003.0, save_every=0.5)
