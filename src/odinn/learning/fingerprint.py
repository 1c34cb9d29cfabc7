"""What an inversion depends on, part by part, so that a checkpoint of another one is known by what
differs.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import jax
import numpy as np

from odinn.climate import Climate
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.learning.optimizers import AbstractOptimizer
from odinn.learning.pure_objective import Objective
from odinn.learning.state import InversionState

# What is kept for the record and changes no result.
_RECORDS: Final[dict[type, tuple[str, ...]]] = {
    Glacier: ("rgi_id", "name", "provenance"),
    Climate: ("name", "source"),
}
_NAMED: Final = 4  # of the parts that differ, in a message
_LONG: Final = 60  # letters of a value that is shown as it is
_DIGEST: Final = "sha256 "


class Fingerprint(NamedTuple):
    """Parts of an inversion by name, such as "model.flow.A.bounds": short values as they are,
    arrays as their digest; and how many steps each stage may take.
    """

    parts: dict[str, str]
    steps: list[int]

    @property
    def text(self) -> str:
        """As JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def from_text(cls, text: str) -> Fingerprint:
        """Inverse of :attr:`text`; any other text is a ``ValueError``."""
        match json.loads(text):
            case {"parts": dict(parts), "steps": list(steps), **rest} if not rest:
                whole = all(type(step) is int for step in steps)
                if whole and all(isinstance(part, str) for part in parts.values()):
                    return cls(parts, steps)
        raise ValueError("no fingerprint of an inversion")

    def differences(self, theirs: Fingerprint) -> list[str]:
        """The parts in which a checkpoint's fingerprint is not this one, with their values where
        they are short.
        """
        names = [n for n in self.parts | theirs.parts if theirs.parts.get(n) != self.parts.get(n)]
        return [_difference(n, theirs.parts.get(n), self.parts.get(n)) for n in names]

    def check_steps(self, theirs: Fingerprint, state: InversionState) -> None:
        """Raise :class:`InputError` where these stages would not have led to a checkpoint's
        state.
        """
        # the first row of the history is of the start
        stages = [int(stage) for stage in state.records.get("stage", [])[1:]]
        for k, (before, now) in enumerate(zip(theirs.steps, self.steps, strict=True)):
            done = stages.count(k)
            if now < done:
                raise InputError(
                    f"optimizer {k + 1} has done {done} steps, and steps={now} now; give at least "
                    f"{done}"
                )
            # a stage that was cut off by its steps would have gone on
            if k < state.stage and now > done == before:
                raise InputError(
                    f"optimizer {k + 1} ended after its {done} steps, and the next one has begun: "
                    f"steps={now} come too late; give {done}"
                )


def fingerprint(
    objective: Objective, stages: Sequence[AbstractOptimizer], seed: int
) -> Fingerprint:
    """That of an inversion: model, glaciers with all that was measured, loss, settings of the runs,
    optimisers (but for their steps) and seed.
    """
    model, glaciers = objective.combined(objective.params)
    found = list(_parts("model", model))
    found.append(("glaciers", ", ".join(glacier.rgi_id for glacier in glaciers)))
    for glacier in glaciers:
        for name, part in _parts("", glacier):
            found.append((f"{glacier.rgi_id}: {name[1:] or 'kind'}", part))
    for name, weight, term in objective.loss.named:
        found += [(f"weight of loss.{name}", repr(weight)), *_parts(f"loss.{name}", term)]
    found += _parts("run", objective.settings)
    found.append(("optimizers", ", ".join(stage.name for stage in stages)))
    for number, stage in enumerate(stages, start=1):
        own = f"optimizer {number}"
        found += [part for part in _parts(own, stage) if part[0] != f"{own}.steps"]
    found.append(("seed", repr(seed)))
    return Fingerprint(dict(found), [int(stage.steps) for stage in stages])


def _parts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """(name, value or digest) of all that a value is made of."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield name, type(value).__qualname__
        left_out = _RECORDS.get(type(value), ())
        for field in dataclasses.fields(value):
            if field.name not in left_out:
                yield from _parts(f"{name}.{field.name}", getattr(value, field.name, None))
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _parts(f"{name}.{key}", entry)
        yield name, f"entries {', '.join(map(str, value))}"
    elif isinstance(value, list | tuple) and not all(map(_is_plain, value)):
        for position, entry in enumerate(value):
            yield from _parts(f"{name}.{position}", entry)
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
    return "; ".join(f"{name}={part}" for name, part in _parts("", values)).encode()


def _instructions(code: types.CodeType) -> str:
    """What code does, wherever it stands."""
    inner = [_instructions(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts]
    return repr((code.co_code, code.co_names, inner))


def _digest(*content: bytes) -> str:
    return _DIGEST + hashlib.sha256(b"".join(content)).hexdigest()[:24]


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
