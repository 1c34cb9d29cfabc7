"""Run experiments by name, or all of them, and write what came out to
benchmarks/results/experiments.json.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import jax

from benchmarks.experiments import EXPERIMENTS
from benchmarks.experiments.common import ROOT, timed

RESULTS = ROOT / "results" / "experiments.json"
FIGURES_OF = {
    "sliding_with_creep": "non_separability.webp",
    "gridded_creep": "gridded_creep.webp",
    "observed_speed": "observed_speed.webp",
}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        help=f"of {', '.join(EXPERIMENTS)}; default all; 'page' only writes the page",
    )
    names = parser.parse_args().names or list(EXPERIMENTS)
    names = [] if names == ["page"] else names
    stored = read()
    for name in names:
        rows, seconds = timed(EXPERIMENTS[name])
        for row in rows:
            verdict = {None: "", True: "met", False: "MISSED"}[row.met]
            bar = "" if row.met is None else f"({row.kind} {row.bar:g}) {verdict}"
            print(f"{name}: {row.what}: {row.measured:.4g} {bar}", flush=True)
        print(f"{name}: {seconds:.0f} s in all", flush=True)
        stored = read()  # another process may have written since
        stored[name] = {
            "what": (EXPERIMENTS[name].__doc__ or "").strip(),
            "rows": [row.as_dict() for row in rows],
            "seconds": round(seconds, 1),
            "machine": f"{platform.machine()}, JAX {jax.__version__}, Python {platform.python_version()}",
        }
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")
    Path(ROOT.parent / "docs" / "experiments.md").write_text(page(read()))


def read() -> dict:
    """Results so far, in the order of the experiments."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return {name: stored[name] for name in EXPERIMENTS if name in stored}


def page(stored: dict) -> str:
    """The table of the documentation."""
    lines = [
        "# Experiments",
        "",
        "Twin experiments and real data on real glaciers, with a calibrated balance (−0.5 m w.e. "
        "yr⁻¹ in 2010–2015; Argentière",
        "−1.206, as measured). `python -m benchmarks.experiments` writes this page from "
        "`benchmarks/experiments/`.",
        "",
    ]
    for name, entry in stored.items():
        lines += [f"## {name.replace('_', ' ')}", "", " ".join(entry["what"].split()), ""]
        lines += ["| what | measured | bar | |", "|---|---|---|---|"]
        for row in entry["rows"]:
            bar = "" if row["met"] is None else f"{row['kind']} {row['bar']:g}"
            verdict = {None: "", True: "met", False: "**missed**"}[row["met"]]
            lines.append(f"| {row['what']} | {row['measured']:.4g} | {bar} | {verdict} |")
        if name in FIGURES_OF:
            lines += ["", f"![{name.replace('_', ' ')}](images/{FIGURES_OF[name]})"]
        lines += [
            "",
            f"{entry['seconds']:.0f} s in all, with compilation ({entry['machine']}).",
            "",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
