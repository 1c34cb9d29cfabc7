"""Checkpoints of an inversion: one ``.npz`` file without pickle, replaced as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from odinn.atomic import whole_or_nothing
from odinn.errors import InputError
from odinn.learning.state import InversionState
from odinn.results import codec

_TREE: Final = "__objects__"
_EARLIER_TREE: Final = "__tree__"
_SIGNATURE: Final = "__signature__"


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
