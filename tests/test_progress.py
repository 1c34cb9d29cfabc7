"""Bars on a terminal, lines where there is none."""

import time

from odinn import progress
from odinn.progress import Progress, teller, waiting


def test_a_bar_bears_its_label_as_it_is(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with Progress("[/bold] Glacier", 2000.0, 2002.0, show=True) as bar:
        bar.advance(2001.0)
        bar.advance(2002.0)
    said = capsys.readouterr().err
    assert "[/bold] Glacier" in said
    assert "2002.0" in said


def test_what_is_short_or_unwatched_stays_quiet(capsys):
    with Progress("short", 2000.0, 2001.0, show=True) as bar:
        bar.advance(2001.0)
    with Progress("unwatched", 2000.0, 2001.0) as bar:
        bar._began = time.perf_counter() - 100.0
        bar.advance(2001.0)
    with waiting("unwatched"):
        pass
    assert capsys.readouterr().err == ""


def test_lines_follow_one_another_where_nothing_can_be_replaced(capsys):
    say = teller()
    say("step 1")
    say("step 2")
    with waiting("compiling", show=True):
        pass
    assert capsys.readouterr().err == "step 1\nstep 2\ncompiling\n"
