"""What does not depend on how the grid lies: rotation, and empty ground around the glacier."""

import numpy as np
import pytest

import odinn


@pytest.fixture(scope="module")
def rugged():
    """A glacier without any symmetry, on a bed with steps that the slope cap has to hold."""
    ny, nx, dx = 34, 42, 100.0
    noise = np.random.default_rng(7)
    x, y = dx * np.arange(nx), dx * np.arange(ny)[:, None]
    bed = (
        3000.0
        - 0.35 * x
        + 0.1 * y
        + 250.0 * np.sin(x / 500.0) * np.cos(y / 700.0)
        + noise.uniform(0, 120, (ny, nx))
    )
    ice = np.maximum(180.0 * (1 - ((x - 1700.0) / 900.0) ** 2 - ((y - 1500.0) / 700.0) ** 2), 0.0)
    return odinn.Glacier("rugged", "", odinn.Grid(nx=nx, ny=ny, dx=dx, dy=dx), bed, ice, ice > 0)


def like(glacier, change):
    """The glacier with every field changed alike."""
    bed, ice, mask = change(glacier.bed), change(glacier.thickness), change(glacier.mask)
    ny, nx = ice.shape
    return odinn.Glacier(
        "changed", "", odinn.Grid(nx, ny, glacier.grid.dx, glacier.grid.dy), bed, ice, mask
    )


def run(glacier):
    model = odinn.Model(
        flow=odinn.SIA2D(A=7e-17, C=1e-3),
        mass_balance=odinn.LinearBalance(gradient=5e-3, ela=2700.0, maximum=1.0),
    )
    return odinn.simulate(model, glacier, 2000.0, 2003.0, save_every=3.0)


@pytest.fixture(scope="module")
def result(rugged):
    sim = run(rugged)
    assert np.abs(sim.thickness[-1] - rugged.thickness).max() > 50.0  # m; the ice has moved
    return sim


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_rotating_the_glacier_rotates_the_result(rugged, result, quarters):
    turn = lambda field: np.rot90(field, quarters)
    turned = run(like(rugged, turn))
    final = turn(result.thickness[-1])
    # The steps follow norms whose terms are summed in another order; cliffs make that grow a
    # little.
    assert np.abs(turned.thickness[-1] - final).max() <= 1e-9 * final.max()
    vx, vy, _ = (v[-1] for v in result.velocity())
    cos, sin = (round(f(quarters * np.pi / 2)) for f in (np.cos, np.sin))
    for ours, theirs in zip(
        turned.velocity(), (cos * vx - sin * vy, sin * vx + cos * vy), strict=False
    ):
        assert (
            np.abs(ours[-1] - turn(theirs)).max() <= 1e-8 * np.abs(theirs).max()
        )  # third power of slope


def test_mirroring_the_glacier_mirrors_the_result(rugged, result):
    mirrored = run(like(rugged, lambda field: field[:, ::-1]))
    assert (
        np.abs(mirrored.thickness[-1] - result.thickness[-1][:, ::-1]).max()
        <= 1e-9 * result.thickness.max()
    )


@pytest.mark.parametrize("cells", [1, 13])
def test_empty_ground_around_the_glacier_changes_nothing(rugged, result, cells):
    assert result.budget["lost_at_border"] == 0  # else padding would rightly matter
    padded = run(like(rugged, lambda field: np.pad(field, cells, mode="edge")))
    final = padded.thickness[-1][cells:-cells, cells:-cells]
    assert np.abs(final - result.thickness[-1]).max() <= 1e-12 * result.thickness[-1].max()
    assert len(padded.steps.dt) == len(result.steps.dt)
