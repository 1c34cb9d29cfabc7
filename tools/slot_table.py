"""The table of slots in docs/learning.md, from the declarations of the classes."""

from __future__ import annotations

import dataclasses

import odinn
from odinn.numbers.slot import Slot, declared

CLASSES = {
    "flow.": (odinn.SIA2D, odinn.HybridSIA2D, odinn.DiffusiveSIA2D),
    "mass_balance.": (odinn.TemperatureIndex, odinn.LinearBalance, odinn.PrescribedBalance),
    "": (odinn.Glacier,),
}
HEAD = """| slot | of | is | unit | on | default | values | scale | laws of |
|---|---|---|---|---|---|---|---|---|"""
LAWS = {"fixed": "fixed inputs", "monthly": "fixed, monthly inputs", "state": "all inputs"}
BEGIN, END = "<!-- slots -->\n", "<!-- /slots -->"


def inserted(page: str) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n\n{END}{after}"


def table() -> str:
    """One row for each number, with all classes that have the same."""
    rows: dict[tuple[str, Slot, str], list[str]] = {}
    for prefix, classes in CLASSES.items():
        for kind in classes:
            defaults = {field.name: field.default for field in dataclasses.fields(kind)}
            for name, slot in declared(kind).items():
                default = _shown(defaults[name])
                rows.setdefault((prefix + name, slot, default), []).append(kind.__name__)
    lines = [_row(path, slot, default, kinds) for (path, slot, default), kinds in rows.items()]
    return "\n".join([HEAD, *lines])


def _row(path: str, slot: Slot, default: str, kinds: list[str]) -> str:
    of = ", ".join(f"`{kind}`" for kind in kinds)
    values = "any" if slot.smallest is None else slot.expected
    laws = "-" if slot.kind == "field" else LAWS[slot.laws]
    cells = (
        f"`{path}`",
        of,
        slot.label,
        slot.unit,
        f"{slot.place}s",
        default,
        values,
        slot.scale,
        laws,
    )
    return f"| {' | '.join(cells)} |"


def _shown(default: object) -> str:
    if default is dataclasses.MISSING:
        return "-"
    return "as `n`" if default is None else f"{default:g}"
