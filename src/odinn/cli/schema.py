"""The one schema of configurations: the keys of a section are the arguments of the public function
or class that it calls, read from its signature.

``{type: Velocity, component: xy}`` is ``odinn.losses.Velocity(component="xy")``. A mistake names
its key, what was found there, what is known, and the nearest of it.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Never, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

import odinn
from odinn.errors import InputError, unknown
from odinn.numbers.slot import declared
from odinn.physics.laws.base import AbstractInput, AbstractLaw

Values = dict[str, Any]  # a section, as YAML has it
Yaml = Any  # what stands at a key: a scalar, a list or a section
Expected = Any  # an annotation, keys of a section, kinds, or a list [of one of these]
Call = Callable[..., Any]

REQUIRED: Final = inspect.Parameter.empty  # the default of a key that has none
LEFT_OUT: Final = ...  # the default of a key that is not filled in
_SET_BY_ODINN: Final = ("self", "weights", "ranges", "raw")
_TAKE_PYTHON: Final = ("Function",)  # classes that YAML cannot make
_PLAIN: Final = (bool, int, float, str, date, type(None), Ellipsis)
_CONTAINERS: Final = (list, tuple, dict, Sequence, Mapping)


class Key(NamedTuple):
    """What a key takes: an annotation, the keys of a section, kinds, or a list [of one of these].

    ``short`` is the key that is meant where a plain value stands for the section.
    """

    expected: Expected
    default: Any = REQUIRED
    short: str = ""


Section = Mapping[str, Key]


class Kinds(NamedTuple):
    """Calls that ``type:`` chooses from.

    ``usual`` is meant without ``type``; ``more`` are keys beside the arguments, or in their stead;
    ``otherwise`` is the annotation of what may stand there without a type.
    """

    calls: Mapping[str, Call]
    usual: str | None = None
    more: Section = MappingProxyType({})
    otherwise: Expected = Never


def public(module: Any, base: type) -> dict[str, Call]:
    """The classes of a module that YAML can make, by name."""
    found: dict[str, Call] = {}
    for name in module.__all__:
        kind = getattr(module, name)
        if name.startswith("Abstract") or name in _TAKE_PYTHON or not inspect.isclass(kind):
            continue
        if issubclass(kind, base) and not inspect.isabstract(kind):
            found[name] = kind
    return found


LAWS: Final = public(odinn.laws, AbstractLaw)
INPUTS: Final = public(odinn.inputs, AbstractInput)
LEARNED: Final = {"Parameter": odinn.Parameter, **LAWS}


def arguments(call: Call, *without: str, **special: Key) -> dict[str, Key]:
    """The arguments of a call as keys; ``special`` are keys beside or in place of them."""
    hints, slots = _hints(call), declared(call) if isinstance(call, type) else {}
    keys = {}
    for name, item in inspect.signature(call).parameters.items():
        if name in (*without, *_SET_BY_ODINN) or item.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        usual = type(item.default) if isinstance(item.default, int | float | str) else Any
        expected = _in_yaml(hints.get(name, usual))
        if name in slots:
            months = list[float] if slots[name].by_month else float
            expected = Kinds(LEARNED, otherwise=float | months | dict[str, float])
        elif name == "inputs":
            expected = [Kinds(INPUTS)]
        elif expected is None:  # the call itself checks what is not made of numbers and words
            expected = Kinds(LEARNED, otherwise=Any)
        keys[name] = Key(expected, item.default)
    if hasattr(call, "fit_to"):
        formula = Key(Kinds(LAWS))
        keys["fit_to"] = Key(arguments(call.fit_to, "glaciers", formula=formula), None)
    return keys | special


def resolved(expected: Expected, value: Yaml, place: str, short: str = "") -> Yaml:
    """A value of YAML, checked, with the defaults of its keys filled in.

    Args:
        place: of the value, such as "run.yaml: run.stepper".
    """
    if isinstance(expected, Kinds):
        return _chosen(expected, value, place)
    if isinstance(expected, list):
        entries = value if isinstance(value, list) else [value]
        if not entries:
            raise InputError(f"{place}: found an empty list, expected at least one entry")
        return [resolved(expected[0], item, f"{place}.{i}") for i, item in enumerate(entries)]
    if not isinstance(expected, Mapping):
        return _plain(expected, value, place)
    if short and isinstance(value, str):
        value = {short: value}
    return _section(expected, {} if value is None else value, place)


def made(expected: Expected, value: Yaml, place: str) -> Any:
    """What a resolved value stands for: calls are made, the rest is as it is."""
    if isinstance(expected, list) and value is not None:
        return [made(expected[0], item, f"{place}.{i}") for i, item in enumerate(value)]
    if not isinstance(expected, Kinds) or not isinstance(value, dict) or "type" not in value:
        return value
    call = expected.calls[value["type"]]
    keys, taken = arguments(call), inspect.signature(call).parameters
    given = {}
    for name in value.keys() & taken.keys():
        given[name] = made(keys[name].expected, value[name], f"{place}.{name}")
    with at(place):
        return call(**given)


@contextmanager
def at(place: str) -> Iterator[None]:
    """Errors of a call name the place that it stands at."""
    try:
        yield
    except InputError as error:
        raise type(error)(f"{place}: {error}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: {error}") from error


def _section(keys: Section, section: Yaml, place: str) -> Values:
    if not isinstance(section, dict):
        expected = f"expected keys such as {next(iter(keys))}:"
        raise InputError(f"{place}: found {section!r}, {expected}")
    join = "" if place.endswith(" ") else "."  # a file stands before the topmost keys
    # all that is wrong is said at once
    wrong = [
        f"{place}{join}{name}: {unknown(name, keys, 'unknown key')}"
        for name in section
        if name not in keys
    ]
    filled: Values = {}
    for name in keys:
        try:
            filled |= _entry(name, keys, section, f"{place}{join}{name}")
        except InputError as error:
            wrong.append(str(error))
    if wrong:
        raise InputError("\n".join(wrong))
    return filled


def _entry(name: str, keys: Section, section: Values, place: str) -> Values:
    """A key with its value, or its default; nothing for a default that YAML cannot say."""
    key, value = keys[name], section.get(name, keys[name].default)
    if value is REQUIRED:
        raise InputError(f"{place}: is required")
    learned = [other for other, key in keys.items() if isinstance(key.expected, Kinds)]
    is_plain = not isinstance(key.expected, Kinds | list | Mapping)
    if learned and is_plain and isinstance(value, dict) and "type" in value:
        raise InputError(f"{place}: is not learned; what can be: {', '.join(learned)}")
    if name in section or isinstance(value, dict):
        missing = value is None and key.default is None
        return {name: None if missing else resolved(key.expected, value, place, key.short)}
    # what YAML cannot say is left to the call
    return {name: value} if isinstance(value, int | float | str | tuple | None) else {}


def _chosen(kinds: Kinds, value: Yaml, place: str) -> Yaml:
    if not isinstance(value, dict) or ("type" not in value and kinds.usual is None):
        if isinstance(value, dict) and kinds.otherwise not in (Never, Any):
            for key, number in value.items():  # {RGI id: number}
                if not isinstance(number, int | float):
                    raise InputError(f"{place}: {unknown(key, ['type'])}")
        if kinds.otherwise is not Never:
            return _plain(kinds.otherwise, value, place)
        first, known = next(iter(kinds.calls)), ", ".join(kinds.calls)
        raise InputError(f"{place}: found {value!r}, expected {{type: {first}}}; known: {known}")
    name = str(value.get("type", kinds.usual))
    if name not in kinds.calls:
        raise InputError(f"{place}.type: {unknown(name, kinds.calls)}")
    rest = {key: item for key, item in value.items() if key != "type"}
    keys = arguments(kinds.calls[name]) | dict(kinds.more)
    return {"type": name} | _section(keys, rest, place)


def _plain(annotation: Expected, value: Yaml, place: str) -> Yaml:
    try:
        return TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        reason = "Too few entries" if first["type"] == "missing" else first["msg"]
        raise InputError(f"{place}: {reason} (found {value!r})") from None


def _hints(call: Call) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for source in (call, getattr(call, "__init__", None)):
        try:
            hints |= typing.get_type_hints(source)
        except (TypeError, NameError):  # an annotation that exists for type checkers alone
            continue
    return hints


def _in_yaml(hint: Any) -> Any:
    """What YAML can say of an annotation; None where that is nothing in particular."""
    origin, options = get_origin(hint), get_args(hint)
    if hint in _PLAIN or origin is Literal:
        return hint
    said = [_in_yaml(option) for option in options]
    if origin in (typing.Union, types.UnionType):
        said = [option for option in said if option is not None]
        return typing.Union[tuple(said)] if said else None  # noqa: UP007  (they are in a list)
    if origin in _CONTAINERS and None not in said:
        return origin[tuple(said)]
    return None
