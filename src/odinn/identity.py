"""Identifiers of glaciers: what they may be, and those of the Randolph Glacier Inventory (RGI),
versions 5 to 7, wherever they stand.
"""

from __future__ import annotations

import re
from typing import Final

from odinn.errors import InputError

LONGEST: Final = 200  # characters; file systems take 255 with what is added
_RGI: Final = re.compile(r"RGI\d\d-\d\d\.\d{5}|RGI2000-v7\.\d-[GC]-\d\d-\d{5}")


def rgi_id_in(text: str) -> str | None:
    """The first identifier in a name, or None.

    >>> rgi_id_in("argentiere_RGI60-11.03638.nc"), rgi_id_in("RGI2000-v7.0-G-11-00123.nc")
    ('RGI60-11.03638', 'RGI2000-v7.0-G-11-00123')
    """
    match = _RGI.search(text)
    return match[0] if match else None


def is_rgi_id(text: str) -> bool:
    """Whether a text is an identifier and nothing else."""
    return _RGI.fullmatch(text.strip()) is not None


def check_id(rgi_id: str) -> None:
    """Raise :class:`InputError` for an id that cannot stand in a file's name: results are kept
    under it.
    """
    if not isinstance(rgi_id, str):
        raise InputError(f"rgi_id={rgi_id!r}: found {type(rgi_id).__name__}, expected text")
    wrong = not rgi_id or rgi_id.startswith(".") or len(rgi_id) > LONGEST
    wrong = wrong or any(c in "/\\" or not c.isprintable() for c in rgi_id)
    if wrong:
        raise InputError(
            f"rgi_id={rgi_id[:80]!r}: expected 1 to {LONGEST} characters, without separators of "
            "paths and control characters, not beginning with a dot: results are kept under it"
        )
