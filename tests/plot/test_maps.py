"""Maps: what is drawn where, in which colours, with which scale, and that the files are whole."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

import odinn
from odinn.plot import maps, save_all, surroundings
from odinn.plot.series import mean_balance

BALANCE = odinn.LinearBalance(gradient=0.01, ela=2150.0)


def make_glacier(thickest: float = 120.0, narrow: float = 1.0) -> odinn.Glacier:
    """A paraboloid of ice on a slope that dips to the west; 24 x 30 cells of 100 m."""
    grid = odinn.Grid(nx=30, ny=24, dx=100.0, dy=100.0, x0=5000.0, y0=9000.0)
    across, along = np.meshgrid(np.linspace(-1, 1, 30), np.linspace(-1, 1, 24))
    shape = np.maximum(0.6 - (narrow * across) ** 2 - along**2, 0.0)
    bed = np.broadcast_to(2000.0 + 8.0 * np.arange(30), grid.shape)
    return odinn.Glacier(
        "test-1", "Paraboloid", grid, bed=bed, thickness=thickest * shape, mask=shape > 0
    )


@pytest.fixture(scope="module")
def sim() -> odinn.Simulation:
    return odinn.simulate(
        odinn.Model(mass_balance=BALANCE), make_glacier(), 2000.0, 2003.0, save_every=1.0
    )


def field_of(ax):
    """The image of the field: the hillshade is drawn first."""
    assert len(ax.images) == 2
    return ax.images[1]


def test_cells_without_ice_are_not_drawn():
    glacier = make_glacier()
    image = field_of(maps.draw(glacier, glacier.thickness))
    drawn = ~np.ma.getmaskarray(image.get_array())
    assert 0 < drawn.sum() < drawn.size
    np.testing.assert_array_equal(drawn, glacier.thickness >= 1.0)
    np.testing.assert_array_equal(image.get_array()[drawn], glacier.thickness[drawn])


def test_missing_observations_are_not_drawn():
    glacier = make_glacier()
    observed = np.where(np.arange(30) < 15, np.nan, 20.0 + glacier.thickness)
    drawn = ~np.ma.getmaskarray(field_of(maps.draw(glacier, observed, what="speed")).get_array())
    np.testing.assert_array_equal(drawn, (glacier.thickness >= 1.0) & np.isfinite(observed))


def test_image_lies_on_the_projected_cells_with_north_up():
    glacier = make_glacier()
    ax = maps.draw(glacier, glacier.thickness)
    image, grid = field_of(ax), glacier.grid
    assert image.get_extent() == [grid.x[0] - 50, grid.x[-1] + 50, grid.y[-1] - 50, grid.y[0] + 50]
    assert image.origin == "upper"
    bottom, top = ax.get_ylim()
    assert top > bottom
    assert ax.get_aspect() == 1


def test_light_comes_from_the_north_west():
    glacier = make_glacier()
    east, south = np.meshgrid(np.arange(30.0), np.arange(24.0))
    ridge = glacier.replace(thickness=0.0).replace(
        bed=2000 - 30 * abs(east + south - 26), keep="thickness"
    )
    light = maps.hillshade(ridge)
    assert (
        light[4, 4] > light[20, 20] + 0.3
    )  # rows run south: the first cell looks to the north-west


@pytest.mark.parametrize(
    ("what", "unit"),
    [
        ("thickness", "(m)"),
        ("speed", "(m yr⁻¹)"),
        ("change", "(m)"),
        ("smb", "(m w.e. yr⁻¹)"),
        ("bed", "(m)"),
        ("surface", "(m)"),
    ],
)
def test_color_bar_names_the_unit(what, unit):
    glacier = make_glacier()
    bar = field_of(maps.draw(glacier, glacier.surface, what=what)).colorbar
    assert bar.ax.get_ylabel().endswith(unit)


@pytest.mark.parametrize("what", ["change", "smb"])
def test_gain_and_loss_are_symmetric_about_zero_and_gain_is_blue(what):
    glacier = make_glacier()
    image = field_of(maps.draw(glacier, glacier.surface - 2050.0, what=what))
    low, high = image.get_clim()
    assert low == -high < 0
    gain, loss, none = image.cmap([1.0, 0.0, 0.5])
    assert gain[2] > gain[0]
    assert loss[0] > loss[2]
    assert none[:3].min() > 0.85


def test_limits_leave_out_two_percent_at_either_end_of_what_is_drawn():
    glacier = make_glacier()
    image = field_of(maps.draw(glacier, glacier.thickness))
    assert image.get_clim() == tuple(
        np.percentile(glacier.thickness[glacier.thickness >= 1.0], (2, 98))
    )
    assert image.colorbar.extend == "both"
    given = field_of(maps.draw(glacier, glacier.thickness, limits=(0.0, 500.0)))
    assert given.get_clim() == (0.0, 500.0)
    assert given.colorbar.extend == "neither"


def test_speed_is_drawn_by_its_logarithm_and_ice_that_stands_still_is_not_a_hole():
    glacier = make_glacier()
    speed = np.where(np.arange(30) < 12, 0.0, np.geomspace(1e-6, 200.0, 30)) * np.ones((24, 1))
    image = field_of(maps.draw(glacier, speed, what="speed"))
    assert isinstance(image.norm, LogNorm)
    low, high = image.get_clim()
    assert high / low == pytest.approx(100.0)
    rgba = image.to_rgba(image.get_array())
    np.testing.assert_array_equal(rgba[..., 3] > 0, glacier.thickness >= 1.0)
    assert image.colorbar.extend == "both"


@pytest.mark.parametrize("what", ["thickness", "speed", "change"])
def test_a_field_that_is_the_same_everywhere_has_limits(what):
    glacier = make_glacier()
    ax = maps.draw(glacier, np.zeros(glacier.grid.shape), what=what)
    low, high = field_of(ax).get_clim()
    assert low < high
    ax.figure.draw_without_rendering()


def test_scale_bar_is_round_and_as_long_as_it_says():
    glacier = make_glacier()
    ax = maps.draw(glacier, glacier.thickness)
    ax.figure.draw_without_rendering()
    (bar,) = (artist for artist in ax.artists if isinstance(artist, AnchoredSizeBar))
    says = bar.txt_label.get_text()
    assert says == "500 m"
    drawn = bar.size_bar.get_children()[0].get_window_extent()
    (west, _), (east, _) = ax.transData.inverted().transform(
        [(drawn.x0, drawn.y0), (drawn.x1, drawn.y0)]
    )
    assert east - west == pytest.approx(500.0, rel=1e-6)


@pytest.mark.parametrize(
    ("width", "length"), [(2600.0, 500.0), (8000.0, 2000.0), (39000.0, 5000.0), (400.0, 100.0)]
)
def test_scale_bar_fits_into_a_quarter_of_the_map(width, length):
    assert surroundings.scale_bar_length(width) == length


def test_outline_closes_also_at_the_border_of_the_grid():
    glacier = make_glacier()
    everywhere = odinn.Glacier(
        "test-2", "", glacier.grid, glacier.bed, glacier.thickness, np.ones((24, 30), bool)
    )
    ax = maps.draw(everywhere, everywhere.thickness)
    (outline,) = ax.collections
    corners = np.concatenate([path.vertices for path in outline.get_paths()])
    west, east, south, north = ax.images[0].get_extent()
    assert np.allclose([corners.min(axis=0), corners.max(axis=0)], [(west, south), (east, north)])


def test_a_glacier_without_ice_says_so():
    glacier = make_glacier().replace(thickness=0.0)
    ax = maps.draw(glacier, glacier.thickness)
    assert [text.get_text() for text in ax.texts] == ["no ice"]
    assert len(ax.images) == 1
    ax.figure.draw_without_rendering()


def test_ice_without_data_is_not_called_ice_free():
    glacier = make_glacier()
    ax = maps.draw(glacier, np.full(glacier.grid.shape, np.nan), what="speed")
    assert [text.get_text() for text in ax.texts] == ["no data"]


def test_wrong_input_is_named():
    glacier = make_glacier()
    with pytest.raises(odinn.InputError, match=r"test-1.*'height'.*thickness, speed"):
        maps.draw(glacier, glacier.thickness, what="height")
    with pytest.raises(
        odinn.InputError, match=r"field has shape \(2, 24, 30\), expected \(24, 30\)"
    ):
        maps.draw(glacier, np.stack([glacier.thickness] * 2))
    with pytest.raises(odinn.InputError, match="low < high"):
        maps.draw(glacier, glacier.thickness, limits=(5.0, 1.0))
    with pytest.raises(odinn.InputError, match="logarithm"):
        maps.draw(glacier, glacier.thickness, what="speed", limits=(0.0, 1.0))


def test_a_map_goes_onto_axes_of_the_user():
    glacier = make_glacier()
    ax = Figure(layout="compressed").subplots()
    assert maps.draw(glacier, glacier.thickness, ax, title="ice", label="H (m)") is ax
    assert ax.get_title() == "ice"
    assert field_of(ax).colorbar.ax.get_ylabel() == "H (m)"


def test_start_and_end_share_their_colors(sim):
    before, after, change = maps.before_after(sim).axes[:3]
    assert field_of(before).get_clim() == field_of(after).get_clim()
    difference = field_of(change).get_array()
    np.testing.assert_array_equal(
        difference.compressed(), (sim.thickness[-1] - sim.thickness[0])[~difference.mask]
    )
    ever = (sim.thickness[0] >= 1.0) | (sim.thickness[-1] >= 1.0)
    np.testing.assert_array_equal(~difference.mask, ever)
    assert [ax.get_xlim() for ax in (before, after)] == [change.get_xlim()] * 2


def test_thickness_and_speed_are_those_of_the_time(sim):
    fig = maps.thickness_and_speed(sim, 1)
    thickness, speed = (field_of(ax).get_array() for ax in fig.axes[:2])
    ice = sim.thickness[1] >= 1.0
    np.testing.assert_array_equal(thickness[ice], sim.thickness[1][ice])
    low, _ = field_of(fig.axes[1]).get_clim()
    # Velocities of one time and of all are different compiled programs.
    np.testing.assert_allclose(speed[ice], np.maximum(sim.velocity()[2][1][ice], low), rtol=1e-9)
    assert fig.get_suptitle() == "Paraboloid (test-1), 2001-01-01"


def test_overview_shows_the_balance_of_the_model(sim):
    panels = maps.overview(sim).axes[:4]
    assert [ax.get_title() for ax in panels] == [
        "2003-01-01",
        "2003-01-01",
        "over the run",
        "mean of the run",
    ]
    shown = field_of(panels[3]).get_array()
    surface = sim.surface.mean(axis=0)
    everlasting = (sim.thickness > 20.0).all(axis=0)
    # The surface moves within a year; 0.01 per year times a metre or two.
    np.testing.assert_allclose(
        shown[everlasting], 0.01 * (surface[everlasting] - 2150.0), atol=0.03
    )


def test_a_loaded_run_is_drawn_alike(sim, tmp_path):
    loaded = odinn.load(odinn.save(sim, tmp_path / "run.nc"))
    for old, new in zip(
        maps.thickness_and_speed(sim).axes[:2],
        maps.thickness_and_speed(loaded).axes[:2],
        strict=True,
    ):
        np.testing.assert_array_equal(field_of(old).get_array(), field_of(new).get_array())
    # The balance is stored in single precision.
    np.testing.assert_allclose(mean_balance(sim), mean_balance(loaded), rtol=1e-6)


@pytest.mark.parametrize("figure", [maps.before_after, maps.overview])
@pytest.mark.parametrize("narrow", [1.0, 4.0])
def test_no_label_is_cut_and_color_bars_are_as_high_as_their_maps(figure, narrow):
    model = odinn.Model(mass_balance=BALANCE)
    fig = figure(odinn.simulate(model, make_glacier(narrow=narrow), 2000.0, 2001.0, save_every=1.0))
    fig.draw_without_rendering()
    for image in (ax.images[1] for ax in fig.axes if len(ax.images) == 2):
        beside = image.colorbar.outline.get_window_extent()
        assert beside.height == pytest.approx(image.axes.get_window_extent().height, rel=0.01)
    for box in (ax.get_tightbbox() for ax in fig.axes):
        assert fig.bbox.x0 <= box.x0 < box.x1 <= fig.bbox.x1
        assert fig.bbox.y0 <= box.y0 < box.y1 <= fig.bbox.y1


def test_all_figures_are_saved_as_png(sim, tmp_path, monkeypatch):
    monkeypatch.setattr("odinn.plot.figures._DPI", 40)  # quick
    paths = save_all(sim, tmp_path / "a" / "b")
    names = ["thickness_speed.png", "before_after.png", "overview.png", "series.png", "summary.png"]
    assert [p.name for p in paths] == names
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == sorted(p.name for p in paths)
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert path.read_bytes().endswith(b"IEND\xaeB`\x82")


def test_a_figure_that_fails_leaves_the_old_file_whole(sim, tmp_path, monkeypatch):
    def full_disk(self, path, **options):
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    (tmp_path / "thickness_speed.png").write_bytes(b"old")
    monkeypatch.setattr(Figure, "savefig", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_all(sim, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"thickness_speed.png": b"old"}


def test_a_run_without_ice_or_flow_is_drawn():
    glacier = make_glacier().replace(thickness=0.0)
    melting = odinn.LinearBalance(gradient=0.0, ela=0.0)
    bare = odinn.simulate(
        odinn.Model(flow=None, mass_balance=melting), glacier, 2000.0, 2001.0, save_every=1.0
    )
    for figure in (maps.thickness_and_speed, maps.before_after, maps.overview):
        fig = figure(bare)
        assert all(text.get_text() == "no ice" for ax in fig.axes for text in ax.texts)
        assert len(fig.axes) == sum(
            len(ax.texts) for ax in fig.axes
        )  # no colour bar without colours
        fig.draw_without_rendering()


def test_importing_odinn_does_not_load_matplotlib():
    code = "import sys, odinn; assert not any(m.startswith('matplotlib') for m in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
