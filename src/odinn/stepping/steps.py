"""The steps of a run, to be repeated exactly."""

from __future__ import annotations

import equinox as eqx
import numpy as np


class Steps(eqx.Module):
    """The steps of a run, to be repeated exactly: windows (start, length, years), accepted steps
    and their stages.

    ``count`` (windows,) says how many of the steps, which stand one after the other, belong to each
    window.
    """

    start: np.ndarray
    length: np.ndarray
    count: np.ndarray
    dt: np.ndarray
    stages: np.ndarray
    rejected: int = 0
    evaluations: int = 0

    def __str__(self) -> str:
        return f"{len(self.dt)} steps in {len(self.count)} windows, {self.evaluations} evaluations"
