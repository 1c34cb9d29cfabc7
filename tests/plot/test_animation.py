"""Moving pictures: every frame shows its time in colours that stay, and files are whole."""

from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.animation import FFMpegWriter, PillowWriter
from PIL import Image

import odinn
from odinn.plot import animate, animation


class Recorder:
    """Keeps what a frame shows, in place of writing it."""

    def __init__(self):
        self.frames = []

    @contextmanager
    def saving(self, fig, path, dpi):
        self.fig = fig
        open(path, "w").close()
        yield self

    def grab_frame(self):
        ax, curve = self.fig.axes[:2]
        image = ax.images[1]
        now = curve.lines[-1].get_xdata()[0]
        self.frames.append(
            (
                image.get_array().copy(),
                image.get_clim(),
                ax.get_title(),
                now,
                ax.images[0].get_array(),
            )
        )


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(animation, "writer_for", lambda path, fps: recorder)
    return recorder


def test_each_frame_shows_its_time(slab_run, recorder, tmp_path):
    animate(slab_run, tmp_path / "a.gif")
    assert len(recorder.frames) == len(slab_run.times)
    for (field, limits, _, now, _), thickness, t in zip(
        recorder.frames, slab_run.thickness, slab_run.times, strict=True
    ):
        np.testing.assert_array_equal(~field.mask, thickness >= 1)
        np.testing.assert_array_equal(field.compressed(), thickness[thickness >= 1])
        assert limits == recorder.frames[0][1]
        assert now == t
    assert [frame[2] for frame in recorder.frames[:2]] == ["2000-01-01", "2000-07-01"]
    assert (
        recorder.frames[0][4] != recorder.frames[-1][4]
    ).any()  # the hillshade follows the surface


def test_change_is_symmetric_and_speed_has_no_holes(slab_run, recorder, tmp_path):
    animate(slab_run, tmp_path / "a.gif", "change", frames=3)
    assert [frame[3] for frame in recorder.frames] == [2000.0, 2001.5, 2003.0]
    low, high = recorder.frames[0][1]
    assert low == -high
    assert (recorder.frames[0][0].compressed() == 0).all()
    recorder.frames.clear()
    animate(slab_run, tmp_path / "a.gif", "speed", frames=2)
    speed = recorder.frames[-1][0]
    np.testing.assert_array_equal(~speed.mask, slab_run.thickness[-1] >= 1)
    assert speed.min() >= recorder.frames[0][1][0] > 0


def test_a_glacier_that_grows_from_nothing_moves(slab_run, recorder, tmp_path):
    import equinox as eqx

    grown = eqx.tree_at(
        lambda s: s.thickness, slab_run, slab_run.thickness * (slab_run.times > 2001)[:, None, None]
    )
    animate(grown, tmp_path / "a.gif")
    assert recorder.frames[0][0].count() == 0
    assert recorder.frames[-1][0].count() > 0


def test_a_gif_is_written_whole(slab_run, tmp_path):
    path = animate(slab_run, tmp_path / "new" / "a.gif", frames=3, fps=5)
    with Image.open(path) as picture:
        assert picture.n_frames == 3
        assert picture.info["duration"] == 200
    assert [p.name for p in path.parent.iterdir()] == ["a.gif"]


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="ffmpeg is not installed")
def test_an_mp4_is_written(slab_run, tmp_path):
    assert animate(slab_run, tmp_path / "a.mp4", frames=3).read_bytes()[4:8] == b"ftyp"


def test_an_mp4_without_ffmpeg_says_what_to_do_before_anything_is_drawn(
    slab_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    monkeypatch.setattr(animation, "_stage", None)
    with pytest.raises(odinn.InputError, match=r"conda install ffmpeg.*or write a .gif"):
        animate(slab_run, tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_a_picture_that_fails_leaves_the_old_one_whole(slab_run, tmp_path, monkeypatch):
    first = PillowWriter.grab_frame

    def full_disk(self, **options):
        if self._frames:
            raise OSError("no space left on device")
        first(self, **options)

    (tmp_path / "a.gif").write_bytes(b"old")
    monkeypatch.setattr(PillowWriter, "grab_frame", full_disk)
    with pytest.raises(OSError, match="no space"):
        animate(slab_run, tmp_path / "a.gif")
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.gif": b"old"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "a.avi"}, "ends in .gif or .mp4"),
        ({"what": "bed"}, "expected one of thickness, speed, change"),
        ({"frames": 1}, "expected two or more"),
        ({"fps": -1}, "frames per second above 0"),
    ],
)
def test_wrong_input_is_named(slab_run, tmp_path, options, message):
    path = tmp_path / options.pop("path", "a.gif")
    with pytest.raises(odinn.InputError, match=message):
        animate(slab_run, path, **options)
