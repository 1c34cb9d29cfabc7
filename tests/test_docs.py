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


def test_the_readmes_python_runs(data, tmp_path, monkeypatch):
    """Ten lines, as they stand, on the real glacier they name."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    (tmp_path / "argentiere.nc").symlink_to(data / "glaciers" / "argentiere_RGI60-11.03638.nc")
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(code, scope)
    assert (tmp_path / "argentiere_run.nc").exists()
    assert scope["speed"].max() > 10


def test_the_code_of_the_page_on_learning_runs(slab):
    """Every block, as it stands, on a small twin."""
    import odinn
    from odinn.inversion import gradients, problem
    from odinn.inversion.terms import as_total

    balance = odinn.TemperatureIndex(4e-3, 2.0)
    truth = odinn.Model(odinn.SIA2D(A=6e-17, C=2e-3), balance)
    slab = odinn.Glacier(slab.rgi_id, slab.name, slab.grid, slab.bed, slab.thickness, slab.mask, slab.climate)
    twins = odinn.synthetic_observations(
        truth, slab, (2001.0, 2003.0), of=("thickness", "velocity", "elevation_change")
    )
    scope: dict = {"glaciers": twins}
    text = (ROOT / "docs" / "learning.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) >= 5
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
    own = scope["DistanceFromTop"]()
    law = odinn.laws.Function(lambda depth: 1e-17 + 1e-20 * depth, [own])
    sim = odinn.simulate(odinn.Model(odinn.SIA2D(A=law), None), slab, 2001.0, 2002.0, save_every=1.0)
    assert sim.relative_residual < 1e-12
    assert len(scope["fit"].records["loss"]) >= 2
    total = as_total(scope["loss"])
    assert [name for name, _, _ in total.data] == ["thickness", "velocity", "velocity 2", "volume"]
    settings = problem.make_settings((2001.0, 2001.5))
    prepared = problem.prepare(scope["fit"].model, twins[0], total, settings)
    params, static = odinn.trainable(scope["fit"].model, twins)
    values = gradients.glacier_value(params, static, prepared, total, settings)[1]
    volume = scope["fit"].simulate(progress=False)[0].thickness[-1][slab.mask].sum() * slab.grid.cell_area / 1e9
    assert values[-1] == pytest.approx(((volume - 0.1) / 0.01) ** 2, rel=1e-6)  # the steps of the two runs differ


def test_every_command_in_the_readme_exists():
    from typer.main import get_command

    from odinn.cli.main import app

    known = set(get_command(app).commands)
    named = set(re.findall(r"^odinn (\w+)", (ROOT / "README.md").read_text(), re.M))
    assert named <= known
    assert len(named) >= 5
