"""Checkpoints of an inversion: one ``.npz`` file without pickle, replaced as a whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from odinn.errors import InputError


def write_checkpoint(path: Path, state: dict[str, Any], signature: str) -> None:
    """Write a state (a nested dictionary of arrays, numbers and lists of them)."""
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(state, arrays)
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as file:
        content: dict[str, Any] = {
            "__tree__": json.dumps(tree),
            "__signature__": signature,
            **arrays,
        }
        np.savez(file, **content)
    os.replace(partial, path)


def read_checkpoint(path: Path, signature: str) -> dict[str, Any] | None:
    """The state in a file, or None if there is no file; one of another inversion is an error."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            found, tree = str(file["__signature__"]), json.loads(str(file["__tree__"]))
            arrays = {k: file[k] for k in file.files}
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a checkpoint of odinn.invert ({error}); remove it to start anew"
        ) from error
    if found != signature:
        raise InputError(
            f"{path}: belongs to another inversion (glaciers, span, loss, optimizer or seed "
            "differ); remove it"
        )
    return _decode(tree, arrays)


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        return {"dict": {k: _encode(v, arrays) for k, v in value.items()}}
    if isinstance(value, list) and not all(isinstance(v, float | int) for v in value):
        return {"list": [_encode(v, arrays) for v in value]}
    name = f"a{len(arrays)}"
    arrays[name] = np.asarray(value)
    return {"array": name, "kind": "list" if isinstance(value, list) else type(value).__name__}


def _decode(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    if "dict" in tree:
        return {k: _decode(v, arrays) for k, v in tree["dict"].items()}
    if "list" in tree:
        return [_decode(v, arrays) for v in tree["list"]]
    value = arrays[tree["array"]]
    if tree["kind"] == "list":
        return value.tolist()
    return value.item() if tree["kind"] in ("int", "float") else value
