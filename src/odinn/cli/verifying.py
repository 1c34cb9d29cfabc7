"""``odinn verify``: the table of exact solutions and published errors."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from odinn.atomic import path_of, write_text
from odinn.cli.report import console, errors
from odinn.errors import InputError
from odinn.verification.problems import PROBLEMS, Problem


def problems(names: list[str], *, slow: bool) -> list[Problem]:
    """The problems of some names; without a name all that are fast, and the ``slow`` ones, too."""
    for name in names:
        if name not in PROBLEMS:
            raise InputError(f"verify: no problem {name!r}; known: {', '.join(PROBLEMS)}")
    if names:
        return [PROBLEMS[name] for name in names]
    return [problem for problem in PROBLEMS.values() if slow or not problem.slow]


def list_problems() -> None:
    """The problems by name."""
    for name, problem in PROBLEMS.items():
        console.print(f"{name:28s} {problem.what}{' (slow)' if problem.slow else ''}")


def verify(chosen: list[Problem], markdown: Path | None) -> int:
    """Run problems and print the table of what was measured.

    Returns:
        How many rows failed.
    """
    heads = ("problem", "quantity", "measured", "bar", "unit", "source")
    table = Table(*heads[:-1], "", heads[-1], title="Verification")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    failed = 0
    for problem in chosen:
        with errors.status(f"{problem.name}: {problem.what}"):
            result = problem.run()
        label = f"{problem.name} ({result.seconds:.0f} s)"
        for row in result.rows:
            cells = (label, row.quantity, f"{row.measured:.6g}", row.bar, row.unit)
            mark = Text("ok", "green") if row.passed else Text("FAILED", "red")
            table.add_row(*cells, mark, row.source)
            # A bar would end the cell of a Markdown table.
            texts = [cell.replace("|", "/") for cell in (*cells, row.source)]
            lines.append("| " + " | ".join(texts) + " |")
            failed += not row.passed
            label = ""  # the problem's further rows stand below its name
    console.print(table)
    if markdown is not None:
        write_text(path_of(markdown), "\n".join(lines) + "\n")
    console.print(Text(f"{failed} failed", "red") if failed else "all passed")
    return failed
