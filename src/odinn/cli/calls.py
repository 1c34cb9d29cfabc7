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
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import create_model

from odinn.cli.config import Section, checked, suggest
from odinn.errors import InputError

Registry = Mapping[str, Callable[..., Any]]
_OWN = ("self", "weights", "ranges", "raw")  # what odinn sets itself
_PLAIN = (bool, int, float, str, type(None), Any)


def snake(name: str) -> str:
    """``LongTermTemperature`` as ``long_term_temperature``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@cache
def registry(kind: Literal["laws", "inputs", "losses", "optimizers"]) -> Registry:
    """What may be named, in YAML's spelling: the public, concrete members of modules of odinn."""
    import odinn
    from odinn.learning import losses, optimizers, regularization
    from odinn.learning.terms import AbstractTerm
    from odinn.physics.laws.base import AbstractInput, AbstractLaw

    found: list[tuple[str, Any]]
    if kind == "optimizers":
        own = lambda f: inspect.isfunction(f) and f.__module__ == optimizers.__name__
        return dict(inspect.getmembers(optimizers, own))
    if kind == "losses":
        bases: Any = AbstractTerm
        found = [*inspect.getmembers(losses), *inspect.getmembers(regularization)]
    else:
        bases = (AbstractLaw, AbstractInput)
        module: Any = odinn.laws if kind == "laws" else odinn.inputs
        found = [(name, getattr(module, name)) for name in module.__all__]
    usable = lambda k: inspect.isclass(k) and issubclass(k, bases) and not inspect.isabstract(k)
    formulas = ("Function",)  # takes Python
    return {snake(name): k for name, k in found if usable(k) and name not in formulas}


def section_of(
    call: Callable[..., Any], *, without: tuple[str, ...] = (), **special: Any
) -> type[Section]:
    """A section with the arguments of a call as keys."""
    hints = _hints(call)
    fields: dict[str, Any] = {}
    for name, item in inspect.signature(call).parameters.items():
        if name in (*_OWN, *without) or item.kind is inspect.Parameter.VAR_KEYWORD:
            continue
        default = ... if item.default is inspect.Parameter.empty else item.default
        fields[name] = special.get(name, (_plain(hints.get(name, Any)), default))
    return create_model("ArgumentsSection", __base__=Section, **fields)


def single(
    entry: Any, kind: Any, path: str, place: str, beside: tuple[str, ...] = ()
) -> tuple[str, dict, dict]:
    """(name, arguments, what stands beside) of an entry such as ``{thickness: {error: 5}, weight:
    2}`` or ``thickness``.
    """
    known = registry(kind)
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict):
        raise InputError(
            f"{path}: {place}: found {entry!r}, expected such as {{{next(iter(known))}: {{...}}}}"
        )
    extra = {k: v for k, v in entry.items() if k in beside}
    names = [str(k) for k in entry if k not in beside]
    unknown = [name for name in names if snake(name) not in known]
    if unknown or not names:
        found = (
            f"{unknown[0]!r} is unknown{suggest(unknown[0], known)}"
            if unknown
            else "names none of them"
        )
        raise InputError(f"{path}: {place}: {found}; known: {', '.join([*known, *beside])}")
    if len(names) > 1:
        raise InputError(f"{path}: {place}: {' and '.join(names)} in one entry; give each its own")
    arguments = entry[names[0]]
    if arguments is not None and not isinstance(arguments, dict):
        raise InputError(
            f"{path}: {place}.{names[0]}: found {arguments!r}, expected arguments: {{name: value}}"
        )
    return snake(names[0]), dict(arguments or {}), extra


def make(call: Callable[..., Any], arguments: dict[str, Any], path: str, place: str) -> Any:
    """The call with its arguments, those that YAML cannot say being made already; mistakes name the
    key.
    """
    section = checked(section_of(call), arguments, path, place + ".")
    given = {name: getattr(section, name) for name in arguments}
    try:
        return call(**given)
    except InputError as error:
        raise type(error)(f"{path}: {place}: {error}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {place}: {error}") from error


def _hints(call: Any) -> dict[str, Any]:
    hints: dict[str, Any] = {}
    for place in (call, getattr(call, "__init__", None)):
        try:
            hints |= typing.get_type_hints(place)
        except (TypeError, NameError):  # an annotation that exists for type checkers alone
            continue
    return hints


def _plain(annotation: Any) -> Any:
    """The annotation if it is made of numbers, words and tuples of them, else anything: the call
    itself checks the rest.
    """
    return annotation if _is_plain(annotation) else Any


def _is_plain(annotation: Any) -> bool:
    if annotation in _PLAIN or annotation is Ellipsis:
        return True
    origin = get_origin(annotation)
    if origin is Literal:
        return True
    if origin in (tuple, list, dict, typing.Union, types.UnionType):
        return all(_is_plain(part) for part in get_args(annotation))
    return False
