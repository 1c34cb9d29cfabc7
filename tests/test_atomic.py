"""Files are there as a whole or not at all, whoever else writes and however full the disk is."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from odinn.atomic import path_of, whole_or_nothing, write_text
from odinn.errors import InputError, OdinnError, OutputError

WRITER = """
import sys
from pathlib import Path
import numpy as np, xarray as xr
from odinn.atomic import whole_or_nothing
path, me = Path(sys.argv[1]), int(sys.argv[2])
for again in range(15):
    with whole_or_nothing(path) as partial:
        if path.suffix == ".nc":
            ds = xr.Dataset({"a": ("x", np.full(5000 * (1 + me), me + 1.0))})
            ds.to_netcdf(partial, engine="netcdf4")
        elif path.suffix == ".store":
            partial.mkdir()
            for name in "ab":
                (partial / name).write_text(str(me) * 100)
        else:
            partial.write_text(str(me) * 5000 * (1 + me))
"""


def child(code, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("name", ["two.nc", "two.txt", "two.store"])
def test_two_processes_that_write_one_path_leave_one_whole_file(tmp_path, name):
    path = tmp_path / "made" / "for it" / name
    writers = [child(WRITER, path, me) for me in range(2)]
    said = [writer.communicate(timeout=100) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], said
    assert [p.name for p in path.parent.iterdir()] == [name]
    if path.suffix == ".nc":
        with xr.open_dataset(path) as ds:
            assert ds.a.size == 5000 * float(ds.a[0])
            assert (ds.a == ds.a[0]).all()
    elif path.suffix == ".store":
        assert len({(path / part).read_text() for part in "ab"}) == 1
    else:
        assert path.read_text() in ("0" * 5000, "1" * 10000)


def test_threads_of_one_process_do_not_disturb_each_other_either(tmp_path):
    path, wrong = tmp_path / "one.txt", []

    def write(me):
        try:
            for _ in range(20):
                write_text(path, me * 1000)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=write, args=(me,)) for me in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert path.read_text() in ("a" * 1000, "b" * 1000, "c" * 1000)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_names_file_and_bytes_and_leaves_what_was_there(tmp_path):
    path = write_text(tmp_path / "kept.txt", "kept")

    def fill():
        with whole_or_nothing(path) as partial:
            partial.write_bytes(b"x" * 1234)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=rf"{path}: .*space.* after 1234 bytes, with \d+ bytes"):
        fill()
    assert path.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [path]
    assert issubclass(OutputError, OdinnError)


def test_a_new_folder_that_cannot_be_moved_in_brings_the_old_one_back(tmp_path, monkeypatch):
    store, replace = tmp_path / "a.zarr", os.replace

    def write(name):
        with whole_or_nothing(store) as partial:
            partial.mkdir()
            (partial / name).touch()

    write("old")

    def fails_where_nothing_is(source, target):
        if not os.path.exists(target) and "unfinished" in str(source):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("os.replace", fails_where_nothing_is)
    with pytest.raises(OutputError, match="No space"):
        write("new")
    assert [p.name for p in store.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [store]


def test_what_is_in_the_way_is_an_output_error_that_names_it(tmp_path):
    folder, file = tmp_path / "folder", write_text(tmp_path / "file", "text")
    (folder / "mine").mkdir(parents=True)
    with pytest.raises(OutputError, match=f"{folder}: is a folder"):
        write_text(folder, "text")
    with pytest.raises(OutputError, match=f"{file}: is a file"), whole_or_nothing(file) as partial:
        partial.mkdir()
    with pytest.raises(OutputError, match=f"{file}/below: cannot be written"):
        write_text(file / "below", "text")
    assert (folder / "mine").is_dir()
    assert file.read_text() == "text"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_no_permission_is_an_output_error(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.replace", refused)
    with pytest.raises(OutputError, match=r"a\.txt: cannot be written \(Permission denied\)"):
        write_text(tmp_path / "a.txt", "text")
    assert not list(tmp_path.iterdir())


def test_a_link_stays_one_and_a_device_is_written_to(tmp_path):
    real = write_text(tmp_path / "real.txt", "old")
    (tmp_path / "link.txt").symlink_to(real)
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert real.read_text() == "new"
    write_text(Path(os.devnull), "nothing")
    assert not Path(os.devnull).is_file()


def test_what_killed_processes_left_is_removed_after_a_day(tmp_path):
    with whole_or_nothing(tmp_path / "a.txt") as partial:
        partial.write_text("a")
        old, new = partial.with_name(f"{partial.name}-old"), partial.with_name(f"{partial.name}-n")
        for left in (old, new):
            left.touch()
        os.utime(old, (time.time() - 1e5,) * 2)
    write_text(tmp_path / "b.txt", "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([new.name, "a.txt", "b.txt"])


def test_the_home_folder_is_meant_by_its_sign(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("~/runs/a.nc") == tmp_path / "runs" / "a.nc"
    assert path_of(Path("a~b")) == Path("a~b")
    with pytest.raises(InputError, match="no such home"):
        path_of("~nobody-of-this-name/a.nc")


def test_the_home_folder_is_found_wherever_a_path_is_given(monkeypatch, tmp_path):
    import odinn
    from odinn.cli.config import read_config
    from odinn.cli.running import run

    monkeypatch.setenv("HOME", str(tmp_path))
    assert odinn.save(odinn.Model(), "~/of/mine/model.nc") == tmp_path / "of/mine/model.nc"
    assert isinstance(odinn.load("~/of/mine/model.nc"), odinn.Model)
    assert list(tmp_path.iterdir()) == [tmp_path / "of"]
    for missing in (odinn.load, odinn.restart, odinn.open_glacier, odinn.open_climate):
        with pytest.raises(InputError, match=f"^{tmp_path}/missing.nc: no such"):
            missing("~/missing.nc")
    settings = write_text(tmp_path / "run.yaml", "glacier: {source: demo:x}\nrun: {t0: 0, t1: 1}\n")
    assert read_config(Path("~/run.yaml"), [])["run"]["t1"] == 1
    with pytest.raises(InputError, match="demo:x"):
        run(settings, ["output.directory=~/of"], check=True)


def test_settings_in_another_encoding_are_an_error_that_says_so(tmp_path):
    from odinn.cli.config import read_config

    (tmp_path / "run.yaml").write_bytes("run: {t0: 0, t1: 1} # für später".encode("latin-1"))
    with pytest.raises(InputError, match=r"run\.yaml: not UTF-8 text"):
        read_config(tmp_path / "run.yaml", [])


def test_a_folder_that_is_no_zarr_store_is_not_replaced_by_one(tmp_path):
    import odinn

    write_text(tmp_path / "mine.zarr" / "thesis.txt", "mine")
    with pytest.raises(InputError, match="no Zarr store"):
        odinn.save(odinn.Model(), tmp_path / "mine.zarr")
    assert (tmp_path / "mine.zarr" / "thesis.txt").read_text() == "mine"


FULL = """
import resource, sys
from pathlib import Path
from unittest.mock import patch
import numpy as np, xarray as xr
import odinn
from odinn.results.codec import Encoded
from odinn.learning.checkpoint import write_checkpoint
from odinn.plot.figures import save as save_figure
from matplotlib.figure import Figure

out = Path(sys.argv[1])
rough = np.random.default_rng(0).uniform(2000.0, 3000.0, (60, 60))
grid = odinn.Grid(60, 60, 50.0, 50.0, crs="EPSG:32632")
glacier = odinn.Glacier("made", "Made", grid, rough, rough - 2000.0, rough > 0)
coords = {"x": grid.x, "y": grid.y, "decimal_year": ("time", [2000.0])}
ds = xr.Dataset({"thickness": (("time", "y", "x"), rough[None])}, coords)
ds["crs"] = ((), 0, {"crs_wkt": "EPSG:32632"})
figure = Figure()
figure.subplots().imshow(rough, interpolation="nearest")

class Kept:
    text = "{}"

def checkpoint(path):
    encoded = Encoded("{}", {"a": rough})
    with patch("odinn.learning.checkpoint.codec.encode", lambda state: encoded):
        write_checkpoint(path, None, Kept)

writers = {
    "a.nc": lambda path: odinn.save(glacier, path),
    "a.zarr": lambda path: odinn.save(glacier, path),
    "a.tif": lambda path: odinn.to_geotiff(ds, "thickness", path),
    "a.png": lambda path: save_figure(figure, path),
    "a.pdf": lambda path: save_figure(figure, path),
    "a.npz": checkpoint,
}
for name, write in writers.items():
    write(out / "room" / name)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
for name, write in writers.items():
    for folder in ("room", "full"):
        try:
            write(out / folder / name)
        except odinn.OutputError as error:
            assert str(out / folder / name) in str(error) and "bytes free" in str(error), error
        else:
            raise AssertionError(name)
print("said")
"""


def test_no_writer_leaves_half_a_file_on_a_full_disk(tmp_path):
    pytest.importorskip("resource")
    full = child(FULL, tmp_path, JAX_PLATFORMS="cpu")
    said, wrong = full.communicate(timeout=100)
    assert said == "said\n", wrong
    assert not list((tmp_path / "full").iterdir())
    names = ["a.nc", "a.npz", "a.pdf", "a.png", "a.tif", "a.zarr"]
    assert sorted(p.name for p in (tmp_path / "room").iterdir()) == names
    with xr.open_dataset(tmp_path / "room" / "a.nc", group="odinn", decode_cf=False) as ds:
        assert ds.attrs
    with np.load(tmp_path / "room" / "a.npz") as kept:
        assert kept["a"].shape == (60, 60)
