"""The checkpoint of ``odinn invert``, and beside it the settings of the inversion that made it."""

from __future__ import annotations

from pathlib import Path

import yaml

from odinn.cli.config import to_yaml
from odinn.cli.schema import Values
from odinn.errors import InputError
from odinn.learning.checkpoint import read_checkpoint


def checkpoint_of(config: Values) -> Path:
    """Its file: checkpoint.npz in the folder of the results unless named."""
    named = config["checkpoint"]
    return Path(config["output"]["directory"]) / "checkpoint.npz" if named is None else Path(named)


def steps_done(checkpoint: Path) -> int | None:
    """How many steps a checkpoint has, or None if there is none."""
    try:
        state = read_checkpoint(checkpoint)
    except InputError as error:
        raise InputError(f"{error} (--fresh does)") from error
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
    mine = yaml.safe_load(_settings(config))  # as they are read back from the file beside
    theirs = yaml.safe_load(beside.read_text()) if beside.exists() else None
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
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.with_suffix(".yaml").write_text(_settings(config))


def _settings(config: Values) -> str:
    """What an inversion depends on: the configuration but for where it is written to."""
    return to_yaml({key: config[key] for key in config if key not in ("checkpoint", "output")})


def _difference(theirs: Values, mine: Values) -> str:
    """The first key whose values differ."""
    old, new = _by_path(theirs), _by_path(mine)
    keys = dict.fromkeys([*old, *new])
    key = next(key for key in keys if old.get(key) != new.get(key))
    return f"{key}: {old.get(key)!r} there, {new.get(key)!r} here"


def _by_path(settings: object, path: str = "") -> dict[str, object]:
    """Values by key, such as "loss.0.error"."""
    inside = dict(enumerate(settings)) if isinstance(settings, list) else settings
    if not isinstance(inside, dict):
        return {path[1:]: settings}
    values: dict[str, object] = {}
    for key, value in inside.items():
        values |= _by_path(value, f"{path}.{key}")
    return values
