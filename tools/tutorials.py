"""Run the tutorials: ``python tools/tutorials.py`` writes what they print into their pages, and
their figures to docs/images.

A tutorial is a page of docs/tutorials. Its Python blocks run one after the other in one namespace.
A block of ``text`` right after one of them is what it prints; a figure of the page is what the
block saves under the same name.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("ten_lines", "past_and_future", "learn_a_law")
FIGURES = {
    "ramsay.png": "tutorial_ramsay",
    "futures.png": "tutorial_futures",
    "law.png": "tutorial_law",
}
_BLOCK = re.compile(r"```python\n(?P<code>.*?)```(?P<shown>\n\n```text\n(?P<output>.*?)```)?", re.S)


class Ran(NamedTuple):
    """A page that was run: its text with what the blocks print now, and the names they left
    behind.
    """

    text: str
    scope: dict[str, Any]


def run(name: str, folder: Path) -> Ran:
    """Run a tutorial in a folder, where its files then are."""
    scope: dict[str, Any] = {}

    def block(match: re.Match) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(match["code"], scope)
        code = f"```python\n{match['code']}```"
        return code + (f"\n\n```text\n{printed.getvalue()}```" if printed.getvalue() else "")

    with contextlib.chdir(folder):
        return Ran(_BLOCK.sub(block, page(name).read_text(encoding="utf-8")), scope)


def page(name: str) -> Path:
    """The file of a tutorial."""
    return DOCS / "tutorials" / f"{name}.md"


def keep(drawn: Path, name: str) -> Path:
    """Keep a figure small: as WebP, which has no palette to band its hundreds of colours."""
    kept = DOCS / "images" / f"{name}.webp"
    with Image.open(drawn) as picture:
        picture.convert("RGB").save(kept, quality=85, method=6)
    return kept


def main() -> None:
    """All of them."""
    for name in PAGES:
        with tempfile.TemporaryDirectory() as folder:
            page(name).write_text(run(name, Path(folder)).text, encoding="utf-8")
            for file in sorted(os.listdir(folder)):
                if file in FIGURES:
                    kept = keep(Path(folder) / file, FIGURES[file])
                    print(f"{name}: {kept.name}, {kept.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
