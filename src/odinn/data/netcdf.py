"""Glaciers from an ``xarray.Dataset`` on a projected grid: the one place where fields become a
:class:`Glacier`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from odinn.climate import Climate
from odinn.data import gate, quantities
from odinn.data.checks import check_fields
from odinn.data.climate_series import climate_from_dataset
from odinn.data.gate import in_cells
from odinn.data.observations import read_observations
from odinn.data.projection import oriented
from odinn.data.reading import decoded
from odinn.errors import Fail, InputError, of_glacier, warn
from odinn.glacier import Glacier
from odinn.grid import Grid, block_mean

# Share of the volume outside the outline that is worth a warning: less is a matter of cells.
_OUTSIDE = 0.01
# m: a coast has zeros beside land lower than that in a cell.
_VOID_CLIFF = 100.0


class Geometry(NamedTuple):
    """Fields of a glacier, (ny, nx): bed and thickness (m), outline; and what to note of them."""

    bed: np.ndarray
    thickness: np.ndarray
    mask: np.ndarray
    notes: dict[str, str]


def glacier_from_dataset(
    ds: xr.Dataset,
    *,
    rgi_id: str,
    name: str,
    climate: Climate | str | xr.Dataset | None,
    thickness: str | None,
    coarsen: int,
    provenance: Mapping[str, str],
) -> Glacier:
    """Build a glacier from fields on (y, x). See :func:`odinn.open_glacier` for the arguments."""

    def fail(message: str) -> InputError:
        return InputError(of_glacier(rgi_id, message))

    if not (isinstance(coarsen, int) and coarsen >= 1):
        raise fail(f"coarsen={coarsen!r}: expected a whole number of cells, at least 1")
    ds, grid = oriented(decoded(ds, fail), fail)
    fields = _geometry(ds, grid, thickness, fail)
    if not isinstance(climate, Climate):
        climate = climate_from_dataset(ds, climate, rgi_id)
    notes = {
        **provenance,
        **fields.notes,
        "climate": "none" if climate is None else str(climate),
        "coarsen": str(coarsen),
    }
    if ds.attrs.get("comment"):
        notes["comment"] = str(ds.attrs["comment"])
    observations = read_observations(ds, grid, fail)
    glacier = Glacier(
        rgi_id,
        name,
        grid,
        fields.bed,
        fields.thickness,
        fields.mask,
        climate,
        observations,
        notes,
    )
    if coarsen > 1:
        glacier = _coarsened(glacier, coarsen)
    check_fields(glacier)
    notes = {**glacier.provenance, "input_sha256": _fingerprint(glacier)}
    return dataclasses.replace(glacier, provenance=notes)


def _geometry(ds: xr.Dataset, grid: Grid, thickness: str | None, fail: Fail) -> Geometry:
    """Bed, thickness and outline; no ice outside the outline."""
    surface, bed = gate.field(ds, quantities.SURFACE, fail), gate.field(ds, quantities.BED, fail)
    if surface is None and bed is None:
        known = quantities.SURFACE.names + quantities.BED.names
        raise fail(f"no surface or bed: expected one of {', '.join(known)}")
    product = _thickness_product(ds, thickness, fail)
    # the surface is what was measured, so under a thickness that is chosen the bed follows
    spare = None
    if product is not None and surface is not None:
        spare, bed = bed, None
    for label, values in (("surface", surface), ("bed", bed)):
        if values is not None and np.isnan(values).any():
            raise fail(f"{label} is NaN {in_cells(np.isnan(values))}: fill the DEM")
        if values is not None:
            _warn_of_voids(values, label, fail)
    if product is None:
        product, ice = "surface minus bed", _difference(surface, bed, fail)
    else:
        ice = _thickness(ds, product, fail)
    mask = _outline(ds, ice, fail)
    notes = {"thickness": product, **_left_out(ice, mask, grid, fail)}
    ice = _inside(ice, mask, product, fail)
    if spare is not None and thickness is None:
        _compare(spare, surface - ice, mask, product, fail)
    return Geometry(surface - ice if bed is None else bed, ice, mask, notes)


def _warn_of_voids(altitude: np.ndarray, label: str, fail: Fail) -> None:
    """Warn of cells of exactly 0 m beside high ground: a tile that was missing, or the sea under a
    cliff."""
    zero = altitude == 0.0
    if not zero.any():
        return
    around = np.pad(altitude, 1, mode="edge")
    neighbours = [around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]]
    beside = zero & (np.max(neighbours, axis=0) > _VOID_CLIFF)
    if beside.any():
        found = (
            f"{label} is exactly 0 m {in_cells(zero)}, {int(beside.sum())} of them beside ground"
        )
        ask = f"above {_VOID_CLIFF:g} m: a missing tile? If it is not the sea, fill the DEM"
        warn(fail(f"{found} {ask}"))


def _compare(bed: np.ndarray, used: np.ndarray, mask: np.ndarray, product: str, fail: Fail) -> None:
    """Warn where a bed that is in the file, too, is not the one that is used, m."""
    off = np.where(mask & np.isfinite(bed), np.abs(bed - used), 0.0)
    if off.max(initial=0.0) > 1.0:
        differs = f"surface minus {product} differs from it by up to {off.max():.0f} m"
        count = f"by more than 1 m in {int((off > 1.0).sum())} cells"
        warn(
            fail(f"the file's bed is not used: {differs}, {count}; leave out the one that is wrong")
        )


def _thickness_product(ds: xr.Dataset, wanted: str | None, fail: Fail) -> str | None:
    """The product that is wanted, or the first one there is."""
    present = [p for p, q in quantities.THICKNESS.items() if gate.find(ds, q.names) is not None]
    if wanted is not None:
        product = str(wanted).strip().lower()
        if product not in present:
            available = ", ".join(sorted(present)) or "none"
            raise fail(f"no thickness '{wanted}'; available: {available}")
        return product
    if not present:
        return None
    product = present[0]
    if product not in ("consensus", "thickness"):
        variable = gate.find(ds, quantities.THICKNESS[product].names)
        warn(fail(f"no consensus thickness; using '{product}' ({variable})"))
    return product


def _thickness(ds: xr.Dataset, product: str, fail: Fail) -> np.ndarray:
    ice = gate.field(ds, quantities.THICKNESS[product], fail)
    assert ice is not None
    return ice


def _outline(ds: xr.Dataset, ice: np.ndarray, fail: Fail) -> np.ndarray:
    """True inside; masks come as 0 and 1, or shares of a cell, of any type."""
    inside = gate.field(ds, quantities.MASK, fail)
    return ice > 0 if inside is None else inside > 0.5


def _difference(surface: np.ndarray | None, bed: np.ndarray | None, fail: Fail) -> np.ndarray:
    """Thickness between a surface and a bed."""
    if surface is None or bed is None:
        known = ", ".join(name for q in quantities.THICKNESS.values() for name in q.names)
        raise fail(f"no ice thickness: expected one of {known}, or both surface and bed")
    ice = surface - bed
    # a centimetre is rounding of single precision
    if (ice < -0.01).any():
        found = f"{int((ice < -0.01).sum())} cells, up to {-ice.min():.4g} m"
        raise fail(f"the bed lies above the surface in {found}")
    quantity = quantities.THICKNESS["thickness"]
    return gate.allowed(np.maximum(ice, 0.0), quantity, "surface minus bed", fail, in_cells)


def _left_out(ice: np.ndarray, mask: np.ndarray, grid: Grid, fail: Fail) -> dict[str, str]:
    """What there is of ice outside the outline, which is dropped."""
    outside = np.where(mask, 0.0, np.nan_to_num(ice))
    if not outside.any():
        return {}
    area, volume = (outside > 0).sum() * grid.cell_area, outside.sum() * grid.cell_area
    share = outside.sum() / np.nan_to_num(ice).sum()
    found = (
        f"{area / 1e6:.3g} km2 with {volume / 1e9:.3g} km3 of ice ({share:.1%} of the volume) "
        "outside the outline, dropped"
    )
    if share > _OUTSIDE:
        warn(fail(f"{found}: is the outline of the same date and glacier as the thickness?"))
    return {"outside_outline": found}


def _inside(ice: np.ndarray, mask: np.ndarray, product: str, fail: Fail) -> np.ndarray:
    """Thickness, 0 outside the outline and, with a warning, where a product has gaps inside it."""
    gaps = np.isnan(ice) & mask
    if gaps.any():
        message = (
            f"thickness '{product}' is missing in {int(gaps.sum())} of {int(mask.sum())} cells "
            "inside the outline"
        )
        # some cells at a margin are usual, most of a glacier is another glacier's product
        if gaps.sum() > 0.5 * mask.sum():
            raise fail(message + ": choose another product or fill the gaps")
        warn(fail(message + "; taken as free of ice"))
    return np.where(mask, np.nan_to_num(ice), 0.0)


def _coarsened(glacier: Glacier, k: int) -> Glacier:
    """Block means: volume is kept, and so is the mean surface."""
    grid = glacier.grid
    surface, thickness = (
        block_mean(glacier.surface, k),
        block_mean(np.asarray(glacier.thickness), k),
    )
    ny, nx = thickness.shape
    # the centre of the first block lies between its cells
    shift = 0.5 * (k - 1)
    coarse = dataclasses.replace(
        glacier,
        grid=dataclasses.replace(
            grid,
            nx=nx,
            ny=ny,
            dx=grid.dx * k,
            dy=grid.dy * k,
            x0=grid.x0 + shift * grid.dx,
            y0=grid.y0 - shift * grid.dy,
        ),
        bed=surface - thickness,
        thickness=thickness,
        # a block of which half lies inside does
        mask=block_mean(glacier.mask, k) >= 0.5,
        observations=glacier.observations.coarsened(k),
    )
    areas = f"from {glacier.area / 1e6:.2f} to {coarse.area / 1e6:.2f} km2"
    notes = {**glacier.provenance, "coarsened": f"{areas} with at least 1 m of ice"}
    return dataclasses.replace(coarse, provenance=notes)


def _fingerprint(glacier: Glacier) -> str:
    """SHA-256 of all numbers that a run depends on."""
    arrays = [glacier.bed, glacier.thickness, glacier.mask]
    if glacier.climate is not None:
        arrays += [glacier.climate.temp, glacier.climate.precip, glacier.climate.gradient]
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
