"""Identifiers of the Randolph Glacier Inventory (RGI), versions 5 to 7, wherever they stand."""

from __future__ import annotations

import re
from typing import Final

_ID: Final = re.compile(r"RGI\d\d-\d\d\.\d{5}|RGI2000-v7\.\d-[GC]-\d\d-\d{5}")


def rgi_id_in(text: str) -> str | None:
    """The first identifier in a name, or None.

    >>> rgi_id_in("argentiere_RGI60-11.03638.nc"), rgi_id_in("RGI2000-v7.0-G-11-00123.nc")
    ('RGI60-11.03638', 'RGI2000-v7.0-G-11-00123')
    """
    match = _ID.search(text)
    return match[0] if match else None


def is_rgi_id(text: str) -> bool:
    """Whether a text is an identifier and nothing else."""
    return _ID.fullmatch(text.strip()) is not None
