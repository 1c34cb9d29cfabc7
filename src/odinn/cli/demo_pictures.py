"""Pictures of the demonstration, each with what it is and what it is not written below it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from odinn import plot
from odinn.glacier import Glacier
from odinn.learning.calibration import Comparison
from odinn.model.model import Model
from odinn.model.velocities import velocity_of
from odinn.numbers.slot import declared
from odinn.physics.flow.sia import SIA2D
from odinn.physics.laws.base import AbstractLaw
from odinn.plot.parts import Picture
from odinn.results.simulation import Simulation

CAPTION: Final = (
    "Neither a reconstruction nor a forecast: outlines are real (1978), the bed is estimated, "
    "temperature is idealised. The ice is\n"
    "a model state after two centuries of this climate. Debris is an assumption: below 1600 m it "
    "leaves 15 % of the melt of clean\n"
    "ice, which keeps the tongues. Ice that crosses the outline melts at once; lakes are not "
    "modelled."
)
TWIN: Final = (
    "A twin experiment: the speeds come from the model itself, with the A(T) of Cuffey & Paterson "
    "(2010), another stepper and\n"
    "5 % noise, on the same cells of 200 m. Air is 10 K colder than in the runs, so that A varies "
    "more than fivefold, and the\n"
    "ice is given the temperature of the air, which real ice does not have. The network (13 "
    "weights) sees speeds only."
)
_COLORS: Final = {"constant": "#1f4e79", "warmer": "#b03a2e"}
_WINDOW: Final = 10  # years over which months are averaged


def maps_of(glaciers: list[Glacier], model: Model) -> Figure:
    """Thickness and surface speed of each glacier, side by side."""
    fig = Picture(figsize=(9.6, 4.3 * len(glaciers)), layout="constrained")
    draw_maps(fig, glaciers, model)
    return _captioned(fig, CAPTION)


def draw_maps(fig: Figure | SubFigure, glaciers: list[Glacier], model: Model) -> None:
    """The panels of :func:`maps_of`."""
    rows = fig.subplots(len(glaciers), 2, squeeze=False)
    for glacier, (left, right) in zip(glaciers, rows, strict=True):
        thickness = np.asarray(glacier.thickness)
        speed = velocity_of(model, glacier, thickness[None])[2][0]
        plot.maps.draw(glacier, thickness, left, title=glacier.name)
        plot.maps.draw(glacier, speed, right, what="speed", title=glacier.name)


def futures(runs: Mapping[str, Mapping[str, Simulation]], climates: Mapping[str, str]) -> Figure:
    """For each glacier its thickness at the start and at the end of the runs, in the same colours,
    and volume in time.
    """
    fig = Picture(figsize=(16.0, 4.2 * len(runs)), layout="constrained")
    rows = fig.subplots(len(runs), 4, squeeze=False)
    for (name, sims), (start, *ends, volumes) in zip(runs.items(), rows, strict=True):
        first = sims["constant"]
        # One scale of colours and one cut-out, so that the maps can be compared.
        last = [sim.thickness[-1] for sim in sims.values()]
        limits = plot.maps.common_limits(first.thickness[0], *last)
        ever = np.any([plot.maps.ever_ice(sim) for sim in sims.values()], axis=0)
        draw = partial(
            plot.maps.draw_run,
            limits=limits,
            view=plot.maps.view_of(first.glacier, ever),
        )
        draw(first, index=0, ax=start, title=f"{name}, {first.times[0]:.0f}")
        for (key, sim), end in zip(sims.items(), ends, strict=True):
            draw(sim, ax=end, title=f"{name}, {sim.times[-1]:.0f}, {climates[key]}")
            curve = {"color": _COLORS[key], "linewidth": 2.0, "label": climates[key]}
            volumes.plot(sim.times, sim.volume / 1e9, **curve)
        volumes.set_ylim(bottom=0.0)  # heights are shares of the volume
        _time_axis(volumes, "ice volume (km³)", f"{name}: volume")
    text = (
        "The start is near balance with this climate, so that what changes under a warming is "
        "the warming's doing."
    )
    return _captioned(fig, f"{CAPTION}\n{text}")


def runoff(yearly: Mapping[str, Mapping[str, xr.Dataset]], climates: Mapping[str, str]) -> Figure:
    """For each glacier the runoff of its years, and of the months in the first and the last
    years.
    """
    fig = Picture(figsize=(11.0, 3.9 * len(yearly)), layout="constrained")
    rows = fig.subplots(len(yearly), 2, squeeze=False, width_ratios=(1.5, 1.0))
    for (name, datasets), (left, right) in zip(yearly.items(), rows, strict=True):
        first = datasets["constant"]
        count = min(_WINDOW, first.year.size)
        for key, ds in datasets.items():
            water, months = ds.runoff / 1e6, ds.runoff_of_months[-count:].mean("year") / 1e6
            curve = {"color": _COLORS[key], "linewidth": 2.0}
            left.plot(ds.year, water, label=climates[key], **curve)
            right.plot(months, label=f"last {count} years, {climates[key]}", **curve)
        # The limits are those of the runoff: the precipitation is a reference, and may leave them.
        most = max(float(ds.runoff.max()) for ds in datasets.values()) / 1e6
        rain, months = first.precipitation / 1e6, first.runoff_of_months[:count].mean("year") / 1e6
        left.plot(first.year, rain, ":", color="#8a9096", label="precipitation (rain and snow)")
        right.plot(months, "--", color="black", linewidth=1.2, label=f"first {count} years")
        left.set_ylim(0.0, 1.08 * most)
        _time_axis(left, "runoff (10⁶ m³ per year)", f"{name}: years, April to March")
        right.set(xticks=range(12), xticklabels="AMJJASONDJFM", ylim=(0.0, None))
        right.set_ylabel("runoff (10⁶ m³ per month)")
        right.legend(frameon=False, fontsize=8)
        right.set_title(f"{name}: months", fontsize=10)
    text = (
        "Runoff is rain and melt inside the outline. Above the dotted line shrinking ice feeds it; "
        "below it, some ice leaves over the outline."
    )
    return _captioned(fig, f"{CAPTION}\n{text}")


def measured(comparison: Comparison, melt_factor: float) -> Figure:
    """Annual balances of Argentière."""
    fig = Picture(figsize=(7.4, 4.6), layout="constrained")
    series = comparison.years, comparison.modelled, comparison.measured
    plot.series.annual_balance(*series, fig.subplots())
    fig.suptitle("Argentière (RGI60-11.03638), a real glacier", fontsize=11)
    factor = f"{1000 * melt_factor:.2f} mm w.e. K⁻¹ d⁻¹"
    return _captioned(
        fig,
        "Measured: WGMS. Modelled: degree-days on W5E5, fixed surface; the melt factor, "
        f"{factor},\nis calibrated on the mean of these years, so that the bias is 0 by "
        "construction: what is tested is year to year.",
    )


def learned(
    law: AbstractLaw, truth: AbstractLaw, before: AbstractLaw, glaciers: list[Glacier]
) -> Figure:
    """The learned law beside the truth, and what it makes of the first glacier."""
    fig = Picture(figsize=(11.0, 5.0), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=(1.25, 1.0))
    plot.law(law, glaciers, truth, left, initial=before, label="flow.A")
    glacier = glaciers[0]
    (temperature,) = law.inputs
    field = np.asarray(law(temperature.field(glacier)))
    shown = field[plot.maps.ice_of(glacier)]
    limits = float(shown.min()), float(shown.max())  # all of them: the range is small
    label, title = declared(SIA2D)["A"].axis_label, f"{glacier.name}: the learned A"
    # In the colours of a speed, which are by logarithm.
    plot.maps.draw(glacier, field, right, what="speed", label=label, limits=limits, title=title)
    return _captioned(fig, TWIN)


def _time_axis(ax: Axes, label: str, title: str) -> None:
    ax.set(xlabel="year", ylabel=label)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_title(title, fontsize=10)
    ax.legend(frameon=False, fontsize=8, loc="lower left")


def _captioned(fig: Picture, text: str) -> Figure:
    # letters of one size on a screen, however wide the picture is
    fig.caption(text, 8 if fig.get_figwidth() < 12 else 10)
    return fig
