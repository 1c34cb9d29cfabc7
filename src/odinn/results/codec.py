"""The one codec of files: objects as public names, a format version and declared fields.

A tree of them is JSON, its arrays stand beside it under names. Reading makes objects of registered
classes (:mod:`odinn.registry`) and follows no path; what is not as declared is an error that names
the file and the thing.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from odinn.errors import InputError
from odinn.registry import class_of, public_name
from odinn.results.declared import declared, is_incomplete, shown, wrong_fields
from odinn.results.lost import LostClass, LostError, LostFormula

FORMAT: Final = 2  # 1 named classes by module; it was in files of the first 0.1.0.dev0
_DEEPEST: Final = 60  # levels of a tree; a study has some 20
_KINDS: Final = "biuf"  # of arrays that every file format can hold

Tree = Any  # what JSON holds: entries of entries
Skip = Mapping[str, tuple[str, ...]]
Fields = Mapping[str, Mapping[str, object]]


@dataclasses.dataclass
class Encoded:
    """A tree for JSON, its arrays, and the classes that it leaves out because they are not
    registered.
    """

    tree: Tree = None
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    left_out: list[type] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        """The tree and its format version as JSON."""
        return json.dumps({"format": FORMAT, "object": self.tree})

    @property
    def names_left_out(self) -> list[str]:
        """The classes that are not registered, each once."""
        return list(dict.fromkeys(cls.__name__ for cls in self.left_out))


def encode(obj: object, skip: Skip | None = None) -> Encoded:
    """What a file keeps of an object.

    Args:
        skip: by public name of a class, its fields that are kept elsewhere.

    Raises:
        InputError: something in it cannot be kept, such as a set.
    """
    out = Encoded()
    out.tree = _encode(obj, out, {} if skip is None else skip)
    return out


def require_registered(obj: object, purpose: str) -> None:
    """Raise :class:`InputError` if a file would not keep an object whole; formulas of
    ``odinn.laws.Function`` may be lost.

    Args:
        purpose: why a file is wanted, such as "checkpoint=run.npz".
    """
    encoded = encode(obj)
    if encoded.left_out:
        names = ", ".join(encoded.names_left_out)
        raise InputError(
            f"{purpose}: a file cannot keep {names}: the class is not registered. Call "
            f"odinn.register({encoded.left_out[0].__name__}) first, or write @odinn.register "
            "above the class"
        )
    decode(encoded.tree, encoded.arrays, purpose)


def parse(text: Any, file: str) -> Tree:
    """The tree in a file's text, of which the version is checked."""
    try:
        document = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file}: what odinn.save has written is damaged ({type(error).__name__}); restore or "
            "make it again"
        ) from error
    version = document.get("format") if isinstance(document, dict) else None
    if type(version) is not int or set(document) != {"format", "object"}:
        raise InputError(f"{file}: no version of the format in it; make the file again")
    if version > FORMAT:
        raise InputError(
            f"{file}: written by a later version of odinn (format {version}, this one reads "
            f"{FORMAT}); update odinn"
        )
    if version < FORMAT:
        refuse_earlier(file)
    return document["object"]


def refuse_earlier(file: str) -> NoReturn:
    """Raise the error for files of a format that is not read any more."""
    raise InputError(
        f"{file}: written by an earlier version of odinn; read it with odinn 0.1.0.dev0, before "
        "classes had public names, or make it again"
    )


def decode(
    tree: Tree, arrays: Mapping[str, np.ndarray], file: str, *, elsewhere: Fields | None = None
) -> Any:
    """The object that was encoded.

    Args:
        tree, arrays: of :class:`Encoded`.
        file: named in errors.
        elsewhere: by public name of a class, the fields that were skipped.

    Raises:
        InputError: a class that is not registered, a field missing, unknown or not as declared, an
            array that is not there, or what the class itself refuses.
    """
    reader = _Reader(file, arrays, {} if elsewhere is None else elsewhere)
    return reader.decode(tree, "", 0)


def name_in(tree: Tree) -> str | None:
    """The public name of the class of a tree's root, if it is an object."""
    name = tree.get("class") if isinstance(tree, dict) else None
    return name if isinstance(name, str) else None


def field_in(tree: Tree, *path: str) -> Tree:
    """The tree of a field of a field ...; None where there is none."""
    for name in path:
        fields = tree.get("fields") if isinstance(tree, dict) else None
        tree = fields.get(name) if isinstance(fields, dict) else None
    return tree


def _encode(obj: object, out: Encoded, skip: Skip) -> Tree:
    # a number of NumPy may stand in a static field, where an array without axes could not
    if isinstance(obj, np.generic) and obj.dtype in (bool, int, float):
        obj = obj.item()
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if isinstance(obj, np.ndarray | jax.Array | np.generic):
        return _encode_array(obj, out)
    if isinstance(obj, LostClass | LostFormula):
        return {"lost" if isinstance(obj, LostClass) else "formula": obj.name}
    if isinstance(obj, eqx.Module):
        return _encode_module(obj, out, skip)
    if isinstance(obj, Mapping):
        return {"dict": [[_key(k), _encode(v, out, skip)] for k, v in obj.items()]}
    if isinstance(obj, tuple | list):
        kind = "tuple" if isinstance(obj, tuple) else "list"
        return {kind: [_encode(item, out, skip) for item in obj]}
    if callable(obj):
        return {"formula": getattr(obj, "__qualname__", type(obj).__name__)}
    raise InputError(f"save: cannot store {type(obj).__name__} {obj!r} without pickle")


def _encode_module(obj: eqx.Module, out: Encoded, skip: Skip) -> Tree:
    name = public_name(type(obj))
    if name is None:
        out.left_out.append(type(obj))
        return {"lost": type(obj).__name__}
    left_out = skip.get(name, ())
    kept = [field for field in declared(type(obj)) if field not in left_out]
    fields = {field: _encode(getattr(obj, field), out, skip) for field in kept}
    return {"class": name, "fields": fields}


def _encode_array(obj: np.ndarray | np.generic | jax.Array, out: Encoded) -> Tree:
    values = np.asarray(obj)
    dtype = values.dtype
    if dtype.kind not in _KINDS + "mM" or dtype == np.float16:
        raise InputError(f"save: cannot store an array of {dtype} without pickle")
    name = f"a{len(out.arrays)}"
    out.arrays[name] = values.astype(_stored(dtype)) if dtype.kind in _KINDS else values.view("i8")
    return {"array": name, "dtype": dtype.str, "jax": isinstance(obj, jax.Array)}


def _stored(dtype: np.dtype) -> np.dtype:
    """The type that an array has in a file: truth values and dates are whole numbers there."""
    if dtype.kind == "b":
        return np.dtype("i1")
    return np.dtype("i8") if dtype.kind in "mM" else dtype.newbyteorder("=")


def _key(key: object) -> Tree:
    key = key.item() if isinstance(key, np.generic) else key
    if not isinstance(key, bool | int | float | str):
        raise InputError(f"save: cannot store a dictionary with the key {key!r} without pickle")
    return key


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Turns a tree into objects; ``place`` says where in it an error is."""

    file: str
    arrays: Mapping[str, np.ndarray]
    elsewhere: Fields

    def fail(self, place: str, text: str) -> InputError:
        return InputError(f"{self.file}: {place}: {text}" if place else f"{self.file}: {text}")

    def decode(self, tree: Tree, place: str, depth: int) -> object:
        if depth > _DEEPEST:
            raise self.fail(place[:80], f"nested in more than {_DEEPEST} levels")
        match tree:
            case None | bool() | int() | float() | str():
                return tree
            case {"class": str(name), "fields": dict(fields), **rest} if not rest:
                return self.module(name, fields, place, depth)
            case {"array": str(name), "dtype": str(dtype), "jax": bool(is_jax), **rest} if not rest:
                return self.array(name, dtype, is_jax, place)
            case {"dict": list(pairs), **rest} if not rest:
                return self.mapping(pairs, place, depth)
            case {"tuple": list(items), **rest} if not rest:
                return tuple(self.items(items, place, depth))
            case {"list": list(items), **rest} if not rest:
                return self.items(items, place, depth)
            case {"formula": str(name), **rest} if not rest:
                return LostFormula(name)
            case {"lost": str(name), **rest} if not rest:
                return LostClass(name)
        raise self.fail(place, f"found {_entry(tree)}, expected what odinn.save writes")

    def items(self, items: list, place: str, depth: int) -> list:
        return [self.decode(item, f"{place}[{i}]", depth + 1) for i, item in enumerate(items)]

    def mapping(self, pairs: list, place: str, depth: int) -> dict:
        out = {}
        for pair in pairs:
            match pair:
                case [bool() | int() | float() | str() as key, value]:
                    out[key] = self.decode(value, f"{place}[{key!r}]", depth + 1)
                case _:
                    raise self.fail(place, f"found {_entry(pair)}, expected a key and a value")
        return out

    def array(self, name: str, dtype: str, is_jax: bool, place: str) -> np.ndarray | jax.Array:
        if name not in self.arrays:
            raise self.fail(place, f"its array '{name}' is not in the file")
        try:
            values, wanted = np.array(self.arrays[name]), np.dtype(dtype)
        except Exception as error:  # what NumPy makes of a name that is no type
            raise self.fail(place, f"its array '{name}' cannot be read ({error})") from error
        kinds = _KINDS if is_jax else _KINDS + "mM"
        if wanted.kind not in kinds or values.dtype != _stored(wanted):
            raise self.fail(place, f"its array '{name}' is of {values.dtype}, expected {wanted}")
        values = values.view(wanted) if wanted.kind in "mM" else values.astype(wanted)
        return jnp.asarray(values) if is_jax else values

    def module(self, name: str, fields: dict, place: str, depth: int) -> object:
        cls = class_of(name)
        if cls is None:
            raise self.fail(
                place,
                f"no class is registered as '{name[:80]}'; if it is one of your own, call "
                "odinn.register(...) before reading",
            )
        place = place or name
        values = dict(self.elsewhere.get(name, {}))
        expected = declared(cls)
        if set(expected) != set(values) | set(fields):
            odd = sorted(set(expected) ^ (set(values) | set(fields)))[0]
            found = "is missing" if odd in expected else "is not one of its fields"
            raise self.fail(place, f"'{odd[:60]}' {found}")
        for field, tree in fields.items():
            values[field] = self.decode(tree, f"{place}.{field}", depth + 1)
        wrong = wrong_fields(cls, values)
        if wrong:
            found, hint = _summary(values[wrong[0]]), shown(expected[wrong[0]])
            raise self.fail(f"{place}.{wrong[0]}", f"found {found}, expected {hint}")
        return self.checked(cls, values, place)

    def checked(self, cls: type, values: Mapping[str, object], place: str) -> object:
        """An object with these values, which the class itself has looked at as it does when one is
        made.
        """
        try:
            # not by __init__, which may convert its arguments or draw weights anew
            obj: Any = object.__new__(cls)
            for field, value in values.items():
                object.__setattr__(obj, field, value)
            for base in () if is_incomplete(cls, values) else cls.__mro__:
                if "__check_init__" in vars(base):
                    vars(base)["__check_init__"](obj)
        except LostError:  # a check of what the file did not keep
            pass
        except Exception as error:  # a check may stumble over what nobody would pass
            raise self.fail(place, str(error)) from error
        return obj


def _entry(tree: Tree) -> str:
    """An entry of a tree in a few words, however deep it is."""
    keys = ", ".join(map(str, tree))[:60] if isinstance(tree, dict) else ""
    return f"a {type(tree).__name__} {keys}".strip()


def _summary(value: object) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray | jax.Array):
        return f"an array of {value.dtype} {value.shape}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return f"{type(value).__name__} {str(value)[:40]}"
