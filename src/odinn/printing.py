"""Models, laws, parameters and glaciers print like the call that makes them, with their numbers.

What would be too long stands in angle brackets: fields by shape and range, weights by number and
range, a climate or a grid by its one line. None and empty arguments are left out where that is what
they are by default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import equinox as eqx
import jax
import numpy as np
import wadler_lindig as wl

Module = TypeVar("Module", bound=type[eqx.Module])

_MOST: Final = 4  # entries by glacier that are printed one by one


def printed_as_call(kind: Module) -> Module:
    """A class whose instances print as calls, wherever equinox prints them. Decorator."""
    kind.__pdoc__ = _call  # type: ignore[attr-defined]
    return kind


def on_one_line(module: eqx.Module) -> str:
    """What printing a module shows, without line breaks.

    >>> import odinn
    >>> on_one_line(odinn.SIA2D(A=4e-17))
    'SIA2D(A=4e-17, C=0, n=3, p=3, q=2, ice_density=900, gravity=9.81)'
    """
    return wl.pformat(module, width=1_000_000)


def in_short(value: Any) -> str:
    """What stands for a value inside a call, without line breaks; of a parameter its present
    numbers.

    >>> in_short(np.linspace(0.0, 2.0, 6).reshape(2, 3))
    '<field 2x3, 0 to 2>'
    """
    now: dict[str, Any] = getattr(value, "printed_values", dict)()  # a parameter has them
    return wl.pformat(now.get("now", value), width=1_000_000, custom=_shown)


def _call(module: Any, **_: Any) -> wl.AbstractDoc:
    """A module as a call, in the form that equinox prints (its hook is the name ``__pdoc__``)."""
    arguments = wl.named_objs(_arguments(module).items(), custom=_shown, indent=2)
    return wl.bracketed(
        wl.TextDoc(f"{type(module).__name__}("), arguments, wl.comma, wl.TextDoc(")"), indent=2
    )


def _arguments(module: Any) -> dict[str, Any]:
    """What a module is printed with; of a parameter its present values, of a law its weights in a
    few words.
    """
    named = {
        f.name: getattr(module, f.name, None)
        for f in dataclasses.fields(module)
        if f.init and not _is_left_out(module, f)
    }
    now: dict[str, Any] = getattr(module, "printed_values", dict)()  # a parameter has them
    if now:
        del named["raw"]
        named |= now
    for name in named.keys() & {"range", "ranges"}:
        if _is_numeric(named[name]):
            named[name] = wl.TextDoc(_pairs(named[name]))
    weights = jax.tree.leaves(named.get("weights"))
    if weights and all(_is_numeric(w) for w in weights):
        named["weights"] = wl.TextDoc(f"<{_numbers(weights)}>")
    return named


def _is_left_out(module: Any, field: dataclasses.Field) -> bool:
    """Whether an argument is None or empty, and nothing else by default."""
    nothing = lambda value: value is None or (isinstance(value, tuple | list | dict) and not value)
    default = None if field.default is dataclasses.MISSING else field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return nothing(getattr(module, field.name, None)) and nothing(default)


def _shown(value: Any) -> wl.AbstractDoc | None:
    """What stands for a value inside a call; None leaves it to the printer."""
    if isinstance(value, eqx.Module):
        has_line = type(value).__str__ is not object.__str__  # such as a grid's
        return wl.TextDoc(f"<{value}>") if has_line and _is_whole(value) else _call(value)
    if (
        isinstance(value, Mapping)
        and len(value) > _MOST
        and all(_is_numeric(v) for v in value.values())
    ):
        return wl.TextDoc(f"<{len(value)} glaciers: {_numbers(list(value.values()))}>")
    if not _is_numeric(value):
        return None
    array = np.asarray(value)
    if not array.ndim:
        return wl.TextDoc(f"{array:.7g}" if array.dtype.kind == "f" else str(array))
    if array.ndim == 1:
        return wl.TextDoc(f"<{_numbers([array])}>")
    shape = "x".join(map(str, array.shape))
    return wl.TextDoc(f"<field {shape}, {_range(array)}>")


def _pairs(ranges: Any) -> str:
    """(low, high), or a tuple of such pairs."""
    array = np.asarray(ranges)
    if array.ndim == 1:
        return f"({', '.join(f'{end:.7g}' for end in array)})"
    pairs = [_pairs(row) for row in array]
    return f"({', '.join(pairs)}{',' if len(pairs) == 1 else ''})"


def _is_whole(module: eqx.Module) -> bool:
    """Whether all is there that has no default: no half of a split tree."""
    needed = [
        f.name
        for f in dataclasses.fields(module)
        if f.default is f.default_factory is dataclasses.MISSING
    ]
    return all(getattr(module, name, None) is not None for name in needed)


def _is_numeric(value: Any) -> bool:
    number = isinstance(value, float | np.number | np.ndarray | jax.Array)
    return number and not isinstance(value, jax.core.Tracer)


def _numbers(arrays: list[Any]) -> str:
    """How many numbers there are in arrays, and their range."""
    flat = np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.zeros(0)
    return f"{flat.size} numbers, {_range(flat)}"


def _range(array: np.ndarray) -> str:
    """The smallest and largest value, how much is missing, or how many cells are True."""
    if array.dtype == bool:
        return f"{int(array.sum())} True"
    known = array[np.isfinite(array)]
    if not known.size:
        return "all missing"
    low, high = (f"{v:.4g}" for v in (known.min(), known.max()))
    missing = array.size - known.size
    return (low if low == high else f"{low} to {high}") + (
        f", {missing / array.size:.0%} missing" if missing else ""
    )
