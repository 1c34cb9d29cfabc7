"""The sections of an inversion in YAML, the arguments of ``odinn.invert``, and what is built from
them.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field

import odinn
from odinn.cli.config import CALIBRATE, GLACIER, MODEL, OUTPUT, SIMULATE, build_model, read_config
from odinn.cli.schema import LEFT_OUT, Key, Kinds, Section, Values, arguments, at, made, public
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.learning.choices import as_intervals
from odinn.learning.optimizers import AbstractOptimizer
from odinn.learning.synthetic import KINDS
from odinn.learning.terms import AbstractTerm, Total, as_total
from odinn.model.binding import learned_slots
from odinn.model.model import Model

Bounds = tuple[float | None, float | None]

_KIND: Any = Literal[KINDS]  # of data
_FIRST_GUESS: Final = Kinds(
    {"Parameter": odinn.Parameter},
    more={
        "initial": Key(Any, None),  # that of the glacier
        "bounds": Key(Bounds | None, None),
        "per": Key(Literal["all", "glacier", "cell"], "cell"),
    },
)
_REPLACE: Final = arguments(
    odinn.Glacier.replace,
    *("climate", "observations"),
    thickness=Key(_FIRST_GUESS, None),
    bed=Key(_FIRST_GUESS, None),
    factor=Key(Annotated[float, Field(gt=0)], 1.0),  # of the glacier's own thickness
)
_SYNTHETIC: Final = arguments(
    odinn.synthetic_observations,
    *("glaciers", "period"),
    # A part that is left out is that of the model that learns.
    model=Key({name: Key(key.expected, LEFT_OUT) for name, key in MODEL.items()}, {}),
    of=Key(list[_KIND] | None, None),  # those in the loss
    noise=Key(dict[_KIND, float] | None, None),
)
LOSSES: Final = Kinds(
    public(odinn.losses, AbstractTerm),
    more={"weight": Key(Annotated[float, Field(ge=0, strict=True)], 1.0)},
)
OPTIMIZERS: Final = Kinds(
    {name: getattr(odinn.optimizers, name) for name in odinn.optimizers.__all__ if name.islower()}
)
INVERT: Final[Section] = {
    "glaciers": Key([GLACIER | {"replace": Key(_REPLACE, None)}]),
    "model": Key(MODEL, {}),
    "calibrate": Key(CALIBRATE, None),
    "synthetic": Key(_SYNTHETIC, None),
    **arguments(
        odinn.invert,
        *("model", "glaciers", "progress"),
        loss=Key([LOSSES]),
        optimizer=Key([OPTIMIZERS], None),
    ),
    **{name: SIMULATE[name] for name in ("stepper", "coupling", "dtype", "max_steps")},
    "output": Key(OUTPUT, {}),
}


def read_invert_config(path: Path, overrides: Sequence[str]) -> Values:
    """The checked configuration of an inversion: everything in it has been built once, without a
    glacier.
    """
    config = read_config(path, overrides, INVERT)
    model = build_model(config["model"], f"{path}: model")
    build_loss(config, path)
    build_optimizer(config, path)
    if config["synthetic"] is not None:
        with at(f"{path}: synthetic.over"):
            as_intervals(config["synthetic"]["over"], "over")
        build_truth(config["synthetic"], model, path)
    for i, section in enumerate(config["glaciers"]):
        replace = section["replace"]
        if replace is not None and (replace["thickness"] is None) == (replace["bed"] is None):
            place = f"{path}: glaciers.{i}.replace"
            raise InputError(f"{place}: expected thickness: or bed:, one of the two")
    if config["calibrate"] is not None:
        why = None
        if model.mass_balance is None:
            why = "there is no mass balance"
        elif learned_slots(Model(flow=None, mass_balance=model.mass_balance)):
            why = "its mass balance is learned"
        if why is not None:
            raise InputError(f"{path}: calibrate: {why}; leave one of them out")
    return config


def build_truth(section: Values, model: Model, path: str | Path) -> Model:
    """The model that makes synthetic data; the parts that it leaves out are the model's own."""
    truth = build_model(section["model"], f"{path}: synthetic.model")
    for name in MODEL.keys() - section["model"].keys():
        truth = dataclasses.replace(truth, **{name: getattr(model, name)})
    for slot in learned_slots(truth):
        message = f"{slot} is to be learned; say what it is in truth"
        raise InputError(f"{path}: synthetic.model: {message}")
    return truth


def build_loss(config: Values, path: str | Path) -> Total:
    """The sum of the terms of ``loss``."""
    terms = []
    for i, entry in enumerate(config["loss"]):
        place = f"{path}: loss.{i}"
        if "points" in entry:
            entry = entry | {"points": _tables(entry["points"], f"{place}.points")}
        terms.append(entry["weight"] * made(LOSSES, entry, place))
    return as_total(functools.reduce(operator.add, terms))


def build_optimizer(config: Values, path: str | Path) -> list[AbstractOptimizer] | None:
    """The stages of ``optimizer``; None where it is left to ``odinn.invert``."""
    stages: list[AbstractOptimizer] | None
    stages = made([OPTIMIZERS], config["optimizer"], f"{path}: optimizer")
    return stages


def learning(glacier: Glacier, section: Values | None, path: str) -> Glacier:
    """The glacier with its initial thickness or bed to be learned; itself where it is not."""
    if section is None:
        return glacier
    guess = section["factor"] * np.asarray(glacier.thickness)
    name, defaults = "thickness", {"bounds": (0.0, None)}
    if section["thickness"] is None:  # the bed, under the surface as it is, and without bounds
        name, defaults, guess = "bed", {}, glacier.surface - guess
    given = {key: value for key, value in section[name].items() if value is not None}
    del given["type"]
    if "initial" in given:
        guess = np.broadcast_to(np.asarray(given["initial"], float), guess.shape)
    with at(f"{path}: {glacier.rgi_id}: replace.{name}"):
        learned: Any = {name: odinn.Parameter(**defaults | given | {"initial": guess})}
        return glacier.replace(**learned, keep=section["keep"])


def _tables(points: Any, place: str) -> Any:
    """The columns of a CSV file, or of one for each glacier; anything else as it is."""
    if isinstance(points, dict):
        return {key: _tables(value, f"{place}.{key}") for key, value in points.items()}
    if not isinstance(points, str) or not points.endswith(".csv"):
        return points
    import pandas as pd  # which takes its time, and tables are rare

    try:
        return {str(key): column.to_numpy() for key, column in pd.read_csv(points).items()}
    except (OSError, ValueError) as error:
        message = f"{points} cannot be read as a table ({error})"
        raise InputError(f"{place}: {message}") from error
