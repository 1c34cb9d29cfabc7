"""The configuration of a run: YAML that mirrors the Python arguments one to one, checked by one schema."""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator, model_validator

import odinn
from odinn.errors import InputError, where


class Section(BaseModel):
    """A section in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


def _section_of(kind: type, **special: Any) -> type[Section]:
    """A section with the arguments of a module as keys, and ``type`` to choose it."""
    fields: dict[str, Any] = {"type": (Literal[kind.__name__], kind.__name__)}
    for f in dataclasses.fields(kind):
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
        scheme=(Literal["degree-day", "odinn"], "degree-day"),
    ),
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
    """The series, and the scenario made from it: ``Climate.constant``, ``repeat``, ``random`` and ``shift``.

    A product's name or a file alone, ``climate: w5e5``, stands for ``climate: {product: w5e5}``.
    """

    product: str | None = Field(None, description="product's name, or a CSV or NetCDF file; $VARIABLES are filled in")
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
            raise ValueError(f"scenario: {self.scenario} needs years: [start, end], such as [1995, 2015]")
        if self.scenario is None and self.years is not None:
            raise ValueError("years belongs to a scenario: constant, repeat or random")
        if self.scenario != "random" and (self.seed, self.block_years) != (0, 1):
            raise ValueError("seed and block_years belong to scenario: random")
        return self


class GlacierSection(Section):
    """Which glacier(s): arguments of ``odinn.open_glacier``."""

    source: str | list[str] = Field(
        description="path of a NetCDF file or OGGM directory, or a list; $VARIABLES are filled in"
    )
    climate: ClimateSection = Field(
        default_factory=lambda: ClimateSection.model_validate({}), description="climate product, file or scenario"
    )
    thickness: str | None = Field(None, description="thickness product")
    coarsen: int = Field(1, description="average blocks of k x k cells")

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


def read_config(path: Path, overrides: list[str]) -> RunConfig:
    """The checked configuration of a YAML file with ``section.key=value`` overrides on top."""
    if not path.exists():
        raise InputError(f"{path}: no such configuration file")
    try:
        raw = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({error})") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: expected sections such as glacier: and run:, found {type(raw).__name__}")
    for item in overrides:
        key, found, value = item.partition("=")
        if not found or not key:
            raise InputError(f"-s {item}: expected section.key=value")
        place = raw
        *parents, last = key.split(".")
        for part in parents:
            inner = _product(place.get(part)) if part == "climate" else place.get(part)
            place[part] = inner if isinstance(inner, dict) else {}
            place = place[part]
        try:
            place[last] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:
            raise InputError(f"-s {item}: the value is not understood ({error})") from error
    config = _checked(RunConfig, raw, str(path), "")
    model = config.model
    sections = {
        "flow": _chosen(model.flow, FLOWS, path, "model.flow"),
        "mass_balance": _chosen(model.mass_balance, BALANCES, path, "model.mass_balance"),
    }
    update: dict[str, Any] = {"model": ModelSection(**sections)}
    if config.run is not None:
        stepper = _chosen(config.run.stepper, STEPPERS, path, "run.stepper")
        update["run"] = config.run.model_copy(update={"stepper": stepper})
    return config.model_copy(update=update)


def build_model(config: RunConfig) -> odinn.Model:
    """The model of a configuration."""
    flow, balance = config.model.flow, config.model.mass_balance
    return odinn.Model(
        flow=None if flow is None else _build(flow),
        mass_balance=None if balance is None else _build(balance),
    )


def build_stepper(section: dict[str, Any]) -> Any:
    """The stepper of a ``run.stepper`` section."""
    if section["type"] != "Diffrax":
        return _build(section)
    import diffrax

    from odinn.stepping.reference import Diffrax

    return Diffrax(getattr(diffrax, section["solver"])(), section["atol"], section["rtol"])


def sources(config: RunConfig) -> list[str]:
    """The glaciers' sources with environment variables and ~ filled in."""
    listed = config.glacier.source if isinstance(config.glacier.source, list) else [config.glacier.source]
    return [os.path.expanduser(os.path.expandvars(s)) for s in listed]


def climate_of(config: RunConfig) -> Any:
    """The ``climate=`` of ``odinn.open_glacier``: a product's name, a series that was read from a file, or None."""
    section = config.glacier.climate
    chosen = None if section.product is None else os.path.expanduser(os.path.expandvars(section.product))
    if section.ref_height is None:
        return chosen
    from odinn.data.series import is_series

    if not is_series(chosen):
        raise InputError("glacier.climate.ref_height: belongs to a file (product: series.csv); products have their own")
    return odinn.open_climate(str(chosen), ref_height=section.ref_height)


def in_scenario(glacier: odinn.Glacier, config: RunConfig) -> odinn.Glacier:
    """The glacier under the scenario of the configuration; itself where there is none."""
    section = config.glacier.climate
    climate = glacier.climate
    if section.scenario is None and (section.temp, section.precip) == (0.0, 1.0):
        return glacier
    if climate is None:
        raise InputError(where(glacier.rgi_id, "glacier.climate: a scenario needs a series, and this glacier has none"))
    try:
        if section.scenario == "random":
            climate = climate.random(section.years, section.seed, section.block_years)  # type: ignore[arg-type]
        elif section.scenario is not None:
            climate = getattr(climate, section.scenario)(section.years)
        return glacier.replace(climate=climate.shift(section.temp, section.precip))
    except InputError as error:
        raise type(error)(where(glacier.rgi_id, str(error))) from error


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration: every key with its value."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _product(climate: Any) -> Any:
    """``climate: w5e5`` is short for ``climate: {product: w5e5}``."""
    return {"product": climate} if isinstance(climate, str | Path) else {} if climate is None else climate


def _build(section: dict[str, Any]) -> Any:
    arguments = {k: v for k, v in section.items() if k != "type"}
    if isinstance(arguments.get("temperature_std"), list):
        import numpy as np

        arguments["temperature_std"] = np.asarray(arguments["temperature_std"], float)
    return getattr(odinn, section["type"])(**arguments)


def _chosen(section: dict[str, Any] | None, kinds: dict[str, Any], path: Path, place: str) -> dict[str, Any] | None:
    if section is None:
        return None
    name = section.get("type")
    if name is None and len(section) >= 0:
        name = next(iter(kinds))
        section = {"type": name, **section}
    if name not in kinds:
        raise InputError(
            f"{path}: {place}.type: {name!r} is unknown{_suggest(str(name), kinds)}; known: {', '.join(kinds)}"
        )
    return _checked(kinds[name], section, str(path), place + ".").model_dump()


def _checked(schema: type[Section], raw: dict[str, Any], path: str, prefix: str) -> Any:
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _keys_at(schema, first["loc"][:-1])
            name = str(first["loc"][-1])
            message = f"unknown key{_suggest(name, known)}; known: {', '.join(known)}"
        elif first["type"] == "missing":
            message = "is required"
        else:
            own = first["type"] == "value_error"  # a sentence of this module's
            message = str(first["ctx"]["error"]) if own else f"{first['msg']} (found {first.get('input')!r})"
        raise InputError(f"{path}: {prefix}{key}: {message}") from None


def _keys_at(schema: Any, location: tuple[Any, ...]) -> list[str]:
    for part in location:
        annotation = schema.model_fields[part].annotation
        options = getattr(annotation, "__args__", (annotation,))
        schema = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(schema.model_fields)


def _suggest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""
