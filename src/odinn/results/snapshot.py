"""``save``, ``load``, ``restart``: everything of a run in one NetCDF file (or Zarr store), without
pickle.

A simulation's file is a CF dataset; a group ``odinn`` beside it holds what is needed to go on: the
tree of modules as JSON, its arrays as variables.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from odinn.data.netcdf import read_dataset
from odinn.errors import InputError
from odinn.glacier import Glacier
from odinn.physics.processes.state import State
from odinn.results.dataset import WATER_FIELDS
from odinn.results.hydrology import Hydrology
from odinn.results.simulation import Simulation

_GROUP = "odinn"
_IN_DATASET: Final[dict[type, tuple[str, ...]]] = {
    Simulation: ("thickness", "smb"),
    Hydrology: tuple(WATER_FIELDS),
}
_INVERSION = "inversion.nc"
_PACKAGES = ("odinn.", "diffrax.")  # modules whose classes a file may name


def save(obj: Any, path: str | Path) -> Path:
    """Save a simulation, an inversion, a model, a glacier or a state.

    Args:
        path: ending in ``.nc`` (NetCDF-4) or ``.zarr``, or, for an inversion, a folder, in which it
            becomes ``inversion.nc``. An existing file is replaced when the new one is complete.

    Functions of one's own, as in :class:`odinn.laws.Function`, are kept by name only: all else can
    be read back, and using the law then is an error that says so.

    Returns:
        The path.
    """
    path = _file_in(Path(path)) if type(obj).__name__ == "Inversion" else Path(path)
    if path.suffix not in (".nc", ".zarr"):
        raise InputError(
            f"{path}: expected a name that ends in .nc or .zarr (for one map as GeoTIFF: "
            "odinn.to_geotiff)"
        )
    if not isinstance(obj, eqx.Module):
        raise InputError(
            f"save: found {type(obj).__name__}; expected a Simulation, Model, Glacier or State"
        )
    root = (
        obj.to_dataset()
        if isinstance(obj, Simulation)
        else xr.Dataset(attrs={"Conventions": "CF-1.11"})
    )
    arrays: dict[str, np.ndarray] = {}
    spec = _encode(obj, arrays, _IN_DATASET if isinstance(obj, Simulation) else {})
    group = xr.Dataset(
        {k: (tuple(f"{k}_{i}" for i in range(np.ndim(v))), v) for k, v in arrays.items()}
    )
    group.attrs["tree"] = json.dumps(spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    _remove(partial)
    try:
        _write(root, group, partial, zarr=path.suffix == ".zarr")
        _remove(path) if path.is_dir() else None
        os.replace(partial, path)
    finally:
        _remove(partial)
    return path


def load(path: str | Path) -> Any:
    """What :func:`save` saved; of an inversion the folder will do."""
    path = Path(path)
    path = _file_in(path) if path.is_dir() else path
    group = _read_group(path)
    try:
        tree = json.loads(group.attrs["tree"])
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: no tree of modules in it; it was not written by odinn.save"
        ) from error
    obj_class = tree.get("class", "")
    extra: dict[str, dict[str, Any]] = {}
    if obj_class == "odinn.run.driver:Simulation":
        root = _read_root(path)
        thickness = np.array(root["thickness"].values, float)
        density = float(_decode(tree["fields"]["model"], group).ice_density)
        smb = np.array(root["smb"].values, float) / density  # stored in single precision
        extra = {obj_class: {"thickness": thickness, "smb": smb}}
        if "snowfall_amount" in root:
            kinds = {field: bool if field == "on_glacier" else float for field in WATER_FIELDS}
            water = {
                field: np.array(root[name].values, kinds[field])
                for field, name in WATER_FIELDS.items()
            }
            extra["odinn.results.hydrology:Hydrology"] = (
                water  # stored in single precision; the sums are whole
            )
    return _decode(tree, group, extra)


def restart(path: str | Path) -> tuple[Glacier, State]:
    """The glacier and the last state of a saved simulation, to go on with ``simulate(...,
    initial=state)``.
    """
    path = Path(path)
    group = _read_group(path)
    tree = json.loads(group.attrs.get("tree", "{}"))
    if tree.get("class") != "odinn.run.driver:Simulation":
        raise InputError(
            f"{path}: holds {tree.get('class', 'nothing of odinn')}, expected a saved simulation"
        )
    return _decode(tree["fields"]["glacier"], group), _decode(tree["fields"]["state"], group)


@dataclasses.dataclass(frozen=True)
class LostFormula:
    """In the place of a function of one's own, which a file does not keep."""

    name: str

    def __call__(self, *values: Any) -> Any:
        raise InputError(
            f"the formula '{self.name}' of a law was not kept in the file; put the law in again: "
            "odinn.laws.Function(formula, inputs)"
        )


def _file_in(path: Path) -> Path:
    """Where an inversion is in a folder; a file or store itself."""
    return path if path.suffix in (".nc", ".zarr") else path / _INVERSION


def _encode(obj: Any, arrays: dict[str, np.ndarray], skip: Mapping[type, tuple[str, ...]]) -> Any:
    """A tree for JSON; arrays go to ``arrays``, and the fields of a class in ``skip`` are left
    out.
    """
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if isinstance(obj, np.ndarray | jax.Array | np.generic):
        name = f"a{len(arrays)}"
        arrays[name] = np.asarray(obj)
        if arrays[name].dtype == bool:
            arrays[name] = arrays[name].astype(np.int8)
            return {"array": name, "bool": True}
        return {"array": name, "jax": isinstance(obj, jax.Array)}
    if isinstance(obj, eqx.Module):
        kind = type(obj)
        left_out = skip.get(kind, ())
        kept = [f.name for f in dataclasses.fields(obj) if f.init and f.name not in left_out]
        fields = {name: _encode(getattr(obj, name), arrays, skip) for name in kept}
        return {"class": f"{kind.__module__}:{kind.__qualname__}", "fields": fields}
    if isinstance(obj, Mapping):
        return {"dict": {str(k): _encode(v, arrays, skip) for k, v in obj.items()}}
    if isinstance(obj, tuple | list):
        return {type(obj).__name__: [_encode(v, arrays, skip) for v in obj]}
    if callable(obj):
        return {"formula": getattr(obj, "__qualname__", type(obj).__name__)}
    raise InputError(f"save: cannot store {type(obj).__name__} {obj!r} without pickle")


def _decode(
    spec: Any, group: xr.Dataset, extra: Mapping[str, Mapping[str, Any]] | None = None
) -> Any:
    """What was encoded; ``extra`` has, by class, the fields that were left out."""
    extra = {} if extra is None else extra
    if not isinstance(spec, dict):
        return spec
    if "array" in spec:
        values = group[spec["array"]].values
        if spec.get("bool"):
            return values.astype(bool)
        return jnp.asarray(values) if spec.get("jax") else np.array(values)
    if "formula" in spec:
        return LostFormula(spec["formula"])
    if "class" in spec:
        kind = _class_named(spec["class"])
        obj: Any = object.__new__(kind)
        for field, value in spec["fields"].items():
            object.__setattr__(obj, field, _decode(value, group, extra))
        for field, value in extra.get(spec["class"], {}).items():
            object.__setattr__(obj, field, value)
        return obj
    if "dict" in spec:
        return {k: _decode(v, group, extra) for k, v in spec["dict"].items()}
    ((kind_name, items),) = spec.items()
    decoded = [_decode(v, group, extra) for v in items]
    return tuple(decoded) if kind_name == "tuple" else decoded


def _class_named(name: Any) -> Any:
    """The class of a module that a file names: one of ours, found in one step, never a path that is walked."""
    module, _, own = str(name).partition(":")
    if not f"{module}.".startswith(_PACKAGES) or not own.isidentifier():
        raise InputError(f"the file names a class of '{module}', which is not loaded")
    try:
        kind = vars(importlib.import_module(module)).get(own)
    except ImportError:
        kind = None
    ours = isinstance(kind, type) and issubclass(kind, eqx.Module) and kind.__module__ == module
    if not ours:
        raise InputError(
            f"the file names a class {name!r}, which is not one of a model, law or result"
        )
    return kind


def _write(root: xr.Dataset, group: xr.Dataset, path: Path, *, zarr: bool) -> None:
    if zarr:
        root.to_zarr(path, mode="w", consolidated=False)
        group.to_zarr(path, mode="a", group=_GROUP, consolidated=False)
        return
    packed = {
        k: {"zlib": True, "complevel": 2}
        for k, v in root.data_vars.items()
        if v.ndim >= 2 and v.dtype.kind == "f"
    }
    root.to_netcdf(path, mode="w", engine="netcdf4", encoding=packed)
    packed = {k: {"zlib": True, "complevel": 2} for k, v in group.data_vars.items() if v.ndim >= 2}
    group.to_netcdf(path, mode="a", engine="netcdf4", group=_GROUP, encoding=packed)


def _read_root(path: Path) -> xr.Dataset:
    if path.suffix == ".zarr":
        return xr.open_zarr(path, consolidated=False).load()
    return read_dataset(path)


def _read_group(path: Path) -> xr.Dataset:
    if not path.exists():
        raise InputError(f"{path}: no such file or directory")
    try:
        if path.suffix == ".zarr":
            return xr.open_zarr(path, group=_GROUP, consolidated=False).load()
        with xr.open_dataset(path, engine="netcdf4", group=_GROUP) as group:
            return group.load()
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as a file of odinn.save ({type(error).__name__}); it may be "
            "truncated or of another origin"
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
