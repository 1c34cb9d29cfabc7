"""The configuration of an inversion: the arguments of ``odinn.invert`` as YAML, and what is built
from them.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

import odinn
from odinn.cli.calls import made, make, section_of, single
from odinn.cli.config import (
    BALANCES,
    FLOWS,
    STEPPERS,
    CalibrateSection,
    GlacierSection,
    ModelSection,
    Period,
    Time,
    build_part,
    default_stepper,
    read_yaml,
)
from odinn.cli.schema import Section, Values, checked, chosen, suggest, unknown
from odinn.errors import InputError, of_glacier
from odinn.glacier import Glacier
from odinn.learning.choices import as_intervals
from odinn.learning.optimizers import AbstractOptimizer
from odinn.learning.synthetic import KINDS
from odinn.learning.terms import Total, as_total
from odinn.model.binding import learned_slots
from odinn.model.model import Model
from odinn.numbers.slot import declared
from odinn.physics.laws.base import AbstractLaw

_LEARNED = ("parameter", "law")
_PARTS = {"flow": FLOWS, "mass_balance": BALANCES}


class ReplaceSection(Section):
    """``glacier.replace(thickness=..., keep=...)`` with a parameter: an initial thickness or bed
    that is learned.
    """

    thickness: Values | None = None
    bed: Values | None = None
    keep: Literal["bed", "surface", "thickness"] | None = None
    factor: float = Field(
        1.0, gt=0, description="the first guess is so many times the glacier's own thickness"
    )


class LearnedGlacierSection(GlacierSection):
    """A section of glaciers as in a run, and what is learned of them."""

    replace: ReplaceSection | None = None


class SyntheticSection(Section):
    """Arguments of ``odinn.synthetic_observations``: data made by a true model take the place of
    measured ones.
    """

    model: ModelSection = Field(
        default_factory=ModelSection, description="a part left out is that of model:"
    )
    of: list[str] | None = Field(None, description="kinds of data; default: those in the loss")
    at: Time | list[Time] | None = None
    over: object = Field(
        None, description="(start, end) or a list of such, of velocity and elevation change"
    )
    noise: dict[str, float] | None = None
    seed: int = 0


class LearningOutputSection(Section):
    """Where results go."""

    directory: str = "results"
    plots: bool = True


class InvertConfig(Section):
    """An inversion: ``odinn invert CONFIG.yaml``. The keys are the arguments of
    ``odinn.invert``.
    """

    glaciers: list[LearnedGlacierSection] = Field(min_length=1)
    model: ModelSection = Field(default_factory=ModelSection)
    calibrate: CalibrateSection | None = None
    synthetic: SyntheticSection | None = None
    loss: list[object] = Field(min_length=1)
    period: Period
    optimizer: list[object] | None = None
    checkpoint: str | None = Field(
        None, description="file; default: checkpoint.npz in output.directory"
    )
    seed: int = 0
    stepper: Values = Field(default_factory=default_stepper)
    coupling: Literal["source", "jump"] = "source"
    dtype: Literal["float64", "float32"] = "float64"
    max_steps: int = 1_000_000
    output: LearningOutputSection = Field(default_factory=LearningOutputSection)

    @field_validator("glaciers", mode="before")
    @classmethod
    def _as_list(cls, glaciers: object) -> object:
        listed = glaciers if isinstance(glaciers, list) else [glaciers]
        return [{"source": g} if isinstance(g, str) else g for g in listed]

    @field_validator("loss", "optimizer", mode="before")
    @classmethod
    def _one_or_several(cls, entries: object) -> object:
        return [entries] if isinstance(entries, dict | str) else entries

    @property
    def folder(self) -> Path:
        """Where results go."""
        return Path(self.output.directory)

    @property
    def checkpoint_path(self) -> Path:
        """The checkpoint's file."""
        return self.folder / "checkpoint.npz" if self.checkpoint is None else Path(self.checkpoint)


def read_invert_config(path: Path, overrides: Sequence[str]) -> InvertConfig:
    """The checked configuration of an inversion: everything in it has been built once, without a
    glacier.
    """
    config = checked(InvertConfig, read_yaml(path, overrides), f"{path}: ")
    config = config.model_copy(
        update={
            "model": _checked_model(config.model, f"{path}: model"),
            "stepper": chosen(config.stepper, STEPPERS, f"{path}: stepper"),
        }
    )
    # What is built here is thrown away: it is built again when the glaciers are there.
    model = build_model(config.model, f"{path}: model")
    build_loss(config, path)
    build_optimizer(config, path)
    if config.synthetic is not None:
        synthetic = _checked_synthetic(config.synthetic, f"{path}: synthetic")
        config = config.model_copy(update={"synthetic": synthetic})
        build_truth(synthetic, model, path)
    for i, section in enumerate(config.glaciers):
        if section.replace is not None:
            _check_replace(section.replace, f"{path}: glaciers.{i}.replace")
    if config.calibrate is not None:
        why = None
        if model.mass_balance is None:
            why = "there is no mass balance"
        elif learned_slots(Model(flow=None, mass_balance=model.mass_balance)):
            why = "its mass balance is learned"
        if why is not None:
            raise InputError(f"{path}: calibrate: {why}; leave one of them out")
    return config


def build_model(
    section: ModelSection, place: str, glaciers: Sequence[Glacier] | None = None
) -> Model:
    """The model of a section. Laws with ``fit_to`` start from it where glaciers are given."""
    parts = {}
    for name in _PARTS:
        own = getattr(section, name)
        if own is not None:
            for key, value in own.items():
                own = own | {key: _number(value, f"{place}.{name}.{key}", glaciers)}
            try:
                own = build_part(own)
            except InputError as error:
                raise type(error)(f"{place}.{name}: {error}") from error
        parts[name] = own
    return Model(**parts)


def build_truth(section: SyntheticSection, model: Model, path: str | Path) -> Model:
    """The model that makes synthetic data; the parts that it leaves out are the model's own."""
    truth = build_model(section.model, f"{path}: synthetic.model")
    # A part that is given as null is none, and is not filled in.
    for name in _PARTS.keys() - section.model.model_fields_set:
        truth = dataclasses.replace(truth, **{name: getattr(model, name)})
    for slot in learned_slots(truth):
        message = f"{slot} is to be learned; say what it is in truth"
        raise InputError(f"{path}: synthetic.model: {message}")
    return truth


def build_loss(config: InvertConfig, path: str | Path) -> Total:
    """The sum of the terms of ``loss``."""
    terms = []
    for i, entry in enumerate(config.loss):
        call = single(entry, "losses", f"{path}: loss.{i}", beside=("weight",))
        arguments = {}
        for key, value in call.arguments.items():
            arguments[key] = _argument(key, value, f"{call.place}.{key}")
        term = make(call.function, arguments, call.place)
        weight = call.beside.get("weight", 1.0)
        # True is an int of Python, and NaN is not at least 0.
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            found = f"found {weight!r}, expected a number >= 0"
            raise InputError(f"{path}: loss.{i}.weight: {found}")
        terms.append(float(weight) * term)
    return as_total(functools.reduce(operator.add, terms))


def build_optimizer(config: InvertConfig, path: str | Path) -> list[AbstractOptimizer] | None:
    """The stages of ``optimizer``; None where it is left to ``odinn.invert``."""
    if config.optimizer is None:
        return None
    entries = enumerate(config.optimizer)
    return [made(entry, "optimizers", f"{path}: optimizer.{i}") for i, entry in entries]


def learning(glacier: Glacier, section: ReplaceSection | None, path: str) -> Glacier:
    """The glacier with its initial thickness or bed to be learned; itself where it is not."""
    if section is None:
        return glacier
    guess = section.factor * np.asarray(glacier.thickness)
    bounds: tuple[float | None, float | None] = (0.0, None)
    name = "thickness"
    if section.bed is not None:  # under the surface as it is, and without bounds
        guess, bounds, name = glacier.surface - guess, (None, None), "bed"
    arguments = {"bounds": bounds, "per": "cell"} | (getattr(section, name)["parameter"] or {})
    if arguments.get("initial") is not None:
        guess = np.broadcast_to(np.asarray(arguments["initial"], float), guess.shape)
    arguments["initial"] = guess
    try:
        parameter = make(odinn.Parameter, arguments, f"{path}: replace.{name}")
        return glacier.replace(**{name: parameter}, keep=section.keep)
    except InputError as error:
        text = str(error)  # of the parameter, or of the glacier, which names itself
        raise InputError(
            text if glacier.rgi_id in text else of_glacier(glacier.rgi_id, text)
        ) from error


def _number(value: Any, place: str, glaciers: Sequence[Glacier] | None = None) -> object:
    """What stands where a number stands: a number, ``{parameter: ...}``, ``{law: ...}``, or
    ``{rgi_id: number}``.
    """
    if not isinstance(value, dict):
        return value
    if set(value) == {"parameter"}:
        return make(odinn.Parameter, dict(value["parameter"] or {}), f"{place}.parameter")
    if set(value) == {"law"}:
        return _law(value["law"], f"{place}.law", glaciers)
    if value and all(isinstance(number, int | float) for number in value.values()):
        return {str(rgi_id): float(number) for rgi_id, number in value.items()}
    found = next((str(key) for key in value if key not in _LEARNED), "both")
    raise InputError(
        f"{place}: {found!r} is unknown{suggest(found, _LEARNED)}; expected a number, "
        "{parameter: ...}, {law: ...} or {RGI id: number}"
    )


def _law(entry: object, place: str, glaciers: Sequence[Glacier] | None) -> AbstractLaw:
    call = single(entry, "laws", place, beside=("fit_to",))
    arguments, place = call.arguments, call.place
    if "inputs" in arguments:
        given = arguments["inputs"]
        inputs = enumerate(given if isinstance(given, list) else [given])
        arguments["inputs"] = [made(item, "inputs", f"{place}.inputs.{i}") for i, item in inputs]
    law = make(call.function, arguments, place)
    if "fit_to" not in call.beside:
        return law
    if not hasattr(law, "fit_to"):
        raise InputError(f"{place}: there is nothing to fit in it; leave out fit_to")
    target, options = call.beside["fit_to"], {}
    if isinstance(target, dict):
        # Options of the fit stand beside the formula.
        names = section_of(type(law).fit_to).model_fields.keys() - {"formula", "glaciers"}
        options = {key: value for key, value in target.items() if key in names}
        target = {key: value for key, value in target.items() if key not in names}
    # Built without glaciers, too, for its mistakes to be found.
    formula = _law(target, f"{place}.fit_to", None)
    return law if glaciers is None else law.fit_to(formula, list(glaciers), **options)


def _argument(name: str, value: object, place: str) -> object:
    """An argument of a loss: numbers and words as they are, laws and parameters made, tables of
    points read.
    """
    if isinstance(value, dict) and set(value) & set(_LEARNED):
        return _number(value, place)
    if name != "points":
        return value
    if isinstance(value, dict):
        return {key: _argument(name, own, f"{place}.{key}") for key, own in value.items()}
    if not isinstance(value, str) or not value.endswith(".csv"):
        return value
    import pandas as pd  # which takes its time, and tables are rare

    try:
        return {str(key): column.to_numpy() for key, column in pd.read_csv(value).items()}
    except (OSError, ValueError) as error:
        message = f"{value} cannot be read as a table ({error})"
        raise InputError(f"{place}: {message}") from error


def _checked_model(section: ModelSection, place: str) -> ModelSection:
    """The section with defaults filled in; where a number is learned its slot is checked, and it
    stays as it is.
    """
    parts: dict[str, Values | None] = {}
    # What is not given stays so: of a true model, such a part is that of the model.
    for name in _PARTS:
        own = getattr(section, name)
        if name in section.model_fields_set:
            parts[name] = None if own is None else _checked_part(own, name, f"{place}.{name}")
    return ModelSection.model_validate(parts)


def _checked_part(own: Values, name: str, place: str) -> Values:
    kinds = _PARTS[name]
    # A type that there is not has no fields; that it is unknown is said by the schema below.
    kind = getattr(odinn, str(own.get("type", next(iter(kinds)))), None)
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    names = [field.name for field in fields]
    learnable = list(declared(kind)) if isinstance(kind, type) else []
    special = {key: value for key, value in own.items() if isinstance(value, dict) and key in names}
    for key in special:
        if key not in learnable:
            known = ", ".join(learnable)
            raise InputError(f"{place}.{key}: is not learned; what can be: {known}")
    # The schema knows plain numbers only; any number will do in the place of what is learned.
    filled = chosen(own | dict.fromkeys(special, 1.0), kinds, place)
    return (filled or {}) | special


def _checked_synthetic(section: SyntheticSection, place: str) -> SyntheticSection:
    model = _checked_model(section.model, f"{place}.model")
    for key, kinds in (("of", section.of), ("noise", section.noise)):
        for kind in kinds or ():
            if kind not in KINDS:
                raise InputError(f"{place}.{key}: {unknown(kind, KINDS)}")
    try:
        as_intervals(section.over, "over")
    except InputError as error:
        raise InputError(f"{place}.over: {error}") from error
    return section.model_copy(update={"model": model})


def _check_replace(section: ReplaceSection, place: str) -> None:
    given = [name for name in ("thickness", "bed") if getattr(section, name) is not None]
    if len(given) != 1:
        raise InputError(f"{place}: expected thickness: or bed:, one of the two")
    place, own = f"{place}.{given[0]}", getattr(section, given[0])
    if set(own) != {"parameter"}:
        found = ", ".join(own) or "nothing"
        raise InputError(f"{place}: expected {{parameter: ...}}, found {found}")
    # Without an initial value it is that of the glacier.
    schema = section_of(odinn.Parameter, initial=(Any, None))
    checked(schema, own["parameter"] or {}, f"{place}.parameter.")
