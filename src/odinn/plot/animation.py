"""A run as a moving picture: the map, and the volume up to that time, as GIF or MP4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError
from typing import Final, Literal, get_args

import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from odinn.atomic import path_of, whole_or_nothing
from odinn.errors import InputError, of_glacier
from odinn.plot import maps
from odinn.plot.parts import Picture, evenly
from odinn.plot.series import date_label, name_of, volume_and_area
from odinn.progress import Progress
from odinn.results.simulation import Simulation

Moving = Literal["thickness", "speed", "change"]
SUFFIXES: Final = (".gif", ".mp4")
_FIELDS: Final = get_args(Moving)
_DPI: Final = 100
_SECONDS: Final = 10.0
_NO_FFMPEG: Final = (
    "MP4 needs the program ffmpeg, which was not found: install it (conda install ffmpeg, apt "
    "install ffmpeg, brew install ffmpeg), name it in matplotlib's "
    "rcParams['animation.ffmpeg_path'], or write a .gif, which needs nothing"
)


def animate(
    sim: Simulation,
    path: str | Path,
    what: Moving = "thickness",
    *,
    fps: int | None = None,
    frames: int = 200,
    progress: bool | None = None,
) -> Path:
    """Write a run as GIF (through Pillow) or MP4 (through ffmpeg), a frame for each saved time.

    Args:
        path: ends in .gif or .mp4. An existing file is replaced when the new one is complete.
        what: "thickness", "speed", or "change" since the start; colours keep their limits through
            the run.
        fps: frames per second; default: the run takes about ten seconds, with 2 to 20 frames in
            each.
        frames: at most; of more saved times, that many are chosen evenly, with the first and the
            last.
        progress: show a progress bar; by default when a terminal is there.

    Returns:
        The path.

    Raises:
        InputError: before anything is drawn, for another suffix or field, a run with a single time,
            or no ffmpeg. OutputError: the file cannot be written.
    """
    path = path_of(path)
    count = min(frames, len(sim.times))
    writer = writer_for(path, round(np.clip(count / _SECONDS, 2, 20)) if fps is None else fps)
    if what not in _FIELDS:
        message = f"animate(what={what!r}): expected one of {', '.join(_FIELDS)}"
        raise InputError(of_glacier(sim.glacier.rgi_id, message))
    if count < 2:
        message = f"animate: {count} frame; expected two or more"
        raise InputError(of_glacier(sim.glacier.rgi_id, message))
    chosen = evenly(len(sim.times), count)
    fig, show = _stage(sim, what, chosen)
    label = f"{name_of(sim.glacier)}: {path.name}"
    with (
        whole_or_nothing(path) as unfinished,
        _ffmpeg_errors(),
        Progress(label, sim.times[0], sim.times[-1], progress) as bar,
        writer.saving(fig, str(unfinished), _DPI),
    ):
        for frame, index in enumerate(chosen):
            show(frame)
            writer.grab_frame()
            bar.advance(sim.times[index])
    return path


@contextmanager
def _ffmpeg_errors() -> Iterator[None]:
    """What ffmpeg could not write as an error of the system, as Pillow's are."""
    try:
        yield
    except CalledProcessError as error:
        said = (error.stderr or error.stdout or b"").decode(errors="replace").strip()
        raise OSError(said.splitlines()[-1] if said else str(error)) from error


def writer_for(path: Path, fps: int = 10) -> AbstractMovieWriter:
    """What writes a moving picture of that name, or an error that says what to do."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    if fps <= 0:
        raise InputError(f"{path}: fps={fps}: expected frames per second above 0")
    if path.suffix == ".gif":
        return PillowWriter(fps=fps)
    if not FFMpegWriter.isAvailable():
        raise InputError(f"{path}: {_NO_FFMPEG}")
    return FFMpegWriter(fps=fps, bitrate=2500)


def _stage(
    sim: Simulation, what: Moving, chosen: np.ndarray
) -> tuple[Figure, Callable[[int], None]]:
    """The figure, and a function that puts a frame on it. Limits are those of all frames; nothing
    moves but the ice.
    """
    glacier = sim.glacier
    fields, ice = maps.fields_of(sim, what, chosen)
    ever = np.any(ice, axis=0)
    view = maps.view_of(glacier, ever)
    fig, ax, below = _laid_out(view)
    fig.suptitle(name_of(glacier), fontsize=12)
    # The change grows through the run, so that its limits are those of the end.
    drawn = fields[-1][ever] if what == "change" else fields[ice]
    limits = maps.limits_of(drawn, maps.STYLES[what].scale) if ever.any() else None
    # All ice there ever was is drawn first, so that the map has its image and its colour bar
    # whatever the first frame has.
    largest = np.abs(fields).argmax(axis=0)[None]
    most = np.where(ever, np.take_along_axis(fields, largest, 0)[0], 0.0)
    title = date_label(sim.times[0])
    maps.draw(glacier, most, ax, what=what, limits=limits, ice=ever, view=view, title=title)
    curve = volume_and_area(sim, below)
    curve.set_title("")
    now = curve.axvline(sim.times[0], color="black", linewidth=1.2)
    for _ in range(2):  # the place of the colour bar follows from the size that the map got
        fig.draw_without_rendering()
    fig.set_layout_engine("none")  # what is laid out once stays where it is

    def show(frame: int) -> None:
        index = chosen[frame]
        if len(ax.images) > 1:  # the first is the hillshade
            at = glacier.replace(thickness=sim.thickness[index], keep="bed")
            maps.repaint(ax, at, fields[frame], ice[frame])
        ax.set_title(date_label(sim.times[index]), fontsize=10)
        now.set_xdata([sim.times[index]] * 2)

    return fig, show


def _laid_out(view: maps.View) -> tuple[Figure, Axes, Axes]:
    """A figure with the axes of a map, as high as the view needs, and of a curve below."""
    west, east, south, north = view
    height = 4.6 * np.clip((north - south) / (east - west), 0.5, 1.6)
    # Even numbers of pixels, which the codecs of MP4 want.
    fig = Picture(figsize=(6.0, round(height + 2.2, 1)), layout="constrained")
    ax, below = fig.subplots(2, 1, height_ratios=(height, 1.5))
    return fig, ax, below
