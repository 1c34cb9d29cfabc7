"""One bad glacier stops nobody, names print as they are, and mistakes are said all at once."""

import re

import pytest
import yaml
from typer.testing import CliRunner

from odinn.cli.config import read_config
from odinn.cli.learning import INVERT
from odinn.cli.main import app
from odinn.cli.running import run
from odinn.errors import InputError
from tests.data.made import DX, NX, fields

SMALL = {
    "model": {"mass_balance": {"type": "LinearBalance", "gradient": 0.01, "ela": 2550.0}},
    "run": {"t0": 2000, "t1": 2001, "save_every": 1.0, "on_error": "keep"},
}


def glacier_file(folder, rgi_id, **changes):
    path = folder / f"{rgi_id}.nc"
    fields().assign_attrs(rgi_id=rgi_id, name="[/bold]").assign_coords(**changes).to_netcdf(path)
    return str(path)


def config_of(folder, sources, **more):
    path = folder / "run.yaml"
    output = {"directory": str(folder / "out"), "plots": False}
    content = SMALL | {"glacier": {"source": sources}, "output": output} | more
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_whatever_is_wrong_with_one_glacier_the_others_are_run(tmp_path, capsys, monkeypatch):
    good, bad = glacier_file(tmp_path, "good"), glacier_file(tmp_path, "bad", x=[DX] * NX)
    odd = tmp_path / "odd.nc"
    odd.write_bytes(b"no NetCDF")
    third = glacier_file(tmp_path, "third")
    config = config_of(tmp_path, [bad, good, str(odd), third])
    real = run.__globals__["_write"]

    def fails(config, sim):
        if sim.glacier.rgi_id == "third":
            raise ZeroDivisionError("in a picture")
        real(config, sim)

    monkeypatch.setitem(run.__globals__, "_write", fails)
    assert run(config, ["run.t1=2000.5"], check=False) == 3
    assert (tmp_path / "out" / "good.nc").exists()
    said = capsys.readouterr().err
    assert "3 failed" in said
    assert "ZeroDivisionError: in a picture" in said
    again = re.findall(r"again: odinn run (\S+) -s run.t1=2000.5 -s (\S+)", said)
    assert [source for _, source in again] == [f"glacier.source={p}" for p in (bad, odd, third)]
    assert {path for path, _ in again} == {str(config)}


def test_names_with_brackets_print_as_they_are(tmp_path):
    out = CliRunner().invoke(app, ["info", glacier_file(tmp_path, "a[red]b")])
    assert out.exit_code == 0
    assert "a[red]b [/bold]" in out.output


def test_all_mistakes_of_a_file_are_said_at_once(tmp_path):
    config = config_of(tmp_path, "a.nc", run={"t0": 2000, "save_evry": 1.0, "dtype": "float16"})
    with pytest.raises(InputError) as error:
        read_config(config, [])
    said = str(error.value)
    assert "run.save_evry: 'save_evry' is unknown" in said or "did you mean 'save_every'" in said
    assert "run.t1: is required" in said
    assert "run.dtype" in said
    assert said.count("run.yaml") == 3


def test_a_file_of_the_other_command_is_said_to_be_one(tmp_path):
    path = config_of(tmp_path, "a.nc")
    with pytest.raises(InputError, match=r"is a file for `odinn run`: it has glacier, run"):
        read_config(path, [], INVERT)
    path.write_text("loss: []\nglaciers: []\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"is a file for `odinn invert`: it has glaciers, loss"):
        read_config(path, [])


@pytest.mark.parametrize(
    "content",
    [
        b"a: &a [x, x]\n"
        + b"".join(b"%c: &%c [*%c, *%c]\n" % (k, k, k - 1, k - 1) for k in range(98, 123)),
        "modèle: 1".encode("latin-1"),
        "run: 1".encode("utf-16"),
        b"run: \x00",
        b"[" * 3000,
        b"run: {t0: 1}\nrun: {t0: 2}",
        b"1: 2",
        b"2001-01-01: 2",
    ],
    ids=["aliases", "latin-1", "utf-16", "nul", "deep", "twice", "number", "date"],
)
def test_text_that_is_no_configuration_is_a_named_error(tmp_path, content):
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"odd\.yaml: "):
        read_config(path, [])


@pytest.mark.parametrize(
    "command", ["run", "calibrate", "invert", "info", "plot", "export", "verify", "demo"]
)
def test_the_help_of_every_command_has_an_example(command):
    out = CliRunner().invoke(app, [command, "-h"])
    assert out.exit_code == 0
    assert f"Example: odinn {command}" in " ".join(out.output.split())
