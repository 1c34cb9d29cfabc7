"""Pictures of an inversion: its history, laws, fields that were learned, and data beside the model
before and after.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from odinn import plot
from odinn.cli.inverting import Study, modelled
from odinn.constants import AREA_THRESHOLD
from odinn.glacier import Glacier
from odinn.grid import cell_mean
from odinn.learning.driver import Inversion
from odinn.model.binding import learned_slots
from odinn.numbers.parameter import Parameter
from odinn.numbers.slot import LocatedSlot
from odinn.physics.laws.base import AbstractLaw

_DPI: Final = 130
_NOT_TERMS: Final = ("loss", "gradient_norm", "seconds", "stage", "rejected")
_COLORS: Final = ("#1f4e79", "#b03a2e", "#c26a10", "#4f7f52", "#6c5b7b", "#8a9096")
_RESIDUAL: Final = {
    "thickness": "modelled − observed thickness (m)",
    "velocity": "modelled − observed speed (m yr⁻¹)",
}
_WHAT: Final = {"thickness": "thickness", "velocity": "speed"}


def save_all(
    fit: Inversion, study: Study, before: dict[str, dict[str, np.ndarray]], folder: Path
) -> list[Path]:
    """Draw everything into a folder.

    Args:
        study: what the inversion started from. before: fields of the model at the start, of
            ``inverting.modelled``.

    Returns:
        The paths: history.png, a law's slot such as flow.A.png, and for each glacier a folder with
        maps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [_save(history(fit), folder / "history.png")]
    settled = [g.settled() for g in fit.glaciers]
    learned = learned_slots(fit.model)
    for path, slot in learned.items():
        if isinstance(slot.value, AbstractLaw) and len(slot.value.inputs) <= 2:
            written.append(_save(law(slot, study, settled), folder / f"{path}.png"))
    after = modelled(study, fit.model, fit.glaciers)
    for start, end, glacier in zip(study.glaciers, fit.glaciers, settled, strict=True):
        own = folder / end.rgi_id
        own.mkdir(exist_ok=True)
        for path, slot in learned.items():
            field = _field(slot, glacier)
            if field is not None:
                written.append(_save(slot_map(slot, field, glacier), own / f"{path}.png"))
        if isinstance(end.thickness, Parameter) or isinstance(end.bed, Parameter):
            written.append(
                _save(geometry_map(start.settled(), glacier), own / "learned_thickness.png")
            )
        for kind in after[end.rgi_id]:
            name = "speed" if kind == "velocity" else kind
            observed = getattr(end.observations, name)
            if observed is not None and np.shape(observed)[-2:] == glacier.grid.shape:
                observed = np.reshape(observed, (-1, *glacier.grid.shape))[-1]
                fields = before[end.rgi_id][kind], after[end.rgi_id][kind]
                written.append(
                    _save(misfit_map(kind, glacier, observed, *fields), own / f"{kind}.png")
                )
    return written


def history(fit: Inversion) -> Figure:
    """The loss and its terms against steps, with a line where a stage begins."""
    records = fit.records
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = figure.subplots()
    steps = np.arange(len(records["loss"]))
    terms = [k for k in records if k not in _NOT_TERMS]
    for name, color in zip(terms if len(terms) > 1 else [], _COLORS * len(terms), strict=False):
        values = np.asarray(records[name])
        ax.plot(steps, np.where(values > 0, values, np.nan), color=color, linewidth=1.2, label=name)
    ax.plot(
        steps,
        records["loss"],
        color="black",
        linewidth=2.0,
        label="loss",
        zorder=0 if len(terms) > 1 else 2,
    )
    best = int(np.argmin(records["loss"]))
    ax.plot(best, records["loss"][best], "o", color="black", markersize=5)
    for start in np.flatnonzero(np.diff(records["stage"]) > 0) + 1:
        ax.axvline(start - 0.5, color="#c8ccd0", linewidth=1.0, zorder=-1)
    ax.set(yscale="log", xlabel="step", ylabel="weighted misfit", title=f"{fit}")
    ax.title.set_fontsize(10)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(frameon=False, fontsize=8)
    return figure


def law(slot: LocatedSlot, study: Study, glaciers: list[Glacier]) -> Figure:
    """A law over the data, beside the truth where that is known, and where it started (of one
    input).
    """
    value = slot.value
    start = study.model.slots()[slot.path].value
    true = {} if study.truth is None else study.truth.slots()
    truth = true[slot.path].value if slot.path in true else None
    if isinstance(truth, AbstractLaw):
        truth = (
            truth if [i.label for i in truth.inputs] == [i.label for i in value.inputs] else None
        )
    elif truth is not None and np.ndim(truth) == 0 and not isinstance(truth, dict):
        number = float(truth)
        truth = lambda *_: number
    else:
        truth = None
    ax = plot.law(
        value,
        glaciers,
        truth,
        initial=start if len(value.inputs) == 1 else None,
        label=slot.slot.axis_label,
    )
    return ax.figure  # type: ignore[return-value]


def slot_map(slot: LocatedSlot, field: np.ndarray, glacier: Glacier) -> Figure:
    """A field that was learned, on cells with ice."""
    log = getattr(slot.value, "scale", "linear") == "log"
    ice = np.asarray(glacier.thickness) >= AREA_THRESHOLD
    shown = field[ice]
    limits = None
    if log and shown.size and shown.max() > 1.001 * shown.min():
        limits = float(shown.min()), float(shown.max())
    figure, (ax,) = _panels(1, glacier)
    plot.maps.draw(
        glacier,
        field,
        ax,
        what="speed" if log else "bed",
        label=slot.slot.axis_label,
        limits=limits,
        title=_title(glacier),
    )
    return figure


def geometry_map(start: Glacier, end: Glacier) -> Figure:
    """A learned thickness, its first guess in the same colours, and what changed."""
    first, last = np.asarray(start.thickness), np.asarray(end.thickness)
    ice = (first >= AREA_THRESHOLD) | (last >= AREA_THRESHOLD)
    limits = _limits(np.concatenate([first[ice], last[ice]]))
    figure, axes = _panels(3, end)
    plot.maps.draw(start, first, axes[0], limits=limits, title="first guess")
    plot.maps.draw(end, last, axes[1], limits=limits, title="learned")
    plot.maps.draw(
        end, last - first, axes[2], what="change", ice=ice, label="learned − first guess (m)"
    )
    figure.suptitle(_title(end))
    return figure


def misfit_map(
    kind: str, glacier: Glacier, observed: np.ndarray, before: np.ndarray, after: np.ndarray
) -> Figure:
    """Data, the model at the end, and its residuals before and after in the same colours; all where
    there are data.
    """
    figure, axes = _panels(4, glacier)
    there = np.isfinite(observed)
    what: Any = _WHAT[kind]
    drawn = np.concatenate([observed[there], after[there]])
    limits = _limits(drawn, floor=what == "speed")
    plot.maps.draw(
        glacier, observed, axes[0], what=what, limits=limits, ice=there, title="observed"
    )
    plot.maps.draw(glacier, after, axes[1], what=what, limits=limits, ice=there, title="modelled")
    residuals = [np.where(there, field - observed, np.nan) for field in (before, after)]
    widest = float(np.percentile(np.abs(residuals[0][there]), 98)) if there.any() else 1.0
    widest = widest or 1.0
    for ax, residual, name in zip(axes[2:], residuals, ("before", "after"), strict=True):
        rms = float(np.sqrt(np.mean(residual[there] ** 2))) if there.any() else np.nan
        options: dict[str, Any] = {
            "what": "change",
            "label": _RESIDUAL[kind],
            "limits": (-widest, widest),
            "ice": there,
        }
        plot.maps.draw(glacier, residual, ax, title=f"{name}: rms {rms:.3g}", **options)
    figure.suptitle(_title(glacier))
    return figure


def _field(slot: LocatedSlot, glacier: Glacier) -> np.ndarray | None:
    """What was learned as a field on cells; None where it is one number, or depends on the ice."""
    if isinstance(slot.value, Parameter) and slot.value.per != "cell":
        return None
    field = slot.on(glacier)
    if callable(field):
        return None
    field = np.asarray(cell_mean(field) if slot.slot.place == "corner" else field)
    return field if np.ptp(field) > 0 else None


def _limits(drawn: np.ndarray, *, floor: bool = False) -> tuple[float, float] | None:
    if not drawn.size:
        return None
    low, high = (float(v) for v in np.percentile(drawn, (2, 98)))
    low = max(low, high / 100) if floor else low
    return (low, high) if low < high else None


def _panels(count: int, glacier: Glacier) -> tuple[Figure, list[Any]]:
    west, east, south, north = plot.maps.view_of(
        glacier, np.asarray(glacier.thickness) >= AREA_THRESHOLD
    )
    shape = (north - south) / (east - west)
    width, height = min(4.0, 4.0 / shape), min(4.0, 4.0 * shape)
    figure = Figure(
        figsize=(count * (max(width, 2.0) + 1.1), max(height, 1.8) + 0.9), layout="compressed"
    )
    return figure, list(np.atleast_1d(figure.subplots(1, count)))


def _title(glacier: Glacier) -> str:
    return (
        f"{glacier.name or glacier.rgi_id} ({glacier.rgi_id})" if glacier.name else glacier.rgi_id
    )


def _save(figure: Figure, path: Path) -> Path:
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, format="png", dpi=_DPI)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
