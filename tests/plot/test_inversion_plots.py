"""Pictures of an inversion."""

import numpy as np
import pytest

import odinn
from odinn.plot import learned


@pytest.mark.parametrize("kind", ["thickness", "velocity"])
def test_data_model_and_residuals_are_drawn_on_the_same_cells(slab, kind):
    there = slab.mask.copy()
    there[:, :14] = False  # half of the glacier was measured
    there[2, 20] = True  # and a place where the model has no ice
    modelled = np.where(slab.mask, 20.0, 0.0)
    observed = np.where(there, 25.0 + np.arange(30.0), np.nan)
    figure = learned.misfit_map(kind, slab, observed, modelled, 1.5 * modelled)
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


def test_an_inversion_is_drawn_in_a_notebook_from_the_fit_alone(slab):
    balance = odinn.TemperatureIndex(4e-3, 2.0)
    truth = odinn.Model(odinn.SIA2D(A=3e-16), balance)
    twin = odinn.synthetic_observations(truth, slab, (2000.0, 2000.5))[0]
    rate = odinn.Parameter(1e-16, (1e-18, 1e-14), "log", per="cell")
    model = odinn.Model(odinn.SIA2D(A=rate), balance)
    loss = odinn.losses.Thickness() + odinn.losses.Velocity()
    fit = odinn.invert(model, twin, loss, (2000.0, 2000.5), optimizer=odinn.optimizers.adam(0.1, 1))
    figures = odinn.plot.inversion(fit)
    own = [f"{twin.rgi_id}/{name}" for name in ("flow.A", "thickness", "velocity")]
    assert set(figures) == {"history", *own}
    # the model after the inversion is the run that the fit makes
    (sim,) = fit.simulate(save_every=0.5, progress=False)
    panels = {ax.get_title(): ax for ax in figures[own[1]].axes if ax.get_title()}
    drawn = panels["modelled"].images[1].get_array()
    there = ~np.ma.getmaskarray(drawn)
    np.testing.assert_allclose(drawn[there], sim.thickness[-1][::1][there], rtol=1e-6)
    # with the start, residuals before it are there, too; data of the start need no run
    dates = {twin.rgi_id: {"velocity": 2000.0, "thickness": 2000.5}}
    figures = odinn.plot.inversion(fit, start=(odinn.bind(model, [twin]), [twin]), dates=dates)
    titles = [ax.get_title().split(":")[0] for ax in figures[own[1]].axes if ax.get_title()]
    assert titles == ["observed", "modelled", "before", "after"]
    speed = {ax.get_title(): ax for ax in figures[own[2]].axes}["modelled"].images[1].get_array()
    there = ~np.ma.getmaskarray(speed)
    (sim,) = fit.simulate(save_every=0.5, progress=False)
    lowest = speed.min()  # colours are by logarithm: what is below the last one has it
    want = np.maximum(sim.velocity()[2][0], lowest)
    np.testing.assert_allclose(speed[there], want[there], rtol=1e-6)
