"""Progress bars over simulated time, a sign of life for what has no end that is known, such as a
compilation, and lines about steps: on a terminal, and in a notebook.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Final, Protocol

from odinn import notebook

PATIENCE = 1.0  # s before a bar appears, so that what is short stays quiet
_EVERY: Final = 0.2  # s between two states of a bar in a notebook: each is a message


def is_watched() -> bool:
    """Whether somebody looks on: at a terminal or in a notebook."""
    return sys.stderr.isatty() or notebook.is_open()


class Bar(Protocol):
    """A bar on the screen."""

    def reach(self, t: float) -> None:
        """Simulated time has reached t."""

    def stop(self) -> None:
        """It moves no more."""


class Progress:
    """A bar from t0 to t1 on the terminal or in a notebook; silent elsewhere, unless asked for.

    Args:
        t1: None where the end is not known. form: how a time is written.
    """

    def __init__(
        self,
        label: str,
        t0: float,
        t1: float | None,
        show: bool | None = None,
        form: str = "{:.1f}",
    ) -> None:
        self._label, self._t0, self._t1 = label, t0, t1
        self._form = form
        self._show = is_watched() if show is None else show
        self._began = time.perf_counter()
        self._bar: Bar | None = None
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
            kind = _NotebookBar if notebook.is_open() else _TerminalBar
            self._bar = kind(self._label, self._t0, self._t1, self._form)
        if self._bar is not None:
            self._bar.reach(t)

    @contextmanager
    def compiling(self, function: Callable) -> Iterator[None]:
        """Say so if the call inside may be compiling: another grid's program may be there, so where
        somebody looks on a wait shows it.
        """
        may_compile = is_watched() or _has_no_program(function)
        if self._done == self._t0 and may_compile:
            with waiting(f"{self._label}: compiling, once per grid", self._show):
                yield
        else:
            yield


class _TerminalBar:
    """A bar of rich on standard error."""

    def __init__(self, label: str, t0: float, t1: float | None, form: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Rich

        self._t0, self._form = t0, form
        self._rich = Rich(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[year]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._rich.start()
        total = None if t1 is None else t1 - t0
        self._task = self._rich.add_task(label, total=total, year=form.format(t0))

    def reach(self, t: float) -> None:
        """Simulated time has reached t."""
        self._rich.update(self._task, completed=t - self._t0, year=self._form.format(t))

    def stop(self) -> None:
        """It stays as it is."""
        self._rich.stop()


class _NotebookBar:
    """A bar of the browser's own: one of rich would need widgets."""

    def __init__(self, label: str, t0: float, t1: float | None, form: str) -> None:
        self._label, self._t0, self._t1, self._form = label, t0, t1, form
        self._now = t0
        self._began = self._shown = time.perf_counter()
        self._output = notebook.Output(self._html())

    def reach(self, t: float) -> None:
        """Simulated time has reached t."""
        self._now = t
        if time.perf_counter() - self._shown > _EVERY:
            self._show()

    def stop(self) -> None:
        """It stays as it is."""
        self._show()

    def _show(self) -> None:
        self._shown = time.perf_counter()
        self._output.replace(self._html())

    def _html(self) -> str:
        seconds = time.perf_counter() - self._began
        text = f"{self._label} {self._form.format(self._now)}, {seconds:.0f} s"
        if self._t1 is None:
            return f'<progress max="1"></progress> {escape(text)}'
        share = (self._now - self._t0) / (self._t1 - self._t0)
        if 0.0 < share < 1.0:
            text += f", {seconds * (1.0 - share) / share:.0f} s left"
        return f'<progress value="{share:.3f}" max="1"></progress> {escape(text)}'


def teller() -> Callable[[str], None]:
    """What shows a line: below the one before on standard error, in its place in a notebook."""
    if not notebook.is_open():
        return lambda text: print(text, file=sys.stderr, flush=True)
    output = notebook.Output("")
    return lambda text: output.replace(f"<code>{escape(text)}</code>")


@contextmanager
def waiting(label: str, show: bool | None = None) -> Iterator[None]:
    """A sign that something runs for more than a second, gone afterwards: on a terminal a bar that
    moves and counts seconds, in a notebook the label; elsewhere a line.

    Args:
        show: by default when somebody looks on.
    """
    if not (is_watched() if show is None else show):
        yield
    elif notebook.is_open():
        with _later(_Label(label)):
            yield
    elif not sys.stderr.isatty():
        print(label, file=sys.stderr, flush=True)
        yield
    else:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Rich

        text = TextColumn("{task.description}", markup=False)
        columns = text, BarColumn(), TimeElapsedColumn()
        bar = Rich(*columns, console=Console(stderr=True), transient=True)
        bar.add_task(label, total=None)
        with _later(bar):
            yield


class _Sign(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


class _Label:
    """Words in a notebook that are gone afterwards."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._output: notebook.Output | None = None

    def start(self) -> None:
        """Show them."""
        self._output = notebook.Output(f"{escape(self._text)} ...")

    def stop(self) -> None:
        """Take them away."""
        if self._output is not None:
            self._output.replace("")


@contextmanager
def _later(sign: _Sign) -> Iterator[None]:
    """A sign that starts after a while and stops at the end."""
    timer = threading.Timer(PATIENCE, sign.start)
    timer.start()
    try:
        yield
    finally:
        # the timer may be starting the sign at this moment
        timer.cancel()
        timer.join()
        sign.stop()


def _has_no_program(function: Callable) -> bool:
    """Whether a function of ``eqx.filter_jit`` has compiled nothing yet (its cache is private)."""
    cached = getattr(getattr(function, "_cached", None), "_cache_size", None)
    return cached is None or cached() == 0
