"""Glaciers that run side by side run as if each were alone."""

import dataclasses

import numpy as np
import pytest

import odinn
from odinn.run import batches
from odinn.run.job import Job
from odinn.run.settings import settings_of
from tests.run.slopes import climate, slope

MODEL = odinn.Model(odinn.SIA2D(A=8e-17), odinn.TemperatureIndex(melt_factor=4e-3))


def many(count=7):
    """Unlike glaciers: in shape, spacing, thickness and weather."""
    glaciers = []
    for k in range(count):
        thickness, dx = 40.0 + 45.0 * (k % 5), 30.0 + 7.0 * k
        one = slope((24 + k, 36 - k), thickness=thickness, dx=dx, rgi_id=f"slope-{k}")
        glaciers.append(dataclasses.replace(one, climate=climate(seed=k % 3)))
    return glaciers


@pytest.fixture(autouse=True)
def four_places(monkeypatch):
    """Batches of four on a processor, whatever the sizes."""
    monkeypatch.setattr(batches, "places_for", lambda cells: 4)


def run(glaciers, years=1.5, **options):
    options = {"save_every": 0.25, "progress": False, **options}
    return odinn.simulate(MODEL, glaciers, 2000.0, 2000.0 + years, **options)


def same(a, b):
    """To the last bit: a system's steps do not depend on its companions."""
    assert a.glacier.rgi_id == b.glacier.rgi_id
    assert (a.thickness == b.thickness).all()
    assert np.array_equal(a.smb, b.smb, equal_nan=True)
    assert (a.steps.dt == b.steps.dt).all()
    assert (a.steps.stages == b.steps.stages).all()
    assert a.steps.evaluations == b.steps.evaluations
    for name, series in a.budget_series.items():
        # sums of one glacier's cells, added up in the order of the compiled program
        np.testing.assert_allclose(series, b.budget_series[name], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    "options",
    [{}, {"coupling": "jump"}, {"stepper": odinn.Euler()}, {"hydrology": True}],
    ids=lambda options: next(iter(options), "default"),
)
def test_a_list_gives_what_each_glacier_gives_alone(options):
    glaciers = many()
    together = run(glaciers, **options)
    for glacier, sim in zip(glaciers, together, strict=True):
        alone = run(glacier, **options)
        same(sim, alone)
        if "hydrology" in options:
            assert (sim.hydrology.melt == alone.hydrology.melt).all()


def test_the_steps_of_a_list_are_repeated_by_glacier():
    glaciers = many(5)
    first = run(glaciers)
    by_id = {sim.glacier.rgi_id: sim.steps for sim in first}
    for again in (run(glaciers, replay=by_id), run(glaciers, replay=[s.steps for s in first])):
        for a, b in zip(first, again, strict=True):
            # what a step that is chosen and one that is given differ by is round-off
            np.testing.assert_allclose(a.thickness, b.thickness, atol=1e-10)


def test_one_that_diverges_is_a_failure_and_its_companions_go_on():
    glaciers = many(4)
    wild = glaciers[2].replace(thickness=np.where(glaciers[2].mask, 4000.0, 0.0), keep="bed")
    results = run([*glaciers[:2], wild, glaciers[3]], max_steps=2000, on_error="keep")
    assert isinstance(results[2], odinn.Failure)
    assert results[2].rgi_id == "slope-2"
    assert isinstance(results[2].error, odinn.SolverError)
    assert results[2].state.time == 2000.0
    assert (results[2].state.thickness == wild.thickness).all()
    for k in (0, 1, 3):
        same(results[k], run(glaciers[k]))
    with pytest.raises(odinn.SolverError, match="slope-2"):
        run([*glaciers[:2], wild, glaciers[3]], max_steps=2000)


def test_a_longer_window_than_the_record_holds_is_run_again_by_itself(monkeypatch):
    glaciers = many(4)
    plain = run(glaciers, stepper=odinn.Euler(courant=0.1))
    most = [int(sim.steps.count.max()) for sim in plain]
    assert min(most) < max(most)
    monkeypatch.setattr("odinn.run.job._WIDTH", max(min(most), 1))
    for a, b in zip(plain, run(glaciers, stepper=odinn.Euler(courant=0.1)), strict=True):
        same(a, b)


def test_an_error_of_the_device_is_that_of_the_glacier_that_has_it_alone(monkeypatch):
    glaciers = many(4)
    march = batches.march

    def breaks(members, leg, how):
        dx = np.asarray(members.system.domain.dx)
        if np.isin(dx, (glaciers[1].grid.dx, glaciers[1].grid.dy)).any():
            raise RuntimeError("out of memory")
        return march(members, leg, how)

    monkeypatch.setattr(batches, "march", breaks)
    results = run(glaciers, on_error="keep")
    assert [isinstance(r, odinn.Failure) for r in results] == [False, True, False, False]
    assert "out of memory" in str(results[1].error)


def test_each_climate_is_there_once():
    settings = settings_of(2000.0, 2001.0)
    jobs = [Job(MODEL, glacier, settings, None, None) for glacier in many(6)]
    members = [job.member() for job in jobs]
    table, which = batches._climates([member.weather for member in members])
    assert which.tolist() == [0, 1, 2, 0, 1, 2]
    for member, own in zip(members, which, strict=True):
        assert (np.asarray(table.temp)[:, own] == member.weather.temp).all()


def test_those_of_alike_cost_go_together():
    settings = settings_of(2000.0, 2001.0)
    thick = [30.0, 200.0, 40.0, 210.0, 50.0, 220.0, 60.0, 230.0]
    jobs = [
        Job(MODEL, slope((24, 30), thickness=h, rgi_id=f"slope-{h:.0f}"), settings, None, None)
        for h in thick
    ]
    found = [sorted(job.glacier.rgi_id for job, _ in batch) for _, batch in batches._batches(jobs)]
    assert found == [
        ["slope-200", "slope-210", "slope-220", "slope-230"],
        ["slope-30", "slope-40", "slope-50", "slope-60"],
    ]


def test_members_of_other_forms_do_not_share_a_program():
    settings = settings_of(2000.0, 2001.0)
    days, months = (slope((24, 30), daily=daily) for daily in (True, False))
    jobs = [Job(MODEL, glacier, settings, None, None) for glacier in (days, months)]
    assert jobs[0].program != jobs[1].program
    assert len(list(batches._batches(jobs))) == 2
