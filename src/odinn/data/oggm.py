"""OGGM glacier directories, read without OGGM."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import tarfile
from pathlib import Path
from typing import Protocol, TypeGuard, runtime_checkable

import xarray as xr

from odinn.atomic import path_of
from odinn.climate import Climate
from odinn.data import products
from odinn.data.climate_series import climate_from_oggm_form
from odinn.data.netcdf import glacier_from_dataset
from odinn.data.reading import read_dataset
from odinn.errors import ClimateError, InputError, of_glacier
from odinn.glacier import Glacier
from odinn.identity import rgi_id_in
from odinn.text import read_json, read_yaml

# Bytes, as packed and of the table in it: an outline has some thousand, zeros pack a thousandfold.
_PACKED, _LARGEST = 1_000_000, 10_000_000
_CALIBRATION = ("melt_f", "prcp_fac", "temp_bias")
_DEFAULTS = {"temp_melt": -1.0, "temp_all_solid": 0.0, "temp_all_liq": 2.0}


@runtime_checkable
class GlacierDirectory(Protocol):
    """What is used of OGGM's class of this name."""

    dir: str

    def get_filepath(self, name: str) -> str:
        """The path of a file of the directory."""


def is_directory(source: object) -> TypeGuard[str | Path | GlacierDirectory]:
    """True for an OGGM directory or a ``GlacierDirectory``."""
    if isinstance(source, GlacierDirectory):
        return True
    return isinstance(source, str | Path) and (path_of(source) / "gridded_data.nc").exists()


def open_directory(
    source: str | Path | GlacierDirectory,
    *,
    climate: str | xr.Dataset | Climate | None,
    thickness: str | None,
    coarsen: int,
) -> Glacier:
    """A glacier from a directory with ``gridded_data.nc``, ``climate_historical*.nc``, outlines and
    a calibration.
    """
    folder = path_of(source.dir if isinstance(source, GlacierDirectory) else source)
    attributes = _outline_attributes(folder)
    rgi_id = str(attributes.get("RGIId") or attributes.get("rgi_id") or _rgi_id_of(folder))
    # the inventory fills names up with blanks and puts a second one behind them
    name = str(attributes.get("Name") or attributes.get("glac_name") or "").split("   ")[0].strip()
    if not isinstance(climate, xr.Dataset | Climate):
        climate = _climate(folder, climate, rgi_id)
    provenance = {"source": folder.name, "format": "OGGM directory"}
    calibration = _calibration(folder)
    if calibration is not None:
        provenance["oggm_calibration"] = json.dumps(calibration)
    return glacier_from_dataset(
        read_dataset(folder / "gridded_data.nc"),
        rgi_id=rgi_id,
        name=name,
        climate=climate,
        thickness=thickness,
        coarsen=coarsen,
        provenance=provenance,
    )


def _climate(folder: Path, wanted: str | None, rgi_id: str) -> Climate | None:
    """The series of a product, or the directory's own, which knows of the files beside it."""
    files = {
        p.stem.removeprefix("climate_historical").strip("_"): p
        for p in sorted(folder.glob("climate_historical*.nc"))
    }
    climate = _chosen(files, wanted, rgi_id)
    if climate is None:
        return None
    others = tuple(suffix for suffix in files if suffix and climate.name not in suffix.lower())
    return dataclasses.replace(climate, others=others)


def _chosen(files: dict[str, Path], wanted: str | None, rgi_id: str) -> Climate | None:
    """``climate_historical.nc`` named by its source, or the file of a product.

    Args:
        files: by what follows ``climate_historical`` in their names.
    """
    if wanted is None:
        return climate_from_oggm_form(read_dataset(files[""]), rgi_id) if "" in files else None
    product = products.climate_name(wanted)
    for suffix in products.OGGM_CLIMATE_SUFFIX.get(product, (wanted,)):
        # daily values make the better degree-days
        for candidate in (f"daily_{suffix}", suffix):
            if candidate in files:
                return climate_from_oggm_form(read_dataset(files[candidate]), rgi_id, product)
    found = {suffix or "climate_historical.nc": suffix for suffix in files}
    if "" in files:
        series = climate_from_oggm_form(read_dataset(files[""]), rgi_id)
        if series.name == product:
            return series
        found[f"{series.name} (climate_historical.nc)"] = found.pop("climate_historical.nc")
    raise ClimateError(
        of_glacier(
            rgi_id, f"no climate '{wanted}'; available: {', '.join(sorted(found)) or 'none'}"
        )
    )


def _calibration(folder: Path) -> dict[str, float] | None:
    """OGGM's calibrated numbers (its units): mb_calib.json up to 1.6.3, settings.yml later; None of
    a directory that has not been calibrated.
    """
    for name, read in (("mb_calib.json", read_json), ("settings.yml", read_yaml)):
        path = folder / name
        content = read(path) if path.exists() else {}
        if not set(_CALIBRATION) <= set(content):
            continue
        shared = content.get("mb_global_params") or {}
        if not isinstance(shared, dict):
            raise InputError(f"{path}: mb_global_params is {shared!r:.60}, expected a section")
        numbers = {key: _number(path, key, content[key]) for key in _CALIBRATION}
        return numbers | {k: _number(path, k, shared.get(k, v)) for k, v in _DEFAULTS.items()}
    return None


def _number(path: Path, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{path}: {key} is {value!r:.60}, expected a number")
    return float(value)


def _outline_attributes(folder: Path) -> dict[str, object]:
    """The attribute table of the outline (RGI id, name, area), empty without one."""
    import shapefile

    path = folder / "outlines.tar.gz"
    if not path.exists():
        return {}
    try:
        if path.stat().st_size > _PACKED:
            raise ValueError(f"{path.stat().st_size} bytes, more than {_PACKED}")
        with tarfile.open(path) as archive:
            content = _member(archive, "outlines.dbf")
        table = shapefile.Reader(
            dbf=io.BytesIO(content), encoding="utf-8", encodingErrors="replace"
        )
        return dict(table.record(0).as_dict())
    except Exception as error:  # gzip, tar and the table's reader have a dozen between them
        reason = f"{type(error).__name__}: {error}"[:160]
        raise InputError(
            f"{path}: the outline (outlines.dbf in it) cannot be read ({reason}); remove the file "
            "or prepare it again"
        ) from error


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    """A file in an archive, of a size that such a file has."""
    for member in archive:
        if member.name.removeprefix("./") != name:
            continue
        if not member.isfile():
            raise ValueError(f"{name} is no file")
        if member.size > _LARGEST:
            raise ValueError(f"{name} has {member.size} bytes, more than {_LARGEST}")
        held = archive.extractfile(member)
        assert held is not None  # of a file there is one
        return held.read(_LARGEST)
    raise ValueError(f"no {name} in it")


def _rgi_id_of(folder: Path) -> str:
    return rgi_id_in(str(folder)) or folder.name
