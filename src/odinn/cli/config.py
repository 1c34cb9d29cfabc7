"""The configuration of a run: YAML that mirrors the Python arguments one to one, checked by one
schema.

That of an inversion is in :mod:`odinn.cli.learning` and shares what is here.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

import odinn
from odinn.errors import InputError, where


class Section(BaseModel):
    """A section in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


def _section_of(kind: type, **special: Any) -> type[Section]:
    """A section with the arguments of a module as keys, and ``type`` to choose it."""
    fields: dict[str, Any] = {"type": (Literal[kind.__name__], kind.__name__)}
    for f in dataclasses.fields(kind):
        if not f.init:
            continue
        if f.name in special:
            fields[f.name] = special[f.name]
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            fields[f.name] = (float, ...)
        elif f.default is None:
            fields[f.name] = (float | None, None)
        elif isinstance(f.default, str):
            fields[f.name] = (str, f.default)
        elif isinstance(f.default, tuple):
            fields[f.name] = (tuple[float, float], f.default)
        else:
            fields[f.name] = (float, float(f.default))  # type: ignore[arg-type]
    return create_model(f"{kind.__name__}Section", __base__=Section, __doc__=kind.__doc__, **fields)


_SPREAD = (float | list[float], 3.0)
_THRESHOLD = (float | None, 10.0)
FLOWS = {k.__name__: _section_of(k) for k in (odinn.SIA2D, odinn.HybridSIA2D, odinn.DiffusiveSIA2D)}
BALANCES = {
    "TemperatureIndex": _section_of(
        odinn.TemperatureIndex,
        temperature_std=_SPREAD,
        accumulation_threshold=_THRESHOLD,
        lapse_rate=(float | Literal["data"], "data"),
    ),
    "OdinnBalance": _section_of(odinn.OdinnBalance),
    "LinearBalance": _section_of(odinn.LinearBalance, accumulation_threshold=_THRESHOLD),
    "PrescribedBalance": _section_of(odinn.PrescribedBalance, accumulation_threshold=_THRESHOLD),
}
STEPPERS = {k.__name__: _section_of(k) for k in (odinn.RKC2, odinn.SSPRK3, odinn.Euler)}


class DiffraxSection(Section):
    """A method of diffrax by name, with tolerances of the local error."""

    type: Literal["Diffrax"] = "Diffrax"
    solver: Literal["Bosh3", "Tsit5", "Dopri5", "Dopri8"] = "Bosh3"
    atol: float = 1e-6
    rtol: float = 0.0


STEPPERS["Diffrax"] = DiffraxSection


class ClimateSection(Section):
    """The series, and the scenario made from it: ``Climate.constant``, ``repeat``, ``random`` and
    ``shift``.

    A product's name or a file alone, ``climate: w5e5``, stands for ``climate: {product: w5e5}``.
    """

    product: str | None = Field(
        None, description="product's name, or a CSV or NetCDF file; $VARIABLES are filled in"
    )
    ref_height: float | None = Field(None, description="m, of a file that does not give it")
    scenario: Literal["constant", "repeat", "random"] | None = None
    years: tuple[float | str | dt.date, float | str | dt.date] | None = Field(
        None, description="base period of the scenario, (start, end), the end excluded"
    )
    seed: int = 0
    block_years: int = 1
    temp: float = Field(0.0, description="K added")
    precip: float = Field(1.0, description="factor")

    @model_validator(mode="after")
    def _consistent(self) -> ClimateSection:
        if self.scenario is not None and self.years is None:
            raise ValueError(
                f"scenario: {self.scenario} needs years: [start, end], such as [1995, 2015]"
            )
        if self.scenario is None and self.years is not None:
            raise ValueError("years belongs to a scenario: constant, repeat or random")
        if self.scenario != "random" and (self.seed, self.block_years) != (0, 1):
            raise ValueError("seed and block_years belong to scenario: random")
        return self


class GlacierSection(Section):
    """Which glacier(s): arguments of ``odinn.open_glacier``."""

    source: str | list[str] = Field(
        description="path of a NetCDF file or OGGM directory, demo:RGI-id or demo, or a list; $VARIABLES are filled in"
    )
    climate: ClimateSection = Field(
        default_factory=lambda: ClimateSection.model_validate({}),
        description="climate product, file or scenario",
    )
    thickness: str | None = Field(None, description="thickness product")
    coarsen: int = Field(1, description="average blocks of k x k cells; volume is kept, area grows")

    @field_validator("climate", mode="before")
    @classmethod
    def _named(cls, climate: Any) -> Any:
        return _product(climate)


class ModelSection(Section):
    """Flow and mass balance, each with ``type`` and its arguments, or null."""

    flow: dict[str, Any] | None = Field(default_factory=lambda: {"type": "SIA2D"})
    mass_balance: dict[str, Any] | None = None


class CalibrateSection(Section):
    """Arguments of ``odinn.calibrate``; target and period default to the measured balances."""

    target: float | None = None
    period: tuple[float | str | dt.date, float | str | dt.date] | None = None
    vary: Literal["melt_factor", "precip_factor", "temp_bias"] = "melt_factor"


class RunSection(Section):
    """Arguments of ``odinn.simulate``."""

    t0: float | str | dt.date
    t1: float | str | dt.date
    save_every: float = Field(1 / 12, gt=0)
    stepper: dict[str, Any] = Field(default_factory=lambda: {"type": "RKC2"})
    coupling: Literal["source", "jump"] = "source"
    hydrology: bool = False
    dtype: Literal["float64", "float32"] = "float64"
    max_steps: int = 1_000_000
    on_error: Literal["raise", "keep"] = "raise"


class OutputSection(Section):
    """Where results go."""

    directory: str = "results"
    format: Literal["nc", "zarr"] = "nc"
    plots: bool = True


class RunConfig(Section):
    """A run: ``odinn run CONFIG.yaml``."""

    glacier: GlacierSection
    model: ModelSection = Field(default_factory=ModelSection)
    calibrate: CalibrateSection | None = None
    run: RunSection | None = None
    output: OutputSection = Field(default_factory=OutputSection)


class Loader(yaml.SafeLoader):
    """YAML whose numbers may be written 4e-17, as everywhere else (YAML 1.1 wants 4.0e-17)."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read_yaml(path: Path, overrides: list[str]) -> dict[str, Any]:
    """The sections of a YAML file with ``section.key=value`` overrides on top; items of lists go by
    number.
    """
    if not path.exists():
        raise InputError(f"{path}: no such configuration file")
    try:
        raw = yaml.load(path.read_text(), Loader) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({error})") from error
    if not isinstance(raw, dict):
        raise InputError(
            f"{path}: expected sections such as glacier: and run:, found {type(raw).__name__}"
        )
    for item in overrides:
        key, found, value = item.partition("=")
        if not found or not key:
            raise InputError(f"-s {item}: expected section.key=value")
        place: Any = raw
        *parents, last = key.split(".")
        for part in parents:
            index = _index(place, part, item)
            inner = place[index] if isinstance(place, list) else place.get(part)
            inner = _product(inner) if part == "climate" else inner
            place[index] = inner if isinstance(inner, dict | list) else {}
            place = place[index]
        try:
            place[_index(place, last, item)] = yaml.load(value, Loader)
        except (yaml.YAMLError, ValueError) as error:
            raise InputError(f"-s {item}: the value is not understood ({error})") from error
    return raw


def read_config(path: Path, overrides: list[str]) -> RunConfig:
    """The checked configuration of a run."""
    config = checked(RunConfig, read_yaml(path, overrides), str(path), "")
    model = config.model
    sections = {
        "flow": chosen(model.flow, FLOWS, str(path), "model.flow"),
        "mass_balance": chosen(model.mass_balance, BALANCES, str(path), "model.mass_balance"),
    }
    update: dict[str, Any] = {"model": ModelSection(**sections)}
    if config.run is not None:
        stepper = chosen(config.run.stepper, STEPPERS, str(path), "run.stepper")
        update["run"] = config.run.model_copy(update={"stepper": stepper})
    return config.model_copy(update=update)


def build_model(config: RunConfig) -> odinn.Model:
    """The model of a configuration."""
    flow, balance = config.model.flow, config.model.mass_balance
    return odinn.Model(
        flow=None if flow is None else build_part(flow),
        mass_balance=None if balance is None else build_part(balance),
    )


def build_stepper(section: dict[str, Any]) -> Any:
    """The stepper of a ``run.stepper`` section."""
    if section["type"] != "Diffrax":
        return build_part(section)
    import diffrax

    from odinn.stepping.reference import Diffrax

    return Diffrax(getattr(diffrax, section["solver"])(), section["atol"], section["rtol"])


def opened(section: GlacierSection) -> Iterator[tuple[str, Callable[[], odinn.Glacier]]]:
    """Of each source of a section, its name and how to open it."""
    listed = section.source if isinstance(section.source, list) else [section.source]
    for source in listed:
        path = os.path.expanduser(os.path.expandvars(source))
        if source == "demo" or source.startswith("demo:"):
            for rgi_id in _demo_ids(source.partition(":")[2]):
                yield f"demo:{rgi_id}", partial(_open_demo, rgi_id, section)
        else:
            yield path, partial(_open, path, section)


def climate_of(section: GlacierSection) -> Any:
    """The ``climate=`` of ``odinn.open_glacier``: a product's name, a series that was read from a
    file, or None.
    """
    climate = section.climate
    name = (
        None if climate.product is None else os.path.expanduser(os.path.expandvars(climate.product))
    )
    if climate.ref_height is None:
        return name
    from odinn.data.series import is_series

    if not is_series(name):
        raise InputError(
            "glacier.climate.ref_height: belongs to a file (product: series.csv); products have "
            "their own"
        )
    return odinn.open_climate(str(name), ref_height=climate.ref_height)


def in_scenario(glacier: odinn.Glacier, section: GlacierSection) -> odinn.Glacier:
    """The glacier under the scenario of its section; itself where there is none."""
    scenario = section.climate
    climate = glacier.climate
    if scenario.scenario is None and (scenario.temp, scenario.precip) == (0.0, 1.0):
        return glacier
    if climate is None:
        raise InputError(
            where(
                glacier.rgi_id,
                "glacier.climate: a scenario needs a series, and this glacier has none",
            )
        )
    try:
        if scenario.scenario == "random":
            climate = climate.random(scenario.years, scenario.seed, scenario.block_years)  # type: ignore[arg-type]
        elif scenario.scenario is not None:
            climate = getattr(climate, scenario.scenario)(scenario.years)
        return glacier.replace(climate=climate.shift(scenario.temp, scenario.precip))
    except InputError as error:
        raise type(error)(where(glacier.rgi_id, str(error))) from error


def to_yaml(config: Section) -> str:
    """The resolved configuration: every key with its value."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _product(climate: Any) -> Any:
    """``climate: w5e5`` is short for ``climate: {product: w5e5}``."""
    return (
        {"product": climate}
        if isinstance(climate, str | Path)
        else {}
        if climate is None
        else climate
    )


def _open(path: str, section: GlacierSection) -> odinn.Glacier:
    climate = climate_of(section)
    return odinn.open_glacier(
        path, climate=climate, thickness=section.thickness, coarsen=section.coarsen
    )


def _demo_ids(rgi_id: str) -> list[str]:
    """Ids of the embedded glaciers: the one that is named, or all of them."""
    from odinn.data.demo.rakaia import FOLDER

    known = sorted(path.stem for path in FOLDER.glob("*.nc"))
    if rgi_id and rgi_id not in known:
        raise InputError(
            f"demo:{rgi_id}: no such embedded glacier{suggest(rgi_id, known)}; known: "
            f"{', '.join(known)}"
        )
    return [rgi_id] if rgi_id else known


def _open_demo(rgi_id: str, section: GlacierSection) -> odinn.Glacier:
    """An embedded glacier, under its idealised climate unless another is named."""
    from odinn.data.demo.rakaia import FOLDER, demo_climate

    climate = climate_of(section)
    return odinn.open_glacier(
        FOLDER / f"{rgi_id}.nc",
        climate=demo_climate() if climate is None else climate,
        thickness=section.thickness,
        coarsen=section.coarsen,
    )


def _index(place: Any, part: str, item: str) -> Any:
    """A key of a mapping, or the number of an item of a list."""
    if not isinstance(place, list):
        return part
    if not part.isdigit() or int(part) >= len(place):
        raise InputError(
            f"-s {item}: {part!r} is no item of that list; expected 0 to {len(place) - 1}"
        )
    return int(part)


def build_part(section: dict[str, Any]) -> Any:
    """A flow, mass balance or stepper from its section: ``type`` and arguments."""
    arguments = {k: v for k, v in section.items() if k != "type"}
    if isinstance(arguments.get("temperature_std"), list):
        import numpy as np

        arguments["temperature_std"] = np.asarray(arguments["temperature_std"], float)
    return getattr(odinn, section["type"])(**arguments)


def chosen(
    section: dict[str, Any] | None, kinds: dict[str, Any], path: str, place: str
) -> dict[str, Any] | None:
    """A section checked by the schema that its ``type`` names, with the defaults filled in."""
    if section is None:
        return None
    name = section.get("type")
    if name is None and len(section) >= 0:
        name = next(iter(kinds))
        section = {"type": name, **section}
    if name not in kinds:
        raise InputError(
            f"{path}: {place}.type: {name!r} is unknown{suggest(str(name), kinds)}; known: "
            f"{', '.join(kinds)}"
        )
    return checked(kinds[name], section, path, place + ".").model_dump()


def checked(schema: type[Section], raw: dict[str, Any], path: str, prefix: str) -> Any:
    """A section checked by its schema; the first mistake names its key, and what is known there."""
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _keys_at(schema, first["loc"][:-1])
            name = str(first["loc"][-1])
            message = f"unknown key{suggest(name, known)}; known: {', '.join(known)}"
        elif first["type"] == "missing":
            message = "is required"
        else:
            own = first["type"] == "value_error"  # a sentence of this module's
            message = (
                str(first["ctx"]["error"])
                if own
                else f"{first['msg']} (found {first.get('input')!r})"
            )
        raise InputError(f"{path}: {prefix}{key}: {message}") from None


def _keys_at(schema: Any, location: tuple[Any, ...]) -> list[str]:
    for part in location:
        if not isinstance(part, int):  # an item of a list has the schema of the list
            schema = _schema_in(schema.model_fields[part].annotation)
    return list(schema.model_fields)


def _schema_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for o in get_args(annotation) if (found := _schema_in(o)) is not None), None)


def suggest(name: str, known: Any) -> str:
    """Half a sentence with the nearest known name, if one is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
