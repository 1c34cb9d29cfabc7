"""The package as a whole: what importing it does."""

import subprocess
import sys

import jax.numpy as jnp
import pytest

import odinn


def test_importing_odinn_switches_jax_to_double_precision():
    assert jnp.zeros(()).dtype == jnp.float64


def test_importing_odinn_loads_no_plotting_no_xarray_and_no_solver_library():
    heavy = (
        "matplotlib",
        "xarray",
        "pandas",
        "diffrax",
        "optax",
        "rioxarray",
        "scipy",
        "rich",
        "typer",
    )
    code = f"import sys, odinn; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


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
