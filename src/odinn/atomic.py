"""Where users say files are, and files that are there as a whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from odinn.errors import InputError, OutputError

_UNFINISHED: Final = ".odinn-unfinished-"
_A_DAY: Final = 86400.0  # seconds
_TAKEN: Final = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


def path_of(given: str | Path) -> Path:
    """The path that a user gave; ``~`` is the home folder.

    Raises:
        InputError: no path, or the home of a user that is not there.
    """
    if not isinstance(given, str | os.PathLike):
        raise InputError(f"found {type(given).__name__}, expected a path")
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise InputError(f"{given}: there is no such home folder") from error


@contextmanager
def whole_or_nothing(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file or folder to, which replaces what is at ``path`` when
    the block ends without an error; else everything stays as it was. Its name has the suffix of
    ``path``, by which writers choose the format. Missing parent folders are made.

    Of two processes that write to one path, the last to end leaves its whole file. A file is
    replaced in one step; a folder in two, between which there is none.

    Raises:
        OutputError: a full disk, no permission, a folder in the place of a file.
    """
    target = path.resolve() if path.is_symlink() else path
    if target.exists() and not (target.is_file() or target.is_dir()):
        yield target  # a device such as /dev/stdout has nothing to replace
        return
    # others may write to the same path at the same time
    partial = target.with_name(f"{_UNFINISHED}{secrets.token_hex(6)}{target.suffix}")
    try:
        _make_room(target.parent)
        yield partial
        _onto_disk(partial)
        if partial.is_dir():
            _replace_folder(partial, target)
        else:
            os.replace(partial, target)
        _onto_disk(target.parent, deep=False)
    except OutputError:
        raise
    except OSError as error:
        raise _not_written(path, partial, error) from error
    finally:
        with suppress(OSError):
            remove(partial)


def write_text(path: Path, text: str) -> Path:
    """Write a text in UTF-8, as a whole or not at all."""
    with whole_or_nothing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")
    return path


def remove(path: Path) -> None:
    """Remove a file or folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _make_room(folder: Path) -> None:
    """Make a folder; remove from it what processes that were killed have left unfinished."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):  # another process may remove it, too
            if time.time() - left.stat().st_mtime > _A_DAY:
                remove(left)


def _onto_disk(path: Path, *, deep: bool = True) -> None:
    """Wait until a file or folder is on the disk, so that a power cut does not leave it empty."""
    if path.is_dir():
        for inside in path.iterdir() if deep else ():
            _onto_disk(inside)
        with suppress(OSError):  # some systems cannot do that with folders
            _synchronise(path)
    else:
        _synchronise(path)


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace_folder(new: Path, path: Path) -> None:
    """Put a folder in the place of another, which cannot be replaced in one step, only set aside. A
    process that is killed between leaves the old one beside it.
    """
    if path.is_file():
        raise OutputError(f"{path}: is a file; remove it or choose another name")
    aside: list[Path] = []
    while True:
        try:
            os.replace(new, path)
            break
        except OSError as error:
            # another process may have put its own there since
            if error.errno not in _TAKEN or not path.is_dir():
                for old in aside[-1:]:
                    with suppress(OSError):
                        os.replace(old, path)
                raise
        old = path.with_name(f".{path.name}.{secrets.token_hex(6)}.old")
        with suppress(FileNotFoundError):  # another process was faster
            os.replace(path, old)
            aside.append(old)
    for old in aside:
        shutil.rmtree(old, ignore_errors=True)


def _not_written(path: Path, partial: Path, error: OSError) -> OutputError:
    if isinstance(error, IsADirectoryError):
        return OutputError(f"{path}: is a folder; choose another name")
    reason = error.strerror or str(error)
    where = f" at {error.filename}" if error.filename and partial.name not in str(error) else ""
    written = 0
    with suppress(OSError):
        written = _size(partial)
    return OutputError(
        f"{path}: cannot be written ({reason}{where}){_room(path, written)}. What was there "
        "before is unchanged; make room or choose another place"
    )


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def _room(path: Path, written: int) -> str:
    """How much was written, and how much could be."""
    for folder in path.parents:
        with suppress(OSError):
            free = shutil.disk_usage(folder).free
            return f" after {written} bytes, with {free} bytes free in {folder}"
    return f" after {written} bytes"
