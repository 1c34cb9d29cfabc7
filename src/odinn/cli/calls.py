"""Calls in YAML: ``{adam: {learning_rate: 1e-2}}`` is ``adam(learning_rate=1e-2)``, checked against
its signature.

Whatever a loss, an optimizer, a law or an input takes in Python it takes here by the same name;
nothing is listed twice.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import create_model

import odinn
from odinn.cli.schema import Section, Values, checked, unknown
from odinn.errors import InputError
from odinn.learning import losses, optimizers
from odinn.learning.terms import AbstractTerm
from odinn.physics.laws.base import AbstractInput, AbstractLaw

Function = Callable[..., Any]  # or a class, which is called alike
Kind = Literal["laws", "inputs", "losses", "optimizers"]
_OWN = ("self", "weights", "ranges", "raw")  # what odinn sets itself, and methods have
_TAKE_PYTHON = ("Function",)  # laws that YAML cannot say
_PLAIN = (bool, int, float, str, type(None), Any, Ellipsis)


class Entry(NamedTuple):
    """What is called, with which arguments, what stands beside it in its entry, and its place."""

    function: Function
    arguments: Values
    beside: Values
    place: str


def snake(name: str) -> str:
    """``LongTermTemperature`` as ``long_term_temperature``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@cache
def registry(kind: Kind) -> Mapping[str, Function]:
    """What may be named, in YAML's spelling: the public, concrete members of modules of odinn."""
    if kind == "optimizers":
        # those that are called are in lower case, as in Python
        names = [name for name in optimizers.__all__ if name.islower()]
        return {name: getattr(optimizers, name) for name in names}
    if kind == "losses":
        members = inspect.getmembers(losses)
        return _concrete(members, AbstractTerm)
    module = odinn.laws if kind == "laws" else odinn.inputs
    members = [(name, getattr(module, name)) for name in module.__all__]
    return _concrete(members, (AbstractLaw, AbstractInput))


def section_of(call: Function, **special: tuple[object, object]) -> type[Section]:
    """A section with the arguments of a call as keys.

    Args:
        special: (annotation, default) of arguments that YAML may give differently.
    """
    hints = _hints(call)
    keys: dict[str, Any] = {}
    for name, item in inspect.signature(call).parameters.items():
        if name in _OWN or item.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        default = ... if item.default is inspect.Parameter.empty else item.default
        hint = hints.get(name, Any)
        # The call itself checks what is not made of numbers, words and tuples of them.
        keys[name] = special.get(name, (hint if _is_plain(hint) else Any, default))
    return create_model("ArgumentsSection", __base__=Section, **keys)


def single(entry: object, kind: Kind, place: str, beside: tuple[str, ...] = ()) -> Entry:
    """The call of an entry such as ``{thickness: {error: 5}, weight: 2}`` or ``thickness``.

    Args:
        place: of the entry, such as "run.yaml: loss.0".
        beside: keys that are not calls.
    """
    known = registry(kind)
    if isinstance(entry, str):  # a name alone: all arguments at their defaults
        entry = {entry: {}}
    if not isinstance(entry, dict):
        example = f"{{{next(iter(known))}: {{...}}}}"
        raise InputError(f"{place}: found {entry!r}, expected such as {example}")
    names = [str(key) for key in entry if key not in beside]
    for name in names:
        if snake(name) not in known:
            raise InputError(f"{place}: {unknown(name, known, beside)}")
    if not names:
        choice = ", ".join([*known, *beside])
        raise InputError(f"{place}: names none of them; known: {choice}")
    if len(names) > 1:
        raise InputError(f"{place}: {' and '.join(names)} in one entry; give each its own")
    arguments = entry[names[0]]
    if arguments is not None and not isinstance(arguments, dict):
        expected = "expected arguments: {name: value}"
        raise InputError(f"{place}.{names[0]}: found {arguments!r}, {expected}")
    extra = {key: value for key, value in entry.items() if key in beside}
    name = snake(names[0])
    return Entry(known[name], dict(arguments or {}), extra, f"{place}.{name}")


def made(entry: object, kind: Kind, place: str) -> Any:
    """What an entry with nothing but a call makes."""
    call = single(entry, kind, place)
    return make(call.function, call.arguments, call.place)


def make(call: Function, arguments: Values, place: str) -> Any:
    """The call with its arguments, those that YAML cannot say being made already; mistakes name the
    key.
    """
    section = checked(section_of(call), arguments, f"{place}.")
    given = {name: getattr(section, name) for name in arguments}
    try:
        return call(**given)
    except InputError as error:
        raise type(error)(f"{place}: {error}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{place}: {error}") from error


def _concrete(
    members: Iterable[tuple[str, Any]], bases: type | tuple[type, ...]
) -> dict[str, Function]:
    """The classes among members that can be made, by their name in YAML."""
    found: dict[str, Function] = {}
    for name, kind in members:
        if not inspect.isclass(kind) or not issubclass(kind, bases):
            continue
        if not inspect.isabstract(kind) and name not in _TAKE_PYTHON:
            found[snake(name)] = kind
    return found


def _hints(call: Function) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for place in (call, getattr(call, "__init__", None)):
        try:
            hints |= typing.get_type_hints(place)
        except (TypeError, NameError):  # an annotation that exists for type checkers alone
            continue
    return hints


def _is_plain(annotation: object) -> bool:
    """Whether YAML can say everything that an annotation allows."""
    if annotation in _PLAIN:
        return True
    origin = get_origin(annotation)
    if origin in (tuple, list, dict, typing.Union, types.UnionType):
        return all(_is_plain(part) for part in get_args(annotation))
    return origin is Literal
