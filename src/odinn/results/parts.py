"""What a model, a glacier or settings are made of, part by part in a few letters each, so that two
are known to be the same, and what differs has a name.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jax
import numpy as np

from odinn.climate import Climate
from odinn.glacier import Glacier

# What is kept for the record and changes no result.
_RECORDS: Final[dict[type, tuple[str, ...]]] = {
    Glacier: ("rgi_id", "name", "provenance"),
    Climate: ("name", "source"),
}
_NAMED: Final = 4  # of the parts that differ, in a message
_LONG: Final = 60  # letters of a value that is shown as it is
_DIGEST: Final = "sha256 "


def parts_of(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """(name, value or digest) of all that a value is made of."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield name, type(value).__qualname__
        left_out = _RECORDS.get(type(value), ())
        for field in dataclasses.fields(value):
            if field.name not in left_out:
                yield from parts_of(f"{name}.{field.name}", getattr(value, field.name, None))
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from parts_of(f"{name}.{key}", entry)
        yield name, f"entries {', '.join(map(str, value))}"
    elif isinstance(value, list | tuple) and not all(map(_is_plain, value)):
        for position, entry in enumerate(value):
            yield from parts_of(f"{name}.{position}", entry)
        yield name, f"{len(value)} entries"
    else:
        yield name, _one(value)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str | np.generic)


def _one(value: Any) -> str:
    """A value without parts in a few letters."""
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        return _array(np.asarray(value))
    if callable(value):
        return _function(value)
    # the place in memory of an object is another one each time
    text = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return text if len(text) <= _LONG else _digest(text.encode())


def _array(values: np.ndarray) -> str:
    if values.ndim == 0:
        return repr(values.item())
    if values.dtype == object:
        return _digest(repr(values.tolist()).encode())
    return _digest(f"{values.dtype.str} {values.shape}".encode(), values.tobytes())


def _function(function: Any) -> str:
    """What a formula computes: its code and what it holds, as far as they can be seen."""
    if isinstance(function, type):
        return function.__qualname__
    if isinstance(function, functools.partial):
        given = [function.args, function.keywords]
        return _digest(_function(function.func).encode(), _text(given))
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    if code is None:
        return getattr(plain, "__qualname__", type(plain).__qualname__)
    cells = [cell.cell_contents for cell in getattr(plain, "__closure__", None) or ()]
    held = [cells, getattr(plain, "__defaults__", None), getattr(plain, "__kwdefaults__", None)]
    return _digest(_instructions(code).encode(), _text(held))


def _text(values: list) -> bytes:
    return "; ".join(f"{name}={part}" for name, part in parts_of("", values)).encode()


def _instructions(code: types.CodeType) -> str:
    """What code does, wherever it stands."""
    inner = [_instructions(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return repr((code.co_code, code.co_names, inner))


def _digest(*content: bytes) -> str:
    return _DIGEST + hashlib.sha256(b"".join(content)).hexdigest()[:24]


def differences(theirs: Mapping[str, str], mine: Mapping[str, str]) -> list[str]:
    """The parts that are not the same there and here, with their values where they are short."""
    names = [name for name in (*mine, *theirs) if theirs.get(name) != mine.get(name)]
    return [_difference(name, theirs.get(name), mine.get(name)) for name in dict.fromkeys(names)]


def _difference(name: str, theirs: str | None, mine: str | None) -> str:
    if theirs is None or mine is None:
        return f"{name} (only {'here' if theirs is None else 'there'})"
    if theirs.startswith(_DIGEST) or mine.startswith(_DIGEST):
        return name
    return f"{name} ({theirs} there, {mine} here)"


def listed(differences: list[str]) -> str:
    """Differences in one line, the first few by name."""
    more = len(differences) - _NAMED
    return ", ".join(differences[:_NAMED]) + (f" and {more} more" if more > 0 else "")
