"""Lists that are run to a folder: what is kept, what failed, what is not run again."""

import dataclasses
import gc
import re
import weakref

import numpy as np
import pytest

import odinn
from odinn.errors import InputError, OutputError
from odinn.results.parts import parts_of
from odinn.run import stream
from tests.conftest import make_slab

MODEL = odinn.Model(mass_balance=odinn.TemperatureIndex(melt_factor=4e-3, precip_factor=2.0))
SPAN = {"t0": 2000.0, "t1": 2000.5, "save_every": 0.25}


def glacier(number):
    """One of a list, with an id and a thickness of its own."""
    made = make_slab(20, 24 + number % 3)
    thinner = made.replace(thickness=made.thickness * (1.0 - 0.02 * number))
    return dataclasses.replace(thinner, rgi_id=f"TEST-00.{number:05d}", provenance={})


def without_climate(number):
    whole = glacier(number)
    return odinn.Glacier(whole.rgi_id, "", whole.grid, whole.bed, whole.thickness, whole.mask)


def run(glaciers, folder, model=MODEL, **changes):
    return odinn.simulate(model, glaciers, output=folder, **SPAN | changes)


def same_run(one, other):
    """Whether two runs are equal to the last bit, but for how long they took and their digest."""
    settings = {k: v for k, v in one.settings.items() if k != "fingerprint"}
    one = dataclasses.replace(one, settings=settings, seconds=0.0)
    other = dataclasses.replace(other, seconds=0.0)
    return dict(parts_of("run", one)) == dict(parts_of("run", other))


@pytest.fixture
def pairs(monkeypatch):
    """Two glaciers a load."""
    monkeypatch.setitem(stream.LOAD, "cpu", 2)
    monkeypatch.setitem(stream.LOAD, "gpu", 2)


def test_results_in_files_are_those_in_memory_to_the_last_bit(tmp_path, pairs):
    glaciers = [glacier(k) for k in range(3)]
    table = run(glaciers, tmp_path / "out")
    assert list(table.index) == [g.rgi_id for g in glaciers]
    assert list(table.status) == ["done"] * 3
    for sim, file in zip(odinn.simulate(MODEL, glaciers, **SPAN), table.file, strict=True):
        # files keep the balance in single precision
        kept = odinn.load(odinn.save(sim, tmp_path / "memory.nc"))
        assert same_run(odinn.load(tmp_path / "out" / file), kept)
        row = table.loc[sim.glacier.rgi_id]
        assert (row.volume_start_m3, row.volume_end_m3) == (sim.initial_volume, sim.final_volume)
        assert (row.area_start_m2, row.area_end_m2) == (sim.area[0], sim.area[-1])
        assert row.evaluations == sim.steps.evaluations
        assert row.error == ""


def test_the_mean_balance_of_a_glacier_that_only_melts_is_its_change_of_volume(tmp_path):
    model = odinn.Model(None, odinn.PrescribedBalance(-0.5))
    table = run(glacier(0), tmp_path, model)
    row = table.iloc[0]
    # the area hardly changes in half a year; 900 kg m⁻³
    lost = 0.9 * (row.volume_end_m3 - row.volume_start_m3) / (0.5 * row.area_start_m2)
    assert lost < -0.4
    assert row.balance_m_we_yr == pytest.approx(lost, rel=0.05)


def test_the_table_is_in_the_folder_as_well(tmp_path):
    import pandas as pd

    table = run([glacier(0), without_climate(1)], tmp_path)
    kept = pd.read_csv(tmp_path / stream.TABLE, index_col="rgi_id", keep_default_na=False)
    assert list(kept.status) == list(table.status) == ["done", "failed"]
    assert float(kept.volume_end_m3.iloc[0]) == table.volume_end_m3.iloc[0]
    assert kept.error.iloc[1] == table.error.iloc[1]


def test_a_glacier_that_fails_is_a_row_and_stops_no_other(tmp_path):
    nowhere = tmp_path / "nowhere.nc"
    thick = glacier(2).replace(thickness=glacier(2).thickness * 30.0)
    glaciers = [without_climate(0), str(nowhere), thick, glacier(3), glacier(3), 5]
    table = run(glaciers, tmp_path / "out", max_steps=3)
    assert list(table.status) == ["failed", "failed", "failed", "done", "failed", "failed"]
    assert list(table.index[:2]) == ["TEST-00.00000", str(nowhere)]
    for place, part in {
        0: "climate",
        1: "no such",
        2: "SolverError: .* 3 steps did",
        4: "twice",
        5: "int",
    }.items():
        assert re.search(part, table.error.iloc[place])
    assert table.volume_end_m3.isna().tolist() == [True, True, True, False, True, True]
    assert [file.name for file in (tmp_path / "out").glob("*.nc")] == ["TEST-00.00003.nc"]


def test_an_error_stops_the_list_where_that_is_asked_for(tmp_path):
    with pytest.raises(odinn.ClimateError, match="TEST-00.00001"):
        run([glacier(0), without_climate(1)], tmp_path, on_error="raise")


def test_glaciers_may_be_paths(tmp_path):
    path = odinn.demo_glaciers()[0].rgi_id
    table = run(f"demo:{path}", tmp_path, odinn.Model(mass_balance=None), t0=2000.0, t1=2000.1)
    assert list(table.index) == [path]
    assert list(table.status) == ["done"]


def test_what_is_done_is_not_run_again(tmp_path, monkeypatch):
    first = run([glacier(0), without_climate(1)], tmp_path)
    begun = []
    monkeypatch.setattr(stream, "Job", lambda *given: begun.append(given) or Job(*given))
    Job = stream_job()
    second = run([glacier(k) for k in range(3)], tmp_path)
    assert list(second.status) == ["resumed", "done", "done"]
    assert [given[1].rgi_id for given in begun] == ["TEST-00.00001", "TEST-00.00002"]
    same = first.drop(columns="status").iloc[0].equals(second.drop(columns="status").iloc[0])
    assert same


def stream_job():
    from odinn.run.job import Job

    return Job


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"t1": 2000.75}, r"run.t1 \(2000.5 there, 2000.75 here\)"),
        ({"model": odinn.Model(odinn.SIA2D(A=5e-17), MODEL.mass_balance)}, "model.flow.A"),
        ({"glaciers": [glacier(1)]}, "glacier.thickness"),
        ({"max_steps": 99}, "something that the file does not tell"),
        ({"hydrology": True}, "something that the file does not tell"),
    ],
)
def test_a_file_of_another_run_is_an_error_that_says_what_differs(tmp_path, changes, what):
    run([glacier(0)], tmp_path)
    given = {"glaciers": [glacier(0)]} | changes
    given["glaciers"] = [dataclasses.replace(g, rgi_id="TEST-00.00000") for g in given["glaciers"]]
    message = f"TEST-00.00000.nc: is the result of another run, which differs in .*{what}.*; remove"
    with pytest.raises(InputError, match=message):
        run(folder=tmp_path, **given)


def test_a_file_that_is_no_result_is_an_error_and_stays(tmp_path):
    file = tmp_path / "TEST-00.00000.nc"
    file.write_text("something else")
    with pytest.raises(InputError, match="in the place of a result: remove it"):
        run([glacier(0)], tmp_path)
    assert file.read_text() == "something else"
    odinn.save(MODEL, file)
    with pytest.raises(InputError, match="holds Model, in the place of a result"):
        run([glacier(0)], tmp_path)


def test_no_more_than_a_load_of_glaciers_is_in_memory(tmp_path, pairs):
    made, alive = [], []

    def each():
        for number in range(7):
            gc.collect()  # what is held by circles alone is gone
            alive.append(sum(ref() is not None for ref in made))
            # number 4 has no climate: an error holds no glacier either
            new = without_climate(number) if number == 4 else glacier(number)
            made.append(weakref.ref(new))
            yield new
            del new

    table = run(each(), tmp_path)
    assert (table.status == "done").sum() == 6
    assert max(alive) < 2  # with the one that is made then: two
    assert alive[2] == 0  # the first load is gone


def test_a_load_is_no_larger_than_its_room(tmp_path, monkeypatch):
    alone = dict.fromkeys(stream.LOAD, 1)
    monkeypatch.setattr(stream, "_BYTES", alone)
    loads = []
    advance = stream.advance_all
    monkeypatch.setattr(
        stream, "advance_all", lambda jobs, *rest: loads.append(len(jobs)) or advance(jobs, *rest)
    )
    run([glacier(k) for k in range(2)], tmp_path)
    assert [n for n in loads if n] == [1, 1]


def test_a_run_that_was_cut_off_leaves_whole_files_and_goes_on(tmp_path, pairs, monkeypatch):
    save, saved = stream.save, []

    def cut_off(sim, path):
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(path)
        return save(sim, path)

    glaciers = [glacier(k) for k in range(5)]
    with monkeypatch.context() as patch:
        patch.setattr(stream, "save", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run(glaciers, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(saved)
    table = run(glaciers, tmp_path)
    assert sorted(table.status) == ["done"] * 2 + ["resumed"] * 3
    for sim, file in zip(odinn.simulate(MODEL, glaciers, **SPAN), table.file, strict=True):
        assert (odinn.load(tmp_path / file).thickness == sim.thickness).all()


def test_a_file_that_cannot_be_written_stops_the_list(tmp_path, monkeypatch):
    def full(sim, path):
        raise OutputError("the disk is full")

    monkeypatch.setattr(stream, "save", full)
    with pytest.raises(OutputError, match="the disk is full"):
        run([glacier(0), glacier(1)], tmp_path)


def test_a_law_that_needs_all_glaciers_has_to_be_bound_before(tmp_path):
    formula = odinn.laws.Neural([odinn.inputs.Altitude()], bounds=(1e-18, 1e-16), hidden=(2,))
    model = odinn.Model(odinn.SIA2D(A=formula), None)
    glaciers = [glacier(0), glacier(1)]
    with pytest.raises(InputError, match=r"flow.A takes the ranges .* odinn.bind\(model, glaciers"):
        run(glaciers, tmp_path, model)
    table = run(glaciers, tmp_path, odinn.bind(model, glaciers))
    together = odinn.simulate(model, glaciers, **SPAN)
    for sim, file in zip(together, table.file, strict=True):
        assert (odinn.load(tmp_path / file).thickness == sim.thickness).all()


def test_a_parameter_of_each_glacier_is_its_own_in_its_file(tmp_path):
    rate = odinn.Parameter({"TEST-00.00000": 3e-17, "TEST-00.00001": 5e-17}, per="glacier")
    model = odinn.Model(odinn.SIA2D(A=rate), MODEL.mass_balance)
    glaciers = [glacier(0), glacier(1)]
    table = run(glaciers, tmp_path, model)
    for sim, file in zip(odinn.simulate(model, glaciers, **SPAN), table.file, strict=True):
        assert (odinn.load(tmp_path / file).thickness == sim.thickness).all()
    # resumed, though the whole list is bound now
    again = run(glaciers, tmp_path, odinn.bind(model, glaciers))
    assert list(again.status) == ["resumed"] * 2


def test_steps_are_repeated_by_id(tmp_path):
    (sim,) = odinn.simulate(MODEL, [glacier(0)], **SPAN)
    table = run([glacier(0), glacier(1)], tmp_path, replay={"TEST-00.00000": sim.steps})
    assert list(table.status) == ["done", "failed"]
    assert "replay has no entry" in table.error.iloc[1]
    again = odinn.load(tmp_path / table.file.iloc[0])
    assert (again.steps.dt == sim.steps.dt).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial": odinn.State(2000.0, np.zeros((2, 2)))}, "initial= belongs to one glacier"),
        ({"replay": []}, "replay= is {rgi_id: Steps}"),
        ({"t1": 1999.0}, "not after its start"),
        ({"on_error": "ignore"}, "expected 'raise' or 'keep'"),
    ],
)
def test_settings_that_make_no_sense_are_errors_before_anything_is_read(tmp_path, changes, message):
    def unread():
        raise AssertionError("was read")
        yield

    with pytest.raises(InputError, match=message):
        run(unread(), tmp_path, **changes)
    with pytest.raises(InputError, match="list of glaciers is empty"):
        run([], tmp_path)


def test_a_bar_counts_glaciers_whether_their_number_is_known_or_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("odinn.progress.PATIENCE", 0.0)
    run([glacier(0), glacier(1)], tmp_path, progress=True)
    assert "of 2 glaciers" in capsys.readouterr().err
    run((glacier(k) for k in range(2, 4)), tmp_path, progress=True)
    assert "glaciers" in capsys.readouterr().err
