"""What stands in the place of what a file does not keep: an error that says so when it is used."""

from __future__ import annotations

import dataclasses
from typing import Any, NoReturn

from odinn.errors import InputError


class LostError(InputError):
    """Something was used that its file did not keep."""


@dataclasses.dataclass(frozen=True)
class LostFormula:
    """In the place of a function of one's own."""

    name: str

    def __call__(self, *values: Any) -> Any:
        raise LostError(
            f"the formula '{self.name}' of a law was not kept in the file; put the law in again: "
            "odinn.laws.Function(formula, inputs)"
        )


@dataclasses.dataclass(frozen=True)
class LostClass:
    """In the place of an object whose class was not registered when it was saved."""

    name: str

    def __getattr__(self, attribute: str) -> NoReturn:
        # Python, JAX and notebooks ask any object for names that begin with an underscore
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        raise _not_kept(self.name)

    def __call__(self, *values: Any) -> NoReturn:
        raise _not_kept(self.name)


def _not_kept(name: str) -> LostError:
    return LostError(
        f"an object of class '{name}' was not kept in the file: the class was not registered. Put "
        f"the object in again, and odinn.register({name}) before saving"
    )
