"""What the fields of a class are declared to hold, and whether a value from a file is that."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import jax
import jaxtyping
import numpy as np

from odinn.results.lost import LostClass, LostFormula

Hint = Any  # an annotation: a class, or what typing makes of several

_CONTAINERS: dict[Hint, Hint] = {tuple: list | tuple, list: list | tuple, dict: Mapping}


@functools.cache
def declared(cls: type) -> dict[str, Hint]:
    """The type of every field of a dataclass that is given when an object is made; ``Any`` where it
    cannot be known.
    """
    try:
        hints = typing.get_type_hints(cls)
    except Exception:  # a class of one's own may name what only a type checker sees
        hints = {}
    given = [field.name for field in dataclasses.fields(cls) if field.init]
    return {name: hints.get(name, Any) for name in given}


def wrong_fields(cls: type, values: Mapping[str, object]) -> list[str]:
    """The fields whose values are not what the class declares; shapes have to agree, too.

    Less is asked than by a type checker: arrays of NumPy and JAX, of whole numbers and others, and
    numbers and arrays without axes stand for one another, as they do in a model.
    """
    with jaxtyping.jaxtyped("context"):  # an axis has one length in all fields
        return [name for name, hint in declared(cls).items() if not _fits(values[name], hint)]


def is_incomplete(cls: type, values: Mapping[str, object]) -> bool:
    """Whether something was lost that the class needs of a certain interface, so that its own check
    would stumble over the place that is empty.
    """
    hints = declared(cls)
    lost = [name for name, value in values.items() if isinstance(value, LostClass)]
    return any(not _may_be_anything(hints[name]) for name in lost)


def _may_be_anything(hint: Hint) -> bool:
    alternatives = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return Any in alternatives


def shown(hint: Hint) -> str:
    """A type in words."""
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _fits(value: object, hint: Hint) -> bool:
    origin = get_origin(hint) or hint
    if hint is Any:
        return True
    if hint is None or hint is types.NoneType:
        return value is None
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in get_args(hint))
    if origin in _CONTAINERS:
        # a list where a tuple is declared works in a model, so it has to work in its file
        return isinstance(value, _CONTAINERS[origin]) and _items_fit(value, origin, get_args(hint))
    if origin is collections.abc.Callable:
        return isinstance(value, LostFormula) or callable(value)
    # what else there is, such as a type variable, cannot be told here
    return _is_of(value, hint) if isinstance(hint, type) else True


def _items_fit(value: Any, origin: Hint, hints: tuple[Hint, ...]) -> bool:
    if not hints:
        return True
    if origin is dict:
        pairs = ((hints[0], list(value)), (hints[1], list(value.values())))
        return all(_fits(item, hint) for hint, items in pairs for item in items)
    if origin is tuple and hints[-1] is not Ellipsis:
        same = len(value) == len(hints)
        return same and all(_fits(item, hint) for item, hint in zip(value, hints, strict=True))
    return all(_fits(item, hints[0]) for item in value)


def _is_of(value: object, hint: type) -> bool:
    """Whether a value is of a class, or of a number or an array as declared."""
    if issubclass(hint, jaxtyping.AbstractArray):
        return _is_array(value, hint)
    if issubclass(hint, np.ndarray | jax.Array):
        return _numbers(value) is not None
    if isinstance(value, LostClass):
        # of an interface, to be implemented by users; never in the place of a grid or a number
        return inspect.isabstract(hint)
    if hint in (int, float):
        numbers = _numbers(value)
        allowed = "iu" if hint is int else "iuf"
        return numbers is not None and numbers.ndim == 0 and numbers.dtype.kind in allowed
    try:
        return isinstance(value, hint)
    except TypeError:  # a protocol, which cannot be asked
        return True


def _is_array(value: object, hint: Hint) -> bool:
    numbers = _numbers(value)
    if numbers is None:
        return False
    # whole numbers serve where others are declared
    kind: Hint = jaxtyping.Real if hint.dtype is jaxtyping.Float else hint.dtype
    wanted: Hint = kind[np.ndarray, hint.dim_str]
    return isinstance(numbers, wanted)


def _numbers(value: object) -> np.ndarray | None:
    """An array of what is a number, an array, or a list of such; None for anything else."""
    if not isinstance(value, bool | int | float | np.ndarray | jax.Array | list | tuple):
        return None
    try:
        numbers = np.asarray(value)
    except (ValueError, OverflowError):  # rows of several lengths
        return None
    return numbers if numbers.dtype.kind in "biuf" else None
