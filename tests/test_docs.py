"""The documentation says what the code does."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_generated_pages_are_up_to_date():
    import sys

    sys.path.insert(0, str(ROOT / "tools"))
    import write_docs

    for path, text in write_docs.pages().items():
        assert path.read_text() == text, f"run tools/write_docs.py: {path.name} is old"


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    """The first and the last block, as they stand but shorter, on the embedded glaciers."""
    first, _, second = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(first.replace("2010-04-01", "2001-04-01").replace("demo_glaciers()", "demo_glaciers(coarsen=4)"), scope)
    assert {p.name for p in tmp_path.iterdir()} == {"ramsay.pdf", "ramsay.nc"}
    assert scope["speed"].max() > 10
    assert scope["runoff"].shape == (1,)
    exec(second.replace("[:2]", "[:1]").replace("gauss_newton(40)", "gauss_newton(8)"), scope)
    loss = scope["fit"].records["loss"]
    assert loss.min() < 0.5 * loss[0]
    assert (tmp_path / "law.png").stat().st_size > 10_000


def test_the_readmes_python_for_a_glacier_of_ones_own_runs(data, tmp_path, monkeypatch):
    import odinn

    block = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    (tmp_path / "argentiere.nc").symlink_to(data / "glaciers" / "argentiere_RGI60-11.03638.nc")
    monkeypatch.chdir(tmp_path)
    scope: dict = {"odinn": odinn, "model": odinn.Model(odinn.SIA2D(), odinn.TemperatureIndex(precip_factor=2.5))}
    exec(block, scope)
    assert float(scope["model"].mass_balance.melt_factor) == pytest.approx(3.885e-3, rel=1e-3)
    assert "constant" in str(scope["future"].climate)


def test_the_code_of_the_page_on_learning_runs(slab, tmp_path, monkeypatch):
    """Every block, as it stands, on a small twin."""
    import jax

    import odinn
    from odinn.inversion import gradients, problem
    from odinn.inversion.terms import as_total

    monkeypatch.chdir(tmp_path)

    balance = odinn.TemperatureIndex(4e-3, 2.0)
    truth = odinn.Model(odinn.SIA2D(A=6e-17, C=2e-3), balance)
    slab = odinn.Glacier(slab.rgi_id, slab.name, slab.grid, slab.bed, slab.thickness, slab.mask, slab.climate)
    twins = odinn.synthetic_observations(
        truth, slab, (2001.0, 2003.0), of=("thickness", "velocity", "elevation_change")
    )
    scope: dict = {"glaciers": twins}
    text = (ROOT / "docs" / "learning.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 7
    for block in blocks:
        short = (
            block.replace("(2010.0, 2012.0)", "(2001.0, 2001.5)")
            .replace("steps=30", "steps=1")
            .replace('"run.npz"', "None")
        )
        short = short.replace("odinn.losses.Thickness(error=5.0)", "odinn.losses.Thickness(error=5.0, at=2001.5)")
        short = short.replace("odinn.losses.Velocity(error=1.0)", "odinn.losses.Velocity(error=1.0, at=2001.5)")
        if "Smoothness" in short:  # the first model of the page has the field that is smoothed
            exec(re.findall(r"```python\n(.*?)```", text, re.S)[0], scope)
        exec(short, scope)
    own = scope["own"]
    sim = odinn.simulate(odinn.Model(odinn.SIA2D(A=own), None), slab, 2001.0, 2002.0, save_every=1.0)
    assert sim.relative_residual < 1e-12
    assert float(own(0.0)) == pytest.approx(4e-17, rel=1e-12)
    assert len(jax.tree.leaves(scope["params"])) == 2
    assert scope["start"].misfit(odinn.laws.CuffeyPaterson()) < 0.1
    assert (tmp_path / "law.png").stat().st_size > 10_000
    assert len(scope["fit"].records["loss"]) >= 2
    total = as_total(scope["loss"])
    assert [name for name, _, _ in total.data] == ["thickness", "velocity", "velocity 2", "volume"]
    settings = problem.make_settings((2001.0, 2001.5))
    prepared = problem.prepare(scope["fit"].model, twins[0], total, settings)
    params, static = odinn.trainable(scope["fit"].model, twins)
    values = gradients.glacier_value(params, static, prepared, total, settings)[1]
    volume = scope["fit"].simulate(progress=False)[0].thickness[-1][slab.mask].sum() * slab.grid.cell_area / 1e9
    assert values[-1] == pytest.approx(((volume - 0.1) / 0.01) ** 2, rel=1e-6)  # the steps of the two runs differ


def test_the_code_of_the_page_on_climate_runs(slab, tmp_path, monkeypatch):
    """Every block, as it stands but for the length of the run, with the page's own CSV."""
    import numpy as np
    import xarray as xr
    import yaml

    import odinn
    from odinn.cli.config import GlacierSection

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
    scope: dict = {"glacier": slab, "model": odinn.Model(odinn.SIA2D(), odinn.TemperatureIndex(4e-3, 2.0))}
    for block in blocks:
        exec(block.replace("2020, 2120", "2020, 2021"), scope)
    assert scope["sim"].volume[-1] < scope["sim"].volume[0]
    assert scope["glacier"].climate.temp[0, 1] == scope["climate"].temp[0, 1] == -6.1
    section = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1])["glacier"]
    assert GlacierSection.model_validate(section).climate.scenario == "constant"


def test_the_code_of_the_page_on_plots_runs(slab, tmp_path, monkeypatch):
    """Every block, as it stands; figures it names are there, and its commands' figures and fields exist."""
    import odinn
    from odinn.output.geotiff import FIELDS
    from odinn.plot import figures

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "_DPI", 40)
    model = odinn.Model(odinn.SIA2D(A=5e-17), odinn.LinearBalance(gradient=0.02, ela=2680.0))
    scope: dict = {"odinn": odinn, "sim": odinn.simulate(model, slab, 2000.0, 2002.0, save_every=1.0)}
    text = (ROOT / "docs" / "plots.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 4
    for block in blocks:
        exec(block, scope)
    made = {"summary.pdf", "section.pdf", "change.gif", "own.png", "thickness.tif", "change.tif"}
    assert {p.name for p in (tmp_path / "figures").iterdir()} == made
    for names in re.findall(r"--what (\S+)", text):
        figures.check([name for name in names.split(",") if name != "mp4"])
    assert {f for names in re.findall(r"export .*--field (\S+)", text) for f in names.split(",")} <= set(FIELDS)


def test_every_command_in_the_readme_exists():
    from typer.main import get_command

    from odinn.cli.main import app

    known = set(get_command(app).commands)
    named = set(re.findall(r"^odinn (\w+)", (ROOT / "README.md").read_text(), re.M))
    assert named <= known
    assert len(named) >= 5
