"""A progress bar over simulated time, and one for what has no end that is known, such as a
compilation.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rich.progress

PATIENCE = 1.0  # s before a bar appears, so that what is short stays quiet


class Progress:
    """A bar from t0 to t1 on the terminal; silent where there is none, unless asked for."""

    def __init__(self, label: str, t0: float, t1: float, show: bool | None = None) -> None:
        self._label, self._t0, self._t1 = label, t0, t1
        self._show = sys.stderr.isatty() if show is None else show
        self._began = time.perf_counter()
        self._bar: rich.progress.Progress | None = None
        self._done = t0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, t: float) -> None:
        """Simulated time has reached t."""
        self._done = t
        is_due = time.perf_counter() - self._began > PATIENCE
        if self._show and self._bar is None and is_due:
            self._bar = self._started()
        if self._bar is not None:
            (task,) = self._bar.task_ids
            self._bar.update(task, completed=t - self._t0, year=f"{t:.1f}")

    @contextmanager
    def compiling(self, function: Callable) -> Iterator[None]:
        """Say so if the call inside may be compiling: another grid's program may be there, so on a
        terminal a wait shows it.
        """
        may_compile = sys.stderr.isatty() or _has_no_program(function)
        if self._done == self._t0 and may_compile:
            with waiting(f"{self._label}: compiling, once per grid", self._show):
                yield
        else:
            yield

    def _started(self) -> rich.progress.Progress:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[year]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        bar.start()
        bar.add_task(self._label, total=self._t1 - self._t0, year=f"{self._t0:.1f}")
        return bar


@contextmanager
def waiting(label: str, show: bool | None = None) -> Iterator[None]:
    """A bar that moves and counts seconds while something runs for more than a second, and is gone
    afterwards; without a terminal a line.

    Args:
        show: by default when a terminal is there.
    """
    is_terminal = sys.stderr.isatty()
    if not (is_terminal if show is None else show):
        yield
        return
    if not is_terminal:
        print(label, file=sys.stderr, flush=True)
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    bar.add_task(label, total=None)
    later = threading.Timer(PATIENCE, bar.start)
    later.start()
    try:
        yield
    finally:
        # the timer may be starting the bar at this moment
        later.cancel()
        later.join()
        bar.stop()


def _has_no_program(function: Callable) -> bool:
    """Whether a function of ``eqx.filter_jit`` has compiled nothing yet (its cache is private)."""
    cached = getattr(getattr(function, "_cached", None), "_cache_size", None)
    return cached is None or cached() == 0
