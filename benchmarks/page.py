"""Put the measured tables together as docs/benchmarks.md."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent
TABLES = ("forward", "right_hand_side")


def main() -> None:
    """Write the page from what is in benchmarks/results."""
    parts = [
        "# Benchmarks",
        "",
        "Measured by `make bench`; the code is in `benchmarks/`. The gradient has",
        "[a page of its own](gradient_methods.md).",
    ]
    for name in TABLES:
        path = ROOT / "results" / f"{name}.md"
        if path.exists():
            parts += ["", path.read_text().strip().replace("# ", "## ", 1)]
    (ROOT.parent / "docs" / "benchmarks.md").write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
