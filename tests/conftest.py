"""Shapes and dtypes of annotated functions are checked in every test (jaxtyping with beartype)."""

import os
from pathlib import Path

import jax
from jaxtyping import install_import_hook

# A cache of the suite's own, so that tests neither fill nor depend on the user's.
os.environ.setdefault(
    "ODINN_CACHE", str(Path(__file__).parent.parent / ".pytest_cache" / "programs")
)
jax.config.update("jax_numpy_rank_promotion", "raise")

with install_import_hook(
    ("odinn.grid", "odinn.physics.flow", "odinn.glacier", "odinn.climate"), "beartype.beartype"
):
    import odinn.glacier
    import odinn.model.model  # all of these, while the hook is there: odinn loads none itself

import numpy as np
import pytest

DATA = Path(os.environ.get("ODINN_DATA", Path(__file__).parents[2] / "shared" / "data"))


# Linux gives a process 65,530; beyond, the compiler ends in a segmentation fault.
MANY_MAPPINGS = 20_000


@pytest.fixture(autouse=True)
def _programs_are_dropped(request):
    """Compiled programs go after a slow test, and where they have come to take many mappings of
    memory.
    """
    yield
    if request.node.get_closest_marker("slow") or _mappings() > MANY_MAPPINGS:
        jax.clear_caches()


def _mappings() -> int:
    """Mappings of memory of this process, of which each compiled program takes several."""
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else 0


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real glaciers; tests that need it are skipped without it."""
    if not (DATA / "glaciers").is_dir():
        pytest.skip(f"real glaciers not found in {DATA}: set ODINN_DATA")
    return DATA


@pytest.fixture(scope="session")
def argentiere(data):
    return odinn.open_glacier(data / "glaciers" / "argentiere_RGI60-11.03638.nc")


@pytest.fixture(scope="session")
def calibrated(argentiere):
    """Argentière's calibrated model."""
    model = odinn.Model(mass_balance=odinn.TemperatureIndex(precip_factor=2.5))
    return odinn.calibrate(model, argentiere, target=-1.206, period=(2009.75, 2019.75))


@pytest.fixture(scope="session")
def slab():
    """A small glacier made in code: a paraboloid of ice on a slope, with two years of idealised
    daily weather.
    """
    return make_slab()


def make_slab(ny=24, nx=30, dx=100.0):
    grid = odinn.Grid(nx, ny, dx, dx, x0=500_000.0, y0=5_200_000.0, crs="EPSG:32632")
    x = (np.arange(nx) - (nx - 1) / 2) * dx
    y = (np.arange(ny) - (ny - 1) / 2) * dx
    X, Y = np.meshgrid(x, y)
    bed = 2600.0 - 0.15 * X + 0.02 * Y
    ice = np.maximum(0.0, 120.0 * (1 - (X / 1000.0) ** 2 - (Y / 800.0) ** 2))
    return odinn.Glacier("TEST-00.00001", "Slab", grid, bed, ice, ice > 0, make_climate())


def make_climate(years=(2000, 2004), seed=1):
    from odinn.data.climate_series import climate_from_series

    time = np.arange(f"{years[0]}-01-01", f"{years[1]}-01-01", dtype="datetime64[D]")
    day = np.arange(time.size)
    noise = np.random.default_rng(seed)
    temp = 1.0 - 9.0 * np.cos(2 * np.pi * (day - 15) / 365.25) + noise.normal(0, 3, time.size)
    precip = noise.gamma(0.4, 8.0, time.size)
    gradient = noise.uniform(-0.010, -0.002, time.size)
    return climate_from_series(
        time, temp, precip, gradient, 2500.0, name="made", rgi_id="TEST-00.00001"
    )


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    without = sum("real glaciers not found" in str(report.longrepr) for report in skipped)
    if without:
        terminalreporter.write_line(
            f"{without} tests were skipped because the real glaciers are not there (ODINN_DATA)"
        )
