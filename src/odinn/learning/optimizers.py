"""Optimisers as stages of an inversion: ``[adam(1e-2, steps=50), lbfgs(steps=30)]``."""

from __future__ import annotations

from typing import Literal

import equinox as eqx

from odinn.errors import InputError


class Stage(eqx.Module):
    """One stage: a method, its number of steps, and when to stop early.

    ``batch``: glaciers per step (None: all), drawn anew each step from (seed, step). ``clip``:
    largest norm of a gradient. ``patience``: steps without a new best value after which the stage
    ends. ``target``: value at which it ends.
    """

    method: Literal["adam", "lbfgs", "gauss-newton"] = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    learning_rate: float = eqx.field(static=True, default=1.0)
    memory: int = eqx.field(static=True, default=10)
    batch: int | None = eqx.field(static=True, default=None)
    clip: float | None = eqx.field(static=True, default=None)
    patience: int | None = eqx.field(static=True, default=None)
    target: float = eqx.field(static=True, default=0.0)
    damping: float = eqx.field(static=True, default=1e-3)

    def __check_init__(self) -> None:
        if self.steps < 1:
            raise InputError(f"optimizers.{self.method}: steps={self.steps}, expected at least 1")
        if self.batch is not None and self.batch < 1:
            raise InputError(f"optimizers.{self.method}: batch={self.batch}, expected at least 1")
        # written so that a rate that is not a number is an error, too
        if not self.learning_rate > 0:
            raise InputError(
                f"optimizers.{self.method}: learning_rate={self.learning_rate}, expected a "
                "positive number"
            )


def adam(
    learning_rate: float = 1e-2,
    steps: int = 50,
    *,
    batch: int | None = None,
    clip: float | None = None,
    patience: int | None = None,
    target: float = 0.0,
) -> Stage:
    """Adam (Kingma & Ba 2015) by optax."""
    return Stage(
        "adam", steps, learning_rate, batch=batch, clip=clip, patience=patience, target=target
    )


def lbfgs(
    steps: int = 30, *, memory: int = 10, patience: int | None = None, target: float = 0.0
) -> Stage:
    """L-BFGS: direction by optax, strong-Wolfe line search on the host
    (``scipy.optimize.line_search``).
    """
    return Stage("lbfgs", steps, memory=memory, patience=patience, target=target)


def gauss_newton(steps: int = 10, *, damping: float = 1e-3, target: float = 0.0) -> Stage:
    """Gauss–Newton with Levenberg–Marquardt damping, for at most 100 numbers: one forward
    derivative for each.
    """
    return Stage("gauss-newton", steps, damping=damping, target=target)
