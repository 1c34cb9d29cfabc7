"""Observations made by a model are what the losses on them look at."""

import dataclasses

import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from tests.conftest import make_slab

SPAN = (2000.0, 2001.0)
# of squared residuals, in units of 1 m, 1 m/yr, 0.1 m/yr: the losses add up in another order, and a
# run is computed on a part of the grid
ROUNDING = 1e-23
TRUTH = odinn.Model(odinn.SIA2D(A=3e-16), odinn.TemperatureIndex(2e-3, 3.0))
ALL = ("thickness", "velocity", "elevation_change", "geodetic")
losses = odinn.losses


@pytest.fixture(scope="module")
def small():
    return make_slab(10, 12, 240.0)


def misfit(model, glacier, loss):
    return odinn.misfits(model, glacier, loss, SPAN)[glacier.rgi_id]


@pytest.mark.parametrize(
    "over",
    [(2000.0, 2000.5), ("2000-02-10", "2000-04-21"), [(2000.0, 2000.25), (2000.1, 2001.0)]],
    ids=["whole months", "days", "two that overlap"],
)
def test_the_truth_has_no_misfit_with_means_over_intervals(small, over):
    (twin,) = odinn.synthetic_observations(TRUTH, small, SPAN, of=ALL, over=over)
    for loss in (losses.Velocity("xy"), losses.ElevationChange(), losses.MassBalance()):
        (value,) = misfit(TRUTH, twin, loss).values()
        assert value < ROUNDING
    (moment,) = odinn.synthetic_observations(TRUTH, small, SPAN, of=("velocity",))
    assert (
        misfit(TRUTH, moment, losses.Velocity(period=over))["velocity"] > 1e-6
    )  # the mean is not the end


def test_all_losses_together_see_no_misfit_where_they_stop_at_months(small):
    over = [(2000.0, 2000.5), (2000.25, 2001.0)]
    (twin,) = odinn.synthetic_observations(TRUTH, small, SPAN, of=ALL, over=over, at=2000.75)
    kinds = losses.Thickness() + losses.Velocity() + losses.ElevationChange() + losses.MassBalance()
    exact, wrong = (
        misfit(m, twin, kinds)
        for m in (TRUTH, odinn.Model(odinn.SIA2D(A=2e-16), TRUTH.mass_balance))
    )
    assert max(exact.values()) < ROUNDING
    assert all(wrong[kind] > 1e-10 for kind in ("thickness", "velocity", "elevation_change"))
    softer = odinn.Model(TRUTH.flow, odinn.TemperatureIndex(3e-3, 3.0))
    assert misfit(softer, twin, losses.MassBalance())["mass_balance"] > 1.0


def test_the_truth_has_no_misfit_under_a_prescribed_balance_where_ice_spreads(small):
    # outside the outline snow stays on ice that is thick at the start, and on no other
    glacier = dataclasses.replace(small, mask=small.thickness > 80.0)
    model = odinn.Model(odinn.SIA2D(A=3e-15), odinn.PrescribedBalance(4.0))
    dates = [2000.3, 2000.7, 2001.0]
    (twin,) = odinn.synthetic_observations(model, glacier, SPAN, of=("thickness",), at=dates)
    assert misfit(model, twin, losses.Thickness())["thickness"] < ROUNDING
    run = odinn.simulate(model, glacier, *SPAN, save_every=0.1)
    threshold = model.mass_balance.accumulation_threshold
    gains = run.thickness > threshold
    assert (gains[-1] & ~gains[0]).any()


def test_a_balance_is_that_of_the_run_inside_the_outline(small):
    (twin,) = odinn.synthetic_observations(
        TRUTH, small, SPAN, of=("geodetic",), noise={"geodetic": 0.1}, seed=3
    )
    (exact,) = odinn.synthetic_observations(TRUTH, small, SPAN, of=("geodetic",))
    sim = odinn.simulate(TRUTH, small, *SPAN, save_every=1.0)
    rate, first, last = exact.observations.geodetic
    assert (first, last) == SPAN
    assert rate == pytest.approx(sim.smb[-1][small.mask].mean(), rel=1e-12)
    draw = np.random.default_rng((3, 0)).normal()
    assert twin.observations.geodetic[0] == pytest.approx(rate * (1 + 0.1 * draw), rel=1e-12)
    assert exact.observations.speed is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"of": ("speed",)},
            "of='speed': expected 'thickness', 'velocity', 'elevation_change' or 'geodetic'",
        ),
        ({"over": (2000.5, 2001.5)}, "2001.5000 lies outside the period"),
        ({"at": 1999.0}, "1999.0000 lies outside the period"),
        ({"over": (2000.5, 2000.0)}, "not after its start"),
    ],
)
def test_what_cannot_be_made_is_an_error(small, arguments, message):
    with pytest.raises(InputError, match=message):
        odinn.synthetic_observations(TRUTH, small, SPAN, **arguments)


@pytest.mark.parametrize("part", ["thickness", "bed"])
def test_a_learned_glacier_is_observed_at_its_present_values_and_stays_learned(small, part):
    if part == "thickness":
        guess = odinn.Parameter(0.8 * small.thickness, per="cell")
        learned = small.replace(thickness=guess, keep="surface")
    else:
        learned = small.replace(bed=odinn.Parameter(small.bed - 15.0 * small.mask, per="cell"))
    of = ("thickness", "velocity", "geodetic")
    (twin,) = odinn.synthetic_observations(TRUTH, learned, SPAN, of=of)
    (plain,) = odinn.synthetic_observations(TRUTH, learned.without_parameters(), SPAN, of=of)
    for field in ("thickness", "vx", "vy", "speed"):
        np.testing.assert_array_equal(
            getattr(twin.observations, field), getattr(plain.observations, field)
        )
    assert twin.observations.geodetic == plain.observations.geodetic
    assert isinstance(getattr(twin, part), odinn.Parameter)
    np.testing.assert_array_equal(twin.kept_surface, learned.kept_surface)
    assert sum(misfit(TRUTH, twin, losses.Thickness()).values()) < ROUNDING
