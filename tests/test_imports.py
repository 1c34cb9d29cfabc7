"""Imports go one way: read from the source, also inside functions and under TYPE_CHECKING."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

# From the bottom to the top: a name may import what stands before it, and itself.
LAYERS = (
    *("errors", "identity", "text", "constants", "dates", "grid"),
    *("atomic", "cache", "notebook", "progress"),
    *("printing", "numbers", "registry", "warming", "climate", "glacier", "data"),
    *("stepping", "physics", "model", "results", "run", "learning"),
    # "" is odinn itself, which only the command line may import
    *("plot", "verification", "", "cli", "__main__"),
)
# Steppers know no ice.
ONLY = {"stepping": {"stepping", "errors"}}


def modules() -> dict[str, Path]:
    """Every module of odinn by its name after "odinn.": "" is odinn itself."""
    found = {}
    for path in sorted((SOURCE / "odinn").rglob("*.py")):
        parts = path.relative_to(SOURCE / "odinn").with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__")] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of odinn that a file imports, wherever in the file."""
    named = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            named += [f"{node.module}.{alias.name}" for alias in node.names]
    found = set()
    for name in named:
        top, _, rest = name.partition(".")
        if top == "odinn":
            # what is no module is a name inside the module before it
            found.add(rest if rest in known else rest.rpartition(".")[0])
    return found


def graph() -> set[tuple[str, str]]:
    """(importer, imported) of all modules."""
    known = modules()
    return {(name, other) for name, path in known.items() for other in imports_of(path, known)}


def layer(module: str) -> str:
    return module.partition(".")[0]


def room(module: str) -> str:
    """The package of a module below odinn and its layer, else the module itself."""
    return ".".join(module.split(".")[:2])


def breaks_the_order(importer: str, imported: str) -> bool:
    below, above = layer(imported), layer(importer)
    allowed = ONLY.get(above, set(LAYERS[: LAYERS.index(above) + 1]))
    return below not in allowed


def circles(edges: set[tuple[str, str]]) -> list[list[str]]:
    """Groups of nodes each of which reaches all others of the group."""
    nodes = {node for edge in edges for node in edge}
    after = {node: {b for a, b in edges if a == node} for node in nodes}

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = after[ahead.pop()] - seen
            seen |= new
            ahead += new
        return seen

    reach = {node: reached(node) for node in nodes}
    groups = {tuple(sorted(b for b in reach[a] if a in reach[b])) for a in nodes if a in reach[a]}
    return [list(group) for group in sorted(groups)]


def between(edges: set[tuple[str, str]], kind) -> set[tuple[str, str]]:
    return {(kind(a), kind(b)) for a, b in edges if kind(a) != kind(b)}


def test_every_part_of_odinn_has_a_place_in_the_order():
    assert {layer(name) for name in modules()} <= set(LAYERS)


def test_no_import_goes_up():
    upward = {edge for edge in graph() if breaks_the_order(*edge)}
    assert sorted(upward) == []


@pytest.mark.parametrize("kind", [str, room], ids=["modules", "packages"])
def test_imports_make_no_circle(kind):
    assert circles(between(graph(), kind)) == []


def test_a_circle_and_an_upward_import_are_seen(tmp_path):
    assert circles({("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")}) == [["a", "b", "c"]]
    assert circles({("a", "b"), ("b", "c")}) == []
    assert breaks_the_order("data.netcdf", "physics.flow.sia")
    assert breaks_the_order("stepping.base", "grid")
    assert not breaks_the_order("physics.flow.sia", "glacier")
    hidden = tmp_path / "hidden.py"
    hidden.write_text("def f():\n    from odinn.glacier import Glacier\n    return Glacier\n")
    assert imports_of(hidden, modules()) == {"glacier"}
