"""Checkpoints of an inversion: one ``.npz`` file without pickle, replaced as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from odinn.atomic import whole_or_nothing
from odinn.errors import InputError
from odinn.learning.fingerprint import Fingerprint
from odinn.learning.state import InversionState
from odinn.results import codec
from odinn.results.parts import listed

_TREE: Final = "__objects__"
_EARLIER_TREE: Final = "__tree__"
_PROBLEM: Final = "__problem__"
_EARLIER_PROBLEM: Final = "__signature__"
_ANEW: Final = "to start anew, remove it (on the command line: --fresh)"


def write_checkpoint(path: Path, state: InversionState, problem: Fingerprint) -> None:
    """Write a state of an inversion; the file is replaced once all of it is written.

    Raises:
        OutputError: the file cannot be written; the earlier checkpoint is still there.
    """
    encoded = codec.encode(state)
    content: dict[str, Any] = {_TREE: encoded.text, _PROBLEM: problem.text, **encoded.arrays}
    with whole_or_nothing(path) as partial, partial.open("wb") as file:
        np.savez(file, **content)


def read_checkpoint(path: Path, problem: Fingerprint | None = None) -> InversionState | None:
    """The state in a file, or None if there is no file.

    Args:
        problem: the inversion that is to go on. None: any.

    Raises:
        InputError: another inversion's, by what differs; another format, or damaged. The message
            says how to start anew.
    """
    if not path.exists():
        return None
    try:
        state, theirs = _read(path)
        if problem is not None:
            differences = problem.differences(theirs)
            if differences:
                text = f"{path}: belongs to another inversion, for these differ"
                raise InputError(f"{text}: {listed(differences)}")
            problem.check_steps(theirs, state)
    except InputError as error:
        named = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise InputError(f"{named}; {_ANEW}") from error
    return state


def _read(path: Path) -> tuple[InversionState, Fingerprint]:
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {name: file[name] for name in file.files}
    except Exception as error:  # what zipfile and NumPy make of damaged bytes
        raise InputError(f"{path}: not a checkpoint of odinn.invert ({error})") from error
    # the message names the version that reads it
    if _TREE not in content and _EARLIER_TREE in content:
        codec.refuse_earlier(str(path))
    if _EARLIER_PROBLEM in content:
        raise InputError(
            f"{path}: written by an earlier version of odinn, which did not keep all that an "
            "inversion depends on"
        )
    if not {_TREE, _PROBLEM} <= set(content):
        raise InputError(f"{path}: not a checkpoint of odinn.invert")
    state = codec.decode(codec.parse(str(content[_TREE]), str(path)), content, str(path))
    if not isinstance(state, InversionState):
        raise InputError(f"{path}: holds a {type(state).__name__}, expected a checkpoint")
    try:
        return state, Fingerprint.from_text(str(content[_PROBLEM]))
    except ValueError as error:
        raise InputError(f"{path}: not a checkpoint of odinn.invert ({error})") from error
