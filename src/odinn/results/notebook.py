"""Small tables in HTML, by which results show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def table(title: str, rows: Mapping[str, str]) -> str:
    """A title and rows of two columns.

    >>> table("A & B", {"area": "3 km²"})
    '<b>A &amp; B</b><table><tr><td>area</td><td>3 km²</td></tr></table>'
    """
    cells = [
        f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in rows.items()
    ]
    return f"<b>{escape(title)}</b><table>{''.join(cells)}</table>"
