"""The command line, as a user types it."""

import datetime as dt
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

EXAMPLE = Path(__file__).parents[2] / "examples" / "argentiere.yaml"


def odinn(*arguments, cwd, **env):
    command = [
        sys.executable,
        "-c",
        "from odinn.cli.main import main; main()",
        *map(str, arguments),
    ]
    wide = os.environ | {"COLUMNS": "200"} | env
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=wide)


@pytest.fixture(scope="module")
def argentiere_run(data, tmp_path_factory):
    """``odinn run examples/argentiere.yaml`` with coarser cells and the output elsewhere."""
    folder = tmp_path_factory.mktemp("run")
    source = data / "glaciers" / "argentiere_RGI60-11.03638.nc"
    here = (
        "-s",
        f"glacier.source={source}",
        "-s",
        f"output.directory={folder}",
        "-s",
        "run.hydrology=true",
    )
    out = odinn("run", EXAMPLE, *here, cwd=folder)
    assert out.returncode == 0, out.stderr
    return folder, out.stdout


def test_the_example_runs_calibrated_argentiere_and_says_what_it_did(argentiere_run):
    folder, text = argentiere_run
    assert "calibrated melt_factor = 0.003885 for -1.206 m w.e. yr-1" in text
    assert "against 10 measured years: correlation 0.83" in text
    with xr.open_dataset(folder / "RGI60-11.03638.nc") as ds:
        assert ds.decimal_year.values[[0, -1]] == pytest.approx([2009.75, 2019.75])
        assert float(ds.attrs["budget_relative_residual"]) < 1e-12
        assert float(ds.attrs["water_relative_residual"]) < 1e-12
        by_month = ds.runoff.values.reshape(10, 12).mean(axis=0)  # October to September
        assert by_month.argmax() in (8, 9, 10)  # June to August
        # the geometry thins meanwhile, so the balance over the run differs from the calibrated one
        # by little
        lost = (ds.volume_m3.values[-1] - ds.volume_m3.values[0]) * 0.9 / 10
        assert lost / (ds.glacier_mask.values.sum() * 62.0**2) == pytest.approx(-1.1, abs=0.2)


def test_argentieres_maps_are_glaciologically_sensible(argentiere_run):
    """What docs/argentiere.md says of the maps, as numbers."""
    folder, _ = argentiere_run
    with xr.open_dataset(folder / "RGI60-11.03638.nc") as ds:
        thick, speed, surface = ds.thickness.values, ds.speed.values[-1], ds.surface.values
        ice = thick[-1] > 10
        # thick ice flows fast, thin ice slowly
        assert np.median(speed[thick[-1] > 150]) > 5 * np.median(
            speed[(thick[-1] > 10) & (thick[-1] < 40)]
        )
        assert (
            np.percentile(speed[ice], 99) < 100
        )  # creep alone with A = 4e-17: no hundreds of metres per year
        # the tongue thins, the upper basin hardly changes
        change = (thick[-1] - thick[0])[thick[0] > 10] / 10
        height = surface[0][thick[0] > 10]
        assert change[height < 2200].mean() < -3.0
        assert abs(change[height > 3000].mean()) < 1.0


def test_files_pictures_and_resolved_configuration_are_written(argentiere_run):
    folder, text = argentiere_run
    written = [Path(p) for p in re.findall(r"wrote\s+(\S+)", text)]
    assert len(written) >= 4
    assert all(p.exists() and p.stat().st_size > 1000 for p in written)
    assert (folder / "RGI60-11.03638" / "overview.png") in written
    resolved = yaml.safe_load((folder / "config.yaml").read_text())
    assert resolved["run"]["stepper"] == {"type": "RKC2", "tol": 0.01}
    assert resolved["model"]["mass_balance"]["precip_factor"] == 2.5


def test_the_resolved_configuration_runs_again(argentiere_run, tmp_path):
    folder, _ = argentiere_run
    out = odinn(
        "run",
        folder / "config.yaml",
        "-s",
        f"output.directory={tmp_path}",
        "-s",
        "run.t1=2010.0",
        "-s",
        "output.plots=false",
        cwd=tmp_path,
    )
    assert out.returncode == 0, out.stderr


def test_results_can_be_shown_and_drawn_later(argentiere_run, tmp_path):
    folder, _ = argentiere_run
    shown = odinn("info", folder / "RGI60-11.03638.nc", cwd=folder)
    assert "Glacier d Argentiere" in shown.stdout
    assert "residual" in shown.stdout
    drawn = odinn("plot", folder / "RGI60-11.03638.nc", "-o", tmp_path, cwd=folder)
    assert drawn.returncode == 0, drawn.stderr
    assert (tmp_path / "overview.png").stat().st_size > 10_000


def test_a_glacier_can_be_shown_before_a_run(data):
    out = odinn(
        "info", data / "gdirs/hef/per_glacier/RGI60-11/RGI60-11.00/RGI60-11.00897", cwd=data
    )
    assert out.returncode == 0, out.stderr
    assert "Hintereisferner" in out.stdout
    assert "melt_f" in out.stdout


MINIMAL = {"glacier": {"source": "nowhere.nc"}, "run": {"t0": 2000, "t1": 2001}}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["glacier.source=nowhere.nc"], "nowhere.nc: no such file"),
        (["run.t2=3"], "run.t2: unknown key; did you mean 't1'"),
        (["model.flow.type=SIA"], "did you mean 'SIA2D'"),
        (["model.flow.AA=1"], "model.flow.AA: unknown key; did you mean 'A'"),
        (
            ["model.mass_balance.type=TemperatureIndex", "model.mass_balance.meltfactor=1"],
            "did you mean 'melt_factor'",
        ),
        (["run.coupling=leap"], "run.coupling: Input should be 'source' or 'jump'"),
        (["run.t0="], "run.t0"),
        (["nonsense"], "expected section.key=value"),
    ],
)
def test_a_wrong_configuration_is_one_message_and_exit_code_2(tmp_path, overrides, message):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(MINIMAL))
    flags = [part for o in overrides for part in ("-s", o)]
    out = odinn("run", "c.yaml", *flags, cwd=tmp_path)
    assert out.returncode == 2
    assert message in out.stderr
    assert "Traceback" not in out.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]  # nothing half written


def test_one_bad_glacier_of_several_is_reported_and_the_others_are_run(data, tmp_path):
    good = data / "glaciers" / "argentiere_RGI60-11.03638.nc"
    config = {
        "glacier": {"source": ["nowhere.nc", str(good)], "coarsen": 4},
        "run": {"t0": dt.date(2010, 1, 1), "t1": "2010-04-01", "on_error": "keep"},
        "output": {"directory": str(tmp_path / "out"), "plots": False},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    out = odinn("run", "c.yaml", cwd=tmp_path)
    assert out.returncode == 1  # something failed, and scripts have to know
    assert "nowhere.nc: no such file" in out.stderr
    assert (tmp_path / "out" / "RGI60-11.03638.nc").exists()


def test_a_result_that_could_not_be_written_is_refused_before_the_run(data, tmp_path):
    (tmp_path / "taken").write_text("a file where the folder should be")
    source = data / "glaciers" / "argentiere_RGI60-11.03638.nc"
    out = odinn(
        "run",
        EXAMPLE,
        "-s",
        f"glacier.source={source}",
        "-s",
        "output.directory=taken",
        cwd=tmp_path,
    )
    assert out.returncode == 2
    assert "cannot be written" in out.stderr
    assert "  run " not in out.stdout


def test_verification_lists_its_problems_and_refuses_an_unknown_one(tmp_path):
    out = odinn("verify", "--list", cwd=tmp_path)
    assert out.returncode == 0
    assert "halfar" in out.stdout.lower()
    out = odinn("verify", "no-such-problem", cwd=tmp_path)
    assert out.returncode == 2
    assert "no problem 'no-such-problem'" in out.stderr
