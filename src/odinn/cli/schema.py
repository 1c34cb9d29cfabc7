"""Sections of a configuration, and how they are checked: a mistake names its key, what is known
there, and the nearest of it.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from odinn.errors import InputError

Values = dict[str, object]  # of a section, as YAML has them


class Section(BaseModel):
    """A section in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


Schema = TypeVar("Schema", bound=Section)


def section_of_module(kind: type, **special: tuple[object, object]) -> type[Section]:
    """A section with the fields of a module as keys, and ``type`` to choose it.

    Args:
        special: (annotation, default) of fields that take more than their default tells.
    """
    keys: dict[str, tuple[object, object]] = {"type": (Literal[kind.__name__], kind.__name__)}
    for field in dataclasses.fields(kind):
        if field.init:
            keys[field.name] = special.get(field.name) or _key(field.default)
    definitions: Any = keys  # pydantic's own type of them is an overloaded keyword
    name = f"{kind.__name__}Section"
    return create_model(name, __base__=Section, __doc__=kind.__doc__, **definitions)


def checked(schema: type[Schema], raw: Mapping[str, object], prefix: str) -> Schema:
    """A section checked by its schema; the first mistake names its key, and what is known there.

    Args:
        prefix: what stands before the key, such as "run.yaml: run.stepper.".
    """
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{prefix}{key}: {_mistake(schema, first)}") from None


def chosen(section: Values | None, kinds: Mapping[str, type[Section]], place: str) -> Values | None:
    """A section checked by the schema that its ``type`` names, with the defaults filled in."""
    if section is None:
        return None
    section = {"type": next(iter(kinds))} | section
    name = str(section["type"])
    if name not in kinds:
        raise InputError(f"{place}.type: {unknown(name, kinds)}")
    return checked(kinds[name], section, f"{place}.").model_dump()


def unknown(name: str, known: Iterable[str], beside: Iterable[str] = ()) -> str:
    """That a name is unknown, the nearest known one, and all of them, with what stands beside."""
    names = list(known)
    return f"{name!r} is unknown{suggest(name, names)}; known: {', '.join([*names, *beside])}"


def suggest(name: str, known: Iterable[str]) -> str:
    """Half a sentence with the nearest known name, if one is near."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _key(default: object) -> tuple[object, object]:
    """Annotation and default of a key, from the default of the field."""
    if default is dataclasses.MISSING:
        return float, ...
    if default is None:
        return float | None, None
    if isinstance(default, str):
        return str, default
    if isinstance(default, tuple):
        return tuple[float, float], default
    return float, float(default)  # type: ignore[arg-type]


def _mistake(schema: type[Section], error: ErrorDetails) -> str:
    place = error["loc"]
    if error["type"] == "extra_forbidden":
        known = _keys_at(schema, place[:-1])
        return f"unknown key{suggest(str(place[-1]), known)}; known: {', '.join(known)}"
    if error["type"] == "missing":
        return "is required"
    if error["type"] == "value_error":  # a sentence of a validator of ours
        return str(error["ctx"]["error"])
    return f"{error['msg']} (found {error.get('input')!r})"


def _keys_at(schema: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys of the section at a place inside another."""
    for part in location:
        if isinstance(part, str):  # an item of a list has the schema of the list
            inner = _schema_in(schema.model_fields[part].annotation)
            assert inner is not None
            schema = inner
    return list(schema.model_fields)


def _schema_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for option in get_args(annotation):
        found = _schema_in(option)
        if found is not None:
            return found
    return None
