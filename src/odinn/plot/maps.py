"""Maps of a glacier: a field over its hillshade, with outline, scale bar, north arrow and colour
bar.

The axes are in projected metres, so that points, profiles and outlines can be drawn over a map.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, cast

import numpy as np
from cmcrameri import cm
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LightSource, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.offsetbox import AnchoredText
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from odinn.constants import AREA_THRESHOLD
from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.grid import Grid
from odinn.model.velocities import velocity_of
from odinn.plot.series import date_label, mean_balance, name_of, period
from odinn.results.simulation import Simulation

What = Literal["thickness", "speed", "change", "smb", "bed", "surface"]
View = tuple[float, float, float, float]  # west, east, south, north, m


class Style(NamedTuple):
    """How a kind of field is drawn.

    ``colors`` are of cmcrameri (Crameri et al. 2020), even to the eye, also to a colour-blind one.
    ``span`` is the part
    of them that is used: a white end would be lost in snow-lit ground, a black one in the outline.
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
_DECADES: Final = 2  # of speed that a map shows at most: the creep of a metre of ice would take all colours otherwise
_MARGIN: Final = 0.07  # of the longer side of the glacier, around it
_CORNERS: Final = ("lower left", "lower right", "upper left", "upper right")
_EXTEND: Final = {
    (False, False): "neither",
    (True, False): "min",
    (False, True): "max",
    (True, True): "both",
}
_SMALL: Final = 8  # points, of the letters on a map


def draw(
    glacier: Glacier,
    field: Float[np.ndarray, "ny nx"],
    ax: Axes | None = None,
    *,
    what: What = "thickness",
    label: str | None = None,
    limits: tuple[float, float] | None = None,
    ice: Bool[np.ndarray, "ny nx"] | None = None,
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
    style, field, ice = _checked(glacier, field, what, ice)
    if ax is None:
        view = view_of(glacier, ice) if view is None else view
        ax = _panels(1, 1, view)[1][0, 0]
    west, east, south, north = view_of(glacier, ice) if view is None else view
    edges = extent(glacier.grid)
    ax.imshow(
        hillshade(glacier), cmap="gray", vmin=-0.8, vmax=1.3, extent=edges, interpolation="bilinear"
    )
    shown = np.ma.masked_where(~(ice & np.isfinite(field)), field)
    if shown.count():
        low, high = limits_of(shown.compressed(), style.scale, limits, glacier.rgi_id)
        norm = LogNorm(low, high) if style.scale == "log" else Normalize(low, high)
        colors = ListedColormap(getattr(cm, style.colors)(np.linspace(*style.span, 256)))
        image = ax.imshow(
            _drawable(shown, norm), cmap=colors, norm=norm, extent=edges, interpolation="none"
        )
        extend = _EXTEND[bool(shown.min() < low), bool(shown.max() > high)]
        _color_bar(
            ax,
            image,
            style.label if label is None else label,
            extend,
            (north - south) / (east - west),
        )
    else:
        why = "no data" if ice.any() else "no ice"
        ax.text(
            0.5,
            0.5,
            why,
            transform=ax.transAxes,
            ha="center",
            va="center",
            fontsize=14,
            backgroundcolor="white",
        )
    if glacier.mask.any():
        _outline(ax, glacier)
    ax.set(xlim=(west, east), ylim=(south, north), aspect="equal", xticks=[], yticks=[])
    bar, arrow = _emptiest_corners(glacier, ice | glacier.mask, (west, east, south, north))
    _scale_bar(ax, east - west, bar)
    _north_arrow(ax, arrow)
    if title is not None:
        ax.set_title(title, fontsize=10)
    return ax


def draw_run(
    sim: Simulation,
    what: What = "thickness",
    index: int = -1,
    ax: Axes | None = None,
    **options: Any,
) -> Axes:
    """Draw a field of a run, as :func:`draw` does, at one of the saved times (``index`` of
    ``sim.times``).

    Args:
        what: "change" is since the start of the run, "smb" the mean of the whole run whatever the
            index.
        options: of :func:`draw`.
    """
    field, ice = field_of(sim, what, index)
    start, end = date_label(sim.times[0]), date_label(sim.times[index])
    title = {"change": f"{start} to {end}", "smb": f"mean of {period(sim)}"}.get(what, end)
    options = {"view": view_of(sim.glacier, ever_ice(sim)), "title": title, "ice": ice} | options
    return draw(_at(sim, index), field, ax, what=what, **options)


def field_of(sim: Simulation, what: What, index: int = -1) -> tuple[np.ndarray, np.ndarray]:
    """A field of a run, (ny, nx), in the unit of :data:`STYLES`, and where it is drawn."""
    thickness = sim.thickness[index]
    match what:
        case "thickness":
            field = thickness
        case "speed":
            field = velocity_of(
                sim.model, sim.glacier, thickness[None], months=sim.months[[index]]
            )[2][0]
        case "surface":
            field = sim.glacier.bed + thickness
        case "bed":
            field = sim.glacier.bed
        case "change":
            return thickness - sim.thickness[0], (thickness >= AREA_THRESHOLD) | (
                sim.thickness[0] >= AREA_THRESHOLD
            )
        case "smb":
            return mean_balance(sim), ever_ice(sim)
        case _:
            raise _unknown(sim.glacier, what)
    return field, thickness >= AREA_THRESHOLD


def thickness_and_speed(sim: Simulation, index: int = -1) -> Figure:
    """Ice thickness and surface speed side by side, at one of the saved times (``index`` of
    ``sim.times``).
    """
    view = view_of(sim.glacier, sim.thickness[index] >= AREA_THRESHOLD)
    fig, axes = _panels(1, 2, view, f"{name_of(sim)}, {date_label(sim.times[index])}")
    draw_run(sim, "thickness", index, axes[0, 0], view=view, title=None)
    draw_run(sim, "speed", index, axes[0, 1], view=view, title=None)
    return fig


def before_after(sim: Simulation) -> Figure:
    """Thickness at the start and at the end, in the same colours, and the change between."""
    drawn = np.concatenate([h[h >= AREA_THRESHOLD] for h in (sim.thickness[0], sim.thickness[-1])])
    limits = limits_of(drawn, "linear") if drawn.size else None
    fig, axes = _panels(1, 3, view_of(sim.glacier, ever_ice(sim)), name_of(sim))
    for ax, index in ((axes[0, 0], 0), (axes[0, 1], -1)):
        draw_run(sim, "thickness", index, ax, limits=limits)
    draw_run(sim, "change", ax=axes[0, 2])
    return fig


def overview(sim: Simulation) -> Figure:
    """Thickness and speed at the end, thickness change and mean balance over the run."""
    view = view_of(sim.glacier, ever_ice(sim))
    fig, axes = _panels(2, 2, view, f"{name_of(sim)}, {period(sim)}")
    end = date_label(sim.times[-1])
    titles = {"thickness": end, "speed": end, "change": "over the run", "smb": "mean of the run"}
    for ax, (what, title) in zip(axes.flat, titles.items(), strict=True):
        draw_run(sim, what, ax=ax, title=title)  # type: ignore[arg-type]
    return fig


def ever_ice(sim: Simulation) -> Bool[np.ndarray, "ny nx"]:
    """Where there was at least 1 m of ice at the start or at the end of a run."""
    return (sim.thickness[0] >= AREA_THRESHOLD) | (sim.thickness[-1] >= AREA_THRESHOLD)


def hillshade(glacier: Glacier) -> Float[np.ndarray, "ny nx"]:
    """Brightness of the surface, 0 to 1, under light from the north-west at 45° above the
    horizon.
    """
    grid = glacier.grid
    return LightSource(azdeg=315, altdeg=45).hillshade(
        np.asarray(glacier.surface), dx=grid.dx, dy=grid.dy
    )


def view_of(glacier: Glacier, ice: Bool[np.ndarray, "ny nx"]) -> View:
    """West, east, south, north (m) of outline and ice with a margin; of the grid where there is
    neither.
    """
    west, east, south, north = extent(glacier.grid)
    shown, grid = ice | glacier.mask, glacier.grid
    if not shown.any():
        return west, east, south, north
    x, y = grid.x[shown.any(axis=0)], grid.y[shown.any(axis=1)]
    margin = _MARGIN * max(x[-1] - x[0], y[0] - y[-1]) + grid.dx + grid.dy
    return (
        max(x[0] - margin, west),
        min(x[-1] + margin, east),
        max(y[-1] - margin, south),
        min(y[0] + margin, north),
    )


def _checked(
    glacier: Glacier, field: Any, what: str, ice: Any
) -> tuple[Style, np.ndarray, np.ndarray]:
    if what not in STYLES:
        raise _unknown(glacier, what)
    field = np.asarray(field, float)
    ice = np.asarray(glacier.thickness) >= AREA_THRESHOLD if ice is None else np.asarray(ice, bool)
    for name, array in (("field", field), ("ice", ice)):
        if array.shape != glacier.grid.shape:
            expected = f"expected {glacier.grid.shape} (ny, nx); of a run, draw one time"
            raise InputError(
                where(glacier.rgi_id, f"draw: {name} has shape {array.shape}, {expected}")
            )
    return STYLES[what], field, ice


def repaint(
    ax: Axes, glacier: Glacier, field: Float[np.ndarray, "ny nx"], ice: Bool[np.ndarray, "ny nx"]
) -> None:
    """Put another field and the hillshade of another surface on a map that :func:`draw` drew;
    colours keep their limits.
    """
    shade, image = ax.images
    shade.set_data(hillshade(glacier))
    image.set_data(_drawable(np.ma.masked_where(~(ice & np.isfinite(field)), field), image.norm))


def _drawable(shown: np.ma.MaskedArray, norm: Any) -> np.ma.MaskedArray:
    """Lower speeds take the colour of the lower limit: the logarithm of 0 would leave a hole in the
    map.
    """
    return np.ma.maximum(shown, cast("float", norm.vmin)) if isinstance(norm, LogNorm) else shown


def _unknown(glacier: Glacier, what: str) -> InputError:
    return InputError(
        where(glacier.rgi_id, f"draw(what={what!r}): expected one of {', '.join(STYLES)}")
    )


def _percentiles(drawn: np.ndarray, scale: str) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(drawn, (2, 98)))
    if scale == "diverging":
        return -max(-low, high), max(-low, high)
    if scale == "log":
        return max(low, high / 10**_DECADES), high
    return low, high


def limits_of(
    drawn: np.ndarray, scale: str, given: tuple[float, float] | None = None, rgi_id: str = ""
) -> tuple[float, float]:
    """Limits of the colours that a norm accepts, also for a field that is the same everywhere."""
    if given is not None and not (given[0] < given[1] and (scale != "log" or given[0] > 0)):
        expected = "expected low < high" + (
            ", both above 0: speeds are drawn by logarithm" if scale == "log" else ""
        )
        raise InputError(where(rgi_id, f"draw(limits={given}): {expected}"))
    low, high = _percentiles(drawn, scale) if given is None else given
    if scale == "diverging":
        high = max(abs(low), abs(high)) or 1.0
        return -high, high
    if scale == "log":
        high = high if high > 0 else 1.0
        return (low, high) if 0 < low < high else (high / 10, high)
    return low, high if high > low else low + 1.0


def _color_bar(ax: Axes, image: AxesImage, label: str, extend: str, ratio: float) -> None:
    """The colour bar of a map whose height is ``ratio`` times its width."""
    # An inset is as high as the map in every layout, also where the map does not fill its place.
    place = ax.inset_axes((1.0 + 0.03 * ratio, 0.0, 0.042 * ratio, 1.0))
    bar = ax.figure.colorbar(image, cax=place, extend=extend)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=_SMALL)
    if isinstance(image.norm, LogNorm):
        low, high = image.get_clim()
        wide, narrow = LogLocator(subs=(1.0, 2.0, 5.0)), MaxNLocator(6, steps=[1, 2, 5, 10])
        bar.ax.yaxis.set_major_locator(wide if high > 10 * low else narrow)
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _outline(ax: Axes, glacier: Glacier) -> None:
    grid = glacier.grid
    x = grid.x[0] + grid.dx * np.arange(-1, grid.nx + 1)
    y = grid.y[0] - grid.dy * np.arange(-1, grid.ny + 1)
    closed = np.pad(glacier.mask.astype(float), 1)  # an outline that meets the border of the grid
    ax.contour(x, y, closed, levels=[0.5], colors="black", linewidths=0.8)


def scale_bar_length(width: float) -> float:
    """The longest of 1, 2, 5 times a power of ten that fits into a quarter of a width, m."""
    decade = 10.0 ** np.floor(np.log10(width / 4))
    return float(max(k * decade for k in (1, 2, 5) if k * decade <= width / 4 * (1 + 1e-9)))


def _scale_bar(ax: Axes, width: float, corner: str) -> None:
    length = scale_bar_length(width)
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    font = FontProperties(size=_SMALL)
    options = {
        "pad": 0.3,
        "borderpad": 0.4,
        "sep": 3,
        "size_vertical": width / 150,
        "fontproperties": font,
    }
    bar = AnchoredSizeBar(ax.transData, length, text, corner, **options)
    _pale(bar.patch)
    ax.add_artist(bar)


def _north_arrow(ax: Axes, corner: str) -> None:
    arrow = AnchoredText(
        "▲\nN", corner, pad=0.3, borderpad=0.4, prop={"size": _SMALL, "ha": "center"}
    )
    _pale(arrow.patch)
    ax.add_artist(arrow)


def _pale(patch: Any) -> None:
    patch.set(facecolor="white", alpha=0.75, edgecolor="none")


def _emptiest_corners(glacier: Glacier, shown: np.ndarray, view: View) -> tuple[str, str]:
    """Corners with the least glacier in them: for the scale bar (below if all are alike) and for
    the arrow (above).
    """
    west, east, south, north = view
    x, y = (glacier.grid.x - west) / (east - west), (glacier.grid.y - south) / (north - south)
    columns = {"left": (x > 0) & (x < 0.33), "right": (x > 0.67) & (x < 1)}
    rows = {"lower": (y > 0) & (y < 0.15), "upper": (y > 0.85) & (y < 1)}
    filled = {c: shown[np.ix_(rows[c.split()[0]], columns[c.split()[1]])].sum() for c in _CORNERS}
    bar = min(_CORNERS, key=filled.__getitem__)
    return bar, min((c for c in reversed(_CORNERS) if c != bar), key=filled.__getitem__)


def extent(grid: Grid) -> View:
    """West, east, south, north (m) of the outer edges of a grid."""
    west, north = grid.x0 - grid.dx / 2, grid.y0 + grid.dy / 2
    return west, west + grid.nx * grid.dx, north - grid.ny * grid.dy, north


def _panels(
    rows: int, columns: int, view: View, title: str | None = None
) -> tuple[Figure, np.ndarray]:
    """A figure whose panels have the shape of the view."""
    west, east, south, north = view
    width, height = np.array([east - west, north - south]) / max(east - west, north - south) * 4.4
    size = (
        columns * (max(width, 2.0) + 1.0),
        rows * (max(height, 1.8) + 0.4) + (0.4 if title else 0.0),
    )
    fig = Figure(figsize=size, layout="compressed")
    if title:
        fig.suptitle(title, fontsize=12)
    return fig, fig.subplots(rows, columns, squeeze=False)


def _at(sim: Simulation, index: int) -> Glacier:
    return sim.glacier.replace(thickness=sim.thickness[index], keep="bed")
