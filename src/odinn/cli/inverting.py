"""An inversion ready to be run, and what its model makes at the dates of the data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

import odinn
from odinn.cli import learning
from odinn.cli.config import CalibrateSection, build_stepper
from odinn.cli.learning import InvertConfig, SyntheticSection
from odinn.cli.running import calibrated
from odinn.cli.sources import in_scenario, opened
from odinn.dates import decimal_year, month_index
from odinn.errors import InputError, SolverError, of_glacier
from odinn.glacier import Glacier, Observations
from odinn.learning.choices import as_intervals
from odinn.learning.pure_objective import loss_settings
from odinn.learning.synthetic import KINDS
from odinn.learning.terms import AbstractLoss, Total
from odinn.model.binding import as_list, bind, learned_slots
from odinn.model.model import Model
from odinn.model.velocities import velocity_of
from odinn.numbers.parameter import Parameter
from odinn.physics.laws.base import AbstractLaw
from odinn.run.checks import check_run

Say = Callable[[str], None]
Period = tuple[float, float]
Fields = dict[str, np.ndarray]  # by kind: thickness (m), velocity (speed, m yr⁻¹)

_ROUND_OFF = 1e-7  # years: a run that is shorter is none
_PER = {"all": "one number", "glacier": "a number for each glacier", "cell": "a field"}
_OBSERVED = {"velocity": ("vx", "vy", "speed"), "geodetic": ()}  # fields of a kind of data


class InversionSetup(eqx.Module):
    """An inversion ready to be run: model and glaciers as they start, the loss, and the truth where
    there is one.

    ``model`` is bound; ``glaciers`` hold their observations, and parameters where their thickness
    or bed is learned.
    """

    model: Model
    glaciers: list[Glacier]
    loss: Total
    period: Period
    truth: Model | None
    options: dict[str, Any]  # of odinn.simulate


def prepared(config: InvertConfig, path: str, *, trial: bool, say: Say) -> InversionSetup:
    """The study of a configuration: glaciers opened, model built and bound, data there, all of it
    checked.

    Args:
        trial: compile nothing: synthetic data are stood in for by the glaciers' own ice.
    """
    plain, glaciers, replaced = [], [], []
    for section in config.glaciers:
        for open_it in opened(section):
            plain.append(open_it())
            glaciers.append(in_scenario(plain[-1], section))
            replaced.append(section.replace)
            say(f"  {glaciers[-1]}")
    as_list(glaciers)  # an id twice is an error
    period = _period(config.period, path)
    model = learning.build_model(config.model, f"{path}: model", None if trial else glaciers)
    if config.calibrate is not None:
        # On the series without its scenario, as in a run.
        model = _calibrated(model, plain, config.calibrate, say)
    options = {
        "stepper": build_stepper(config.stepper),
        "coupling": config.coupling,
        "dtype": config.dtype,
        "max_steps": config.max_steps,
    }
    study = InversionSetup(
        model, glaciers, learning.build_loss(config, path), period, None, options
    )
    synthetic = config.synthetic
    if synthetic is not None:
        truth = bind(learning.build_truth(synthetic, model, path), glaciers)
        study = dataclasses.replace(study, truth=truth)
        glaciers = _with_synthetic(study, synthetic, trial=trial, say=say)
    learned = [learning.learning(g, r, path) for g, r in zip(glaciers, replaced, strict=True)]
    study = dataclasses.replace(study, model=bind(model, learned), glaciers=learned)
    _check(study)
    return study


def described(
    study: InversionSetup,
) -> tuple[list[tuple[str, str, int, str]], list[tuple[str, str, str]]]:
    """What would be learned, (slot, what, how many numbers, between), and the data, (glacier, term,
    how many).
    """
    learned = []
    for title, slot in learned_slots(study.model, study.glaciers).items():
        value = slot.value
        count = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(value.learned))
        bounds = getattr(value, "bounds", (None, None))
        between = " to ".join("-" if bound is None else f"{bound:g}" for bound in bounds)
        scale = getattr(value, "scale", "-")
        learned.append((title, _described(value), count, f"{between} ({scale})"))
    data = []
    for glacier in study.glaciers:
        for name, _, term in study.loss.data:
            targets = _targets(term, glacier, study.period)
            number = "none" if targets is None else str(int(term.count(targets)))
            data.append((glacier.rgi_id, name, number))
    return learned, data


def modelled(study: InversionSetup, model: Model, glaciers: list[Glacier]) -> dict[str, Fields]:
    """Fields of each glacier at the dates of the data, by kind: thickness (m), velocity (speed, m
    yr⁻¹).

    Raises:
        SolverError: naming the glacier whose run fails.
    """
    out = {}
    for start in glaciers:
        dates = {}  # the last date that has data of a kind
        for _, _, term in study.loss.data:
            stops = (
                term.stops(start, study.period) if term.name in ("thickness", "velocity") else ()
            )
            if stops:
                dates[term.name] = float(stops[-1])
        glacier = start.settled()
        runs = {date: _run_to(date, study, model, glacier) for date in dates.values()}
        if not runs:  # whether it runs at all
            _run_to(study.period[1], study, model, glacier)
        fields = {}
        for kind, date in dates.items():
            thickness, months = runs[date]
            fields[kind] = thickness
            if kind == "velocity":
                speeds = velocity_of(model, glacier, thickness[None], months=months)[2]
                fields[kind] = speeds[0]
        out[start.rgi_id] = fields
    return out


def failing_glacier(study: InversionSetup, error: SolverError) -> SolverError:
    """The error with the glacier whose run fails from the start, if it is one."""
    # It may name its glacier already.
    if any(glacier.rgi_id in str(error) for glacier in study.glaciers):
        return error
    try:
        modelled(study, study.model, study.glaciers)
    except SolverError as found:
        return found
    return error


def _run_to(
    date: float, study: InversionSetup, model: Model, glacier: Glacier
) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of a glacier at a date, (ny, nx), and the month whose laws hold there, (1,)."""
    start = study.period[0]
    period = date - start
    if period <= _ROUND_OFF:
        return np.asarray(glacier.thickness), np.array([month_index(start)])
    sim = odinn.simulate(
        model, glacier, start, date, save_every=period, progress=False, **study.options
    )
    return sim.thickness[-1], sim.months[-1:]


def _described(value: Parameter | AbstractLaw) -> str:
    """What is learned in a few words."""
    if isinstance(value, Parameter):
        return _PER[value.per]
    inputs = ", ".join(item.label for item in value.inputs)
    return f"{type(value).__name__} of {inputs}"


def _targets(term: AbstractLoss, glacier: Glacier, period: Period) -> Any:
    """The data of a term, whatever rows of a run they would be compared with."""

    def any_row(date: float) -> int:
        return 0

    return term.targets(glacier, period, any_row)


def _check(study: InversionSetup) -> None:
    """Everything that can be wrong before the first compilation."""
    t0, t1 = study.period
    settings = loss_settings(study.period, study.options)
    if not learned_slots(study.model, study.glaciers):
        raise InputError(
            "nothing to learn: put {parameter: ...} or {law: ...} where a number stands in model:"
        )
    for glacier in study.glaciers:
        check_run(study.model, glacier.settled(), settings)
        for name, _, term in study.loss.data:
            for t in term.stops(glacier, study.period):
                if not t0 - 1e-9 <= t <= t1 + 1e-9:  # dates are decimal years, round-off apart
                    period = f"period: {t0:g} to {t1:g}"
                    message = f"{name}: an observation of {t:.4f} lies outside {period}"
                    raise InputError(of_glacier(glacier.rgi_id, message))
            _targets(term, glacier, study.period)
    for _, _, penalty in study.loss.regularization:
        penalty.value(study.model, study.glaciers)


def _period(period: learning.Period, path: str) -> Period:
    t0, t1 = (decimal_year(t) for t in period)
    if not t0 < t1:
        raise InputError(f"{path}: period: ends at {t1:g}, which is not after its start {t0:g}")
    return t0, t1


def _calibrated(
    model: Model, glaciers: list[Glacier], section: CalibrateSection, say: Say
) -> Model:
    """The model with the number that meets each glacier's balance, ``{rgi_id: number}``."""
    numbers = {}
    for glacier in glaciers:
        found = calibrated(model, glacier, section)
        numbers[glacier.rgi_id] = found.value
        say(
            f"  calibrated {section.vary} of {glacier.rgi_id} = {found.value:.4g} for "
            f"{found.target:+.3f} m w.e. yr-1"
        )
    balance = model.mass_balance
    assert balance is not None  # else it could not be calibrated
    changed: dict[str, Any] = {section.vary: numbers}
    return Model(model.flow, dataclasses.replace(balance, **changed))


def _with_synthetic(
    study: InversionSetup, section: SyntheticSection, *, trial: bool, say: Say
) -> list[Glacier]:
    """The study's glaciers with data that its truth makes."""
    kinds = _kinds(study.loss) if section.of is None else section.of
    intervals = as_intervals(section.over)
    at = None if section.at is None else decimal_year(section.at)  # type: ignore[arg-type]
    if trial:
        glaciers = []
        for glacier in study.glaciers:
            observations = _stand_in(glacier, kinds, at, intervals, study.period)
            glaciers.append(glacier.replace(observations=observations))
        return glaciers
    say(f"  making synthetic data: {', '.join(kinds)} (the first run compiles for some seconds)")
    assert study.truth is not None
    return odinn.synthetic_observations(
        study.truth,
        study.glaciers,
        study.period,
        of=kinds,
        at=at,
        over=intervals,
        noise=section.noise,
        seed=section.seed,
        **study.options,
    )


def _kinds(loss: Total) -> list[str]:
    """Kinds of data that the terms of a loss read."""
    names = set()
    for _, _, term in loss.data:
        names.add(term.name)
        if isinstance(term, odinn.losses.MassBalance) and term.target is None:
            names.add("geodetic")  # where it finds its target
    return [kind for kind in KINDS if kind in names]


def _stand_in(
    glacier: Glacier,
    kinds: list[str],
    at: float | None,
    intervals: tuple[Any, ...] | None,
    period: Period,
) -> Observations:
    """Observations that are where the glacier has ice now, to count what would be there."""
    thickness = np.asarray(glacier.thickness)
    ice = np.where(glacier.mask & (thickness > 0), thickness, np.nan)
    names = [name for kind in kinds for name in _OBSERVED.get(kind, (kind,))]
    fields: dict[str, Any] = dict.fromkeys(names, ice)
    dates: dict[str, Any] = {}
    for name in names:
        if name != "elevation_change":
            dates[name] = period[1] if at is None else at
        # The thickness is of a date, all else is a mean over the intervals where there are any.
        if intervals is not None and name != "thickness":
            dates[name] = list(intervals)
    if "geodetic" in kinds:
        fields["geodetic"] = (0.0, *period)
    return Observations(**fields, dates=dates)
