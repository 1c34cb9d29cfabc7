"""Checkpoints of an inversion: one ``.npz`` file without pickle, replaced as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import equinox as eqx
import numpy as np
from jaxtyping import Float

from odinn.atomic import whole_or_nothing
from odinn.errors import InputError
from odinn.results import codec

_TREE: Final = "__objects__"
_EARLIER_TREE: Final = "__tree__"
_SIGNATURE: Final = "__signature__"
_NOT_TERMS: Final = ("loss", "gradient_norm", "seconds", "stage", "rejected")

Memory = dict[str, Any]  # what a method carries: arrays, or lists of arrays, by name


class InversionState(eqx.Module):
    """Where an inversion is: what the next step starts from.

    Args:
        x: unconstrained numbers, with the value and gradient of the loss there.
        best: those of the lowest loss so far.
        stage, step, total: the stage, steps done in it, steps done in all.
        memory: what the stage's method carries. records: the history, a list for each column.
        covariance: that of the last Gauss–Newton step.
    """

    x: Float[np.ndarray, " n"]
    value: float
    gradient: Float[np.ndarray, " n"]
    best: Float[np.ndarray, " n"]
    best_value: float
    best_gradient: Float[np.ndarray, " n"]
    stage: int
    step: int
    total: int
    memory: Memory
    records: dict[str, list[float]]
    covariance: Float[np.ndarray, "n n"] | None = None

    def __check_init__(self) -> None:
        # no step leads on from a point that is not finite
        for name in ("x", "best"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} is not finite")
        for name in ("stage", "step", "total"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected >= 0")
        if len({len(column) for column in self.records.values()}) > 1:
            raise InputError("the columns of the history are of several lengths")

    @property
    def last_terms(self) -> dict[str, float]:
        """The terms of the loss at the last step, by name."""
        return {k: column[-1] for k, column in self.records.items() if k not in _NOT_TERMS}


def write_checkpoint(path: Path, state: InversionState, signature: str) -> None:
    """Write a state; the file is replaced once all of it is written."""
    encoded = codec.encode(state)
    content: dict[str, Any] = {_TREE: encoded.text, _SIGNATURE: signature, **encoded.arrays}
    with whole_or_nothing(path) as partial, partial.open("wb") as file:
        np.savez(file, **content)


def read_checkpoint(path: Path, signature: str | None = None) -> InversionState | None:
    """The state in a file, or None if there is no file.

    Args:
        signature: of the inversion; one of another inversion is an error. None: of any.

    Raises:
        InputError: another inversion's, another format, or damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
    except Exception as error:  # what zipfile and NumPy make of damaged bytes
        raise InputError(
            f"{path}: not a checkpoint of odinn.invert ({error}); remove it to start anew"
        ) from error
    # the message names the version that reads it
    if _TREE not in content and _EARLIER_TREE in content:
        codec.refuse_earlier(str(path))
    if not {_TREE, _SIGNATURE} <= set(content):
        raise InputError(f"{path}: not a checkpoint of odinn.invert; remove it to start anew")
    if signature is not None and str(content[_SIGNATURE]) != signature:
        raise InputError(
            f"{path}: belongs to another inversion (glaciers, span, loss, optimizer or seed "
            "differ); remove it"
        )
    state = codec.decode(codec.parse(str(content[_TREE]), str(path)), content, str(path))
    if not isinstance(state, InversionState):
        raise InputError(f"{path}: holds a {type(state).__name__}, expected a checkpoint")
    return state
