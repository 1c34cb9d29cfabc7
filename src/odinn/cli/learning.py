"""The configuration of an inversion: the arguments of ``odinn.invert`` as YAML, and what is built
from them.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

import odinn
from odinn.cli.calls import make, registry, section_of, single
from odinn.cli.config import (
    BALANCES,
    FLOWS,
    STEPPERS,
    CalibrateSection,
    GlacierSection,
    ModelSection,
    Section,
    build_part,
    checked,
    chosen,
    read_yaml,
    suggest,
)
from odinn.errors import InputError, where
from odinn.glacier import Glacier
from odinn.learning.choices import as_intervals
from odinn.learning.synthetic import KINDS
from odinn.learning.terms import Total, as_total
from odinn.model.binding import learned_slots
from odinn.numbers.slot import declared

Time = float | str | dt.date
_LEARNED = ("parameter", "law")


class ReplaceSection(Section):
    """``glacier.replace(thickness=..., keep=...)`` with a parameter: an initial thickness or bed
    that is learned.
    """

    thickness: dict[str, Any] | None = None
    bed: dict[str, Any] | None = None
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
    between: Any = Field(
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
    loss: list[Any] = Field(min_length=1)
    span: tuple[Time, Time]
    optimizer: list[Any] | None = None
    checkpoint: str | None = Field(
        None, description="file; default: checkpoint.npz in output.directory"
    )
    seed: int = 0
    stepper: dict[str, Any] = Field(default_factory=lambda: {"type": "RKC2"})
    coupling: Literal["source", "jump"] = "source"
    dtype: Literal["float64", "float32"] = "float64"
    max_steps: int = 1_000_000
    output: LearningOutputSection = Field(default_factory=LearningOutputSection)

    @field_validator("glaciers", mode="before")
    @classmethod
    def _as_list(cls, glaciers: Any) -> Any:
        listed = glaciers if isinstance(glaciers, list) else [glaciers]
        return [{"source": g} if isinstance(g, str) else g for g in listed]

    @field_validator("loss", "optimizer", mode="before")
    @classmethod
    def _one_or_several(cls, entries: Any) -> Any:
        return [entries] if isinstance(entries, dict | str) else entries

    @property
    def folder(self) -> Path:
        """Where results go."""
        return Path(self.output.directory)

    @property
    def checkpoint_path(self) -> Path:
        """The checkpoint's file."""
        return self.folder / "checkpoint.npz" if self.checkpoint is None else Path(self.checkpoint)


def read_invert_config(path: Path, overrides: list[str]) -> InvertConfig:
    """The checked configuration of an inversion: everything in it has been built once, without a
    glacier.
    """
    config = checked(InvertConfig, read_yaml(path, overrides), str(path), "")
    place = str(path)
    config = config.model_copy(
        update={
            "model": _checked_model(config.model, place, "model"),
            "stepper": chosen(config.stepper, STEPPERS, place, "stepper"),
        }
    )
    model = build_model(config.model, place, "model")
    build_loss(config, place)
    build_optimizer(config, place)
    if config.synthetic is not None:
        synthetic = config.synthetic
        truth = _checked_model(synthetic.model, place, "synthetic.model")
        config = config.model_copy(
            update={"synthetic": synthetic.model_copy(update={"model": truth})}
        )
        build_truth(config, model, place)
        for key, kinds in (("of", synthetic.of or []), ("noise", list(synthetic.noise or {}))):
            for kind in kinds:
                if kind not in KINDS:
                    known = f"{suggest(kind, KINDS)}; known: {', '.join(KINDS)}"
                    raise InputError(f"{place}: synthetic.{key}: {kind!r} is unknown{known}")
        try:
            as_intervals(synthetic.between)
        except InputError as error:
            raise InputError(f"{place}: synthetic.between: {error}") from error
    for i, section in enumerate(config.glaciers):
        if section.replace is not None:
            _check_replace(section.replace, place, f"glaciers.{i}.replace")
    learns_balance = any(slot.part == "mass_balance" for slot in learned_slots(model).values())
    if config.calibrate is not None and (model.mass_balance is None or learns_balance):
        why = (
            "there is no mass balance"
            if model.mass_balance is None
            else "its mass balance is learned"
        )
        raise InputError(f"{place}: calibrate: {why}; leave one of them out")
    return config


def build_model(
    section: ModelSection, path: str, place: str, glaciers: Sequence[Glacier] | None = None
) -> Any:
    """The model of a section. Laws with ``fit_to`` start from it where glaciers are given."""
    parts = {}
    for name in ("flow", "mass_balance"):
        own = getattr(section, name)
        if own is not None:
            own = {k: _number(v, path, f"{place}.{name}.{k}", glaciers) for k, v in own.items()}
            try:
                own = build_part(own)
            except InputError as error:
                raise type(error)(f"{path}: {place}.{name}: {error}") from error
        parts[name] = own
    return odinn.Model(**parts)


def build_truth(config: InvertConfig, model: Any, path: str) -> Any:
    """The model that makes synthetic data; the parts that it leaves out are the model's own."""
    assert config.synthetic is not None
    section = config.synthetic.model
    truth = build_model(section, path, "synthetic.model")
    for name in {"flow", "mass_balance"} - section.model_fields_set:
        truth = dataclasses.replace(truth, **{name: getattr(model, name)})
    learned = learned_slots(truth)
    if learned:
        raise InputError(
            f"{path}: synthetic.model: {next(iter(learned))} is to be learned; say what it is in "
            "truth"
        )
    return truth


def build_loss(config: InvertConfig, path: str) -> Total:
    """The sum of the terms of ``loss``."""
    terms = []
    for i, entry in enumerate(config.loss):
        place = f"loss.{i}"
        name, arguments, extra = single(entry, "losses", path, place, beside=("weight",))
        arguments = {k: _argument(k, v, path, f"{place}.{name}.{k}") for k, v in arguments.items()}
        term = make(registry("losses")[name], arguments, path, f"{place}.{name}")
        weight = extra.get("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight >= 0:
            raise InputError(f"{path}: {place}.weight: found {weight!r}, expected a number >= 0")
        terms.append(float(weight) * term)
    return as_total(functools.reduce(operator.add, terms))


def build_optimizer(config: InvertConfig, path: str) -> list[Any] | None:
    """The stages of ``optimizer``; None where it is left to ``odinn.invert``."""
    if config.optimizer is None:
        return None
    stages = []
    for i, entry in enumerate(config.optimizer):
        name, arguments, _ = single(entry, "optimizers", path, f"optimizer.{i}")
        stages.append(make(registry("optimizers")[name], arguments, path, f"optimizer.{i}.{name}"))
    return stages


def learning(glacier: Glacier, section: ReplaceSection | None, path: str) -> Glacier:
    """The glacier with its initial thickness or bed to be learned; itself where it is not."""
    if section is None:
        return glacier
    name = "thickness" if section.bed is None else "bed"
    arguments = dict(getattr(section, name)["parameter"] or {})
    own = section.factor * np.asarray(glacier.thickness)
    guess = own if name == "thickness" else glacier.surface - own
    initial = arguments.get("initial")
    initial = guess if initial is None else np.broadcast_to(np.asarray(initial, float), guess.shape)
    default = {"bounds": (0.0, None) if name == "thickness" else (None, None), "per": "cell"}
    try:
        parameter = make(
            odinn.Parameter, {**default, **arguments, "initial": initial}, path, f"replace.{name}"
        )
        return glacier.replace(**{name: parameter}, keep=section.keep)
    except InputError as error:
        text = str(error)
        raise InputError(text if glacier.rgi_id in text else where(glacier.rgi_id, text)) from error


def _number(value: Any, path: str, place: str, glaciers: Sequence[Glacier] | None = None) -> Any:
    """What stands where a number stands: a number, ``{parameter: ...}``, ``{law: ...}``, or
    ``{rgi_id: number}``.
    """
    if not isinstance(value, dict):
        return value
    if set(value) == {"parameter"}:
        return make(odinn.Parameter, dict(value["parameter"] or {}), path, f"{place}.parameter")
    if set(value) == {"law"}:
        return _law(value["law"], path, f"{place}.law", glaciers)
    if value and all(isinstance(v, int | float) for v in value.values()):
        return {str(k): float(v) for k, v in value.items()}
    found = next((str(k) for k in value if k not in _LEARNED), "both")
    raise InputError(
        f"{path}: {place}: {found!r} is unknown{suggest(found, _LEARNED)}; expected a number, "
        f"{{parameter: ...}}, "
        "{law: ...} or {RGI id: number}"
    )


def _law(entry: Any, path: str, place: str, glaciers: Sequence[Glacier] | None) -> Any:
    name, arguments, extra = single(entry, "laws", path, place, beside=("fit_to",))
    place = f"{place}.{name}"
    if "inputs" in arguments:
        listed = (
            arguments["inputs"] if isinstance(arguments["inputs"], list) else [arguments["inputs"]]
        )
        made = []
        for i, item in enumerate(listed):
            input_name, own, _ = single(item, "inputs", path, f"{place}.inputs.{i}")
            made.append(
                make(registry("inputs")[input_name], own, path, f"{place}.inputs.{i}.{input_name}")
            )
        arguments["inputs"] = made
    law = make(registry("laws")[name], arguments, path, place)
    if "fit_to" not in extra:
        return law
    if not hasattr(law, "fit_to"):
        raise InputError(f"{path}: {place}: there is nothing to fit in it; leave out fit_to")
    names = [
        k
        for k in section_of(type(law).fit_to).model_fields
        if k not in ("self", "formula", "glaciers")
    ]
    target = extra["fit_to"]
    options = {k: v for k, v in target.items() if k in names} if isinstance(target, dict) else {}
    rest = (
        {k: v for k, v in target.items() if k not in names} if isinstance(target, dict) else target
    )
    formula = _law(rest, path, f"{place}.fit_to", None)
    return law if glaciers is None else law.fit_to(formula, list(glaciers), **options)


def _argument(name: str, value: Any, path: str, place: str) -> Any:
    """An argument of a loss: numbers and words as they are, laws and parameters made, tables of
    points read.
    """
    if isinstance(value, dict) and set(value) & set(_LEARNED):
        return _number(value, path, place)
    if name == "points" and isinstance(value, dict):
        return {k: _argument(name, v, path, f"{place}.{k}") for k, v in value.items()}
    if name == "points" and isinstance(value, str) and value.endswith(".csv"):
        import pandas as pd

        try:
            return {str(k): column.to_numpy() for k, column in pd.read_csv(value).items()}
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: {place}: {value} cannot be read as a table ({error})"
            ) from error
    return value


def _checked_model(section: ModelSection, path: str, place: str) -> ModelSection:
    """The section with defaults filled in; where a number is learned its slot is checked, and it
    stays as it is.
    """
    parts: dict[str, Any] = {}
    for name, kinds in (("flow", FLOWS), ("mass_balance", BALANCES)):
        own = getattr(section, name)
        if name in section.model_fields_set:
            parts[name] = None
        if own is None or name not in section.model_fields_set:
            continue
        kind: Any = getattr(odinn, str(own.get("type", next(iter(kinds)))), None)
        is_part = dataclasses.is_dataclass(kind)
        fields = [f.name for f in dataclasses.fields(kind)] if is_part else []
        slots = list(declared(kind)) if is_part else []
        special = {k: v for k, v in own.items() if isinstance(v, dict) and k in fields}
        for k in special:
            if k not in slots:
                raise InputError(
                    f"{path}: {place}.{name}.{k}: is not learned; what can be: {', '.join(slots)}"
                )
        filled = chosen({**own, **dict.fromkeys(special, 1.0)}, kinds, path, f"{place}.{name}")
        parts[name] = {**(filled or {}), **special}
    return ModelSection(**parts)


def _check_replace(section: ReplaceSection, path: str, place: str) -> None:
    given = [n for n in ("thickness", "bed") if getattr(section, n) is not None]
    if len(given) != 1:
        raise InputError(f"{path}: {place}: expected thickness: or bed:, one of the two")
    own = getattr(section, given[0])
    if set(own) != {"parameter"}:
        raise InputError(
            f"{path}: {place}.{given[0]}: expected {{parameter: ...}}, found "
            f"{', '.join(own) or 'nothing'}"
        )
    schema = section_of(odinn.Parameter, initial=(Any, None))
    checked(schema, dict(own["parameter"] or {}), path, f"{place}.{given[0]}.parameter.")
