"""The checkpoint of ``odinn invert``, and beside it the settings of the inversion that made it."""

from __future__ import annotations

import re
from pathlib import Path

from odinn.atomic import path_of, write_text
from odinn.cli.config import to_yaml
from odinn.cli.schema import Values
from odinn.errors import InputError
from odinn.learning.checkpoint import read_checkpoint
from odinn.text import parse_yaml, read_yaml


def checkpoint_of(config: Values) -> Path:
    """Its file: checkpoint.npz in the folder of the results unless named."""
    named = config["checkpoint"]
    return (
        path_of(config["output"]["directory"]) / "checkpoint.npz"
        if named is None
        else path_of(named)
    )


def steps_done(checkpoint: Path) -> int | None:
    """How many steps a checkpoint has, or None if there is none."""
    state = read_checkpoint(checkpoint)
    return None if state is None else state.total


def steps_to_continue(config: Values) -> int | None:
    """How many steps the checkpoint has that will be continued (None: from the start); it has to be
    of these settings.

    The settings are kept beside the checkpoint, so that what has been changed since is found and
    named.
    """
    checkpoint = checkpoint_of(config)
    done, beside = steps_done(checkpoint), checkpoint.with_suffix(".yaml")
    if done is None:
        return None
    mine = _by_path(parse_yaml(_settings(config), "settings"))  # as they are read back
    theirs = _kept(beside)
    if theirs == mine:
        return done
    what = f"{beside} is missing" if theirs is None else _difference(theirs, mine)
    raise InputError(
        f"{checkpoint}: is of an inversion with other settings ({what}); choose another "
        "output.directory, or start anew with --fresh"
    )


def begin_checkpoint(config: Values) -> None:
    """Remove the checkpoint of an earlier inversion, and keep the settings beside where the new one
    will be.
    """
    checkpoint = checkpoint_of(config)
    checkpoint.unlink(missing_ok=True)
    write_text(checkpoint.with_suffix(".yaml"), _settings(config))


def _settings(config: Values) -> str:
    """What an inversion depends on: the configuration but for where it is written to."""
    return to_yaml({key: config[key] for key in config if key not in ("checkpoint", "output")})


def _kept(beside: Path) -> dict[str, object] | None:
    """The settings in a file, by key; None if there is none."""
    if not beside.exists():
        return None
    try:
        return _by_path(read_yaml(beside))
    except InputError as error:
        message = f"the settings of the inversion are damaged; start anew with --fresh ({error})"
        raise InputError(f"{beside}: {message}") from error


def _difference(theirs: dict[str, object], mine: dict[str, object]) -> str:
    """The first key whose values differ."""
    keys = dict.fromkeys([*theirs, *mine])
    key = next(key for key in keys if theirs.get(key) != mine.get(key))
    return f"{key}: {theirs.get(key)!r} there, {mine.get(key)!r} here"


def _by_path(settings: object, path: str = "") -> dict[str, object]:
    """Values by key, such as "loss.0.error"; without the steps of optimisers, which may be more:
    the checkpoint itself is asked about them.
    """
    if re.fullmatch(r"\.optimizer(\.\d+)?\.steps", path):
        return {}
    inside = dict(enumerate(settings)) if isinstance(settings, list) else settings
    if not isinstance(inside, dict):
        return {path[1:]: settings}
    values: dict[str, object] = {}
    for key, value in inside.items():
        values |= _by_path(value, f"{path}.{key}")
    return values
