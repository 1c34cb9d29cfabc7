"""What figures share: that a notebook shows them, a remark where nothing can be drawn, the times
that are chosen, and files that are replaced whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from odinn.notebook import image, png


class _Panel(Axes):
    """Axes that a notebook shows as the figure they are on."""

    def _repr_png_(self) -> bytes:
        figure = self.get_figure(root=True)
        assert figure is not None
        return png(figure)


class Picture(Figure):
    """A figure that a notebook shows where it is the result of a cell, whatever matplotlib's
    backend is.
    """

    def add_subplot(self, *args: Any, **options: Any) -> Axes:
        """As that of matplotlib, with axes that a notebook shows."""
        if "projection" not in options:
            options.setdefault("axes_class", _Panel)
        return super().add_subplot(*args, **options)

    def _repr_png_(self) -> bytes:
        return png(self)


class Pictures(dict[str, Figure]):
    """Figures by name, which a notebook shows one below the other."""

    def _repr_html_(self) -> str:
        shown = [f"<h4>{escape(name)}</h4>{image(png(one), name)}" for name, one in self.items()]
        return "".join(shown)


def remark(ax: Axes, text: str) -> None:
    """Say in the middle of the axes why there is nothing else on them."""
    ax.text(
        0.5,
        0.5,
        text,
        transform=ax.transAxes,
        ha="center",
        va="center",
        fontsize=14,
        backgroundcolor="white",
    )


def evenly(number: int, count: int) -> Int[np.ndarray, " chosen"]:
    """Indices of ``count`` of so many saved times, evenly chosen with the first and the last.

    >>> evenly(9, 3)
    array([0, 4, 8])
    """
    # Where there are fewer times than are asked for, some would be chosen twice.
    return np.unique(np.linspace(0, number - 1, count).round().astype(int))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``, which takes its place when it is complete."""
    # The suffix stays the last one: writers choose the format by it.
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
