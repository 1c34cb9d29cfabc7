"""The page about a run, figures by name, and the commands that make them."""

import dataclasses
import re
import sys

import equinox as eqx
import numpy as np
import pytest
from matplotlib.text import Text

import odinn
from odinn.cli.main import main
from odinn.plot import figures, page, save_all


def command(monkeypatch, *arguments):
    """Exit code of ``odinn`` with these arguments, in this process."""
    monkeypatch.setattr(sys, "argv", ["odinn", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code or 0


def test_the_page_has_the_numbers_of_the_run(slab_run):
    rows = page.numbers(slab_run)
    start, end = (float(v) for v in re.findall(r"[\d.]+", rows["volume"])[:2])
    assert start == pytest.approx(slab_run.budget["initial"] / 1e9, rel=1e-3)
    assert end == pytest.approx(slab_run.budget["final"] / 1e9, rel=1e-3)
    area = np.trapezoid((slab_run.thickness >= 1).sum(axis=(1, 2)) * 1e4, slab_run.times) / 3.0
    expected = (slab_run.volume[-1] - slab_run.volume[0]) * 0.9 / area / 3.0
    assert float(rows["balance"].split()[0].replace("−", "-")) == pytest.approx(
        expected, abs=0.006
    )  # two decimals
    assert "A=5e-17" in rows["model"]
    texts = " ".join(t.get_text() for part in page.summary(slab_run).subfigs for t in part.texts)
    for text in (
        "TEST-00.00001",
        "Slab",
        "2000-01-01 to 2003-01-01",
        rows["volume"],
        rows["budget residual"],
        "A=5e-17",
    ):
        assert text in texts


def test_the_page_holds_maps_curves_and_the_section(slab_run):
    _, maps_row, curves, along = page.summary(slab_run).subfigs
    bars = [ax.images[1].colorbar.ax.get_ylabel().split(" (")[0] for ax in maps_row.axes]
    assert bars == ["ice thickness", "thickness change", "surface speed"]
    assert len(maps_row.axes[0].lines) == 2  # the line of the section, with its rim
    labels = [ax.get_ylabel() for ax in [*curves.axes, *along.axes]]
    assert {
        "ice volume (km³)",
        "area (km²)",
        "surface altitude (m)",
        "altitude (m)",
        "change (m)",
    } <= set(labels)


@pytest.mark.parametrize("name", ["summary", "section", "speed", "balance_by_altitude"])
def test_no_label_is_cut(slab_run, name):
    fig = figures.FIGURES[name].draw(slab_run, None)
    for _ in range(2):
        fig.draw_without_rendering()
    for box in (ax.get_tightbbox() for ax in fig.axes):
        assert fig.bbox.x0 - 1 <= box.x0 < box.x1 <= fig.bbox.x1 + 1
        assert fig.bbox.y0 - 1 <= box.y0 < box.y1 <= fig.bbox.y1 + 1


def test_the_page_of_a_glacier_without_ice_says_so(slab_run):
    bare = eqx.tree_at(lambda s: s.thickness, slab_run, 0.0 * slab_run.thickness)
    fig = page.summary(bare)
    assert [t.get_text() for ax in fig.subfigs[3].axes for t in ax.texts] == ["no ice"]
    fig.draw_without_rendering()


def test_figures_are_saved_under_their_names_in_the_format_asked_for(
    slab_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(figures, "_DPI", 40)
    paths = save_all(slab_run, tmp_path, ["volume", "section"], format="pdf")
    assert [p.name for p in paths] == ["volume.pdf", "section.pdf"]
    assert all(p.read_bytes().startswith(b"%PDF") for p in paths)
    monkeypatch.setattr(
        figures.animation,
        "animate",
        lambda sim, path, field, **options: path.with_stem(f"a_{field}"),
    )
    assert save_all(slab_run, tmp_path, ["gif"], field="change") == [tmp_path / "a_change.gif"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"what": ["volume", "valume"]},
            r"no figure 'valume': choose from summary, .*section, gif, mp4",
        ),
        ({"format": "bmp"}, "'bmp': choose from png, pdf, svg"),
        ({"what": ["gif"], "field": "bed"}, "'bed': choose from thickness, speed, change"),
        ({"what": ["section"], "line": [(0.0, 0.0), (1.0, 1.0)]}, "off the grid"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_anything_is(slab_run, tmp_path, options, message):
    with pytest.raises(odinn.InputError, match=message):
        save_all(slab_run, tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def saved(slab_run, tmp_path_factory):
    return odinn.save(slab_run, tmp_path_factory.mktemp("saved") / "run.nc")


def test_the_command_draws_what_is_asked_for(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "_DPI", 40)
    line = "500500,5199000 502000,5199000"
    assert (
        command(
            monkeypatch,
            "plot",
            saved,
            "--what",
            "volume,smb",
            "-w",
            "section",
            "--line",
            line,
            "-o",
            tmp_path,
        )
        == 0
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["section.png", "smb.png", "volume.png"]
    assert command(monkeypatch, "plot", "--list") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in figures.FIGURES | figures.MOVING)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plot", "--what", "maps"), "no figure 'maps': choose from summary"),
        (("plot", "-o", "taken"), "--output: taken cannot be written to"),
        (("plot", "--line", "1,2"), "expected two or more corners such as"),
        (("export", "--field", "height"), "no field 'height': choose from thickness"),
        (("export", "-f", "bed,speed", "-o", "a.tif"), "one file for 2 fields"),
        (("export", "-o", "taken/a.tif"), "--output: taken cannot be written to"),
    ],
)
def test_a_wrong_command_is_one_message_before_the_work(
    saved, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("a file where the folder should be")
    monkeypatch.setattr("odinn.plot.save_all", None)
    name, *rest = arguments
    assert command(monkeypatch, name, saved, *rest) == 2
    assert message in capsys.readouterr().err.replace("\n", "")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_the_command_exports_maps(saved, tmp_path, monkeypatch):
    import rasterio

    assert (
        command(monkeypatch, "export", saved, "-f", "thickness,change", "-o", tmp_path / "maps")
        == 0
    )
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == [
        "run_change.tif",
        "run_thickness.tif",
    ]
    assert (
        command(monkeypatch, "export", saved, "-o", tmp_path / "one.tif", "--at", "2000-07-01") == 0
    )
    with rasterio.open(tmp_path / "one.tif") as raster:
        thickness = odinn.load(saved).thickness[1]
        np.testing.assert_array_equal(raster.read(1) != raster.nodata, thickness > 0)


def test_the_page_says_what_to_know_of_the_first_years(slab_run):
    def page_of(glacier):
        parts = page.summary(eqx.tree_at(lambda s: s.glacier, slab_run, glacier)).subfigs
        return " ".join(" ".join(t.get_text() for part in parts for t in part.texts).split())

    def noted(**provenance):
        kept = {
            f.name: getattr(slab_run.glacier, f.name) for f in dataclasses.fields(odinn.Glacier)
        }
        return odinn.Glacier(**(kept | {"provenance": provenance}))

    ramsay, *_, small = odinn.demo_glaciers()
    adjusts = "in its first years a run adjusts the ice to the model's flow"
    demo = page_of(noted(**ramsay.provenance))
    assert "near balance with an idealised climate" in demo
    assert "below 1600 m it leaves 15 % of the melt" in demo
    assert "debris" not in page_of(noted(**small.provenance))
    consensus = noted(thickness="consensus")
    assert adjusts in page_of(consensus)
    assert adjusts not in page_of(consensus.replace(thickness=consensus.thickness * 0.9))
    assert adjusts not in page_of(slab_run.glacier)


def test_a_glacier_of_single_cells_has_a_page_without_a_section(tmp_path):
    ice = np.zeros((12, 14))
    ice[5, 5], ice[8, 9] = 40.0, 30.0
    grid = odinn.Grid(14, 12, 50.0, 50.0)
    glacier = odinn.Glacier("single", "", grid, np.full(ice.shape, 2500.0), ice, ice > 0)
    still = odinn.Model(None, odinn.LinearBalance(gradient=0.0, ela=2500.0))
    sim = odinn.simulate(still, glacier, 2000, 2001, save_every=1.0)
    written = odinn.plot.save_all(sim, tmp_path)
    assert all(path.stat().st_size > 0 for path in written)
    said = [text.get_text() for text in odinn.plot.summary(sim).findobj(Text)]
    assert "no two cells of ice side by side, so no section" in said
