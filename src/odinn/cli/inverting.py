"""``odinn invert``: from a configuration to a folder with what was learned, its history, misfits
and pictures.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import yaml

import odinn
from odinn.cli import learning
from odinn.cli.config import build_stepper, in_scenario, opened, to_yaml
from odinn.cli.learning import InvertConfig
from odinn.dates import decimal_year, month_index
from odinn.errors import InputError, SolverError, where
from odinn.glacier import Glacier, Observations
from odinn.learning.calibration import measured_target
from odinn.learning.choices import as_intervals
from odinn.learning.driver import Inversion
from odinn.learning.problem import make_settings
from odinn.learning.synthetic import KINDS
from odinn.learning.terms import Total
from odinn.model.binding import as_list, bind, learned_slots
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter
from odinn.run.checks import check_run


class Study(eqx.Module):
    """An inversion ready to be run: model and glaciers as they start, the loss, and the truth where
    there is one.

    ``model`` is bound; ``glaciers`` hold their observations, and parameters where their thickness
    or bed is learned.
    """

    model: Model
    glaciers: list[Glacier]
    loss: Total
    span: tuple[float, float]
    truth: Model | None
    options: dict[str, Any]


def prepared(config: InvertConfig, path: str, *, trial: bool, say: Callable[[str], None]) -> Study:
    """The study of a configuration: glaciers opened, model built and bound, data there, all of it
    checked.

    Args:
        trial: compile nothing: synthetic data are stood in for by the glaciers' own ice.
    """
    found, glaciers, replaced = [], [], []
    for section in config.glaciers:
        for _, open_it in opened(section):
            found.append(open_it())
            glaciers.append(in_scenario(found[-1], section))
            replaced.append(section.replace)
            say(f"  {glaciers[-1]}")
    as_list(glaciers)  # an id twice is an error
    span = _span(config.span, path)
    model = learning.build_model(config.model, path, "model", None if trial else glaciers)
    if config.calibrate is not None:
        model = _calibrated(model, found, config.calibrate, say)  # on the series, as in a run
    loss = learning.build_loss(config, path)
    options = {
        "stepper": build_stepper(config.stepper),
        "coupling": config.coupling,
        "dtype": config.dtype,
        "max_steps": config.max_steps,
    }
    truth = None
    if config.synthetic is not None:
        truth = bind(learning.build_truth(config, model, path), glaciers)
        glaciers = _with_synthetic(
            config, truth, glaciers, loss, span, options, trial=trial, say=say
        )
    glaciers = [learning.learning(g, r, path) for g, r in zip(glaciers, replaced, strict=True)]
    study = Study(bind(model, glaciers), glaciers, loss, span, truth, options)
    _check(study)
    return study


def described(study: Study) -> tuple[list[tuple[str, str, int, str]], list[tuple[str, str, str]]]:
    """What would be learned, (slot, what, how many numbers, between), and the data, (glacier, term,
    how many).
    """
    learned = []
    for title, slot in learned_slots(study.model, study.glaciers).items():
        value = slot.value
        count = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(value.learned))
        if isinstance(value, Parameter):
            what = {"all": "one number", "glacier": "a number for each glacier", "cell": "a field"}[
                value.per
            ]
        else:
            what = f"{type(value).__name__} of {', '.join(i.label for i in value.inputs)}"
        low, high = getattr(value, "bounds", (None, None))
        between = " to ".join("-" if b is None else f"{b:g}" for b in (low, high))
        learned.append((title, what, count, f"{between} ({getattr(value, 'scale', '-')})"))
    data = [
        (g.rgi_id, name, _count(term, term.targets(g, study.span, lambda _: 0)))
        for g in study.glaciers
        for name, _, term in study.loss.data
    ]
    return learned, data


def steps_done(checkpoint: Path) -> int | None:
    """How many steps a checkpoint has, or None if there is none."""
    from odinn.learning.checkpoint import read_checkpoint

    try:
        state = read_checkpoint(checkpoint)
    except InputError as error:
        raise InputError(f"{error} (--fresh does)") from error
    return None if state is None else int(state["total"])


def steps_to_continue(config: InvertConfig) -> int | None:
    """How many steps the checkpoint has that will be continued (None: from the start); it has to be
    of these settings.

    The settings are kept beside the checkpoint, so that what has been changed since is found and
    named.
    """
    checkpoint = config.checkpoint_path
    done, beside = steps_done(checkpoint), checkpoint.with_suffix(".yaml")
    if done is None:
        return None
    theirs, mine = (
        yaml.safe_load(beside.read_text()) if beside.exists() else None,
        _settings(config),
    )
    if theirs != mine:
        what = (
            _first_difference(theirs, mine) if isinstance(theirs, dict) else f"{beside} is missing"
        )
        raise InputError(
            f"{checkpoint}: is of an inversion with other settings ({what}); choose another "
            "output.directory, or start "
            "anew with --fresh"
        )
    return done


def begin_checkpoint(config: InvertConfig) -> None:
    """Remove the checkpoint of an earlier inversion, and keep the settings beside where the new one
    will be.
    """
    checkpoint = config.checkpoint_path
    checkpoint.unlink(missing_ok=True)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(_settings(config), sort_keys=False, allow_unicode=True)
    checkpoint.with_suffix(".yaml").write_text(text)


def modelled(
    study: Study, model: Model, glaciers: list[Glacier]
) -> dict[str, dict[str, np.ndarray]]:
    """Fields of each glacier at the dates of the data, by kind: thickness (m), velocity (speed, m
    yr⁻¹).

    Raises:
        SolverError: naming the glacier whose run fails.
    """
    out: dict[str, dict[str, np.ndarray]] = {}
    for start in glaciers:
        glacier, fields = start.settled(), {}
        runs: dict[float, Any] = {}
        for _, _, term in study.loss.data:
            dates = term.stops(start, study.span) if term.name in ("thickness", "velocity") else ()
            if not dates:
                continue
            date = float(dates[-1])
            if date not in runs:
                runs[date] = _at(model, glacier, study.span[0], date, study.options)
            fields[term.name] = runs[date][term.name]()
        if not runs:  # whether it runs at all
            _at(model, glacier, *study.span, study.options)
        out[start.rgi_id] = fields
    return out


def write_tables(fit: Inversion, folder: Path) -> list[Path]:
    """history.csv and misfits.csv."""
    history, misfits = folder / "history.csv", folder / "misfits.csv"
    fit.history.to_dataframe().to_csv(history)
    names = list(dict.fromkeys(name for own in fit.misfits.values() for name in own))
    with misfits.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["rgi_id", *names])
        rows.writerows(
            [rgi_id, *(own.get(n, "") for n in names)] for rgi_id, own in fit.misfits.items()
        )
    return [history, misfits]


def _at(
    model: Model, glacier: Glacier, t0: float, date: float, options: Mapping[str, Any]
) -> dict[str, Callable]:
    """Thickness and speed of a glacier at a date, made when asked for."""
    from odinn.model.velocities import velocity_of

    thickness, months = np.asarray(glacier.thickness), np.array([month_index(t0)])
    if date - t0 > 1e-7:
        sim = odinn.simulate(
            model, glacier, t0, date, save_every=date - t0, progress=False, **options
        )
        thickness, months = sim.thickness[-1], sim.months[-1:]
    speed = lambda: velocity_of(model, glacier, thickness[None], months=months)[2][0]
    return {"thickness": lambda: thickness, "velocity": speed}


def _check(study: Study) -> None:
    """Everything that can be wrong before the first compilation."""
    t0, t1 = study.span
    if not learned_slots(study.model, study.glaciers):
        raise InputError(
            "nothing to learn: put {parameter: ...} or {law: ...} where a number stands in model:"
        )
    settings = make_settings(study.span, **study.options)
    for glacier in study.glaciers:
        check_run(study.model, glacier.settled(), settings)
        for name, _, term in study.loss.data:
            for t in term.stops(glacier, study.span):
                if not t0 - 1e-9 <= t <= t1 + 1e-9:
                    outside = (
                        f"{name}: an observation of {t:.4f} lies outside span: {t0:g} to {t1:g}"
                    )
                    raise InputError(where(glacier.rgi_id, outside))
            term.targets(glacier, study.span, lambda _: 0)
    for _, _, penalty in study.loss.regularization:
        penalty.value(study.model, study.glaciers)


def _span(span: tuple[Any, Any], path: str) -> tuple[float, float]:
    t0, t1 = (decimal_year(t) for t in span)
    if not t0 < t1:
        raise InputError(f"{path}: span: ends at {t1:g}, which is not after its start {t0:g}")
    return t0, t1


def _calibrated(
    model: Model, glaciers: list[Glacier], section: Any, say: Callable[[str], None]
) -> Model:
    """The model with the number that meets each glacier's balance, ``{rgi_id: number}``."""
    found = {}
    for glacier in glaciers:
        target, period = measured_target(glacier, section.target, section.period)
        own = odinn.calibrate(model, glacier, target, period, section.vary)
        found[glacier.rgi_id] = float(getattr(own.mass_balance, section.vary))
        say(
            f"  calibrated {section.vary} of {glacier.rgi_id} = {found[glacier.rgi_id]:.4g} for "
            f"{target:+.3f} m w.e. yr-1"
        )
    balance: Any = model.mass_balance
    return Model(model.flow, dataclasses.replace(balance, **{section.vary: found}))


def _with_synthetic(
    config: InvertConfig,
    truth: Model,
    glaciers: list[Glacier],
    loss: Total,
    span: tuple[float, float],
    options: dict[str, Any],
    *,
    trial: bool,
    say: Callable[[str], None],
) -> list[Glacier]:
    section = config.synthetic
    assert section is not None
    names = {term.name for _, _, term in loss.data}
    if any(
        isinstance(term, odinn.losses.MassBalance) and term.target is None
        for _, _, term in loss.data
    ):
        names.add("geodetic")
    kinds = [kind for kind in KINDS if kind in names] if section.of is None else section.of
    intervals = as_intervals(section.between)
    if trial:
        return [
            g.replace(observations=_stand_in(g, kinds, section.at, intervals, span))
            for g in glaciers
        ]
    say(f"  making synthetic data: {', '.join(kinds)} (the first run compiles for some seconds)")
    at = None if section.at is None else decimal_year(section.at)  # type: ignore[arg-type]
    return odinn.synthetic_observations(
        truth,
        glaciers,
        span,
        of=kinds,
        at=at,
        between=intervals,
        noise=section.noise,
        seed=section.seed,
        **options,
    )


def _stand_in(
    glacier: Glacier, kinds: list[str], at: Any, intervals: Any, span: tuple[float, float]
) -> Observations:
    """Observations that are where the glacier has ice now, to count what would be there."""
    ice = np.where(
        glacier.mask & (np.asarray(glacier.thickness) > 0), np.asarray(glacier.thickness), np.nan
    )
    names = {"velocity": ("vx", "vy", "speed"), "geodetic": ()}
    fields: dict[str, Any] = {n: ice for kind in kinds for n in names.get(kind, (kind,))}
    if "geodetic" in kinds:
        fields["geodetic"] = (0.0, *span)
    date = span[1] if at is None else decimal_year(at)
    dates: dict[str, Any] = {n: date for n in ("thickness", "vx", "vy", "speed") if n in fields}
    if intervals is not None:
        dates |= {
            n: list(intervals) for n in ("vx", "vy", "speed", "elevation_change") if n in fields
        }
    return Observations(**fields, dates=dates)


def _count(term: Any, targets: Any) -> str:
    """How many data a term has on a glacier."""
    return "none" if targets is None else str(int(term.count(targets)))


def _settings(config: InvertConfig) -> dict[str, Any]:
    """What an inversion depends on: the configuration but for where it is written to."""
    settings = yaml.safe_load(to_yaml(config))
    return {k: v for k, v in settings.items() if k not in ("checkpoint", "output")}


def _first_difference(theirs: Any, mine: Any, place: str = "") -> str:
    if isinstance(theirs, dict) and isinstance(mine, dict):
        pairs = [(str(k), theirs.get(k), mine.get(k)) for k in dict.fromkeys([*theirs, *mine])]
    elif isinstance(theirs, list) and isinstance(mine, list) and len(theirs) == len(mine):
        pairs = [(str(i), a, b) for i, (a, b) in enumerate(zip(theirs, mine, strict=True))]
    else:
        return f"{place[1:]}: {theirs!r} there, {mine!r} here"
    return next(_first_difference(a, b, f"{place}.{k}") for k, a, b in pairs if a != b)


def failing_glacier(study: Study, error: SolverError) -> SolverError:
    """The error with the glacier whose run fails from the start, if it is one."""
    if any(g.rgi_id in str(error) for g in study.glaciers):
        return error
    try:
        modelled(study, study.model, study.glaciers)
    except SolverError as found:
        return found
    return error
