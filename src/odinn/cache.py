"""The disk cache of compiled programs."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import jax

from odinn.atomic import path_of

_enabled = False


def enable_compilation_cache() -> None:
    """Keep compiled programs on disk, unless a cache directory is already set or ODINN_CACHE=off.

    Directory: ``ODINN_CACHE`` if set, else the user's cache directory (``~/.cache/odinn`` on
    Linux). An entry that cannot be read, such as one that a full disk cut off, is made anew.
    """
    global _enabled
    if _enabled:
        return
    _enabled = True
    wanted = os.environ.get("ODINN_CACHE")
    if wanted == "off" or jax.config.values.get("jax_compilation_cache_dir") is not None:
        return
    directory = path_of(wanted) if wanted else _users_cache()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        warnings.warn(
            f"no disk cache of compiled programs: {directory} cannot be made ({error})",
            stacklevel=2,
        )
        return
    jax.config.update("jax_compilation_cache_dir", str(directory))
    # JAX keeps what took long to compile; here every program is worth it, for runs are many
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _drop_unreadable(directory)


def _drop_unreadable(directory: Path) -> None:
    """Have JAX remove an entry that it cannot read, and so write it anew: by itself it leaves what
    is there, and warns and compiles at every start.
    """
    try:
        from jax._src import compilation_cache as entries

        read = entries.get_executable_and_time
    except (ImportError, AttributeError):  # JAX may move what is not public
        return

    @wraps(read)
    def read_or_drop(cache_key: str, *others: Any, **options: Any) -> Any:
        try:
            return read(cache_key, *others, **options)
        except Exception:  # of zlib, XLA and the system
            with suppress(OSError):
                (directory / f"{cache_key}-cache").unlink(missing_ok=True)
            return None, None  # "not there"

    entries.get_executable_and_time = read_or_drop


def _users_cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("odinn")) / "programs"
