"""An inversion ready to be run: its glaciers, bound model, loss and data, all of it checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

import equinox as eqx
import jax
import numpy as np

import odinn
from odinn.cli import learning
from odinn.cli.config import STEPPERS, build_model
from odinn.cli.schema import Values, made
from odinn.cli.sources import in_scenario, opened
from odinn.dates import decimal_year
from odinn.errors import InputError, SolverError, of_glacier
from odinn.glacier import Glacier, Observations
from odinn.learning.calibration import measured_target
from odinn.learning.choices import as_intervals
from odinn.learning.pure_objective import loss_settings
from odinn.learning.synthetic import KINDS
from odinn.learning.terms import AbstractLoss, Total
from odinn.model.binding import as_list, bind, learned_slots
from odinn.model.model import Model
from odinn.numbers.parameter import Parameter
from odinn.physics.laws.base import AbstractLaw
from odinn.run.checks import check_run

Say = Callable[[str], None]
Period = tuple[float, float]

_PER: Final = {"all": "one number", "glacier": "a number for each glacier", "cell": "a field"}
_OBSERVED: Final = {"velocity": ("vx", "vy", "speed"), "geodetic": ()}  # fields of a kind of data


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


def prepared(config: Values, path: str, *, trial: bool, say: Say) -> InversionSetup:
    """The inversion of a configuration: glaciers opened, model built and bound, data there.

    Args:
        trial: compile nothing: synthetic data are stood in for by the glaciers' own ice.
    """
    plain, glaciers, replaced = [], [], []
    for section in config["glaciers"]:
        for _, open_it in opened(section):
            plain.append(open_it())
            glaciers.append(in_scenario(plain[-1], section))
            replaced.append(section["replace"])
            say(f"  {glaciers[-1]}")
    as_list(glaciers)  # an id twice is an error
    t0, t1 = (decimal_year(t) for t in config["period"])
    if not t0 < t1:
        raise InputError(f"{path}: period: ends at {t1:g}, which is not after its start {t0:g}")
    model = build_model(config["model"], f"{path}: model", None if trial else glaciers)
    if config["calibrate"] is not None:
        # On the series without its scenario, as in a run.
        model = _calibrated(model, plain, config["calibrate"], say)
    options = {name: config[name] for name in ("coupling", "dtype", "max_steps")}
    options["stepper"] = made(STEPPERS, config["stepper"], f"{path}: stepper")
    loss, synthetic = learning.build_loss(config, path), config["synthetic"]
    setup = InversionSetup(model, glaciers, loss, (t0, t1), None, options)
    if synthetic is not None:
        truth = bind(learning.build_truth(synthetic, model, path), glaciers)
        setup = dataclasses.replace(setup, truth=truth)
        glaciers = _with_synthetic(setup, synthetic, trial=trial, say=say)
    learned = [learning.learning(g, r, path) for g, r in zip(glaciers, replaced, strict=True)]
    setup = dataclasses.replace(setup, model=bind(model, learned), glaciers=learned)
    _check(setup)
    return setup


def learned_rows(setup: InversionSetup) -> list[tuple[str, str, int, str]]:
    """What would be learned: slot, what, how many numbers, between which bounds."""
    rows = []
    for title, slot in learned_slots(setup.model, setup.glaciers).items():
        value = slot.value
        count = sum(int(np.size(leaf)) for leaf in jax.tree.leaves(value.learned))
        bounds = getattr(value, "bounds", (None, None))
        between = " to ".join("-" if bound is None else f"{bound:g}" for bound in bounds)
        scale = getattr(value, "scale", "-")
        rows.append((title, _described(value), count, f"{between} ({scale})"))
    return rows


def data_rows(setup: InversionSetup) -> list[tuple[str, str, str]]:
    """From which data: glacier, term, how many."""
    rows = []
    for glacier in setup.glaciers:
        for name, _, term in setup.loss.data:
            targets = _targets(term, glacier, setup.period)
            number = "none" if targets is None else str(int(term.count(targets)))
            rows.append((glacier.rgi_id, name, number))
    return rows


def failing_glacier(setup: InversionSetup, error: SolverError) -> SolverError:
    """The error with the glacier whose run fails from the start, if it is one."""
    # It may name its glacier already.
    if any(glacier.rgi_id in str(error) for glacier in setup.glaciers):
        return error
    options = {"progress": False} | setup.options
    try:
        for glacier in setup.glaciers:
            odinn.simulate(setup.model, glacier.without_parameters(), *setup.period, **options)
    except SolverError as found:
        return found
    return error


def _described(value: Parameter | AbstractLaw) -> str:
    """What is learned in a few words."""
    if isinstance(value, Parameter):
        return _PER[value.per]
    inputs = ", ".join(item.label for item in value.inputs)
    return f"{type(value).__name__} of {inputs}"


def _targets(term: AbstractLoss, glacier: Glacier, period: Period) -> Any:
    """The data of a term, whatever rows of a run they would be compared with."""
    return term.targets(glacier, period, lambda date: 0)


def _check(setup: InversionSetup) -> None:
    """Everything that can be wrong before the first compilation."""
    t0, t1 = setup.period
    settings = loss_settings(setup.period, setup.options)
    if not learned_slots(setup.model, setup.glaciers):
        raise InputError(
            "nothing to learn: put {type: Parameter, ...} or {type: Neural, ...} or another law "
            "where a number stands in model:"
        )
    for glacier in setup.glaciers:
        check_run(setup.model, glacier.without_parameters(), settings)
        for name, _, term in setup.loss.data:
            for t in term.stops(glacier, setup.period):
                if not t0 - 1e-9 <= t <= t1 + 1e-9:  # dates are decimal years, round-off apart
                    period = f"period: {t0:g} to {t1:g}"
                    message = f"{name}: an observation of {t:.4f} lies outside {period}"
                    raise InputError(of_glacier(glacier.rgi_id, message))
            _targets(term, glacier, setup.period)
    for _, _, penalty in setup.loss.regularization:
        penalty.value(setup.model, setup.glaciers)


def _calibrated(model: Model, glaciers: list[Glacier], section: Values, say: Say) -> Model:
    """The model with the number that meets each glacier's balance, ``{rgi_id: number}``."""
    model, vary = odinn.calibrate(model, glaciers, **section), section["vary"]
    for glacier in glaciers:
        number = float(getattr(model.mass_balance, vary)[glacier.rgi_id])
        asked = section["target"], section["period"], section["hydro_month"]
        target, _ = measured_target(glacier, *asked)
        found = f"{vary} of {glacier.rgi_id} = {number:.4g}"
        say(f"  calibrated {found} for {target:+.3f} m w.e. yr-1")
    return model


def _with_synthetic(
    setup: InversionSetup, section: Values, *, trial: bool, say: Say
) -> list[Glacier]:
    """The glaciers with data that the truth makes."""
    of = _kinds(setup.loss) if section["of"] is None else section["of"]
    if trial:
        glaciers = []
        for glacier in setup.glaciers:
            observations = _stand_in(glacier, of, section, setup.period)
            glaciers.append(glacier.replace(observations=observations))
        return glaciers
    say(f"  making synthetic data: {', '.join(of)} (the first run compiles for some seconds)")
    assert setup.truth is not None
    options = {name: section[name] for name in ("at", "over", "noise", "seed")} | setup.options
    return odinn.synthetic_observations(setup.truth, setup.glaciers, setup.period, of=of, **options)


def _kinds(loss: Total) -> list[str]:
    """Kinds of data that the terms of a loss read."""
    names = set()
    for _, _, term in loss.data:
        names.add(term.name)
        if isinstance(term, odinn.losses.MassBalance) and term.target is None:
            names.add("geodetic")  # where it finds its target
    return [kind for kind in KINDS if kind in names]


def _stand_in(glacier: Glacier, of: list[str], section: Values, period: Period) -> Observations:
    """Observations that are where the glacier has ice now, to count what would be there."""
    thickness, intervals = np.asarray(glacier.thickness), as_intervals(section["over"])
    at = period[1] if section["at"] is None else section["at"]
    ice = np.where(glacier.mask & (thickness > 0), thickness, np.nan)
    names = [name for kind in of for name in _OBSERVED.get(kind, (kind,))]
    dates: dict[str, Any] = {name: at for name in names if name != "elevation_change"}
    if intervals is not None:  # the thickness is of a date, all else a mean over intervals
        dates |= {name: list(intervals) for name in names if name != "thickness"}
    fields: dict[str, Any] = {}
    for name in names:
        when = dates.get(name)
        several = len(when) if isinstance(when, list) else 0
        fields[name] = np.stack([ice] * several) if several else ice
    if "geodetic" in of:
        fields["geodetic"] = (0.0, *period)
    return Observations(**fields, dates=dates)
