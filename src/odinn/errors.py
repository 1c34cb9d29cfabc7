"""Errors a user can act on: they name the glacier, the thing, what was found and what to do."""

from __future__ import annotations

import difflib
import math
import numbers
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
N = TypeVar("N", bound=float)


class OdinnError(Exception):
    """Base of every error that odinn raises on purpose."""


class InputError(OdinnError, ValueError):
    """Input that cannot be used: the message says which, what was found, and what to do."""


Fail = Callable[[str], InputError]  # a message becomes an error that names the file or glacier


class ClimateError(InputError):
    """The climate series is unusable or does not cover the time asked for."""


class OutputError(OdinnError, OSError):
    """A file that cannot be written: a full disk, no permission, a folder in its place. What was
    there before is unchanged, and nothing is left half written.
    """


class SolverError(OdinnError, RuntimeError):
    """A run that could not be completed: steps ran out, or a value stopped being finite."""


class CalibrationError(OdinnError, RuntimeError):
    """No value of the calibrated number meets the target."""


def refuse_traced(tree: Any, what: str) -> None:
    """Raise where what works on the host is called inside ``jax.jit`` and the like.

    Args:
        tree: what it is called with. what: its name.
    """
    import jax  # loading errors must not load JAX

    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree)):
        raise InputError(
            f"{what}: called inside jax.jit, jax.grad or jax.vmap, but it checks, compiles and "
            "reports on the host. odinn.objective(model, glaciers, loss, period).prepare() has "
            "pure functions for them: value, gradient, residuals"
        )


def warn(message: object) -> None:
    """Warn, in the words of a text or an error, at the line of the user's code that led here."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] == "odinn":
        frame, level = frame.f_back, level + 1
    warnings.warn(str(message), stacklevel=level)


def of_glacier(rgi_id: str, message: str) -> str:
    """The message with the glacier it is about in front of it."""
    return f"{rgi_id}: {message}"


def one_of(name: str, value: T, choices: Sequence[T], *, of: str = "", about: str = "") -> T:
    """The value of an argument if it is one of the choices.

    Args:
        name: the argument. of: the class or function that it belongs to. about: the glacier's RGI
            id.

    Raises:
        InputError: with all choices.

    >>> one_of("coupling", "sauce", ("source", "jump"), about="RGI60-11.03638")
    Traceback (most recent call last):
    odinn.errors.InputError: RGI60-11.03638: coupling='sauce': expected 'source' or 'jump'
    """
    if value not in choices:
        *first, last = map(repr, choices)
        raise _unexpected(name, value, f"{', '.join(first)} or {last}", of, about)
    return value


def unknown(name: object, known: Iterable[str], what: str = "") -> str:
    """That a name is unknown, the nearest known one if one is near, and all of them."""
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    near = f"; did you mean {close[0]!r}?" if close else ""
    return f"{what or f'{name!r} is unknown'}{near}; known: {', '.join(names)}"


def positive(name: str, value: N, what: str = "number", *, of: str = "", about: str = "") -> N:
    """The value of an argument if it is a finite number above 0; ``what`` says which kind is
    expected, such as "length, m". The rest as for :func:`one_of`.

    >>> positive("tol", -1.0, "tolerance, m", of="RKC2")
    Traceback (most recent call last):
    odinn.errors.InputError: RKC2(tol=-1.0): expected a positive tolerance, m
    """
    if not (_is_number(value) and 0 < value < math.inf):
        raise _unexpected(name, value, f"a positive {what}", of, about)
    return value


def whole(name: str, value: N, smallest: int = 1, *, of: str = "", about: str = "") -> N:
    """The value of an argument if it is a whole number of at least ``smallest``. The rest as for
    :func:`one_of`.

    >>> whole("size", 2, smallest=4, of="Basis")
    Traceback (most recent call last):
    odinn.errors.InputError: Basis(size=2): expected a whole number of at least 4
    """
    if not (_is_number(value) and value == int(value) and value >= smallest):
        raise _unexpected(name, value, f"a whole number of at least {smallest}", of, about)
    return value


def _is_number(value: Any) -> bool:
    # True and False are numbers of Python, but nobody means them as such
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _unexpected(name: str, value: object, expected: str, of: str, about: str) -> InputError:
    found = f"{of}({name}={value!r})" if of else f"{name}={value!r}"
    message = f"{found}: expected {expected}"
    return InputError(of_glacier(about, message) if about else message)
