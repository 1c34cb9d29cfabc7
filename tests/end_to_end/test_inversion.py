"""``odinn invert`` as a user types it: interrupted, continued, drawn again, and loaded in another
process.
"""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from odinn.cli.main import app
from odinn.errors import InputError, SolverError
from odinn.learning import driver

TEMPERATURE = {"type": "LongTermTemperature", "per": "cell"}
CONFIG = {
    "glaciers": {"source": "demo:RGI60-18.03141", "coarsen": 4, "climate": {"temp": -8.0}},
    "model": {
        "flow": {
            "A": {
                "type": "Basis",
                "inputs": [TEMPERATURE],
                "bounds": [1e-18, 1e-15],
                "kind": "polynomial",
                "size": 2,
            }
        }
    },
    "synthetic": {"model": {"flow": {"A": {"type": "CuffeyPaterson", "inputs": [TEMPERATURE]}}}},
    "loss": [{"type": "Velocity", "error": 0.01}],
    "period": [2010.0, 2010.1],
    "optimizer": {"type": "lbfgs", "steps": 6},
    "output": {"directory": "out"},
}


def odinn(*arguments, cwd):
    """The command in this process, which has compiled its programs already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setenv("COLUMNS", "200")
        return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A folder with an inversion that was interrupted after two steps and continued, and what both
    said.
    """
    folder = tmp_path_factory.mktemp("invert")
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    write, calls = driver.write_checkpoint, []

    def interrupted(path, state, signature):
        write(path, state, signature)
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "write_checkpoint", interrupted)
        first = odinn("invert", "c.yaml", cwd=folder)
    second = odinn("invert", "c.yaml", cwd=folder)
    return folder, first, second


def test_an_interrupted_inversion_keeps_its_steps_and_the_same_command_continues(learned):
    folder, first, second = learned
    assert first.exit_code == 130
    assert (
        f"{Path('out') / 'checkpoint.npz'} holds 2 steps. The same command continues"
        in first.stderr
    )
    assert second.exit_code == 0, second.output
    assert "Continuing from out/checkpoint.npz: 2 steps are done" in second.stdout
    with (folder / "out" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert float(rows[-1]["loss"]) < 1e-2 * float(rows[0]["loss"])  # twins without noise
    with (folder / "out" / "misfits.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["velocity"]) == pytest.approx(min(float(r["loss"]) for r in rows))


def test_pictures_are_there_and_can_be_drawn_again(learned, tmp_path):
    folder, _, second = learned
    drawn = [
        "history.png",
        "flow.A.png",
        "RGI60-18.03141/velocity.png",
        "RGI60-18.03141/flow.A.png",
    ]
    assert "Look at out/flow.A.png and out/history.png first" in second.stdout
    for name in drawn:
        assert (folder / "out" / name).stat().st_size > 10_000
    again = odinn("plot", "out", "-o", tmp_path, cwd=folder)
    assert again.exit_code == 0, again.output
    for name in drawn:
        assert (tmp_path / name).stat().st_size == (folder / "out" / name).stat().st_size


def test_another_process_loads_the_law_and_calls_it(learned):
    folder, *_ = learned
    code = (
        "import odinn; fit = odinn.load('out'); "
        "print(float(fit.model.flow.A(-5.0)), float(odinn.laws.CuffeyPaterson()(-5.0)), "
        "fit.history.sizes['step'])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder)
    assert out.returncode == 0, out.stderr
    law, truth, steps = (float(word) for word in out.stdout.split())
    assert law == pytest.approx(
        truth, rel=0.2
    )  # two numbers for a law that is not quite log-linear
    assert steps == 7


def test_changed_settings_do_not_continue_by_accident(learned):
    folder, *_ = learned
    out = odinn("invert", "c.yaml", "-s", "loss.0.error=0.02", cwd=folder)
    assert isinstance(out.exception, InputError)
    assert "loss.0.error: 0.01 there, 0.02 here" in str(out.exception)


def test_a_run_that_fails_names_its_glacier(learned, tmp_path):
    folder, *_ = learned
    wild = "model.flow.A.bounds=[1.0, 10.0]"
    out = odinn("invert", "c.yaml", "-s", wild, "-s", f"output.directory={tmp_path}", cwd=folder)
    assert isinstance(out.exception, SolverError)
    assert "RGI60-18.03141: the thickness stopped being finite" in str(out.exception)
