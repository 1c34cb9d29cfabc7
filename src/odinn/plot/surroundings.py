"""What stands on every map: ground, outline, colour bar, scale bar and north arrow."""

from __future__ import annotations

from typing import Final

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LightSource, LogNorm
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.offsetbox import AnchoredText
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.grid import Grid

Field = Float[np.ndarray, "ny nx"]
Mask = Bool[np.ndarray, "ny nx"]
View = tuple[float, float, float, float]  # west, east, south, north, m

# Of speed that a map shows at most: the creep of a metre of ice would take all colours otherwise.
_DECADES: Final = 2
_CORNERS: Final = ("lower left", "lower right", "upper left", "upper right")
_SMALL: Final = 8  # points, of the letters on a map


def extent(grid: Grid) -> View:
    """West, east, south, north (m) of the outer edges of a grid."""
    # x0 and y0 are the centre of the north-western cell.
    west, north = grid.x0 - grid.dx / 2, grid.y0 + grid.dy / 2
    return west, west + grid.nx * grid.dx, north - grid.ny * grid.dy, north


def hillshade(glacier: Glacier) -> Field:
    """Brightness of the surface, 0 to 1, under light from the north-west at 45° above the
    horizon.
    """
    grid, light = glacier.grid, LightSource(azdeg=315, altdeg=45)
    return light.hillshade(np.asarray(glacier.surface), dx=grid.dx, dy=grid.dy)


def limits_of(
    drawn: np.ndarray, scale: str, given: tuple[float, float] | None = None, rgi_id: str = ""
) -> tuple[float, float]:
    """Limits of the colours that a norm accepts, also for a field that is the same everywhere."""
    if given is None:
        low, high = np.percentile(drawn, (2, 98)).tolist()
        if scale == "log":
            low = max(low, high / 10**_DECADES)
    else:
        low, high = given
        if not low < high or (scale == "log" and low <= 0):
            why = ", both above 0: speeds are drawn by logarithm" if scale == "log" else ""
            raise InputError(of_glacier(rgi_id, f"draw(limits={given}): expected low < high{why}"))
    if scale == "diverging":
        high = max(abs(low), abs(high)) or 1.0
        return -high, high
    if scale == "log":
        high = high if high > 0 else 1.0
        return (low, high) if 0 < low < high else (high / 10, high)
    return low, high if high > low else low + 1.0


def outline(ax: Axes, glacier: Glacier) -> None:
    """Draw the outline of a glacier."""
    grid = glacier.grid
    # One cell is added around, for an outline that meets the border of the grid to close.
    x = grid.x[0] + grid.dx * np.arange(-1, grid.nx + 1)
    y = grid.y[0] - grid.dy * np.arange(-1, grid.ny + 1)
    inside = np.pad(glacier.mask.astype(float), 1)
    ax.contour(x, y, inside, levels=[0.5], colors="black", linewidths=0.8)


def color_bar(ax: Axes, image: AxesImage, label: str, extend: str, ratio: float) -> None:
    """The colour bar of a map whose height is ``ratio`` times its width."""
    # An inset is as high as the map in every layout, also where the map does not fill its place.
    place = ax.inset_axes((1.0 + 0.03 * ratio, 0.0, 0.042 * ratio, 1.0))
    bar = ax.figure.colorbar(image, cax=place, extend=extend)
    bar.set_label(label, fontsize=9)
    place.tick_params(labelsize=_SMALL)
    if not isinstance(image.norm, LogNorm):
        return
    low, high = image.get_clim()
    # Within a decade 1, 2 and 5 are too few ticks.
    wide, narrow = LogLocator(subs=(1.0, 2.0, 5.0)), MaxNLocator(6, steps=[1, 2, 5, 10])
    axis = place.yaxis
    axis.set_major_locator(wide if high > 10 * low else narrow)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def scale_bar_length(width: float) -> float:
    """The longest of 1, 2, 5 times a power of ten that fits into a quarter of a width, m."""
    decade = 10.0 ** np.floor(np.log10(width / 4))
    longest = width / 4 * (1 + 1e-9)  # round-off must not cost a bar that fits exactly
    return float(max(k * decade for k in (1, 2, 5) if k * decade <= longest))


def bar_and_arrow(ax: Axes, glacier: Glacier, shown: np.ndarray, view: View) -> None:
    """A scale bar and a north arrow, where they cover the least of the glacier."""
    width = view[1] - view[0]
    length = scale_bar_length(width)
    bar_corner, arrow_corner = _emptiest_corners(glacier.grid, shown, view)
    bar = AnchoredSizeBar(
        ax.transData,
        length,
        f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m",
        bar_corner,
        pad=0.3,
        borderpad=0.4,
        sep=3,
        size_vertical=width / 150,
        fontproperties=FontProperties(size=_SMALL),
    )
    letters = {"size": _SMALL, "ha": "center"}
    arrow = AnchoredText("▲\nN", arrow_corner, pad=0.3, borderpad=0.4, prop=letters)
    for artist in (bar, arrow):
        artist.patch.set(facecolor="white", alpha=0.75, edgecolor="none")
        ax.add_artist(artist)


def _emptiest_corners(grid: Grid, shown: np.ndarray, view: View) -> tuple[str, str]:
    """Corners with the least glacier in them: for the scale bar (below if all are alike) and for
    the arrow (above).
    """
    west, east, south, north = view
    x = (grid.x - west) / (east - west)
    y = (grid.y - south) / (north - south)
    inside = {
        "left": (x > 0) & (x < 0.33),
        "right": (x > 0.67) & (x < 1),
        "lower": (y > 0) & (y < 0.15),
        "upper": (y > 0.85) & (y < 1),
    }
    filled = {}
    for corner in _CORNERS:
        row, column = corner.split()
        filled[corner] = shown[np.ix_(inside[row], inside[column])].sum()
    # Of corners that are alike, min takes the first.
    bar = min(_CORNERS, key=filled.__getitem__)
    free = [corner for corner in reversed(_CORNERS) if corner != bar]
    return bar, min(free, key=filled.__getitem__)
