"""The Python reference, docs/api.md, from the docstrings of the public names."""

from __future__ import annotations

import inspect
import re
from types import ModuleType
from typing import Any

import odinn

GROUPS = {
    "Glaciers and climate": (
        "open_glacier open_glaciers glacier_from demo_glaciers open_climate Glacier Observations "
        "Grid Climate Ramp decimal_year date_of"
    ),
    "Models": (
        "Model SIA2D HybridSIA2D DiffusiveSIA2D TemperatureIndex LinearBalance PrescribedBalance "
        "OdinnBalance calibrate demo_model slot"
    ),
    "Runs": "simulate Simulation State Steps Failure RKC2 SSPRK3 Euler Diffrax",
    "Results": "save load restart register to_geotiff",
    "Learning": (
        "Parameter invert Inversion value_and_gradient objective Objective misfits "
        "synthetic_observations bind trainable combine laws inputs losses optimizers"
    ),
    "Plots and checks": "plot verification",
    "Errors": "OdinnError InputError ClimateError CalibrationError SolverError OutputError",
}
PLOTS = ("save_all", "animate", "law", "inversion")
HEAD = """# Python reference

Every public name of `import odinn`. Units are metres, years and Pa unless a line says otherwise; arrays are (y, x), row 0 in
the north, and time leads. This page is generated from the docstrings (`python tools/write_docs.py`).
"""
_SECTIONS = ("Args", "Returns", "Raises", "Errors", "Yields")


def page() -> str:
    """The page."""
    named = {name for group in GROUPS.values() for name in group.split()}
    if named != set(odinn.__all__):
        raise SystemExit(
            "tools/api_page.py: GROUPS and odinn.__all__ differ by "
            f"{sorted(named ^ set(odinn.__all__))}"
        )
    parts = [HEAD]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in names.split():
            parts.append(_entry(f"odinn.{name}", getattr(odinn, name)))
    return "\n".join(parts).rstrip() + "\n"


def _entry(name: str, thing: Any) -> str:
    if isinstance(thing, ModuleType):
        members = PLOTS if name == "odinn.plot" else _members(thing)
        head = f"### {name}\n\n{_text(thing)}\n"
        return (
            head
            + "\n"
            + "\n".join(_described(f"{name}.{m}", getattr(thing, m), "####") for m in members)
        )
    return _described(name, thing, "###")


def _members(module: ModuleType) -> list[str]:
    """Public classes and functions that a module defines or, if it says so, exports."""
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return sorted(name for name in exported if callable(getattr(module, name)))
    own = lambda m: (
        (inspect.isclass(m) or inspect.isfunction(m)) and m.__module__ == module.__name__
    )
    return [n for n, m in vars(module).items() if not n.startswith("_") and own(m)]


def _described(name: str, thing: Any, level: str) -> str:
    out = [f"{level} {name}\n"]
    if not (
        inspect.isabstract(thing) or (isinstance(thing, type) and issubclass(thing, Exception))
    ):
        out.append(f"```text\n{name}{_signature(thing)}\n```\n")
    out.append(_text(thing) + "\n")
    if isinstance(thing, type):
        inherited = {
            n for base in thing.__mro__[1:] for n in vars(base)
        }  # an interface that is kept needs no second text
        own = sorted(
            (n, m) for n, m in vars(thing).items() if not n.startswith("_") and n not in inherited
        )
        methods = [f"- `{n}`: {_first(m)}" for n, m in own if _has_text(m)]
        if methods:
            out.append("\n".join(methods) + "\n")
    return "\n".join(out)


def _signature(thing: Any) -> str:
    """Names and defaults; types are in the text."""
    parameters = [
        p.replace(annotation=inspect.Parameter.empty)
        for p in inspect.signature(thing).parameters.values()
        if p.name != "self"
    ]
    text = str(inspect.Signature(parameters))
    return re.sub(r"<factory>|<function .*? at 0x\w+>|Ellipsis", "...", text)


def _has_text(member: Any) -> bool:
    return isinstance(member, property | staticmethod | classmethod) or inspect.isfunction(member)


def _first(member: Any) -> str:
    text = inspect.getdoc(member) or inspect.getdoc(getattr(member, "__func__", None)) or ""
    return _prose(" ".join(text.split("\n\n")[0].split()))


def _text(thing: Any) -> str:
    """A docstring as Markdown: prose, sections as lists, examples as code."""
    out: list[str] = []
    section, item = False, ""
    code = False
    for line in [*inspect.cleandoc(thing.__doc__ or "").splitlines(), ""]:
        starts = line.strip().rstrip(":") in _SECTIONS and line.strip().endswith(":")
        if code and not line.strip():
            out += ["```", ""]
            code = False
            continue
        if line.startswith(">>>") and not code:
            out += ["```python"]
            code = True
        if code:
            out.append(line)
            continue
        ends = not line.startswith("    ")
        if section and item and (ends or not line.startswith("     ")):
            out.append(f"- {_prose(item)}")
            item = ""
        if starts:
            out += ["", f"**{line.strip().rstrip(':')}**", ""]
            section = True
        elif section and line.startswith("    "):
            item = f"{item} {line.strip()}".strip()
        else:
            if section and line.strip():
                out.append("")
            section = section and not line.strip()
            out.append(_prose(line))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def _prose(text: str) -> str:
    """Markup of docstrings as that of Markdown."""
    text = re.sub(r":(?:class|func|meth|attr|mod):`~?([^`]+)`", r"`\1`", text).replace("``", "`")
    quoted = re.split(
        r"(`[^`]*`)", text
    )  # outside code, signs that Markdown would take for markup are escaped
    return "".join(q if q.startswith("`") else re.sub(r"([*_<>|])", r"\\\1", q) for q in quoted)
