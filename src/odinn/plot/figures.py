"""The figures of a run by name, and their files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, get_args

from odinn.errors import InputError
from odinn.plot import animation, maps, page, section, series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from odinn.results.simulation import Simulation

FORMATS: Final = ("png", "pdf", "svg")
DEFAULT: Final = ("thickness_speed", "before_after", "overview", "series", "summary")
_DPI = 150


class Kind(NamedTuple):
    """What a figure shows, and what draws it from a run and a line (None: the central line)."""

    shows: str
    draw: Callable[[Simulation, Any], Figure]


def _titled(draw: Callable[[Simulation], Axes]) -> Callable[[Simulation, Any], Figure]:
    """One panel under the glacier's name."""

    def figure(sim: Simulation, line: Any) -> Figure:
        fig = cast("Figure", draw(sim).figure)
        fig.suptitle(series.name_of(sim), fontsize=12)
        return fig

    return figure


def _map(what: maps.What) -> Callable[[Simulation, Any], Figure]:
    return _titled(lambda sim: maps.draw_run(sim, what))


FIGURES: Final[dict[str, Kind]] = {
    "summary": Kind("one page: maps, curves, the section and the numbers of the run", page.summary),
    "thickness_speed": Kind(
        "thickness and speed at the end, side by side", lambda s, _: maps.thickness_and_speed(s)
    ),
    "before_after": Kind(
        "thickness before and after, and the change", lambda s, _: maps.before_after(s)
    ),
    "overview": Kind("thickness, speed, change and balance", lambda s, _: maps.overview(s)),
    "thickness": Kind("map of the thickness at the end", _map("thickness")),
    "speed": Kind("map of the surface speed at the end", _map("speed")),
    "change": Kind("map of the thickness change", _map("change")),
    "smb": Kind("map of the mean mass balance", _map("smb")),
    "surface": Kind("map of the surface altitude at the end", _map("surface")),
    "bed": Kind("map of the bed altitude", _map("bed")),
    "series": Kind(
        "volume and area, balance and change by altitude", lambda s, _: series.summary(s)
    ),
    "volume": Kind("volume and area in time", _titled(series.volume_and_area)),
    "balance_by_altitude": Kind(
        "mean balance and area in 50 m bands", _titled(series.balance_by_altitude)
    ),
    "change_by_altitude": Kind(
        "thickness change and area in 50 m bands", _titled(series.thickness_change_by_altitude)
    ),
    "section": Kind(
        "bed and surfaces along a line, and the line on a map", section.map_and_section
    ),
}
MOVING: Final = {"gif": "moving picture as GIF", "mp4": "moving picture as MP4 (needs ffmpeg)"}


def check(what: Iterable[str], format: str = "png", field: str = "thickness") -> None:
    """Raise an InputError for what :func:`save_all` could not draw; nothing has been drawn then."""
    for name in what:
        if name not in FIGURES | MOVING:
            raise InputError(f"no figure {name!r}: choose from {', '.join(FIGURES | MOVING)}")
        if name in MOVING:
            animation.writer_for(Path(f"{field}.{name}"))
    if format not in FORMATS:
        raise InputError(f"format {format!r}: choose from {', '.join(FORMATS)}")
    if field not in get_args(animation.Moving):
        raise InputError(
            f"no moving picture of {field!r}: choose from {', '.join(get_args(animation.Moving))}"
        )


def save_all(
    sim: Simulation,
    folder: str | Path,
    what: Iterable[str] = DEFAULT,
    *,
    format: str = "png",
    line: Any = None,
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
    """
    what, folder = list(what), Path(folder)
    check(what, format, field)
    if line is not None:
        line = section.line_of(sim, line)
    folder.mkdir(parents=True, exist_ok=True)
    return [
        animation.animate(sim, folder / f"{field}.{name}", field, progress=progress)
        if name in MOVING
        else save(FIGURES[name].draw(sim, line), folder / f"{name}.{format}")
        for name in what
    ]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure in the format of the path's suffix; an existing file is replaced when the new
    one is complete.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, format=path.suffix[1:], dpi=_DPI)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
