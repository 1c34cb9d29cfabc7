"""The package as a whole: what importing it does."""

import ast
import pickle
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import jax.numpy as jnp
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import odinn

HEAVY = (
    *("jax", "equinox", "diffrax", "optax", "numpy", "scipy", "xarray", "pandas", "matplotlib"),
    *("rioxarray", "pydantic", "rich", "typer"),
)


def test_importing_odinn_switches_jax_to_double_precision():
    assert jnp.zeros(()).dtype == jnp.float64


def said_by(code):
    """What a fresh process says that runs this code."""
    run = [sys.executable, "-c", code]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("first", ["odinn", "jax", "jax.numpy", "odinn.grid"])
def test_double_precision_is_on_whichever_is_imported_first(first):
    assert said_by(f"import {first}, odinn, jax; print(jax.numpy.zeros(()).dtype)") == "float64"


def test_importing_odinn_loads_nothing_heavy():
    assert said_by(f"import sys, odinn; print([m for m in {HEAVY!r} if m in sys.modules])") == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_the_help_of_the_command_line_loads_no_numerics(arguments):
    heavy = set(HEAVY) - {"rich", "typer", "pydantic"}  # typer loads pydantic for its options
    code = f"""
import sys
from odinn.cli.main import main
sys.argv = ["odinn", *{arguments!r}]
try:
    main()
finally:
    print(sorted({heavy!r} & set(sys.modules)))
"""
    assert said_by(code).endswith("[]")


def test_every_public_name_is_listed_and_found():
    assert sorted(dir(odinn)) == sorted(odinn.__all__) == sorted(odinn._HOMES)
    for name in odinn.__all__:
        value = getattr(odinn, name)
        assert value.__name__ in (name, odinn._HOMES[name])


def test_editors_are_told_the_home_that_a_name_is_loaded_from():
    """What stands under TYPE_CHECKING is the table."""
    (block,) = (n for n in ast.parse(Path(odinn.__file__).read_text()).body if is_for_editors(n))
    told = {}
    for line in block.body:
        for alias in line.names:
            told[alias.name] = (line.module, f"{line.module}.{alias.name}")
    assert told.keys() == odinn._HOMES.keys()
    assert [n for n, home in odinn._HOMES.items() if home not in told[n]] == []


def is_for_editors(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def test_a_star_brings_every_name():
    code = "from odinn import *; import odinn; print(set(odinn.__all__) - set(globals()))"
    assert said_by(code) == "set()"


def test_what_was_pickled_is_read_where_odinn_was_not_imported():
    kept = pickle.dumps(odinn.Model(odinn.SIA2D(A=4e-17)))
    code = f"import pickle; print(pickle.loads({kept!r}))"
    assert (
        said_by(code)
        == "Model(flow=SIA2D(A=4e-17, C=0, n=3, p=3, q=2, ice_density=900, gravity=9.81))"
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        odinn.simulat  # noqa: B018


def test_every_public_name_has_a_docstring():
    names = [n for n in dir(odinn) if not n.startswith("_")]
    names += [
        "open_glacier",
        "open_glaciers",
        "save",
        "load",
        "restart",
        "Diffrax",
        "demo_glaciers",
    ]
    silent = [n for n in names if not (getattr(odinn, n).__doc__ or "").strip()]
    assert silent == []


ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_running_installs_what_it_needs_and_nothing_else():
    """`make demo` waits for no tool of development."""
    assert pinned("requirements.txt") == needed(PROJECT["dependencies"])


def test_the_tools_of_development_are_pinned_beside():
    extras = PROJECT["optional-dependencies"]
    tools = needed(extras["dev"] + extras["docs"])
    assert tools - pinned("requirements.txt") - pinned("requirements-dev.txt") == set()
    assert pinned("requirements.txt") & pinned("requirements-dev.txt") == set()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not there")
@pytest.mark.parametrize(
    ("target", "tools"), [("demo", 0), ("setup", 0), ("test", 1), ("check", 1)]
)
def test_make_installs_tools_only_where_they_are_used(target, tools, tmp_path):
    run = ["make", "--dry-run", target, f"VENV={tmp_path / 'venv'}"]
    said = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.count("-r requirements.txt") == 1
    assert said.count("-r requirements-dev.txt") == tools
    assert "--quiet" not in said


def pinned(file):
    """The packages of a list of requirements, each with one version."""
    lines = (ROOT / file).read_text().split()
    assert all(line.count("==") == 1 for line in lines)
    return {canonicalize_name(line.split("==")[0]) for line in lines}


def needed(requirements):
    """Packages that are installed for these requirements, and for what they require."""
    found, open_ends = {}, [Requirement(text) for text in requirements]
    while open_ends:
        one = open_ends.pop()
        name, extras = canonicalize_name(one.name), one.extras | {""}
        known = found.setdefault(name, set())
        if extras <= known:
            continue
        known |= extras
        for text in distribution(name).requires or []:
            further = Requirement(text)
            asked = further.marker is None or any(
                further.marker.evaluate({"extra": extra}) for extra in extras
            )
            if asked:
                open_ends.append(further)
    return set(found)
