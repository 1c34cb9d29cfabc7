"""``odinn run --check``: everything is checked and said, nothing is run or written."""

import pytest
import yaml
from typer.testing import CliRunner

from odinn.cli.main import app
from odinn.errors import OdinnError
from odinn.run import driver

CONFIG = {
    "glacier": {
        "source": ["demo:RGI60-18.03141", "demo:RGI60-18.03091"],
        "coarsen": 4,
        "climate": {"temp": 1.0},
    },
    "model": {"flow": {"A": 2e-17}, "mass_balance": {"precip_factor": 2.5}},
    "calibrate": {"target": -0.3, "period": [2000.25, 2010.25]},
    "run": {"t0": "2000-04-01", "t1": "2002-04-16", "save_every": 0.5},
    "output": {"directory": "out"},
}


@pytest.fixture
def check(tmp_path, monkeypatch):
    """The command in an empty folder, without anything that runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(driver, "advance_all", None)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    return lambda *overrides: CliRunner().invoke(
        app, ["run", "c.yaml", "--check", *(x for o in overrides for x in ("-s", o))]
    )


def test_glaciers_span_windows_and_output_are_said_and_nothing_is_written(check, tmp_path):
    out = check()
    assert out.exit_code == 0, out.output
    for text in (
        "flow=SIA2D(A=2e-17, C=0, n=3",
        "RGI60-18.03141",
        "RGI60-18.03091",
        "run under  idealised (monthly, 1970-01 to 2069-12, +1 K",
        "melt_factor for -0.300 m w.e. yr-1 over 2000.25 to 2010.25",
        # 24 whole months and a half; saved after 0.5, 1, 1.5, 2 years and at the end
        "2000.25 to 2002.2917 in 25 windows, balance evaluated 25 times; 6 states are kept",
        "out/RGI60-18.03091.nc, pictures in out/RGI60-18.03091",
        "Nothing was run. Without --check this run starts.",
    ):
        assert text in out.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "RGI60-18.03141.nc").touch()
    assert check("output.plots=false").stdout.count("would be replaced") == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.t1=1999", "RGI60-18.03141: the run ends at 1999"),
        (
            "run.t0=1960",
            "RGI60-18.03141: climate 'idealised' covers 1970-01 to 2069-12, but 1960-01",
        ),
        ("calibrate.period=[1950,1960]", "but 1950-01 is needed"),
        ("model.mass_balance=null", "calibrate: needs a monthly mass balance"),
        ("glacier.source=[demo:RGI60-18.03141,demo:RGI60-18.03141]", "appears twice"),
        ("run.coupling=jump", "coupling='jump' needs whole months"),
    ],
)
def test_what_a_run_would_refuse_is_refused(check, override, message):
    out = check(override)
    assert isinstance(out.exception, OdinnError)
    assert message in str(out.exception)


def test_one_bad_glacier_of_several_is_reported_as_in_a_run(check):
    out = check("run.on_error=keep", "glacier.source=[nowhere.nc,demo:RGI60-18.03091]")
    assert out.exit_code == 1
    assert "nowhere.nc: no such file" in out.stderr
    assert "would write out/RGI60-18.03091.nc" in out.stdout
