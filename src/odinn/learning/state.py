"""The state of an inversion: what its next step starts from."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import equinox as eqx
import numpy as np
from jaxtyping import Float

from odinn.errors import InputError

_NOT_TERMS: Final = ("loss", "gradient_norm", "seconds", "stage", "rejected")

Memory = dict[str, Any]  # what an optimiser carries: arrays, or lists of arrays, by name


class InversionState(eqx.Module):
    """Where an inversion is: what the next step starts from.

    Args:
        x: unconstrained numbers, with the value and gradient of the loss there.
        best: the numbers of the lowest loss so far, which is ``best_value``.
        stage, step, total: the stage, steps done in it, steps done in all.
        memory: what the stage's optimiser carries. records: the history, a list for each column.
        covariance: that of the last Gauss–Newton step.
    """

    x: Float[np.ndarray, " n"]
    value: float
    gradient: Float[np.ndarray, " n"]
    best: Float[np.ndarray, " n"]
    best_value: float
    memory: Memory
    records: dict[str, list[float]] = eqx.field(default_factory=dict)
    stage: int = 0
    step: int = 0
    total: int = 0
    covariance: Float[np.ndarray, "n n"] | None = None

    def __check_init__(self) -> None:
        # no step leads on from a point that is not finite
        for name in ("x", "best"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} is not finite")
        for name in ("stage", "step", "total"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected >= 0")
        if len({len(column) for column in self.records.values()}) > 1:
            raise InputError("the columns of the history are of several lengths")

    @property
    def terms(self) -> dict[str, float]:
        """The terms of the loss at the last step, by name."""
        return {k: column[-1] for k, column in self.records.items() if k not in _NOT_TERMS}

    @property
    def described_best(self) -> str:
        """The step of the lowest loss in a few words."""
        losses = self.records["loss"]
        return f"step {int(np.argmin(losses))} of {self.total}, loss {self.best_value:.4e}"

    def recorded(
        self, terms: dict[str, float], seconds: float, *, rejected: bool
    ) -> InversionState:
        """The state with one more row of history."""
        row = {
            "loss": self.value,
            # every row has every column, also where no point was found or a run failed
            **self.terms,
            **terms,
            "gradient_norm": float(np.linalg.norm(self.gradient)),
            "seconds": seconds,
            "stage": float(self.stage),
            "rejected": float(rejected),
        }
        records = {name: [*self.records.get(name, []), value] for name, value in row.items()}
        return dataclasses.replace(self, records=records)
