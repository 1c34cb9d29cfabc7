"""Maps of a glacier: a field over its hillshade, with outline, scale bar, north arrow and colour
bar.

The axes are in projected metres, so that points, profiles and outlines can be drawn over a map.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, TypedDict, Unpack

import numpy as np
from cmcrameri import cm
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from odinn.constants import AREA_THRESHOLD
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.model.velocities import velocity_of
from odinn.plot.parts import Picture, remark
from odinn.plot.series import date_label, mean_balance, name_of, period
from odinn.plot.surroundings import (
    Field,
    Mask,
    View,
    bar_and_arrow,
    color_bar,
    extent,
    hillshade,
    limits_of,
    outline,
)
from odinn.results.simulation import Simulation

What = Literal["thickness", "speed", "change", "smb", "bed", "surface"]


class Style(NamedTuple):
    """How a kind of field is drawn.

    ``colors`` are of cmcrameri (Crameri et al. 2020), even to the eye, also to a colour-blind one.
    ``span`` is the part of them that is used: a white end would be lost in snow-lit ground, a
    black one in the outline.
    """

    label: str
    colors: str
    scale: Literal["linear", "log", "diverging"] = "linear"
    span: tuple[float, float] = (0.0, 1.0)


STYLES: Final[dict[str, Style]] = {
    "thickness": Style("ice thickness (m)", "oslo_r", span=(0.08, 0.88)),
    "speed": Style("surface speed (m yr⁻¹)", "lajolla_r", "log", (0.02, 0.9)),
    "change": Style("thickness change (m)", "vik_r", "diverging", (0.05, 0.95)),
    "smb": Style("mass balance (m w.e. yr⁻¹)", "vik_r", "diverging", (0.05, 0.95)),
    "bed": Style("bed altitude (m)", "batlow"),
    "surface": Style("surface altitude (m)", "batlow"),
}
_MARGIN: Final = 0.07  # of the longer side of the glacier, around it
_EXTEND: Final = ("neither", "min", "max", "both")  # of a colour bar: 1 below it, 2 above it


Limits = tuple[float, float] | Literal["shared"]


class Drawing(TypedDict, total=False):
    """Options of :func:`draw` that :func:`draw_run` chooses unless they are given."""

    label: str | None
    limits: Limits | None
    ice: Mask | None
    title: str | None
    view: View | None


def draw(
    glacier: Glacier,
    field: Field,
    ax: Axes | None = None,
    *,
    what: What = "thickness",
    label: str | None = None,
    limits: tuple[float, float] | None = None,
    ice: Mask | None = None,
    title: str | None = None,
    view: View | None = None,
) -> Axes:
    """Draw a field where there is ice, over the hillshade of the glacier's surface lit from the
    north-west.

    Args:
        field: (ny, nx), in the unit of ``what``; NaN is left out.
        ax: axes to draw on; by default those of a new figure, ``ax.figure``.
        what: "thickness", "change", "bed", "surface" (m), "speed" (m yr⁻¹, colours by its
            logarithm) or "smb" (m w.e. yr⁻¹). "change" and "smb" are blue for gain and red for
            loss, symmetric about 0.
        label: of the colour bar, with its unit.
        limits: of the colours; default: 2nd and 98th percentile of what is drawn. For "change" and
            "smb" the wider side counts for both.
        ice: where to draw; default: where the glacier has at least 1 m of ice.
        title: above the map.
        view: west, east, south, north, m; default: outline and ice with a margin.

    Returns:
        The axes, in projected metres. Up is the north of the grid.

    Raises:
        InputError: for an unknown ``what``, a field that is not on the glacier's grid, or limits
            out of order.
    """
    if what not in STYLES:
        raise _unknown(glacier, what)
    field = _on_grid(glacier, "field", np.asarray(field, float))
    ice = _on_grid(glacier, "ice", ice_of(glacier) if ice is None else np.asarray(ice, bool))
    view = view_of(glacier, ice) if view is None else view
    if ax is None:
        ax = panels(1, 1, view)[1][0, 0]
    west, east, south, north = view
    edges = extent(glacier.grid)
    # Darkest and lightest grey stay unused, so that ice and outline stand out from the ground.
    shade = hillshade(glacier)
    ax.imshow(shade, cmap="gray", vmin=-0.8, vmax=1.3, extent=edges, interpolation="bilinear")
    shown = _masked(field, ice)
    if shown.count():
        style = STYLES[what]
        low, high = limits_of(shown.compressed(), style.scale, limits, glacier.rgi_id)
        norm = LogNorm(low, high) if style.scale == "log" else Normalize(low, high)
        colors = ListedColormap(getattr(cm, style.colors)(np.linspace(*style.span, 256)))
        image = ax.imshow(shown, colors, norm, extent=edges, interpolation="none")
        _put(shown, image)
        extend = _EXTEND[(shown.min() < low) + 2 * (shown.max() > high)]
        label = style.label if label is None else label
        color_bar(ax, image, label, extend, (north - south) / (east - west))
    else:
        remark(ax, "no data" if ice.any() else "no ice")
    if glacier.mask.any():
        outline(ax, glacier)
    # Last, because images and contours set limits of their own.
    ax.set(xlim=(west, east), ylim=(south, north), aspect="equal", xticks=[], yticks=[])
    bar_and_arrow(ax, glacier, ice | glacier.mask, view)
    if title is not None:
        ax.set_title(title, fontsize=10)
    return ax


def draw_run(
    sim: Simulation,
    what: What = "thickness",
    index: int = -1,
    ax: Axes | None = None,
    **options: Unpack[Drawing],
) -> Axes:
    """Draw a field of a run, as :func:`draw` does, at one of the saved times (``index`` of
    ``sim.times``).

    Args:
        what: "change" is since the start of the run, "smb" the mean of the whole run whatever the
            index.
        options: of :func:`draw`. ``limits="shared"`` are those of all saved times, so that the
            colours of maps of several dates mean the same.
    """
    field, ice = field_of(sim, what, index)
    limits = options.get("limits")
    if isinstance(limits, str):
        if limits != "shared":
            message = f"draw_run(limits={limits!r}): expected (low, high) or 'shared'"
            raise InputError(of_glacier(sim.glacier.rgi_id, message))
        options["limits"] = shared_limits(sim, what)
    title = date_label(sim.times[index])
    if what == "change":
        title = f"{date_label(sim.times[0])} to {title}"
    elif what == "smb":
        title = f"mean of {period(sim)}"
    # The same cut-out at every time, so that maps of a run can be compared.
    view = view_of(sim.glacier, ever_ice(sim))
    chosen: dict[str, Any] = {"view": view, "title": title, "ice": ice}
    # The hillshade is that of the surface at that time.
    glacier = sim.glacier.replace(thickness=sim.thickness[index], keep="bed")
    return draw(glacier, field, ax, what=what, **{**chosen, **options})


def field_of(sim: Simulation, what: What, index: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """A field of a run, (ny, nx), in the unit of :data:`STYLES`, and where it is drawn."""
    fields, ice = fields_of(sim, what, np.array([index]))
    return fields[0], ice[0]


def fields_of(
    sim: Simulation, what: What, chosen: Int[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, "N ny nx"], Bool[np.ndarray, "N ny nx"]]:
    """A field of a run at some of its saved times, given by index, and where it is drawn."""
    thickness, ice = sim.thickness[chosen], sim.is_glacier[chosen]
    match what:
        case "thickness":
            return thickness, ice
        case "speed":
            # The laws of the flow may be renewed each month.
            months = sim.months[chosen]
            return velocity_of(sim.model, sim.glacier, thickness, months=months)[2], ice
        case "surface":
            return sim.surface[chosen], ice
        case "bed":
            return np.broadcast_to(np.asarray(sim.glacier.bed), ice.shape), ice
        case "change":
            return thickness - sim.thickness[0], ice | sim.is_glacier[0]
        case "smb":
            mean, ever = mean_balance(sim), ever_ice(sim)
            return np.broadcast_to(mean, ice.shape), np.broadcast_to(ever, ice.shape)
    raise _unknown(sim.glacier, what)


def shared_limits(sim: Simulation, what: What) -> tuple[float, float] | None:
    """Limits of the colours that suit a field at all saved times; None where there is no ice."""
    fields, ice = fields_of(sim, what, np.arange(len(sim.times)))
    drawn = fields[ice & np.isfinite(fields)]
    return limits_of(drawn, STYLES[what].scale) if drawn.size else None


def thickness_and_speed(
    sim: Simulation, index: int = -1, *, limits: Literal["shared"] | None = None
) -> Figure:
    """Ice thickness and surface speed side by side, at one of the saved times (``index`` of
    ``sim.times``).

    Args:
        limits: "shared": colours and cut-out are those of all saved times, for figures of several
            dates.
    """
    ice = np.any(sim.is_glacier if limits else sim.is_glacier[[index]], axis=0)
    view = view_of(sim.glacier, ice)
    fig, axes = panels(1, 2, view, f"{name_of(sim.glacier)}, {date_label(sim.times[index])}")
    draw_run(sim, "thickness", index, axes[0, 0], view=view, title=None, limits=limits)
    draw_run(sim, "speed", index, axes[0, 1], view=view, title=None, limits=limits)
    return fig


def before_after(sim: Simulation) -> Figure:
    """Thickness at the start and at the end, in the same colours, and the change between."""
    limits = common_limits(sim.thickness[0], sim.thickness[-1])
    # One scale for both, so that thinning shows as a change of colour.
    fig, axes = panels(1, 3, view_of(sim.glacier, ever_ice(sim)), name_of(sim.glacier))
    draw_run(sim, "thickness", 0, axes[0, 0], limits=limits)
    draw_run(sim, "thickness", -1, axes[0, 1], limits=limits)
    draw_run(sim, "change", ax=axes[0, 2])
    return fig


def overview(sim: Simulation) -> Figure:
    """Thickness and speed at the end, thickness change and mean balance over the run."""
    view = view_of(sim.glacier, ever_ice(sim))
    fig, axes = panels(2, 2, view, f"{name_of(sim.glacier)}, {period(sim)}")
    draw_run(sim, "thickness", ax=axes[0, 0])
    draw_run(sim, "speed", ax=axes[0, 1])
    draw_run(sim, "change", ax=axes[1, 0], title="over the run")
    draw_run(sim, "smb", ax=axes[1, 1], title="mean of the run")
    return fig


def ice_of(glacier: Glacier) -> Mask:
    """Where a glacier has at least 1 m of ice."""
    return np.asarray(glacier.thickness) >= AREA_THRESHOLD


def ever_ice(sim: Simulation) -> Mask:
    """Where there was glacier at the start or at the end of a run."""
    return np.any(sim.is_glacier[[0, -1]], axis=0)


def view_of(glacier: Glacier, ice: Mask) -> View:
    """West, east, south, north (m) of outline and ice with a margin; of the grid where there is
    neither.
    """
    grid, shown = glacier.grid, ice | glacier.mask
    west, east, south, north = extent(grid)
    if not shown.any():
        return west, east, south, north
    x = grid.x[shown.any(axis=0)]
    y = grid.y[shown.any(axis=1)]  # falls: row 0 is in the north
    margin = _MARGIN * max(x[-1] - x[0], y[0] - y[-1]) + grid.dx + grid.dy
    return (
        max(x[0] - margin, west),
        min(x[-1] + margin, east),
        max(y[-1] - margin, south),
        min(y[0] + margin, north),
    )


def repaint(ax: Axes, glacier: Glacier, field: Field, ice: Mask) -> None:
    """Put another field and the hillshade of another surface on a map that :func:`draw` drew;
    colours keep their limits.
    """
    shade, image = ax.images  # in the order in which they were drawn
    shade.set_data(hillshade(glacier))
    _put(_masked(field, ice), image)


def common_limits(*thicknesses: Field) -> tuple[float, float] | None:
    """Limits of the colours for maps of thickness side by side; None where there is no ice."""
    stack = np.stack(thicknesses)
    drawn = stack[stack >= AREA_THRESHOLD]
    return limits_of(drawn, "linear") if drawn.size else None


def panels(
    rows: int,
    columns: int,
    view: View,
    title: str | None = None,
    *,
    side: float = 4.4,
    room: tuple[float, float] = (1.0, 0.4),
) -> tuple[Figure, np.ndarray]:
    """A figure whose panels have the shape of the view.

    Args:
        title: above all panels.
        side: the longer side of a map, inches.
        room: for colour bar and title of each panel, across and up, inches.

    Returns:
        The figure, and its axes, (rows, columns).
    """
    west, east, south, north = view
    longest = max(east - west, north - south)
    # A long and narrow glacier still needs the width of a colour bar's label.
    width = columns * (max((east - west) / longest * side, 2.0) + room[0])
    height = rows * (max((north - south) / longest * side, 1.8) + room[1])
    fig = Picture(figsize=(width, height), layout="compressed")
    if title:
        lines = fig.suptitle(title, fontsize=12).get_text().count("\n")
        fig.set_figheight(height + 0.4 + 0.2 * lines)
    return fig, fig.subplots(rows, columns, squeeze=False)


def _on_grid(glacier: Glacier, name: str, array: np.ndarray) -> np.ndarray:
    if array.shape != glacier.grid.shape:
        expected = f"expected {glacier.grid.shape} (ny, nx); of a run, draw one time"
        message = f"draw: {name} has shape {array.shape}, {expected}"
        raise InputError(of_glacier(glacier.rgi_id, message))
    return array


def _unknown(glacier: Glacier, what: str) -> InputError:
    message = f"draw(what={what!r}): expected one of {', '.join(STYLES)}"
    return InputError(of_glacier(glacier.rgi_id, message))


def _masked(field: np.ndarray, ice: np.ndarray) -> np.ma.MaskedArray:
    """The field where there is ice and a number."""
    return np.ma.masked_where(~(ice & np.isfinite(field)), field)


def _put(shown: np.ma.MaskedArray, image: AxesImage) -> None:
    """Lower speeds take the colour of the lower limit: the logarithm of 0 would leave a hole in the
    map.
    """
    if isinstance(image.norm, LogNorm):
        shown = np.ma.maximum(shown, image.get_clim()[0])
    image.set_data(shown)
