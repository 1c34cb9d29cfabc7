"""ODINN's published monthly scheme, against a plain transcription of its description."""

import calendar
import datetime as dt

import numpy as np
import pytest

import odinn
from odinn.errors import InputError

DDF, FACTOR = 6e-3, 1.2


def by_hand(glacier, climate, t0, months):
    """Balance-only run: loops over months and days as described (Sleipnir.jl <= 0.14), in plain
    Python.
    """
    first = climate.first_month
    series = {}
    for row in range(len(climate.temp)):
        year, month = divmod(first + row, 12)
        for d in range(calendar.monthrange(year, month + 1)[1]):
            series[dt.date(year, month + 1, d + 1)] = (
                climate.temp[row, d],
                climate.precip[row, d],
                climate.gradient[row, d],
            )

    def date(t):
        year = int(np.floor(t + 1e-9))
        return dt.date(year, 1, 1) + dt.timedelta(
            days=round((t - year) * (366 if calendar.isleap(year) else 365))
        )

    lift = glacier.surface.mean() - climate.ref_height
    H = glacier.thickness.copy()
    inner = np.zeros(H.shape, bool)
    inner[1:-1, 1:-1] = True
    for k in range(1, months):  # none at the start, none at the end of the run
        t = t0 + k / 12
        day, last = date(t - 1 / 12), date(t)
        window = []
        while day <= last:
            window.append(series[day])
            day += dt.timedelta(days=1)
        T, P, g = np.array(window).T
        T = T + g * lift
        height = glacier.bed + np.maximum(H, 0) - climate.ref_height
        pdd = np.maximum(
            0,
            round(np.maximum(T, 0).sum(), 8) + round(np.clip(g, -0.009, -0.003).sum(), 8) * height,
        )
        mean = round(T.mean(), 8) + round(g.mean(), 8) * height
        snow = np.where(mean <= 0, round(P.sum(), 8), 0)
        m = FACTOR * snow / 1000 - DDF * pdd
        acts = inner & (((H > 0) & (m < 0)) | ((H > 10) & (m >= 0)))
        H = H + np.where(acts, m, 0)
    return H


def test_the_scheme_reproduces_its_description(slab):
    model = odinn.Model(None, odinn.OdinnBalance(DDF, FACTOR))
    sim = odinn.simulate(model, slab, 2001.0, 2003.0, coupling="jump")
    signed = np.asarray(sim.state.thickness)
    np.testing.assert_allclose(
        signed, by_hand(slab, slab.climate, 2001.0, 24), rtol=0, atol=1e-9
    )  # sums rounded to 1e-8
    assert (signed < 0).any()  # ablation is not limited to the ice there is; saved output is
    assert (sim.thickness >= 0).all()
    assert sim.relative_residual < 1e-12  # the budget of the signed state
    assert sim.budget["clipped"] == sim.budget["unmet_melt"] == 0
    assert sim.budget_series["ablation"][-1] == 0  # no event at the final time


def test_the_double_lapse_correction_is_colder_than_the_right_scheme(argentiere):
    """5.2 to 6.3 K on Argentière (data README), which shows as less melt."""
    months = np.arange(2010 * 12, 2015 * 12)
    parity = odinn.OdinnBalance().forcing(argentiere, months)
    right = odinn.TemperatureIndex().forcing(argentiere, months)
    days = right.temp > -999
    mean = np.where(days, right.temp, 0).sum(1) / days.sum(1)
    shift = parity.mean_temp - mean
    assert -6.4 < shift.mean() < -5.1


def test_the_scheme_needs_jumps_and_cannot_be_continued(slab):
    model = odinn.Model(None, odinn.OdinnBalance())
    with pytest.raises(InputError, match="coupling='jump'"):
        odinn.simulate(model, slab, 2001.0, 2002.0)
    sim = odinn.simulate(model, slab, 2001.0, 2002.0, coupling="jump")
    with pytest.raises(InputError, match="cannot be continued"):
        odinn.simulate(model, slab, 2002.0, 2003.0, coupling="jump", initial=sim.state)
