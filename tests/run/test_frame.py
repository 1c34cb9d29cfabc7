"""What a run computes of the grid changes no result: cropped, filled up or turned, it is the run on
the whole grid.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odinn
from odinn.model.frame import LADDER, MARGINS, can_be_cropped, frame_around, plain_frame
from odinn.run import job as jobs
from odinn.run.march import march
from tests.run.slopes import slope

# Sums over other shapes add up in another order: 1e-12 of some 100 m.
ROUND_OFF = {"rtol": 1e-11, "atol": 1e-10}
MODEL = odinn.Model(odinn.SIA2D(A=8e-17), odinn.TemperatureIndex(melt_factor=4e-3))


@pytest.fixture
def whole_grid(monkeypatch):
    """Runs on the grid as it is."""

    def use(on):
        around = (lambda ice, margin: plain_frame(ice.shape)) if on else frame_around
        monkeypatch.setattr(jobs, "frame_around", around)

    return use


def run(glacier, model=MODEL, years=3.0, **options):
    options = {"save_every": 0.5, "progress": False, **options}
    return odinn.simulate(model, glacier, 2000.0, 2000.0 + years, **options)


def same(a, b):
    np.testing.assert_allclose(a.thickness, b.thickness, **ROUND_OFF)
    np.testing.assert_allclose(a.smb[1:], b.smb[1:], **ROUND_OFF)
    assert a.times.tolist() == b.times.tolist()
    assert a.steps.count.tolist() == b.steps.count.tolist()
    for name, series in a.budget_series.items():
        if name != "withheld":  # of the ground that the run computes
            scale = np.abs(series).max() + 1.0
            np.testing.assert_allclose(b.budget_series[name], series, atol=1e-10 * scale)


CASES = {
    "days": (30, 41),  # filled up and turned
    "months": (52, 33),  # cropped
    "jump": (64, 90),
    "linear": (52, 33),
    "fields": (30, 41),
    "float32": (30, 41),
}


@pytest.mark.parametrize(("model", "shape"), CASES.items(), ids=str)
def test_cropped_filled_up_and_turned_runs_equal_those_on_the_whole_grid(model, shape, whole_grid):
    glacier, options, law = slope(shape, daily=model != "months"), {}, MODEL
    if model == "jump":
        options = {"coupling": "jump"}
    if model == "linear":
        law = odinn.Model(odinn.SIA2D(A=8e-17, C=1e-9), odinn.LinearBalance(ela=2950.0))
    if model == "fields":
        corner = np.linspace(5e-17, 1e-16, (shape[0] - 1) * (shape[1] - 1))
        cell = np.linspace(3e-3, 5e-3, shape[0] * shape[1]).reshape(shape)
        flow = odinn.SIA2D(A=corner.reshape(shape[0] - 1, shape[1] - 1))
        law = odinn.Model(flow, odinn.TemperatureIndex(melt_factor=cell))
    if model == "float32":
        options = {"dtype": "float32"}
    whole_grid(True)
    plain = run(glacier, law, **options)
    whole_grid(False)
    framed = run(glacier, law, **options)
    assert framed.thickness.shape == plain.thickness.shape
    if model == "float32":
        # its round-off over the number of steps
        np.testing.assert_allclose(framed.thickness, plain.thickness, atol=5e-3)
    else:
        same(framed, plain)


def test_a_law_of_the_state_and_one_of_the_month_are_cropped_with_the_rest(whole_grid):
    glacier = slope((40, 61))
    inputs = [
        odinn.inputs.IceThickness(range=(0.0, 300.0)),
        odinn.inputs.MonthlyTemperature(),
        odinn.inputs.Altitude(),
    ]
    law = odinn.laws.Neural(inputs=inputs, bounds=(1e-17, 2e-16), scale="log", seed=1)
    model = odinn.Model(odinn.SIA2D(A=law), MODEL.mass_balance)
    whole_grid(True)
    plain = run(glacier, model, years=1.0)
    whole_grid(False)
    same(run(glacier, model, years=1.0), plain)


def test_ice_that_comes_near_the_edge_of_the_crop_gets_a_larger_one(whole_grid):
    # Thick ice on a gentle slope advances by tens of cells: far beyond the first margin.
    glacier = slope((40, 120), thickness=250.0, dx=25.0, length=0.25)
    model = odinn.Model(odinn.SIA2D(A=6e-16), None)
    whole_grid(True)
    plain = run(glacier, model, years=8.0, save_every=1.0)
    advanced = np.flatnonzero((plain.thickness[-1] > 1.0).any(axis=0)).max()
    started = np.flatnonzero((plain.thickness[0] > 1.0).any(axis=0)).max()
    assert advanced - started > MARGINS[0]
    whole_grid(False)
    same(run(glacier, model, years=8.0, save_every=1.0), plain)


def test_a_part_that_holds_arrays_of_its_own_is_run_on_the_grid_as_it_is():
    @dataclasses.dataclass(frozen=True)
    class Held:
        is_local = True
        field: np.ndarray

    class Model:
        flow, mass_balance = Held(np.zeros((4, 5))), None

    assert not can_be_cropped(Model())
    assert can_be_cropped(MODEL)


def test_a_border_of_80_cells_costs_no_more_cells():
    near, far = slope((46, 60)), slope((46, 60), border=70)
    settings_ = odinn.run.settings.settings_of(2000.0, 2001.0)
    a, b = (jobs.Job(MODEL, g, settings_, None, None) for g in (near, far))
    assert a.frame.shape == b.frame.shape


def test_shapes_of_many_glaciers_share_programs():
    before = march._cached._cache_size()
    for ny, nx in ((28, 31), (30, 33), (33, 30), (31, 29)):
        run(slope((ny, nx)), years=0.5)
    assert march._cached._cache_size() - before <= 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_fields_come_back_from_a_frame_as_they_went_in(data):
    ny, nx = data.draw(st.integers(3, 200)), data.draw(st.integers(3, 200))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    ice = np.zeros((ny, nx), bool)
    for _ in range(data.draw(st.integers(0, 3))):
        ice[random.integers(ny), random.integers(nx)] = True
    frame = frame_around(ice, data.draw(st.sampled_from([*MARGINS, None])))
    cells = random.normal(size=(2, ny, nx))
    placed = frame.placed(cells)
    assert placed.shape == (2, *frame.shape)
    assert frame.shape[0] >= frame.shape[1] or not frame.turned
    back = frame.back(placed, np.nan)
    inside = np.isfinite(back)
    assert (back[inside] == cells[inside]).all()
    assert inside[0][ice].all()
    corners = random.normal(size=(ny - 1, nx - 1))
    assert frame.placed(corners, "corner").shape == tuple(n - 1 for n in frame.shape)
    # the glacier's own ring and what is beyond it are no interior
    ring = np.ones((ny, nx), bool)
    ring[1:-1, 1:-1] = False
    assert not frame.back(frame.interior, False)[ring].any()
    assert not (frame.interior & ~frame.within).any()
    if frame.near_cut is None:
        assert inside.all()


def test_the_ladder_grows_by_the_same_factor_from_step_to_step():
    cells = np.array([rows * columns for rows, columns in LADDER])
    factors = cells[1:] / cells[:-1]
    assert len(LADDER) <= 8
    assert (factors > 1.4).all()
    assert (factors < 1.7).all()
