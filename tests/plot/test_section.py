"""Cross-sections: the line that is found, and what is drawn along it."""

import numpy as np
import pytest

import odinn
from odinn.plot import maps, section


def winding_glacier(patch: bool = False) -> odinn.Glacier:
    """A glacier 9 cells wide that winds down to the south, thickest along its middle; with a higher
    patch far off.
    """
    grid = odinn.Grid(nx=40, ny=60, dx=50.0, dy=50.0, x0=1000.0, y0=8000.0)
    row, column = np.meshgrid(np.arange(60), np.arange(40), indexing="ij")
    middle = 20 + 8 * np.sin(row / 9.0)
    ice = np.where(
        (row > 4) & (row < 55), np.maximum(0.0, 150 * (1 - ((column - middle) / 4.5) ** 2)), 0.0
    )
    ice[(row < 3) & (column < 3)] = 20.0 if patch else 0.0
    bed = 3000.0 - 20.0 * row
    return odinn.Glacier("wind-1", "Winding", grid, bed=bed, thickness=ice, mask=ice > 0)


@pytest.mark.parametrize("patch", [False, True])
def test_the_central_line_follows_the_thickest_ice_from_the_highest_to_the_lowest(patch):
    glacier = winding_glacier(patch)
    line = section.central_line(glacier)
    grid = glacier.grid
    row, column = (grid.y0 - line[:, 1]) / grid.dy, (line[:, 0] - grid.x0) / grid.dx
    # The shortest way cuts corners, where the ice is hardly thinner; a quarter of the glacier's
    # width at most.
    between = (row > 9) & (row < 50)  # the highest and the lowest ice may be at the side
    assert np.abs(column - (20 + 8 * np.sin(row / 9.0)))[between].max() < 2.3
    surface = np.where(
        (glacier.thickness >= 1) & (np.arange(60)[:, None] > 4), glacier.surface, np.nan
    )
    for point, place in ((0, np.nanargmax(surface)), (-1, np.nanargmin(surface))):
        assert (round(row[point]), round(column[point])) == np.unravel_index(place, grid.shape)
    assert np.hypot(*np.diff(line, axis=0).T).max() <= 25.0 + 1e-9  # half a cell


def test_a_glacier_without_ice_has_no_central_line():
    with pytest.raises(odinn.InputError, match=r"wind-1: no central line"):
        section.central_line(winding_glacier().replace(thickness=0.0))


def test_a_section_shows_bed_and_surfaces_where_the_line_runs(slab_run):
    grid = slab_run.glacier.grid
    x = np.array([grid.x[3], grid.x[-4]])
    ax = section.cross_section(slab_run, np.stack([x, [grid.y[11], grid.y[11]]], axis=1))
    *surfaces, bed = ax.lines
    assert len(surfaces) == 6
    along = bed.get_xdata() * 1000
    np.testing.assert_allclose([along[0], along[-1]], [0.0, x[1] - x[0]])
    np.testing.assert_allclose(
        bed.get_ydata(), np.interp(x[0] + along, grid.x, slab_run.glacier.bed[11]), rtol=1e-12
    )
    for line, index in ((surfaces[0], 0), (surfaces[-1], -1)):
        expected = np.interp(x[0] + along, grid.x, slab_run.surface[index][11])
        drawn = np.isfinite(line.get_ydata())
        np.testing.assert_allclose(line.get_ydata()[drawn], expected[drawn], rtol=1e-12)
        ice = np.interp(x[0] + along, grid.x, slab_run.thickness[index][11]) > 0
        assert drawn[ice].all()
        assert 0 < (~drawn).sum()  # ice-free ground has no ice surface
    assert ax.get_ylabel() == "altitude (m)"


def test_below_the_section_is_the_change_since_the_start_in_the_same_colors(slab_run):
    ax = section.cross_section(slab_run)
    (below,) = (
        other for other in ax.figure.axes if other is not ax and other.get_ylabel() == "change (m)"
    )
    line = section.line_of(slab_run)
    grid = slab_run.glacier.grid
    change = section.sample(slab_run.thickness[-1] - slab_run.thickness[0], grid, line)
    last = below.lines[5]
    np.testing.assert_allclose(last.get_ydata(), change, atol=1e-9)
    assert last.get_color() == ax.lines[5].get_color() != ax.lines[0].get_color()
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == "year"
    assert bar.get_ylim() == (2000.0, 2003.0)
    assert "(km)" in below.get_xlabel()


def test_the_map_beside_a_section_has_its_line(slab_run):
    grid = slab_run.glacier.grid
    corners = [(grid.x[5], grid.y[5]), (grid.x[20], grid.y[15])]
    fig = section.map_and_section(slab_run, corners)
    drawn = fig.axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(drawn[[0, -1]], corners)
    texts = [text.get_text() for text in fig.axes[0].texts]
    assert texts == ["A", "B"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            [(0.0, 0.0), (500_100.0, 5_199_000.0)],
            r"\(0, 0\) is off the grid, which spans x 499950 to",
        ),
        ([(500_100.0, 5_199_000.0)], r"line has shape \(1, 2\)"),
        ([(500_100.0, 5_199_000.0)] * 2, "no length"),
        ([(500_100.0, np.nan), (500_200.0, 5_199_000.0)], "expected"),
    ],
)
def test_a_line_that_cannot_be_walked_is_named(slab_run, line, message):
    with pytest.raises(odinn.InputError, match=f"TEST-00.00001.*{message}"):
        section.cross_section(slab_run, line)


def test_maps_of_a_run_are_those_of_the_time(slab_run):
    for what, expected in (
        ("change", slab_run.thickness[2] - slab_run.thickness[0]),
        ("surface", slab_run.surface[2]),
        ("bed", slab_run.glacier.bed),
    ):
        ax = maps.draw_run(slab_run, what, 2)
        shown = ax.images[1].get_array()
        np.testing.assert_array_equal(shown.compressed(), expected[~shown.mask])
        assert "2001-01-01" in ax.get_title()
    with pytest.raises(odinn.InputError, match=r"'height'.*thickness, speed"):
        maps.draw_run(slab_run, "height")
