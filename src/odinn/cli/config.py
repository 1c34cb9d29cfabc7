"""The sections of a run in YAML, read with overrides, and the model that is built from them.

Those of an inversion are in :mod:`odinn.cli.learning` and share what is here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal

import yaml

import odinn
from odinn.atomic import path_of
from odinn.cli.schema import LAWS, Key, Kinds, Section, Values, arguments, made, resolved
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.model.model import Model
from odinn.text import parse_yaml, read_yaml

Time = float | str | date
Period = tuple[Time, Time]
Solver = Literal["Bosh3", "Tsit5", "Dopri5", "Dopri8"]


def diffrax_of(solver: Solver = "Bosh3", atol: float = 1e-6, rtol: float = 0.0) -> odinn.Diffrax:
    """A method of diffrax by name, with tolerances of the local error."""
    import diffrax  # which takes a second to load

    return odinn.Diffrax(getattr(diffrax, solver)(), atol, rtol)


def _by_name(*calls: type) -> dict[str, Any]:
    return {call.__name__: call for call in calls}


_FLOWS: Final = _by_name(odinn.SIA2D, odinn.HybridSIA2D, odinn.DiffusiveSIA2D)
_BALANCES: Final = _by_name(
    odinn.TemperatureIndex, odinn.OdinnBalance, odinn.LinearBalance, odinn.PrescribedBalance
)
_STEPPERS: Final = _by_name(odinn.RKC2, odinn.SSPRK3, odinn.Euler) | {"Diffrax": diffrax_of}
STEPPERS: Final = Kinds(_STEPPERS, "RKC2")
MODEL: Final = {
    "flow": Key(Kinds(_FLOWS, "SIA2D", otherwise=None), {}),
    "mass_balance": Key(Kinds(_BALANCES, "TemperatureIndex", otherwise=None), None),
}
_CLIMATE: Final = {
    "product": Key(str | None, None),  # or a file
    **arguments(odinn.open_climate, "source", "name"),
    "scenario": Key(Literal["constant", "repeat", "random"] | None, None),
    **arguments(odinn.Climate.random, period=Key(Period | None, None)),
    **arguments(odinn.Climate.shift),
}
GLACIER: Final = arguments(
    odinn.open_glacier, source=Key(str | list[str]), climate=Key(_CLIMATE, {}, short="product")
)
CALIBRATE: Final = arguments(odinn.calibrate, "model", "glacier", target=Key(float | None, None))
SIMULATE: Final = arguments(
    odinn.simulate,
    # files are written as the output section says
    *("model", "glacier", "initial", "replay", "progress", "output"),
    t0=Key(Time),
    t1=Key(Time),
    stepper=Key(STEPPERS, {}),
    on_error=Key(Literal["raise", "keep"], "raise"),
)
OUTPUT: Final = {"directory": Key(str, "results"), "plots": Key(bool, True)}
RUN: Final[Section] = {
    "glacier": Key(GLACIER),
    "model": Key(MODEL, {}),
    "calibrate": Key(CALIBRATE, None),
    "run": Key(SIMULATE, None),
    "output": Key(OUTPUT | {"format": Key(Literal["nc", "zarr"], "nc")}, {}),
}


def read_config(path: Path, overrides: Sequence[str], sections: Section = RUN) -> Values:
    """The sections of a YAML file with ``section.key=value`` overrides on top, checked and with all
    defaults filled in.
    """
    path = path_of(path)
    raw = read_yaml(path)
    _check_command(path, raw, sections)
    for item in overrides:
        _override(raw, item)
    config: Values = resolved(sections, raw, f"{path}: ")
    if "glacier" in config:
        _check_scenario(config["glacier"]["climate"], f"{path}: glacier.climate")
    for i, section in enumerate(config.get("glaciers", ())):
        _check_scenario(section["climate"], f"{path}: glaciers.{i}.climate")
    return config


def _check_command(path: Path, raw: Values, sections: Section) -> None:
    """Raise for a file of the other command."""
    marks = {"odinn run": {"run", "glacier"}, "odinn invert": {"loss", "glaciers"}}
    for command, keys in marks.items():
        found = sorted(keys & set(raw))
        if found and not keys & set(sections):
            raise InputError(f"{path}: is a file for `{command}`: it has {', '.join(found)}")


def to_yaml(config: Values) -> str:
    """The resolved configuration: every key with its value."""
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def build_model(section: Values, place: str, glaciers: Sequence[Glacier] | None = None) -> Model:
    """The model of a section. Laws with ``fit_to`` start from it where glaciers are given."""
    parts: dict[str, Any] = {}
    for name, value in section.items():
        there = f"{place}.{name}"
        part = made(MODEL[name].expected, value, there)
        for key, item in (value or {}).items():
            fit = item.get("fit_to") if isinstance(item, dict) else None
            if fit is None:
                continue
            # Made without glaciers, too, for its mistakes to be found.
            formula = made(Kinds(LAWS), fit["formula"], f"{there}.{key}.fit_to.formula")
            if glaciers is not None:
                law = getattr(part, key).fit_to(**fit | {"formula": formula}, glaciers=glaciers)
                part = dataclasses.replace(part, **{key: law})
        parts[name] = part
    return Model(**parts)


def _override(raw: Values, item: str) -> None:
    key, found, value = item.partition("=")
    if not found or not key:
        raise InputError(f"-s {item}: expected section.key=value")
    place: Any = raw  # mappings and lists of YAML, one inside the other
    *parents, last = key.split(".")
    for part in parents:
        index = _index(place, part, item)
        inner = place[index] if isinstance(place, list) else place.get(part)
        if part == "climate" and isinstance(inner, str):
            inner = {"product": inner}
        # What is not there yet, or is a plain value, becomes a section.
        place[index] = inner if isinstance(inner, dict | list) else {}
        place = place[index]
    place[_index(place, last, item)] = parse_yaml(value, f"-s {item}")


def _index(place: Values | list[object], part: str, item: str) -> Any:
    """A key of a mapping, or the number of an item of a list."""
    if not isinstance(place, list):
        return part
    if not part.isdigit() or int(part) >= len(place):
        expected = f"expected 0 to {len(place) - 1}"
        raise InputError(f"-s {item}: {part!r} is no item of that list; {expected}")
    return int(part)


def _check_scenario(climate: Values, place: str) -> None:
    scenario, period = climate["scenario"], climate["period"]
    if scenario is not None and period is None:
        example = "period: [start, end], such as [1995, 2015]"
        raise InputError(f"{place}: scenario: {scenario} needs {example}")
    if scenario is None and period is not None:
        kinds = "constant, repeat or random"
        raise InputError(f"{place}: period belongs to a scenario: {kinds}")
    if scenario != "random" and (climate["seed"], climate["block_years"]) != (0, 1):
        raise InputError(f"{place}: seed and block_years belong to scenario: random")
