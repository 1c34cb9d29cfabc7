"""Runs of many small glaciers: programs, first and later runs, agreement, what the host costs. CPU
seconds of processes that are pinned to one core. Writes benchmarks/results/batch.json.

``--against PATH`` measures another checkout of odinn in turn with this one, in a process of its
own, and writes the ratios; its name is that of its commit.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNS = ("list", "loop", "alone", "border 10", "border 80", "square")
COMPARED = ("list", "alone")


class Process:
    """A benchmarks.batch_process with some odinn and some disk cache of programs."""

    def __init__(self, source: Path, cache: Path, count: int, years: int) -> None:
        environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        environment |= {"PYTHONPATH": str(source), "ODINN_CACHE": str(cache)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.batch_process", str(count), str(years)],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, name: str) -> Any:
        """What it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(name + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process ended at {name!r}; its message is above")
        return json.loads(line)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def own_source() -> Path:
    """Where the odinn is that this process would import; it is not imported."""
    found = importlib.util.find_spec("odinn")
    if found is None or found.origin is None:
        raise SystemExit("odinn is not installed")
    return Path(found.origin).parents[1]


def commit(checkout: Path) -> str:
    """The commit of a checkout."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def in_turn(processes: dict[str, Process], names: tuple[str, ...], rounds: int) -> dict[str, Any]:
    """{process: {run: median CPU seconds}}, after one run of each."""
    seconds: dict[tuple[str, str], list[float]] = {}
    for round_ in range(rounds + 1):
        for name in names:
            for label, process in processes.items():
                own = process.ask(name)["cpu_s"]
                if round_ > 0:
                    seconds.setdefault((label, name), []).append(own)
    return {
        label: {name: statistics.median(seconds[label, name]) for name in names}
        for label in processes
    }


def against(
    checkout: Path, source: Path, caches: Path, count: int, years: int, rounds: int
) -> dict[str, Any]:
    """Another checkout's runs over this one's."""
    with (
        Process(checkout / "src", caches / "other", count, years) as other,
        Process(source, caches / "own", count, years) as own,
    ):
        names = (*COMPARED, *own.ask("names"))
        found = in_turn({"before": other, "now": own}, names, rounds)
    rows = [
        {
            "run": name,
            "before_cpu_s": found["before"][name],
            "now_cpu_s": found["now"][name],
            "now_over_before": found["now"][name] / found["before"][name],
        }
        for name in names
    ]
    return {"commit": commit(checkout), "rows": rows}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a try: few glaciers, not kept")
    parser.add_argument("--against", type=Path, help="another checkout, to be measured in turn")
    parser.add_argument(
        "--caches", type=Path, help="folder that keeps programs of --against from call to call"
    )
    given = parser.parse_args()
    count, years, rounds = (8, 2, 2) if given.quick else (64, 10, 5)
    source = own_source()
    found: dict[str, Any] = {"rounds": rounds, "glaciers": count, "years": years}
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "programs"
        with Process(source, cache, count, years) as empty:
            found["empty_cache"] = empty.ask("programs")
        print(found, flush=True)
        with Process(source, cache, count, years) as filled:
            found["filled_cache"] = filled.ask("programs")
            found["runs_cpu_s"] = in_turn({"now": filled}, RUNS, rounds)["now"]
            for name in ("agreement", "stages", "host"):
                found[name] = filled.ask(name)
                print(name, found[name], flush=True)
        if given.against is not None:
            caches = given.caches or Path(folder)
            found["against"] = against(given.against, source, caches, count, years, rounds)
    from benchmarks.measuring import keep, machine  # they import JAX, which starts threads

    keep("batch", {"machine": machine()} | found, given.quick)


if __name__ == "__main__":
    main()
