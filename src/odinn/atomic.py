"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_or_nothing(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file or folder to, which replaces what is at ``path`` when
    the block ends without an error; else everything stays as it was.
    """
    partial, old = (path.with_name(f".{path.name}.{end}") for end in ("partial", "old"))
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(partial)
    try:
        yield partial
        # a process that is killed between the two leaves the old one set aside
        if path.is_dir():  # a folder cannot be replaced in one step, only set aside
            remove(old)
            os.replace(path, old)
        os.replace(partial, path)
        remove(old)
    finally:
        remove(partial)


def remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
