"""The configuration of a run: YAML that mirrors the Python arguments one to one, checked by one
schema.

That of an inversion is in :mod:`odinn.cli.learning` and shares what is here.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import Field, field_validator, model_validator

import odinn
from odinn.cli.schema import Section, Values, checked, chosen, section_of_module
from odinn.errors import InputError
from odinn.stepping.interface import AbstractStepper

Time = float | str | dt.date
Period = tuple[Time, Time]


def default_stepper() -> Values:
    """The section of a stepper where there is none."""
    return {"type": "RKC2"}


def _default_flow() -> Values:
    return {"type": "SIA2D"}


def _sections(*kinds: type) -> dict[str, type[Section]]:
    return {kind.__name__: section_of_module(kind) for kind in kinds}


# What these fields take is more than their default tells.
_SPREAD = (float | list[float], 3.0)
_THRESHOLD = (float | None, 10.0)
FLOWS = _sections(odinn.SIA2D, odinn.HybridSIA2D, odinn.DiffusiveSIA2D)
BALANCES = {
    "TemperatureIndex": section_of_module(
        odinn.TemperatureIndex,
        temperature_std=_SPREAD,
        accumulation_threshold=_THRESHOLD,
        lapse_rate=(float | Literal["data"], "data"),
    ),
    "OdinnBalance": section_of_module(odinn.OdinnBalance),
    "LinearBalance": section_of_module(odinn.LinearBalance, accumulation_threshold=_THRESHOLD),
    "PrescribedBalance": section_of_module(
        odinn.PrescribedBalance, accumulation_threshold=_THRESHOLD
    ),
}
STEPPERS = _sections(odinn.RKC2, odinn.SSPRK3, odinn.Euler)


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
    period: Period | None = Field(
        None, description="base period of the scenario, (start, end), the end excluded"
    )
    seed: int = 0
    block_years: int = 1
    temp: float = Field(0.0, description="K added")
    precip: float = Field(1.0, description="factor")

    @model_validator(mode="after")  # each key is fine by itself
    def _consistent(self) -> ClimateSection:
        if self.scenario is not None and self.period is None:
            raise ValueError(
                f"scenario: {self.scenario} needs period: [start, end], such as [1995, 2015]"
            )
        if self.scenario is None and self.period is not None:
            raise ValueError("period belongs to a scenario: constant, repeat or random")
        if self.scenario != "random" and (self.seed, self.block_years) != (0, 1):
            raise ValueError("seed and block_years belong to scenario: random")
        return self


class GlacierSection(Section):
    """Which glacier(s): arguments of ``odinn.open_glacier``."""

    source: str | list[str] = Field(
        description="path of a NetCDF file or OGGM directory, demo:RGI-id or demo, or a list; "
        "$VARIABLES are filled in"
    )
    climate: ClimateSection = Field(
        default_factory=lambda: ClimateSection.model_validate({}),
        description="climate product, file or scenario",
    )
    thickness: str | None = Field(None, description="thickness product")
    coarsen: int = Field(1, description="average blocks of k x k cells; volume is kept, area grows")

    @field_validator("climate", mode="before")
    @classmethod
    def _named(cls, climate: object) -> object:  # before pydantic looks for a section
        return long_form(climate)


class ModelSection(Section):
    """Flow and mass balance, each with ``type`` and its arguments, or null."""

    flow: Values | None = Field(default_factory=_default_flow)
    mass_balance: Values | None = None


class CalibrateSection(Section):
    """Arguments of ``odinn.calibrate``; target and period default to the measured balances."""

    target: float | None = None
    period: Period | None = None
    vary: Literal["melt_factor", "precip_factor", "temp_bias"] = "melt_factor"


class RunSection(Section):
    """Arguments of ``odinn.simulate``."""

    t0: Time
    t1: Time
    save_every: float = Field(1 / 12, gt=0)
    stepper: Values = Field(default_factory=default_stepper)
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


def read_yaml(path: Path, overrides: Sequence[str]) -> Values:
    """The sections of a YAML file with ``section.key=value`` overrides on top; items of lists go by
    number.
    """
    if not path.exists():
        raise InputError(f"{path}: no such configuration file")
    try:
        raw = yaml.load(path.read_text(), Loader) or {}  # an empty file is None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({error})") from error
    if not isinstance(raw, dict):
        found = type(raw).__name__
        raise InputError(f"{path}: expected sections such as glacier: and run:, found {found}")
    for item in overrides:
        _override(raw, item)
    return raw


def _override(raw: Values, item: str) -> None:
    key, found, value = item.partition("=")
    if not found or not key:
        raise InputError(f"-s {item}: expected section.key=value")
    place: Any = raw  # mappings and lists of YAML, one inside the other
    *parents, last = key.split(".")
    for part in parents:
        index = _index(place, part, item)
        inner = place[index] if isinstance(place, list) else place.get(part)
        if part == "climate":
            inner = long_form(inner)
        # What is not there yet, or is a plain value, becomes a section.
        place[index] = inner if isinstance(inner, dict | list) else {}
        place = place[index]
    try:
        place[_index(place, last, item)] = yaml.load(value, Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"-s {item}: the value is not understood ({error})") from error


def _index(place: Values | list[object], part: str, item: str) -> Any:
    """A key of a mapping, or the number of an item of a list."""
    if not isinstance(place, list):
        return part
    if not part.isdigit() or int(part) >= len(place):
        expected = f"expected 0 to {len(place) - 1}"
        raise InputError(f"-s {item}: {part!r} is no item of that list; {expected}")
    return int(part)


def long_form(climate: object) -> object:
    """``climate: w5e5`` is short for ``climate: {product: w5e5}``."""
    if climate is None:
        return {}
    return {"product": climate} if isinstance(climate, str | Path) else climate


def read_config(path: Path, overrides: Sequence[str]) -> RunConfig:
    """The checked configuration of a run."""
    config = checked(RunConfig, read_yaml(path, overrides), f"{path}: ")
    model = config.model
    model = ModelSection(
        flow=chosen(model.flow, FLOWS, f"{path}: model.flow"),
        mass_balance=chosen(model.mass_balance, BALANCES, f"{path}: model.mass_balance"),
    )
    run = config.run
    if run is not None:  # odinn calibrate needs none
        stepper = chosen(run.stepper, STEPPERS, f"{path}: run.stepper")
        run = run.model_copy(update={"stepper": stepper})
    return config.model_copy(update={"model": model, "run": run})


def to_yaml(config: Section) -> str:
    """The resolved configuration: every key with its value."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def build_model(config: RunConfig) -> odinn.Model:
    """The model of a configuration."""
    flow, balance = config.model.flow, config.model.mass_balance
    return odinn.Model(
        flow=None if flow is None else build_part(flow),
        mass_balance=None if balance is None else build_part(balance),
    )


def build_part(section: Values) -> Any:
    """A flow, mass balance or stepper from its section: ``type`` and arguments."""
    arguments = {key: value for key, value in section.items() if key != "type"}
    # One for each month, as an array; the schema has made sure of numbers.
    if isinstance(arguments.get("temperature_std"), list):
        arguments["temperature_std"] = np.asarray(arguments["temperature_std"], float)
    return getattr(odinn, str(section["type"]))(**arguments)


def build_stepper(section: Values) -> AbstractStepper:
    """The stepper of a ``run.stepper`` section."""
    if section["type"] != "Diffrax":
        return build_part(section)
    import diffrax  # which takes a second to load

    made = DiffraxSection.model_validate(section)
    return odinn.Diffrax(getattr(diffrax, made.solver)(), made.atol, made.rtol)
