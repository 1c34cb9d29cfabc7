"""``save``, ``load``, ``restart``: everything of a run in one NetCDF file (or Zarr store), without
pickle.

A simulation's file is a CF dataset; a group ``odinn`` beside it holds what is needed to go on: the
tree of objects as JSON, its arrays as variables (:mod:`odinn.results.codec`).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import equinox as eqx
import numpy as np
import xarray as xr

from odinn.atomic import path_of, whole_or_nothing
from odinn.constants import WATER_DENSITY
from odinn.data.reading import read_dataset
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.physics.state import State
from odinn.registry import public_name
from odinn.results import codec
from odinn.results.dataset import COMPRESSED, WATER_FIELDS
from odinn.results.simulation import Simulation

_GROUP: Final = "odinn"
_TREE: Final = "objects"
_EARLIER_TREE: Final = "tree"
_SIMULATION: Final = "odinn.Simulation"
_IN_DATASET: Final[dict[str, tuple[str, ...]]] = {
    _SIMULATION: ("thickness", "smb"),
    "odinn.Hydrology": tuple(WATER_FIELDS),
}
_INVERSION: Final = "inversion.nc"
# of a Zarr store; others, such as numcodecs' pickle, run what is in the file
_CODECS: Final = {"bytes", "vlen-utf8", "zstd", "blosc", "gzip", "crc32c", "transpose"}


def save(obj: Any, path: str | Path) -> Path:
    """Save a simulation, an inversion, a model, a glacier or a state.

    Args:
        path: ending in ``.nc`` (NetCDF-4) or ``.zarr``, or, for an inversion, a folder, in which it
            becomes ``inversion.nc``. An existing file is replaced when the new one is complete.

    Functions of one's own, as in :class:`odinn.laws.Function`, are kept by name only, and so are
    objects of a class of one's own that is not registered (:func:`odinn.register`), which is warned
    about: all else can be read back, and using what is lost then is an error that says so.

    Returns:
        The path.

    Raises:
        InputError: nothing that can be kept, or a path of another kind. OutputError: the file
            cannot be written; what was there before still is.
    """
    path = path_of(path)
    path = _file_in(path) if public_name(type(obj)) == "odinn.Inversion" else path
    if path.suffix not in (".nc", ".zarr"):
        raise InputError(
            f"{path}: expected a name that ends in .nc or .zarr (for one map as GeoTIFF: "
            "odinn.to_geotiff)"
        )
    if path.suffix == ".nc" and path.is_dir():
        raise InputError(f"{path}: is a folder; choose another name")
    if path.suffix == ".zarr" and path.is_dir() and not _may_be_replaced(path):
        raise InputError(f"{path}: is a folder, but no Zarr store; choose another name")
    if not isinstance(obj, eqx.Module):
        raise InputError(
            f"save: found {type(obj).__name__}; expected a Simulation, Model, Glacier or State"
        )
    if public_name(type(obj)) is None:
        name = type(obj).__name__
        raise InputError(f"save: the class {name} is not registered: call odinn.register({name})")
    root, skip = xr.Dataset(attrs={"Conventions": "CF-1.11"}), {}
    if isinstance(obj, Simulation):
        root, skip = obj.to_dataset(), _IN_DATASET
    encoded = codec.encode(obj, skip)
    if encoded.left_out:
        _warn(encoded, path)
    group = xr.Dataset({name: _variable(name, a) for name, a in encoded.arrays.items()})
    group.attrs[_TREE] = encoded.text
    with whole_or_nothing(path) as partial, _netcdf_errors():
        _write(root, group, partial, zarr=path.suffix == ".zarr")
    return path


def load(path: str | Path) -> Any:
    """What :func:`save` saved; of an inversion the folder will do.

    A file makes nothing but objects of odinn and of classes registered by
    :func:`odinn.register`, whatever is in it.

    Raises:
        InputError: not such a file, a damaged one, or one of an earlier or later format.
    """
    path = path_of(path)
    path = _file_in(path) if path.is_dir() else path
    group = _read_group(path)
    tree = _tree_of(group, path)
    if codec.name_in(tree) is None:
        raise InputError(f"{path}: holds no object; make the file again")
    if codec.name_in(tree) != _SIMULATION:
        return codec.decode(tree, _arrays(group), str(path))
    elsewhere = _from_dataset(group, path)
    sim = codec.decode(tree, _arrays(group), str(path), elsewhere=elsewhere)
    if sim.thickness.shape[1:] != sim.glacier.grid.shape:
        raise InputError(
            f"{path}: thickness has shape {sim.thickness.shape}, the grid {sim.glacier.grid.shape}"
        )
    if not np.isfinite(sim.thickness).all():
        raise InputError(f"{path}: thickness has values that are no numbers; make the file again")
    return sim


def restart(path: str | Path) -> tuple[Glacier, State]:
    """The glacier and the last state of a saved simulation, to go on with ``simulate(...,
    initial=state)``.

    Raises:
        InputError: see :func:`load`.
    """
    path = path_of(path)
    group = _read_group(path)
    tree = _tree_of(group, path)
    if codec.name_in(tree) != _SIMULATION:
        raise InputError(f"{path}: holds {codec.name_in(tree)}, expected a saved simulation")
    arrays = _arrays(group)
    glacier, state = (
        codec.decode(codec.field_in(tree, name), arrays, str(path)) for name in ("glacier", "state")
    )
    if not (isinstance(glacier, Glacier) and isinstance(state, State)):
        raise InputError(f"{path}: the glacier or the state is something else; make the file again")
    return glacier, state


def is_saved(path: str | Path) -> bool:
    """Whether a file or folder is one of :func:`save`, of any version, be it readable or not."""
    path = path_of(path)
    path = _file_in(path) if path.is_dir() else path
    try:
        return bool({_TREE, _EARLIER_TREE} & set(_read_group(path).attrs))
    except InputError:
        return False


def _file_in(path: Path) -> Path:
    """Where an inversion is in a folder; a file or store itself."""
    return path if path.suffix in (".nc", ".zarr") else path / _INVERSION


def _warn(encoded: codec.Encoded, path: Path) -> None:
    names = encoded.names_left_out
    warnings.warn(
        f"{path}: written without {', '.join(names)}, a class that is not registered: call "
        f"odinn.register({names[0]}) and save again",
        stacklevel=3,
    )


def _variable(name: str, values: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    return tuple(f"{name}_{axis}" for axis in range(values.ndim)), values


def _arrays(group: xr.Dataset) -> dict[str, np.ndarray]:
    return {str(name): variable.values for name, variable in group.data_vars.items()}


def _tree_of(group: xr.Dataset, path: Path) -> Any:
    """The tree of objects in a group."""
    if _TREE not in group.attrs and _EARLIER_TREE in group.attrs:
        codec.refuse_earlier(str(path))
    if _TREE not in group.attrs:
        raise InputError(
            f"{path}: no objects in it; it was not written by odinn.save. A glacier's file is "
            "opened by odinn.open_glacier"
        )
    return codec.parse(group.attrs[_TREE], str(path))


def _from_dataset(group: xr.Dataset, path: Path) -> dict[str, Mapping[str, Any]]:
    """The fields of a simulation and its water that are in the dataset, not in the tree."""
    try:
        root = _read_root(path)
        smb = np.array(root["smb"].values, float) / WATER_DENSITY  # stored in single precision
        fields = {"thickness": np.array(root["thickness"].values, float), "smb": smb}
        found: dict[str, Mapping[str, Any]] = {_SIMULATION: fields}
        if "snowfall_amount" in root:
            # stored in single precision; the sums are whole
            kinds = {field: bool if field == "on_glacier" else float for field in WATER_FIELDS}
            found["odinn.Hydrology"] = {
                field: np.array(root[name].values, kinds[field])
                for field, name in WATER_FIELDS.items()
            }
    except InputError:
        raise
    except Exception as error:  # KeyError, or what xarray makes of damaged bytes
        raise InputError(f"{path}: the fields of the run cannot be read ({error})") from error
    return found


def _write(root: xr.Dataset, group: xr.Dataset, path: Path, *, zarr: bool) -> None:
    if zarr:
        root.to_zarr(path, mode="w", consolidated=False, zarr_format=3)
        group.to_zarr(path, mode="a", group=_GROUP, consolidated=False, zarr_format=3)
        return
    root.to_netcdf(path, mode="w", engine="netcdf4")  # each variable says how it is compressed
    fields = [name for name, variable in group.data_vars.items() if variable.ndim >= 2]
    packed = dict.fromkeys(fields, COMPRESSED)
    group.to_netcdf(path, mode="a", engine="netcdf4", group=_GROUP, encoding=packed)


@contextmanager
def _netcdf_errors() -> Iterator[None]:
    """What NetCDF's library could not write as an error of the system, as others are."""
    try:
        yield
    except RuntimeError as error:
        if str(error).startswith("NetCDF:"):
            raise OSError(str(error)) from error
        raise


def _may_be_replaced(folder: Path) -> bool:
    """Whether a folder is a Zarr store, or is empty."""
    return (folder / "zarr.json").exists() or not any(folder.iterdir())


def _read_root(path: Path) -> xr.Dataset:
    if path.suffix == ".zarr":
        return xr.open_zarr(path, consolidated=False).load()
    return read_dataset(path)


def _read_group(path: Path) -> xr.Dataset:
    """The group of objects, its arrays as they were written."""
    if not path.exists():
        raise InputError(f"{path}: no such file or directory")
    try:
        if path.suffix == ".zarr":
            _check_store(path)
            kept = xr.open_zarr(path, group=_GROUP, consolidated=False, decode_cf=False)
            return kept.load()
        with xr.open_dataset(path, engine="netcdf4", group=_GROUP, decode_cf=False) as kept:
            return kept.load()
    except Exception as error:
        raise InputError(f"{path}: {_what_else(path, error)}") from error


def _what_else(path: Path, error: Exception) -> str:
    """What a file is that cannot be read as one of odinn.save."""
    kind = type(error).__name__
    unknown = f"cannot be read as a file of odinn.save ({kind}); truncated or of another origin?"
    if path.suffix == ".zarr":  # a store that has been refused is not opened
        return unknown
    try:
        root = read_dataset(path)
    except InputError:
        return unknown
    if "odinn_version" in root.attrs:
        return (
            f"is the dataset of a run without its objects (the group {_GROUP}), as another program "
            "writes it again: load the file of odinn.save, or open this one with xarray"
        )
    return "is no file of odinn.save; a glacier is opened by odinn.open_glacier"


def _check_store(path: Path) -> None:
    """Refuse a Zarr store that names a codec which could run code, or is of a version that can."""
    for file in path.rglob("*"):
        if file.name in (".zarray", ".zgroup", ".zmetadata"):
            raise InputError(f"{path}: a Zarr store of version 2, expected 3")
        if file.name == "zarr.json":
            used = json.loads(file.read_text(encoding="utf-8")).get("codecs", [])
            odd = {one["name"] for one in used} - _CODECS
            if odd:
                raise InputError(f"{path}: the codec {sorted(odd)[0]} is not used by odinn")
