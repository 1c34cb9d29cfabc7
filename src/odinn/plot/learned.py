"""Pictures of an inversion: its history, laws, fields that were learned, and data beside the model
before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from odinn.dates import month_index
from odinn.glacier import Glacier
from odinn.grid import cell_mean
from odinn.learning.choices import times_of
from odinn.learning.driver import Inversion
from odinn.model.binding import learned_slots
from odinn.model.model import Model
from odinn.model.velocities import velocity_of
from odinn.numbers.parameter import Parameter
from odinn.numbers.slot import LocatedSlot
from odinn.physics.laws.base import AbstractLaw
from odinn.plot import maps
from odinn.plot.laws import law as draw_law
from odinn.plot.parts import Picture, Pictures
from odinn.plot.series import name_of
from odinn.plot.surroundings import limits_of
from odinn.run.driver import simulate

Fields = dict[str, np.ndarray]  # by kind: thickness (m), velocity (speed, m yr⁻¹)
Dates = dict[str, dict[str, float]]  # of data, decimal years, by RGI id and kind

_ROUND_OFF: Final = 1e-7  # years: a run that is shorter is none

# Of the records; all else is a term of the loss.
_NOT_TERMS: Final = ("loss", "gradient_norm", "seconds", "stage", "rejected")
_COLORS: Final = ("#1f4e79", "#b03a2e", "#c26a10", "#4f7f52", "#6c5b7b", "#8a9096")
_OBSERVED: Final = {"thickness": "thickness", "velocity": "speed"}  # fields of observations
_RESIDUAL: Final = {
    "thickness": "modelled − observed thickness (m)",
    "velocity": "modelled − observed speed (m yr⁻¹)",
}


def inversion(
    fit: Inversion,
    *,
    start: tuple[Model, list[Glacier]] | None = None,
    truth: Model | None = None,
    dates: Dates | None = None,
) -> dict[str, Figure]:
    """Pictures of an inversion by name: "history"; each law of one or two inputs, such as "flow.A";
    and for each glacier, such as "RGI60-11.03638/thickness", maps of fields that were learned, and
    of data, model and residuals.

    Args:
        start: (model, glaciers) before; with it, first guesses and residuals before are shown.
        truth: of a twin.
        dates: {rgi_id: {"thickness" or "velocity": decimal year of the data beside which the model
            is drawn}}; default the last that each glacier's observations have, those without a date
            counting at the end of the period.

    >>> import odinn
    >>> fit = odinn.load("results/invert_law")  # doctest: +SKIP
    >>> odinn.plot.inversion(fit)["history"].savefig("history.png")  # doctest: +SKIP
    """
    figures = Pictures(history=history(fit))
    settled = [glacier.without_parameters() for glacier in fit.glaciers]
    for path, slot in learned_slots(fit.model).items():
        if isinstance(slot.value, AbstractLaw) and len(slot.value.inputs) <= 2:
            first = None if start is None else start[0].slots()[path].value
            figures[path] = law(slot, settled, first, truth)
    dates = _dates_of_data(fit) if dates is None else dates
    guesses = fit.glaciers if start is None else start[1]
    for guess, end in zip(guesses, fit.glaciers, strict=True):
        own = dates[end.rgi_id]
        after = modelled(fit, fit.model, end, own)
        before = {} if start is None else modelled(fit, start[0], guess, own)
        for name, figure in _of_glacier(fit, guess, end, before, after).items():
            figures[f"{end.rgi_id}/{name}"] = figure
    return figures


def modelled(fit: Inversion, model: Model, start: Glacier, dates: dict[str, float]) -> Fields:
    """What a model makes of a glacier at dates of data, by kind, run as in an inversion."""
    glacier, (t0, _) = start.without_parameters(), fit.period
    options: dict[str, Any] = {"progress": False} | fit.options
    fields = {}
    for kind, date in dates.items():
        thickness, months = np.asarray(glacier.thickness), np.array([month_index(t0)])
        if date - t0 > _ROUND_OFF:  # else the data are of the start
            sim = simulate(model, glacier, t0, date, save_every=date - t0, **options)
            thickness, months = sim.thickness[-1], sim.months[-1:]
        fields[kind] = thickness
        if kind == "velocity":
            fields[kind] = velocity_of(model, glacier, thickness[None], months=months)[2][0]
    return fields


def _dates_of_data(fit: Inversion) -> Dates:
    table: Dates = {}
    for glacier in fit.glaciers:
        table[glacier.rgi_id] = {}
        for kind in set(fit.misfits[glacier.rgi_id]) & set(_RESIDUAL):
            times = times_of(glacier.observations.dates.get(_OBSERVED[kind]))
            table[glacier.rgi_id][kind] = fit.period[1] if times is None else times[-1][-1]
    return table


def _of_glacier(
    fit: Inversion, start: Glacier, end: Glacier, before: Fields, after: Fields
) -> dict[str, Figure]:
    """Maps of a glacier by name: fields that were learned, and data beside the model."""
    glacier = end.without_parameters()
    figures: dict[str, Figure] = {}
    for path, slot in learned_slots(fit.model).items():
        field = _field(slot, glacier)
        if field is not None:
            figures[path] = slot_map(slot, field, glacier)
    if start is not end and (
        isinstance(end.thickness, Parameter) or isinstance(end.bed, Parameter)
    ):
        figures["learned_thickness"] = geometry_map(start.without_parameters(), glacier)
    for kind, field in after.items():
        observed = getattr(end.observations, _OBSERVED[kind])
        if observed is not None and np.shape(observed)[-2:] == glacier.grid.shape:
            # Of several dates the last one, which is that of the model's field.
            last = np.reshape(observed, (-1, *glacier.grid.shape))[-1]
            figures[kind] = misfit_map(kind, glacier, last, before.get(kind), field)
    return figures


def history(fit: Inversion) -> Figure:
    """The loss and its terms against steps, with a line where a stage begins."""
    records = fit.records
    figure = Picture(figsize=(6.4, 4.0), layout="constrained")
    ax = figure.subplots()
    steps = np.arange(len(records["loss"]))
    terms = [name for name in records if name not in _NOT_TERMS]
    if len(terms) == 1:
        terms = []  # a single term is the loss
    for i, name in enumerate(terms):
        # The axis is logarithmic, and a term may be 0.
        values = np.where(records[name] > 0, records[name], np.nan)
        color = _COLORS[i % len(_COLORS)]
        ax.plot(steps, values, color=color, linewidth=1.2, label=name)
    order = 0 if terms else 2  # below its terms
    ax.plot(steps, records["loss"], color="black", linewidth=2.0, label="loss", zorder=order)
    best = int(np.argmin(records["loss"]))
    ax.plot(best, records["loss"][best], "o", color="black", markersize=5)
    # diff is one shorter: its entry k is the change from step k to step k + 1.
    for start in np.flatnonzero(np.diff(records["stage"]) > 0) + 1:
        ax.axvline(start - 0.5, color="#c8ccd0", linewidth=1.0, zorder=-1)
    ax.set(yscale="log", xlabel="step", ylabel="weighted misfit", title=f"{fit}")
    ax.title.set_fontsize(10)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, fontsize=8)
    return figure


def law(
    slot: LocatedSlot, glaciers: list[Glacier], first: AbstractLaw | None, truth: Model | None
) -> Figure:
    """A law over the data, beside the truth where that is known, and where it started (of one
    input).
    """
    value = slot.value
    known = {} if truth is None else truth.slots()
    true_law = _comparable(known[slot.path].value, value) if slot.path in known else None
    # Where it started is drawn with curves, not with maps.
    initial = first if len(value.inputs) == 1 else None
    label = slot.slot.axis_label
    ax = draw_law(value, glaciers, true_law, initial=initial, label=label)
    assert isinstance(ax.figure, Figure)
    return ax.figure


def _comparable(
    truth: AbstractLaw | ArrayLike | dict[str, ArrayLike] | None, law: AbstractLaw
) -> Callable[..., Any] | None:
    """The truth as a function of the law's inputs, if it is one: a law of the same, or a number."""
    if isinstance(truth, AbstractLaw):
        labels = [item.label for item in truth.inputs]
        return truth if labels == [item.label for item in law.inputs] else None
    if truth is None or isinstance(truth, dict) or np.ndim(truth) > 0:
        return None
    number = float(np.asarray(truth))
    return lambda *_: number


def slot_map(slot: LocatedSlot, field: np.ndarray, glacier: Glacier) -> Figure:
    """A field that was learned, on cells with ice."""
    log = getattr(slot.value, "scale", "linear") == "log"
    shown = field[maps.ice_of(glacier)]
    limits = None
    if log and shown.size and shown.max() > 1.001 * shown.min():
        limits = float(shown.min()), float(shown.max())
    figure, (ax,) = _panels(1, glacier, name_of(glacier))
    maps.draw(
        glacier,
        field,
        ax,
        what="speed" if log else "bed",  # for their colours, by logarithm and not
        label=slot.slot.axis_label,
        limits=limits,
    )
    return figure


def geometry_map(start: Glacier, end: Glacier) -> Figure:
    """A learned thickness, its first guess in the same colours, and what changed."""
    first, last = np.asarray(start.thickness), np.asarray(end.thickness)
    ice = maps.ice_of(start) | maps.ice_of(end)
    limits = _limits([first[ice], last[ice]], "linear")
    figure, (left, middle, right) = _panels(3, end, name_of(end))
    maps.draw(start, first, left, limits=limits, title="first guess")
    maps.draw(end, last, middle, limits=limits, title="learned")
    label = "learned − first guess (m)"
    maps.draw(end, last - first, right, what="change", ice=ice, label=label)
    return figure


def misfit_map(
    kind: str,
    glacier: Glacier,
    observed: np.ndarray,
    before: np.ndarray | None,
    after: np.ndarray,
) -> Figure:
    """Data, the model at the end, and its residuals before (if given) and after in the same
    colours; all where there are data.
    """
    residuals = {"after": after - observed}
    if before is not None:
        residuals = {"before": before - observed} | residuals
    figure, panels = _panels(2 + len(residuals), glacier, name_of(glacier))
    there = np.isfinite(observed)
    what: maps.What = "speed" if kind == "velocity" else "thickness"
    limits = _limits([observed[there], after[there]], maps.STYLES[what].scale)
    for ax, field, title in ((panels[0], observed, "observed"), (panels[1], after, "modelled")):
        maps.draw(glacier, field, ax, what=what, limits=limits, ice=there, title=title)
    # The colours of all are those of the first, so that one sees what was gained.
    first = next(iter(residuals.values()))[there]
    widest = float(np.percentile(np.abs(first), 98)) if first.size else 1.0
    limits = (-widest, widest) if widest else (-1.0, 1.0)
    for ax, (name, residual) in zip(panels[2:], residuals.items(), strict=True):
        rms = float(np.sqrt(np.mean(residual[there] ** 2))) if there.any() else np.nan
        maps.draw(
            glacier,
            residual,
            ax,
            what="change",
            label=_RESIDUAL[kind],
            limits=limits,
            ice=there,
            title=f"{name}: rms {rms:.3g}",
        )
    return figure


def _field(slot: LocatedSlot, glacier: Glacier) -> np.ndarray | None:
    """What was learned as a field on cells; None where it is one number, or depends on the ice."""
    if isinstance(slot.value, Parameter) and slot.value.per != "cell":
        return None
    field = slot.on(glacier)
    if callable(field):  # a law of the state or of the month
        return None
    field = np.asarray(cell_mean(field) if slot.slot.place == "corner" else field)
    return field if np.ptp(field) > 0 else None


def _limits(parts: list[np.ndarray], scale: str) -> tuple[float, float] | None:
    """Limits of the colours of maps side by side; None where nothing is drawn."""
    drawn = np.concatenate(parts)
    return limits_of(drawn, scale) if drawn.size else None


def _panels(count: int, glacier: Glacier, title: str | None = None) -> tuple[Figure, list[Axes]]:
    """Maps of a glacier in a row."""
    view = maps.view_of(glacier, maps.ice_of(glacier))
    figure, axes = maps.panels(1, count, view, title, side=4.0, room=(1.1, 0.5 if title else 0.9))
    return figure, list(axes[0])
