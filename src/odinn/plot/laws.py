"""A law as a curve of one input or a map of two, with the inputs that glaciers have and the truth
where it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from cmcrameri import cm
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import FuncFormatter
from mpl_toolkits.axes_grid1 import make_axes_locatable
from scipy.ndimage import gaussian_filter

from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.model.model import known_slots
from odinn.physics.laws.base import AbstractLaw
from odinn.physics.laws.input_base import AbstractInput
from odinn.physics.laws.pretraining import Formula
from odinn.physics.laws.samples import samples
from odinn.plot.parts import Picture

_BLUE, _RED, _GREY, _PALE = "#1f4e79", "#b03a2e", "#8a9096", "#eceef0"
_POINTS: Final = {1: 401, 2: 121}  # along each input
_BINS: Final = 40
_FEW: Final = 30  # different values: each is marked rather than counted in bins
_EXTEND: Final = {
    (False, False): "neither",
    (True, False): "min",
    (False, True): "max",
    (True, True): "both",
}
_SHARES: Final = (0.5, 0.9)  # of the data inside a contour of density


def law(
    law: AbstractLaw,
    glaciers: Glacier | Sequence[Glacier] | None = None,
    truth: Formula | None = None,
    ax: Axes | None = None,
    initial: Formula | None = None,
    *,
    label: str = "value of the law",
) -> Axes:
    """Draw a law of one or two inputs over the values that they have.

    One input: the law, the truth and the law before training as curves; above them how often its
    values occur.
    Two: the law as a map with contours around half and nine tenths of the data, and beside it, if
    the truth is known, the law over the truth (minus the truth for a law on a linear scale). Where
    there are no data it is shaded: there the law extrapolates.

    Args:
        glaciers: where the data are: corners with at least 1 m of ice. Inputs of the state are
            those of the initial ice.
        truth: another law or a function of the same inputs.
        ax: axes to draw on, made by ``subplots``; by default those of a new figure, ``ax.figure``.
        initial: the law before training (one input).
        label: of the law's values with their unit, or the name of its slot, such as "flow.A".

    Returns:
        The axes of the law.

    Raises:
        InputError: for three inputs or more, or where neither law nor glaciers say what values the
            inputs have.
    """
    count = len(law.inputs)
    if count > 2:
        raise InputError(f"plot.law: this law has {count} inputs; laws of one or two are drawn")
    if count == 2 and initial is not None:
        raise InputError("plot.law: initial= is for laws of one input")
    listed = (
        [] if glaciers is None else [glaciers] if isinstance(glaciers, Glacier) else list(glaciers)
    )
    values = (
        np.concatenate([samples(law.inputs, g) for g in listed], axis=1)
        if listed
        else np.empty((count, 0))
    )
    ranges = [_range(law, k, values[k]) for k in range(count)]
    slots = known_slots()
    if label in slots:
        label = slots[label].axis_label
    if ax is None:
        size = (5.6, 4.2) if count == 1 else (6.0 if truth is None else 11.0, 4.6)
        ax = Picture(figsize=size, layout="constrained").subplots()
    if count == 1:
        _curves(ax, law, truth, initial, ranges[0], values[0], label)
    else:
        _maps(ax, law, truth, ranges, values, label)
    return ax


def _range(law: AbstractLaw, k: int, values: np.ndarray) -> tuple[float, float]:
    """What of an input is drawn: the data and what the law is scaled to, or what the input itself
    says.
    """
    ends = [*(law.range_of(k) or ())]
    if values.size:
        ends += [values.min(), values.max()]
    if not ends:
        raise InputError(
            f"plot.law: the range of '{law.inputs[k].label}' is not known: give glaciers="
        )
    low, high = float(min(ends)), float(max(ends))
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _curves(
    ax: Axes,
    law: AbstractLaw,
    truth: Formula | None,
    initial: Formula | None,
    span: tuple[float, float],
    values: np.ndarray,
    label: str,
) -> None:
    x = np.linspace(*span, _POINTS[1])
    value = np.asarray(law(x))
    if values.size:
        for low, high in ((span[0], values.min()), (values.max(), span[1])):
            ax.axvspan(low, high, color=_PALE, linewidth=0, zorder=0)
        _strip(ax, values, span)
    if initial is not None:
        ax.plot(
            x,
            _values(initial, x),
            color=_GREY,
            linestyle="--",
            linewidth=1.2,
            label="before training",
        )
    if truth is not None:
        ax.plot(x, _values(truth, x), color=_RED, linewidth=3.5, alpha=0.45, label="truth")
    ax.plot(x, value, color=_BLUE, linewidth=1.8, label="law")
    if _is_log(law, value):
        ax.set_yscale("log")
    else:  # a common factor above the axes would lie under the strip
        ax.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:.6g}"))
    ax.set(xlim=span, xlabel=_axis_label(law.inputs[0]), ylabel=label)
    if truth is not None or initial is not None:
        ax.legend(frameon=False, fontsize=8)


def _strip(ax: Axes, values: np.ndarray, span: tuple[float, float]) -> None:
    """Above the axes: how often a value occurs, or, of a few different values, a mark for each."""
    above = make_axes_locatable(ax).append_axes("top", size="14%", pad=0.06, sharex=ax)
    distinct = np.unique(values)
    if distinct.size <= _FEW:
        above.vlines(distinct, 0.0, 1.0, color=_BLUE, linewidth=1.2)
        above.set_ylim(0.0, 1.0)
    else:
        above.hist(values, bins=_BINS, range=span, color=_GREY)
    above.set_yticks([])
    above.set_ylabel("data", fontsize=8, rotation=0, ha="right", va="center")
    above.tick_params(axis="x", labelbottom=False)
    for side in ("left", "right", "top"):
        above.spines[side].set_visible(False)


def _maps(
    ax: Axes,
    law: AbstractLaw,
    truth: Formula | None,
    ranges: Sequence[tuple[float, float]],
    values: np.ndarray,
    label: str,
) -> None:
    x, y = np.meshgrid(*(np.linspace(*span, _POINTS[2]) for span in ranges))
    value = np.asarray(law(x, y))
    log = _is_log(law, value)
    panels = [ax]
    if truth is not None:
        spec = ax.get_subplotspec()
        if spec is None:
            raise InputError("plot.law: a map beside the truth needs axes made by subplots")
        halves = spec.subgridspec(1, 2)
        ax.set_subplotspec(halves[0])
        panels.append(ax.figure.add_subplot(halves[1]))
    norm: Normalize = LogNorm() if log else Normalize()
    _map(panels[0], x, y, value, cm.batlow, norm, label)
    if truth is not None:
        true = _values(truth, x, y)
        # Colours are for where the data are: far away from them law and truth may differ by
        # anything.
        near, near_true = value, true
        if values.shape[1]:
            near, near_true = np.asarray(law(*values)), _values(truth, *values)
        if log:
            widest = _widest(np.log(near / near_true), least=np.log(1.05))
            ends = LogNorm(np.exp(-widest), np.exp(widest))
            _map(panels[1], x, y, value / true, cm.vik, ends, "law / truth")
        else:
            widest = _widest(near - near_true, least=1e-3 * float(np.ptp(value)) or 1.0)
            _map(panels[1], x, y, value - true, cm.vik, Normalize(-widest, widest), "law − truth")
    for panel in panels:
        if values.shape[1]:
            _contours(panel, ranges, values)
        panel.set(
            xlim=ranges[0],
            ylim=ranges[1],
            xlabel=_axis_label(law.inputs[0]),
            ylabel=_axis_label(law.inputs[1]),
        )


def _map(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    value: np.ndarray,
    colors: Any,
    norm: Normalize,
    label: str,
) -> None:
    mesh = ax.pcolormesh(x, y, value, cmap=colors, norm=norm, shading="gouraud", rasterized=True)
    low, high = mesh.get_clim()
    extend = _EXTEND[bool(value.min() < low), bool(value.max() > high)]
    bar = ax.figure.colorbar(mesh, ax=ax, fraction=0.08, pad=0.02, extend=extend)
    bar.set_label(label, fontsize=9)


def _widest(difference: np.ndarray, least: float) -> float:
    """Half the width of colours symmetric about no difference: 98 of 100 data lie within."""
    return max(float(np.percentile(np.abs(difference[np.isfinite(difference)]), 98)), float(least))


def _contours(ax: Axes, ranges: Sequence[tuple[float, float]], values: np.ndarray) -> None:
    """Lines around shares of the data where they are densest, and a veil over what none of them is
    near.
    """
    counts, *edges = np.histogram2d(values[0], values[1], bins=_BINS, range=ranges)
    wide = np.pad(counts, 3)  # so that lines close where data meet the end of a range
    density = gaussian_filter(wide, 1.0)
    middles = []
    for edge in edges:
        step = edge[1] - edge[0]
        middles.append(edge[0] + step * (np.arange(_BINS + 6) - 2.5))
    falling = np.sort(density.ravel())[::-1]
    inside = np.cumsum(falling) / falling.sum()
    levels = [
        float(falling[np.searchsorted(inside, share)]) for share in sorted(_SHARES, reverse=True)
    ]
    ax.contour(*middles, density.T, levels=levels, colors="black", linewidths=(0.8, 1.4))
    least = falling[np.searchsorted(inside, 0.999)]
    ax.contourf(*middles, density.T, levels=[-1.0, least], colors="white", alpha=0.6)


def _is_log(law: AbstractLaw, value: np.ndarray) -> bool:
    """As the law says; a formula that spans more than a decade is drawn by logarithm."""
    scale = getattr(law, "scale", None)
    return bool(
        scale == "log" or (scale is None and value.min() > 0 and value.max() > 10 * value.min())
    )


def _values(formula: Formula, *x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.asarray(formula(*x), float), x[0].shape)


def _axis_label(item: AbstractInput) -> str:
    return f"{item.label} ({item.unit})"
