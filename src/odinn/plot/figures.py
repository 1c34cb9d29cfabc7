"""The figures of a run by name, and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, get_args

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from odinn.atomic import path_of, whole_or_nothing
from odinn.errors import InputError
from odinn.plot import animation, glance, maps, page, section, series
from odinn.results.simulation import Simulation

FORMATS: Final = ("png", "pdf", "svg")
DEFAULT: Final = ("thickness_speed", "before_after", "overview", "series", "summary")
_DPI = 150


class Kind(NamedTuple):
    """What a figure shows, and what makes it from a run and, ``with_line``, a line."""

    shows: str
    make: Callable[..., Figure | Axes]
    with_line: bool = False

    def draw(self, sim: Simulation, line: ArrayLike | None = None) -> Figure:
        """The figure; None: along the central line."""
        made = self.make(sim, line) if self.with_line else self.make(sim)
        if isinstance(made, Figure):
            return made
        figure = made.figure
        assert isinstance(figure, Figure)
        # A panel alone does not say which glacier it is of.
        figure.suptitle(series.name_of(sim.glacier), fontsize=12)
        return figure


def _map(shows: str, what: maps.What) -> Kind:
    return Kind(f"map of {shows}", partial(maps.draw_run, what=what))


FIGURES: Final[dict[str, Kind]] = {
    "summary": Kind(
        "one page: maps, curves, the section and the numbers of the run", page.summary, True
    ),
    "glance": Kind("thickness and its change, volume and area in time", glance.run),
    "thickness_speed": Kind(
        "thickness and speed at the end, side by side", maps.thickness_and_speed
    ),
    "before_after": Kind("thickness before and after, and the change", maps.before_after),
    "overview": Kind("thickness, speed, change and balance", maps.overview),
    "thickness": _map("the thickness at the end", "thickness"),
    "speed": _map("the surface speed at the end", "speed"),
    "change": _map("the thickness change", "change"),
    "smb": _map("the mean mass balance", "smb"),
    "surface": _map("the surface altitude at the end", "surface"),
    "bed": _map("the bed altitude", "bed"),
    "series": Kind("volume and area, balance and change by altitude", series.summary),
    "volume": Kind("volume and area in time", series.volume_and_area),
    "balance_by_altitude": Kind("mean balance and area in 50 m bands", series.balance_by_altitude),
    "change_by_altitude": Kind(
        "thickness change and area in 50 m bands", series.thickness_change_by_altitude
    ),
    "section": Kind(
        "bed and surfaces along a line, and the line on a map", section.map_and_section, True
    ),
}
MOVING: Final = {"gif": "moving picture as GIF", "mp4": "moving picture as MP4 (needs ffmpeg)"}


def figure(sim: Simulation, what: str) -> Figure:
    """A figure of :data:`FIGURES` by name."""
    check([what])
    if what in MOVING:
        raise InputError(f"plot({what!r}) moves: odinn.plot.animate writes it to a file")
    return FIGURES[what].draw(sim)


def check(what: Iterable[str], format: str = "png", field: str = "thickness") -> None:
    """Raise an InputError for what :func:`save_all` could not draw; nothing has been drawn then."""
    known = FIGURES | MOVING
    for name in what:
        if name not in known:
            raise InputError(f"no figure {name!r}: choose from {', '.join(known)}")
        if name in MOVING:  # an error without ffmpeg
            animation.writer_for(Path(f"{field}.{name}"))
    if format not in FORMATS:
        raise InputError(f"format {format!r}: choose from {', '.join(FORMATS)}")
    fields = get_args(animation.Moving)
    if field not in fields:
        raise InputError(f"no moving picture of {field!r}: choose from {', '.join(fields)}")


def save_all(
    sim: Simulation,
    folder: str | Path,
    what: Iterable[str] = DEFAULT,
    *,
    format: str = "png",
    line: ArrayLike | None = None,
    field: animation.Moving = "thickness",
    progress: bool | None = None,
) -> list[Path]:
    """Draw a run into files named after the figures: summary.png, overview.png ...

    Args:
        folder: made if it is not there. An existing file is replaced when the new one is complete.
        what: names of :data:`FIGURES`, or "gif" and "mp4".
        format: "png", "pdf" or "svg".
        line: of cross-sections, (N, 2), projected m; default: the central line.
        field: that moves: "thickness", "speed" or "change".
        progress: show a bar for moving pictures; by default when a terminal is there.

    Returns:
        The paths.

    Raises:
        InputError: before anything is drawn, for an unknown name, or "mp4" without ffmpeg.
        OutputError: a file cannot be written.
    """
    what, folder = (
        list(what),
        path_of(folder),
    )  # names may come from a generator, and are read twice
    check(what, format, field)
    if line is not None:  # checked once, before anything is drawn
        line = section.line_of(sim, line)
    written = []
    for name in what:
        if name in MOVING:
            path = folder / f"{field}.{name}"
            written.append(animation.animate(sim, path, field, progress=progress))
        else:
            figure = FIGURES[name].draw(sim, line)
            written.append(save(figure, folder / f"{name}.{format}"))
    return written


def save(figure: Figure, path: Path, dpi: int | None = None) -> Path:
    """Write a figure in the format of the path's suffix; an existing file is replaced when the new
    one is complete.
    """
    with whole_or_nothing(path) as unfinished:
        figure.savefig(unfinished, format=path.suffix[1:], dpi=dpi or _DPI)
    return path
