"""Which functions of odinn a run passes through, cold: the table in docs/architecture.md.

usage: python tools/profile_run.py
"""

from __future__ import annotations

import collections
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import odinn

ROOT = Path(odinn.__file__).parent
UNNAMED = {"<lambda>", "<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>", "<module>"}


def passed_through(call: Callable[[], Any]) -> set[CodeType]:
    """The functions of odinn that a call enters, each once; lambdas and comprehensions belong to what holds them."""
    seen: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        ours = event == "call" and code.co_filename.startswith(str(ROOT))
        if ours and code.co_name not in UNNAMED:
            seen.add(code)

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return seen


def described(seen: set[CodeType]) -> str:
    """Functions by file."""
    by_file = collections.defaultdict(list)
    for code in seen:
        by_file[str(Path(code.co_filename).relative_to(ROOT))].append(code.co_qualname)
    lines = [f"{len(seen)} functions in {len(by_file)} files"]
    for name, functions in sorted(by_file.items()):
        lines.append(f"  {name:32s} {len(functions):3d}  {', '.join(sorted(functions))}")
    return "\n".join(lines)


def main() -> None:
    """Print both profiles."""
    glacier = odinn.demo_glaciers(coarsen=4)[0]
    model = odinn.demo_model()
    simulate = odinn.simulate  # imports what it needs, which is no part of a run
    run = passed_through(lambda: simulate(model, glacier, 2000.0, 2001.0))
    print("simulate:", described(run))
    source = sorted((ROOT / "data" / "demo").glob("*.nc"))[0]

    def whole() -> None:
        opened = odinn.open_glacier(source, climate=glacier.climate, coarsen=2)
        sim = odinn.simulate(model, opened, 2000.0, 2000.5)
        with tempfile.TemporaryDirectory() as folder:
            odinn.save(sim, Path(folder) / "run.nc")

    print("open, simulate, save:", described(passed_through(whole)).split("\n")[0])


if __name__ == "__main__":
    main()
