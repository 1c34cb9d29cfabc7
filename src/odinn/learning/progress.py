"""A line per step of an inversion: loss, terms, gradient norm, seconds, time left."""

from __future__ import annotations

import sys

from odinn.learning.checkpoint import InversionState


class InversionProgress:
    """Writes to standard error: on a terminal every step, elsewhere every tenth."""

    def __init__(self, steps: int, show: bool | None) -> None:
        self._steps, self._show = steps, sys.stderr.isatty() if show is None else show

    def __enter__(self) -> InversionProgress:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, state: InversionState) -> None:
        """Report the latest step."""
        total = state.total
        if not self._show:
            return
        # a file of output need not hold every line that a terminal shows
        if not sys.stderr.isatty() and total % 10 and total != self._steps:
            return
        last = {name: column[-1] for name, column in state.records.items()}
        terms = "  ".join(f"{name} {value:.3e}" for name, value in state.last_terms.items())
        # the first row has compiled the programs
        latest = (state.records["seconds"][1:] or state.records["seconds"])[-10:]
        left = (self._steps - total) * sum(latest) / len(latest)
        note = "  (trial rejected)" if last["rejected"] else ""
        print(
            f"step {total:4d}/{self._steps}  loss {last['loss']:.4e}  {terms}  |gradient| "
            f"{last['gradient_norm']:.1e}  "
            f"{last['seconds']:.2f} s, {left:.0f} s left{note}",
            file=sys.stderr,
            flush=True,
        )
