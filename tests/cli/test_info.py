"""``odinn info``: glaciers, results, and what is neither."""

import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import odinn
from odinn.cli.main import app
from odinn.errors import InputError

RAMSAY = "demo:RGI60-18.03156"


def info(*arguments):
    return CliRunner().invoke(app, ["info", *map(str, arguments)], catch_exceptions=False).stdout


def test_coarsening_states_both_areas_and_why_they_differ():
    fine, coarse = odinn.demo_glaciers()[0], odinn.demo_glaciers(coarsen=4)[0]
    assert coarse.area > 1.3 * fine.area  # what has to be said
    areas = f"from {fine.area / 1e6:.2f} to {coarse.area / 1e6:.2f} km2 with at least 1 m of ice"
    assert coarse.provenance["coarsened"] == areas
    assert re.search(
        rf"coarsened  4 x 4 cells in one: {areas} \(edges .*\), volume kept",
        info(RAMSAY, "--coarsen", 4),
    )
    assert "coarsened" not in info(RAMSAY)


def test_what_is_no_glacier_is_named_with_what_info_takes(tmp_path):
    kinds = {
        "map.tif": "is a GeoTIFF, which is one map",
        "overview.png": "is a picture",
        "run.yaml": "is a configuration",
        "series.CSV": "is a table",
        "results": "is a folder without gridded_data.nc; it holds a.nc",
        "empty": "is a folder without gridded_data.nc or other NetCDF files",
    }
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.nc").touch()
    (tmp_path / "empty").mkdir()
    for name, what in kinds.items():
        path = tmp_path / name
        if not path.exists():
            path.write_text("x")
        with pytest.raises(InputError, match=re.escape(f"{path}: {what}")) as error:
            info(path)
        assert (
            "`odinn info` takes a glacier (a NetCDF file, an OGGM directory, demo:RGI-id) or a "
            "result" in str(error.value)
        )
        with pytest.raises(
            InputError, match=re.escape(f"{path}: {what}") + ".* Expected a NetCDF file or an OGGM"
        ):
            odinn.open_glacier(path)
    with pytest.raises(InputError, match="nowhere.nc: no such file"):
        info(tmp_path / "nowhere.nc")


def test_whatever_was_saved_is_shown(slab, tmp_path):
    model = odinn.Model(odinn.SIA2D(A=np.full((3, 4), 2e-17)))
    assert "A=<field 3x4, 2e-17>" in info(odinn.save(model, tmp_path / "model.nc"))
    learned = slab.replace(thickness=odinn.Parameter(slab.thickness, (0.0, None), per="cell"))
    assert f"{slab.volume / 1e9:.4f} km3" in info(odinn.save(learned, tmp_path / "glacier.nc"))


def test_the_embedded_glaciers_have_one_note_whatever_a_folder_is_called(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()  # `make demo` makes one
    monkeypatch.chdir(tmp_path)
    said = info("demo")
    assert said.count("RGI60-18.") == 9
    assert said.count("note ") == 2  # one for those with a tongue under debris, one for the others


OWN_LAWS = """
import odinn

@odinn.register
class FreezingAir(odinn.inputs.FixedInput):
    range, label, unit = None, "air below 0 °C", "1"

    def field(self, glacier):
        return 1.0
"""


@pytest.fixture
def with_own_class(tmp_path, monkeypatch):
    """A folder with a module of own classes, and the file of a run whose model holds one."""
    (tmp_path / "own_laws.py").write_text(OWN_LAWS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code = """
import numpy as np, odinn, own_laws
grid = odinn.Grid(nx=8, ny=8, dx=100.0, dy=100.0, crs="EPSG:32632")
ice = np.zeros(grid.shape)
ice[2:6, 2:6] = 80.0
glacier = odinn.Glacier("own", "Own", grid, bed=np.zeros(grid.shape), thickness=ice, mask=ice > 0)
law = odinn.laws.Function(lambda x: 2e-17 * x, (own_laws.FreezingAir(),))
model = odinn.Model(odinn.SIA2D(A=law))
odinn.save(odinn.simulate(model, glacier, 2000.0, 2001.0), "run.nc")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    return tmp_path


def odinn_says(*arguments):
    """Exit code and what the command line says in a process of its own."""
    code = (
        f"import sys; sys.argv = {['odinn', *arguments]!r}; from odinn.cli.main import main; main()"
    )
    run = [sys.executable, "-P", "-c", code]  # -P: as the installed command, which stands elsewhere
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_file_with_own_classes_is_read_when_the_module_that_registers_them_is_named(
    with_own_class,
):
    """Of a module in the working folder."""
    code, said = odinn_says("info", "run.nc")
    assert code == 2
    assert "no class is registered as 'FreezingAir'" in said
    for command in (["info"], ["export"], ["plot", "-w", "volume"]):
        code, said = odinn_says(*command, "run.nc", "--register", "own_laws")
        assert code == 0, said
    assert (with_own_class / "run_thickness.tif").exists()
    assert (with_own_class / "run" / "volume.png").exists()


@pytest.mark.parametrize("name", ["nowhere", "own_laws.py", ""])
def test_a_module_that_cannot_be_imported_is_named(name, tmp_path, monkeypatch):
    (tmp_path / "own_laws.py").write_text("", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, said = odinn_says("info", "run.nc", "--register", name)
    assert code == 2
    assert f"--register: cannot import '{name}'" in said
    assert "such as my_laws for my_laws.py in this folder" in said
