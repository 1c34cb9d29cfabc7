"""How results, glaciers and models show themselves in a notebook: small tables with a picture, and
output that is replaced while something runs.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Mapping
from html import escape
from importlib import import_module
from typing import Any, Final, Protocol

_DPI: Final = 72  # of the pictures beside tables


class Drawn(Protocol):
    """What can be saved as a picture: a figure of matplotlib."""

    def savefig(self, *args: Any, **options: Any) -> Any: ...


def is_open() -> bool:
    """Whether output goes to a notebook."""
    # what has not been imported is not running
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class Output:
    """A piece of output in the cell that runs, whose HTML can be replaced."""

    def __init__(self, html: str) -> None:
        from IPython.display import HTML, display

        self._handle = display(HTML(html), display_id=True)

    def replace(self, html: str) -> None:
        """Show something else in its place."""
        from IPython.display import HTML

        self._handle.update(HTML(html))


def table(title: str, rows: Mapping[str, object], picture: Drawn | None = None) -> str:
    """A title, rows of two columns, and a picture to the left of them.

    >>> table("A & B", {"area": "3 km²"})
    '<b>A &amp; B</b><table><tr><td>area</td><td>3 km²</td></tr></table>'
    """
    cells = [
        f"<tr><td>{escape(name)}</td><td>{escape(str(text))}</td></tr>"
        for name, text in rows.items()
    ]
    text = f"<b>{escape(title)}</b><table>{''.join(cells)}</table>"
    if picture is None:
        return text
    beside = f'<div style="{_BESIDE}">'
    return (
        f'{beside}{image(png(picture, _DPI), title)}<div style="min-width:20em">{text}</div></div>'
    )


_BESIDE: Final = "display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start"


def png(figure: Drawn, dpi: float | None = None) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi="figure" if dpi is None else dpi)
    return buffer.getvalue()


def image(picture: bytes, alt: str) -> str:
    """A PNG inside HTML."""
    data = base64.b64encode(picture).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}"/>'


def drawing(module: str) -> Any:
    """A module of :mod:`odinn.plot`.

    What draws stands above what is drawn and imports it. A method that is a short way to a picture
    finds it by name, when it is called.
    """
    return import_module(f"odinn.plot.{module}")
