"""The climate of a configuration."""

import numpy as np
import pytest
import yaml

import odinn
from odinn.cli.config import read_config, to_yaml
from odinn.cli.sources import in_scenario, wanted_climate
from odinn.errors import ClimateError, InputError


def read(tmp_path, climate, *overrides):
    path = tmp_path / "c.yaml"
    path.write_text(f"glacier:\n  source: nowhere.nc\n  climate: {climate}\n")
    return read_config(path, list(overrides))


def test_a_products_name_alone_is_the_series_as_it_is(slab, tmp_path):
    for climate in ("w5e5", "{product: w5e5}"):
        config = read(tmp_path, climate)
        assert wanted_climate(config["glacier"]) == "w5e5"
        assert in_scenario(slab, config["glacier"]) is slab
    assert wanted_climate(read(tmp_path, "null")["glacier"]) is None


def test_a_scenario_is_one_line_and_does_what_the_python_does(slab, tmp_path):
    config = read(tmp_path, "{scenario: constant, period: [2000, 2004], temp: 2.0, precip: 1.1}")
    under = in_scenario(slab, config["glacier"]).climate
    want = slab.climate.constant((2000, 2004)).shift(2.0, 1.1)
    assert str(under) == str(want)
    np.testing.assert_array_equal(under.temp, want.temp)
    random = read(
        tmp_path,
        "{scenario: random, period: ['2000-10-01', '2003-10-01'], seed: 4, block_years: 2}",
    )
    assert (
        in_scenario(slab, random["glacier"]).climate.scenario
        == slab.climate.random((2000.75, 2003.75), 4, 2).scenario
    )
    assert (
        "+1 K" in in_scenario(slab, read(tmp_path, "{temp: 1.0}")["glacier"]).provenance["climate"]
    )


@pytest.mark.parametrize(
    ("written", "temp"),
    [
        ("{per_decade: 0.3, start: 2001}", odinn.Ramp(0.3, 2001)),
        (str(list(range(12))), list(range(12))),
    ],
)
def test_a_ramp_or_the_months_of_a_warming_are_written_as_in_python(slab, tmp_path, written, temp):
    config = read(tmp_path, f"{{scenario: repeat, period: [2000, 2004], temp: {written}}}")
    under = in_scenario(slab, config["glacier"]).climate
    assert str(under) == str(slab.climate.repeat((2000, 2004)).shift(temp=temp))
    (tmp_path / "again.yaml").write_text(to_yaml(config))
    assert read_config(tmp_path / "again.yaml", []) == config


def test_overrides_reach_into_the_short_form_and_the_resolved_configuration_reads_back(tmp_path):
    config = read(tmp_path, "w5e5", "glacier.climate.temp=1.5")
    assert (config["glacier"]["climate"]["product"], config["glacier"]["climate"]["temp"]) == (
        "w5e5",
        1.5,
    )
    (tmp_path / "again.yaml").write_text(to_yaml(config))
    assert read_config(tmp_path / "again.yaml", []) == config
    assert read(tmp_path, "w5e5", "glacier.climate=era5")["glacier"]["climate"]["product"] == "era5"


@pytest.mark.parametrize(
    ("climate", "message"),
    [
        (
            "{scenari: constant}",
            r"glacier.climate.scenari: unknown key; did you mean 'scenario'.; known: product",
        ),
        ("{scenario: constant}", "glacier.climate: scenario: constant needs period: .start, end."),
        ("{period: [2000, 2004]}", "glacier.climate: period belongs to a scenario"),
        ("{scenario: repeat, period: [2000, 2004], seed: 3}", "belong to scenario: random"),
        (
            "{scenario: warm, period: [2000, 2004]}",
            "glacier.climate.scenario: Input should be 'constant', 'repeat'",
        ),
        ("[w5e5]", "glacier.climate: "),
    ],
)
def test_a_climate_that_is_not_understood_names_the_key(tmp_path, climate, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, climate)


def test_a_scenario_that_a_glacier_cannot_have_names_the_glacier(slab, tmp_path):
    config = read(tmp_path, "{scenario: constant, period: [1960, 1990]}")
    with pytest.raises(
        ClimateError, match="TEST-00.00001: climate 'made': .*covers 2000-01 to 2003-12"
    ):
        in_scenario(slab, config["glacier"])
    bare = odinn.Glacier(slab.rgi_id, slab.name, slab.grid, slab.bed, slab.thickness, slab.mask)
    with pytest.raises(InputError, match="TEST-00.00001: .* this glacier has none"):
        in_scenario(bare, config["glacier"])


def test_a_file_of_ones_own_may_be_given_its_height(tmp_path):
    rows = [
        f"{m},{-5 + 3 * (i % 12 > 5)},80"
        for i, m in enumerate(np.arange("2000-01", "2004-01", dtype="datetime64[M]"))
    ]
    (tmp_path / "own.csv").write_text("time,temp,prcp\n" + "\n".join(rows))
    assert (
        wanted_climate(
            read(tmp_path, f"{{product: {tmp_path}/own.csv, ref_height: 2400}}")["glacier"]
        ).ref_height
        == 2400.0
    )
    with pytest.raises(InputError, match="ref_height: belongs to a file"):
        wanted_climate(read(tmp_path, "{product: w5e5, ref_height: 2400}")["glacier"])


def test_the_run_command_runs_under_the_scenario_and_calibrates_on_the_series(data, tmp_path):
    from typer.testing import CliRunner

    from odinn.cli.main import app

    config = {
        "glacier": {
            "source": str(data / "glaciers" / "argentiere_RGI60-11.03638.nc"),
            "coarsen": 6,
            "climate": {"scenario": "constant", "period": [2009.75, 2019.75], "temp": 2.0},
        },
        "model": {"mass_balance": {"type": "TemperatureIndex", "precip_factor": 2.5}},
        "calibrate": {"target": -1.206, "period": [2009.75, 2019.75]},
        "run": {"t0": 2030, "t1": 2031, "save_every": 1.0},
        "output": {"directory": str(tmp_path / "out"), "plots": False},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    out = CliRunner().invoke(app, ["run", str(tmp_path / "c.yaml")], catch_exceptions=False)
    assert out.exit_code == 0
    sim = odinn.load(tmp_path / "out" / "RGI60-11.03638.nc")
    assert "constant from 2009-10 to 2019-09, +2 K" in sim.glacier.provenance["climate"]
    assert float(sim.model.mass_balance.melt_factor) == pytest.approx(
        0.0039, rel=0.03
    )  # as without the scenario
    assert sim.times[-1] == 2031.0


def test_the_version_is_shown():
    from importlib.metadata import version

    from typer.testing import CliRunner

    from odinn.cli.main import app

    out = CliRunner().invoke(app, ["--version"])
    assert out.exit_code == 0
    assert version("odinn-model") in out.output
