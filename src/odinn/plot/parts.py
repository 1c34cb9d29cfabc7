"""What figures share: that a notebook shows them, a remark where nothing can be drawn, and the
times that are chosen.
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from odinn.notebook import image, png

_POINTS: Final = 72 / 1.03  # in an inch; on a screen letters are up to 3 % wider than on paper


def wrapped(text: str, inches: float, size: float, **font: Any) -> list[str]:
    """A text in lines that are no wider than so many inches in letters of a size (points); a word
    that alone is wider is broken.

    >>> wrapped("Glacier de la Plaine Morte", 1.5, 12)
    ['Glacier de la', 'Plaine Morte']
    """
    letters = FontProperties(size=size, **font)

    def fits(line: str) -> bool:
        width, _, _ = text_to_path.get_text_width_height_descent(line, letters, ismath=False)
        return bool(width <= _POINTS * inches)

    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if fits(longer):
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        lines[-1] = word
        while not fits(lines[-1]) and len(lines[-1]) > 1:
            whole = lines.pop()
            # at least a letter on each line, however narrow it is
            most = max([1, *(n for n in range(2, len(whole)) if fits(whole[:n]))])
            lines += [whole[:most], whole[most:]]
    return lines


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

    def suptitle(self, t: str, **options: Any) -> Text:
        """The title in as many lines as the width asks for, its letters as they are."""
        inches = 0.96 * self.get_figwidth()
        lines = wrapped(t, inches, options.get("fontsize", 12))
        return super().suptitle("\n".join(lines), **({"parse_math": False} | options))

    def caption(self, text: str, size: float = 8) -> None:
        """Words below all panels, in as many lines as the width asks for."""
        lines = wrapped(text, 0.98 * self.get_figwidth(), size)
        look = {"fontsize": size, "color": "0.35", "x": 0.01, "ha": "left", "parse_math": False}
        self.supxlabel("\n".join(lines), **look)

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
