"""The documentation says what the code does."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tool(name):
    """A module of tools/."""
    import importlib
    import sys

    if str(ROOT / "tools") not in sys.path:
        sys.path.insert(0, str(ROOT / "tools"))
    return importlib.import_module(name)


def run_page(name, folder, monkeypatch, count):
    """The names that the Python blocks of a page leave behind; a page has so many."""
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(), re.S)
    assert len(blocks) == count
    scope: dict = {}
    for block in blocks:
        exec(block, scope)
    return scope


def test_generated_pages_are_up_to_date():
    for path, text in tool("write_docs").pages().items():
        assert path.read_text() == text, f"run tools/write_docs.py: {path.name} is old"


def test_the_page_of_benchmarks_is_made_of_the_committed_results():
    from benchmarks import gradients, planet_page
    from benchmarks.page import page

    assert (ROOT / "docs" / "benchmarks.md").read_text() == page(), "run python -m benchmarks.page"
    found = json.loads((ROOT / "benchmarks" / "results" / "gradients.json").read_text())
    assert (ROOT / "docs" / "gradient_methods.md").read_text() == gradients.page(found), (
        "run python -m benchmarks.page"
    )
    found = json.loads((ROOT / "benchmarks" / "results" / "planet.json").read_text())
    assert (ROOT / "docs" / "scaling.md").read_text() == planet_page.page(found), (
        "run python -m benchmarks.page"
    )


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_figures_are_small_and_those_of_the_pages_are_used():
    docs = ROOT / "docs"
    used = "".join(page.read_text() for page in [ROOT / "README.md", *docs.rglob("*.md")])
    for figure in (docs / "images").iterdir():
        assert figure.name in used, f"no page shows {figure.name}"
    for figure in (docs / "images").iterdir():
        assert figure.stat().st_size < 200_000, (
            f"{figure.name} is large: keep it as WebP (tools/tutorials.py: keep)"
        )


def test_the_site_lists_every_page():
    """A page that is not in mkdocs.yml would be an error of `make docs`."""
    listed = set(re.findall(r"([\w/]+\.md)\n", (ROOT / "mkdocs.yml").read_text()))
    made = {"contributing.md", "changelog.md"}  # from the top of the repository
    measured = {
        "benchmarks.md",
        "gradient_methods.md",
        "scaling.md",
    }  # listed by tools/site_hooks.py once they are there
    docs = ROOT / "docs"
    assert listed - made == {p.relative_to(docs).as_posix() for p in docs.rglob("*.md")} - measured


@pytest.mark.parametrize("name", ["ten_lines", "past_and_future", "learn_a_law"])
def test_a_tutorial_runs_and_prints_what_it_shows(name, tmp_path):
    tutorials = tool("tutorials")
    ran = tutorials.run(name, tmp_path)
    assert ran.text == tutorials.page(name).read_text(), "run tools/tutorials.py"
    shown = re.findall(r"images/(tutorial_\w+)\.webp", ran.text)
    made = {tutorials.FIGURES[p.name] for p in tmp_path.glob("*.png")}
    assert made == set(shown)


def test_the_page_of_gradients_runs(tmp_path, monkeypatch):
    scope = run_page("gradients.md", tmp_path, monkeypatch, 2)
    truth, start, rate = 7.6e-17, 1e-16, float(scope["learned"].flow.A.physical())
    assert abs(rate - truth) < 0.5 * (start - truth)
    h = 1e-6  # short enough for no cell to cross a kink
    gradient, params = scope["objective"].gradient, scope["params"]
    ends = [gradient(scope["jax"].tree.map(lambda p, s=s: p + s, params)) for s in (h, -h)]
    after, before = (float(scope["ravel_pytree"](end)[0][0]) for end in ends)
    curvature = float(scope["jnp"].linalg.norm(scope["v"]))
    assert curvature == pytest.approx(abs(after - before) / (2 * h), rel=1e-5)


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    """The first and the last block, as they stand but shorter, on the embedded glaciers."""
    first, _, second = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(
        first.replace("2010-04-01", "2001-04-01").replace(
            "demo_glaciers()", "demo_glaciers(coarsen=4)"
        ),
        scope,
    )
    assert {p.name for p in tmp_path.iterdir()} == {"ramsay.pdf", "ramsay.nc"}
    assert scope["speed"].max() > 10
    assert scope["runoff"].shape == (1,)
    exec(second.replace("[:2]", "[:1]").replace("gauss_newton(40)", "gauss_newton(14)"), scope)
    loss = scope["fit"].records["loss"]
    assert loss.min() < 0.5 * loss[0]
    assert (tmp_path / "law.png").stat().st_size > 10_000


def test_the_readmes_python_for_a_glacier_of_ones_own_runs(data, tmp_path, monkeypatch):
    import odinn

    block = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    (tmp_path / "argentiere.nc").symlink_to(data / "glaciers" / "argentiere_RGI60-11.03638.nc")
    monkeypatch.chdir(tmp_path)
    scope: dict = {"odinn": odinn}
    exec(block, scope)
    assert float(scope["model"].mass_balance.melt_factor) == pytest.approx(3.885e-3, rel=1e-3)
    assert "constant" in str(scope["future"].climate)


def test_the_code_of_the_five_minute_start_runs(data, tmp_path, monkeypatch):
    """Both blocks, as they stand but for the length of the runs: an embedded glacier, and an OGGM
    directory.
    """
    import odinn
    from odinn.plot import figures

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "_DPI", 40)
    directory = (
        data / "gdirs" / "hef" / "per_glacier" / "RGI60-11" / "RGI60-11.00" / "RGI60-11.00897"
    )
    (tmp_path / "RGI60-11.03638").symlink_to(directory)
    embedded, own = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "start.md").read_text(), re.S
    )
    exec(embedded.replace("2005-04-01", "2001-04-01"), {})
    assert {p.stem.rsplit("_")[-1] for p in (tmp_path / "figures").iterdir()} >= {
        "overview",
        "summary",
    }
    scope: dict = {}
    exec(
        own.replace("glacier, 2000, 2010)", "glacier, 1990, 1991)").replace(
            "(2000, 2010)", "(1990, 2000)"
        ),
        scope,
    )
    assert odinn.load("run.nc").glacier.rgi_id == "RGI60-11.00897"
    assert float(scope["model"].mass_balance.melt_factor) != 7e-3


def test_the_code_of_the_page_on_data_runs(monkeypatch, tmp_path):
    scope = run_page("data.md", tmp_path, monkeypatch, count=2)
    glacier, cone = scope["glacier"], scope["cone"]
    assert cone.grid.dx == round(14 * 3**0.5 + 10)  # 3 km²
    assert glacier.rgi_id == "my-glacier"
    assert glacier.thickness.max() == pytest.approx(99.8, abs=0.5)


def test_the_code_of_the_page_on_extending_runs(monkeypatch, tmp_path):
    """Every block, as it stands; the law of the ice's own stress runs, and the loss is that of a
    run.
    """
    import jax
    import numpy as np

    import odinn

    scope = run_page("extending.md", tmp_path, monkeypatch, count=11)
    glacier, model, span = (scope[k] for k in ("glacier", "model", "period"))
    sim = odinn.simulate(scope["soft"], glacier, 2000.0, 2000.25, save_every=0.25, progress=False)
    assert sim.relative_residual < 1e-12
    assert sim.velocity()[2][-1].max() > 1.0
    sliding = odinn.simulate(scope["seasonal"], glacier, 2000.0, 2001.0, progress=False).velocity(
        "basal"
    )[2]
    place = np.unravel_index(sliding[-1].argmax(), glacier.grid.shape)
    assert (
        np.ptp(sliding[:, *place]) > 0.05 * sliding[:, *place].mean()
    )  # with the rain of each month
    assert [path for path in scope["two"].slots() if path.startswith("mass_balance")] == [
        "mass_balance.below",
        "mass_balance.above",
        "mass_balance.ela",
    ]
    assert scope["run"].smb[-1].max() > 0 > scope["run"].smb[-1].min()
    assert float(scope["own"](0.0)) == pytest.approx(4e-17, rel=1e-12)
    formula = odinn.laws.Function(
        lambda depth: 2e-17 * np.exp(depth / 500.0), [scope["DepthBelowTop"]()]
    )
    assert scope["fitted"].misfit(formula) < 0.01  # nearly a line between bounds so far apart
    end = odinn.simulate(model, glacier, *span, save_every=1.0, progress=False)
    volume = end.thickness[-1][glacier.mask].sum() * glacier.grid.cell_area / 1e9
    assert scope["value"] == pytest.approx(((volume - 0.006) / 0.001) ** 2, rel=1e-6)
    gradient = jax.tree.leaves(scope["gradient"])
    assert len(gradient) == 2
    assert all(np.isfinite(g) and g != 0 for g in gradient)
    # a flow of one's own keeps the ice, and has a gradient
    plug, slide = scope["plug"], scope["slide"]
    assert slide.relative_residual < 1e-13
    assert slide.velocity()[2][-1].max() > 1.0
    np.testing.assert_array_equal(slide.velocity("surface")[2], slide.velocity("mean")[2])
    seen = glacier.replace(observations=odinn.Observations(thickness=glacier.thickness))
    gradients = [
        jax.tree.leaves(
            odinn.value_and_gradient(plug, seen, odinn.losses.Thickness(), span, method=method)[1]
        )
        for method in ("discrete", "forward")
    ]
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-9)
    # a process of one's own closes the budget
    added = float(scope["end"].thickness.sum() - glacier.thickness.sum())
    assert added == pytest.approx(2.0 * scope["foot"].sum(), rel=1e-12)
    assert float(scope["report"].amounts.balance.sum()) == pytest.approx(added, rel=1e-12)


def test_the_code_of_the_page_on_learning_runs(slab, tmp_path, monkeypatch):
    """Every block, as it stands, on a small twin."""
    import odinn
    from odinn.learning.terms import as_total

    monkeypatch.chdir(tmp_path)

    balance = odinn.TemperatureIndex(4e-3, 2.0)
    truth = odinn.Model(odinn.SIA2D(A=6e-17, C=2e-3), balance)
    slab = odinn.Glacier(
        slab.rgi_id, slab.name, slab.grid, slab.bed, slab.thickness, slab.mask, slab.climate
    )
    twins = odinn.synthetic_observations(
        truth, slab, (2001.0, 2003.0), of=("thickness", "velocity", "elevation_change")
    )
    scope: dict = {"glaciers": twins}
    text = (ROOT / "docs" / "learning.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 4
    for block in blocks:
        short = (
            block.replace("(2010.0, 2012.0)", "(2001.0, 2001.5)")
            .replace("steps=30", "steps=1")
            .replace('"run.npz"', "None")
        )
        short = short.replace(
            "odinn.losses.Thickness(error=5.0)", "odinn.losses.Thickness(error=5.0, at=2001.5)"
        )
        short = short.replace(
            "odinn.losses.Velocity(error=1.0)", "odinn.losses.Velocity(error=1.0, at=2001.5)"
        )
        if "Smoothness" in short:  # the first model of the page has the field that is smoothed
            exec(re.findall(r"```python\n(.*?)```", text, re.S)[0], scope)
        exec(short, scope)
    assert scope["start"].misfit(odinn.laws.CuffeyPaterson()) < 0.1
    assert (tmp_path / "law.png").stat().st_size > 10_000
    assert len(scope["fit"].records["loss"]) >= 2
    assert [name for name, _, _ in as_total(scope["loss"]).data] == [
        "thickness",
        "velocity",
        "velocity 2",
    ]


def test_the_code_of_the_page_on_climate_runs(slab, tmp_path, monkeypatch):
    """Every block, as it stands but for the length of the run, with the page's own CSV."""
    import numpy as np
    import xarray as xr
    import yaml

    import odinn
    from odinn.cli.config import GLACIER
    from odinn.cli.schema import resolved

    text = (ROOT / "docs" / "climate.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 3
    header = re.search(r"```\n(# ref_height.*?)```", text, re.S)[1]
    days = np.arange("2000-01-03", "2001-01-01", dtype="datetime64[D]")
    (tmp_path / "station.csv").write_text(header + "\n".join(f"{day},-2.5,3.0" for day in days))
    fields = {"surface": (("y", "x"), slab.surface), "thickness": (("y", "x"), slab.thickness)}
    place = {"y": slab.grid.y, "x": slab.grid.x}
    xr.Dataset(fields, place, {"crs": slab.grid.crs}).to_netcdf(tmp_path / "glacier.nc")
    monkeypatch.chdir(tmp_path)
    scope: dict = {
        "glacier": slab,
        "model": odinn.Model(odinn.SIA2D(), odinn.TemperatureIndex(4e-3, 2.0)),
    }
    for block in blocks:
        exec(block.replace("2020, 2120", "2020, 2021"), scope)
    assert scope["sim"].volume[-1] < scope["sim"].volume[0]
    assert scope["glacier"].climate.temp[0, 1] == scope["climate"].temp[0, 1] == -6.1
    section = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1])["glacier"]
    assert resolved(GLACIER, section, "glacier")["climate"]["scenario"] == "constant"


def test_the_code_of_the_page_on_plots_runs(slab, tmp_path, monkeypatch):
    """Every block, as it stands; figures it names are there, and its commands' figures and fields
    exist.
    """
    import odinn
    from odinn.plot import figures
    from odinn.results.geotiff import FIELDS

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "_DPI", 40)
    model = odinn.Model(odinn.SIA2D(A=5e-17), odinn.LinearBalance(gradient=0.02, ela=2680.0))
    scope: dict = {
        "odinn": odinn,
        "sim": odinn.simulate(model, slab, 2000.0, 2002.0, save_every=1.0),
    }
    text = (ROOT / "docs" / "plots.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, scope)
    made = {"summary.pdf", "section.pdf", "change.gif", "own.png", "thickness.tif", "change.tif"}
    assert {p.name for p in (tmp_path / "figures").iterdir()} == made
    for names in re.findall(r"--what (\S+)", text):
        figures.check([name for name in names.split(",") if name != "mp4"])
    assert {
        f for names in re.findall(r"export .*--field (\S+)", text) for f in names.split(",")
    } <= set(FIELDS)


def test_every_command_in_the_readme_exists():
    from typer.main import get_command

    from odinn.cli.main import app

    known = set(get_command(app).commands)
    named = set(re.findall(r"^odinn (\w+)", (ROOT / "README.md").read_text(), re.M))
    assert named <= known
    assert len(named) >= 5
