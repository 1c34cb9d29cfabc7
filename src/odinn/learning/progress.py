"""A line per step of an inversion: loss, terms, gradient norm, seconds, time left."""

from __future__ import annotations

import sys
from typing import Any

_NOT_TERMS = ("loss", "gradient_norm", "seconds", "stage", "rejected")


class InversionProgress:
    """Writes to standard error: on a terminal every step, elsewhere every tenth."""

    def __init__(self, steps: int, show: bool | None) -> None:
        self._steps, self._show = steps, sys.stderr.isatty() if show is None else show

    def __enter__(self) -> InversionProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, state: dict[str, Any]) -> None:
        """Report the latest step."""
        total = int(state["total"])
        if not self._show or (not sys.stderr.isatty() and total % 10 and total != self._steps):
            return
        records = state["records"]
        last = {k: v[-1] for k, v in records.items()}
        terms = "  ".join(f"{k} {v:.3e}" for k, v in last.items() if k not in _NOT_TERMS)
        later = records["seconds"][1:] or records["seconds"]
        left = (self._steps - total) * sum(later[-10:]) / len(later[-10:])
        note = "  (trial rejected)" if last["rejected"] else ""
        print(
            f"step {total:4d}/{self._steps}  loss {last['loss']:.4e}  {terms}  |gradient| "
            f"{last['gradient_norm']:.1e}  "
            f"{last['seconds']:.2f} s, {left:.0f} s left{note}",
            file=sys.stderr,
            flush=True,
        )
