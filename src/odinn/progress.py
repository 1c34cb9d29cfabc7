"""A progress bar over simulated time, and one for what has no end that is known, such as a
compilation.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Progress:
    """A bar from t0 to t1 on the terminal; silent where there is none, unless asked for.

    It appears only when a run lasts longer than a second, so short runs stay quiet.
    """

    def __init__(self, label: str, t0: float, t1: float, show: bool | None = None) -> None:
        self._label, self._t0, self._t1 = label, t0, t1
        self._show = sys.stderr.isatty() if show is None else show
        self._began = time.perf_counter()
        self._bar: Any = None
        self._task: Any = None
        self._done = t0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, t: float) -> None:
        """Simulated time has reached t."""
        self._done = t
        if self._show and self._bar is None and time.perf_counter() - self._began > 1.0:
            self._start()
        if self._bar is not None:
            self._bar.update(self._task, completed=t - self._t0, year=f"{t:.1f}")

    @contextmanager
    def compiling(self, function: Any) -> Iterator[None]:
        """Say so if the call inside may be compiling: another grid's program may be there, so on a
        terminal a wait shows it.
        """
        if self._done == self._t0 and (sys.stderr.isatty() or _has_no_program(function)):
            with waiting(f"{self._label}: compiling, once per grid", self._show):
                yield
        else:
            yield

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[year]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        self._task = self._bar.add_task(
            self._label, total=self._t1 - self._t0, year=f"{self._t0:.1f}"
        )


@contextmanager
def waiting(label: str, show: bool | None = None) -> Iterator[None]:
    """A bar that moves and counts seconds while something runs for more than a second, and is gone
    afterwards; without a terminal a line.

    Args:
        show: by default when a terminal is there.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield
    elif not sys.stderr.isatty():
        print(label, file=sys.stderr, flush=True)
        yield
    else:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
        bar = RichProgress(*columns, console=Console(stderr=True), transient=True)
        bar.add_task(label, total=None)
        later = threading.Timer(1.0, bar.start)
        later.start()
        try:
            yield
        finally:
            later.cancel()
            later.join()
            bar.stop()


def _has_no_program(function: Any) -> bool:
    cached = getattr(getattr(function, "_cached", None), "_cache_size", None)
    return cached is None or cached() == 0
