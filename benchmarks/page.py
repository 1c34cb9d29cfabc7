"""Turn what is in benchmarks/results into docs/benchmarks.md: a section for each result that is
there.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.measuring import RESULTS, ROOT


def table(header: str, rows: Iterable[Iterable[str]]) -> list[str]:
    """Markdown; the columns of the header are separated by |."""
    names = [name.strip() for name in header.split("|")]
    lines = [names, ["---"] * len(names), *rows]
    return [
        "|" + "|".join("---" if cell == "---" else f" {cell} " for cell in line) + "|"
        for line in lines
    ]


def prose(text: str) -> str:
    """A paragraph, or an item that starts with "- ", wrapped."""
    return textwrap.fill(
        " ".join(text.split()),
        128,
        subsequent_indent="  " * text.startswith("- "),
        break_on_hyphens=False,
    )


def computer(machine: dict[str, Any]) -> str:
    """A machine in words."""
    words = [
        machine["processor"],
        f"{machine['cores']} cores",
        f"Python {machine['python']}",
        f"JAX {machine['jax']}",
    ]
    words += [] if machine["device"] == "cpu" else [f"on {machine['device']}"]
    words += [f"load {machine['load']:.1f} at the start"] if "load" in machine else []
    return ", ".join(words)


def measured(result: dict[str, Any]) -> str:
    """The machine and the rounds, in words."""
    return f"{computer(result['machine'])}; medians of {result['rounds']} interleaved rounds."


def head() -> list[str]:
    """What is measured by what."""
    return [
        "# Benchmarks",
        "",
        prose(
            """The code is in `benchmarks/`: each script writes its numbers to `benchmarks/results/`, and `python -m
            benchmarks.page` makes this page of them. `make bench` measures everything but the comparison with OGGM, which
            is no dependency: `make bench-oggm` makes an environment for it, `.venv-oggm`, and measures that. Both want a
            machine that does nothing else, for half an hour or more. A single script runs as `python -m
            benchmarks.scaling`; `scaling` and `against_oggm` take `--quick` for a try on coarse grids that keeps nothing.
            The real glaciers need the data of the tests (`../shared/data`, or where `ODINN_DATA` says); without it these
            two and the forward runs measure the synthetic valley alone. The gradient has [a page of its
            own](gradient_methods.md). Compare numbers within a table: machines drift, so what is compared was measured in
            turn, and times are medians of warm runs unless said otherwise."""
        ),
    ]


def forward(result: dict[str, Any]) -> list[str]:
    """Steppers."""
    lines = [
        "## Forward runs",
        "",
        f"{measured(result)} Error against RKC2(tol=1e-7), rms over ice at the end. Bosh3 (atol "
        "1e-3 m, rtol 1e-6) is "
        "diffrax's own loop over the same right-hand side, without budgets and results, which "
        "odinn's rows have; a ratio "
        "above 1 is in odinn's favour.",
        "",
    ]
    for balance, title in ((True, "Monthly balance"), (False, "No balance: one window")):
        rows = (
            (
                f"{row['glacier']}, {row['cells']} cells of {row['dx_m']:.0f} m, "
                f"{row['years']:.0f} yr",
                row["stepper"],
                f"{row['seconds']:.3f}",
                f"{row['over_rkc2']:.2f}",
                str(row["evaluations"]),
                f"{row['rms_error_m']:.1e}",
                f"{row['first_call_seconds']:.1f}",
            )
            for row in result["rows"]
            if row["balance"] == balance
        )
        lines += [
            f"### {title}",
            "",
            *table("run | stepper | s | / RKC2 | evaluations | error m | first call s", rows),
            "",
        ]
    return [*lines, *aims(result)]


def aims(result: dict[str, Any]) -> list[str]:
    """How far the forward runs are from what was aimed at."""
    ratio = {
        (r["glacier"], r["balance"]): r["over_rkc2"]
        for r in result["rows"]
        if r["stepper"].startswith("Bosh3")
    }
    wanted = [
        (n, aim)
        for n, aim in (("bodleybreen", 2.5), ("synthetic valley 50 m", 5.0))
        if (n, True) in ratio
    ]
    found = "; ".join(
        f"{n} {ratio[n, True]:.1f} and {ratio[n, False]:.1f} (aim {aim:g})" for n, aim in wanted
    )
    return [
        prose(
            f"""Aims against Bosh3, with balance and without: {found}. Where they are missed, a stable explicit step is not much
            shorter than a month, so that long steps have little to save, and a good part of both times is the month's balance.
            Where ice is fast on a fine grid, the long steps pay."""
        )
    ]


def against_oggm(result: dict[str, Any]) -> list[str]:
    """OGGM's Upstream2D."""
    rows = (
        (
            row["glacier"],
            str(row["cells"]),
            f"{row['dx_m']:.0f}",
            row["balance"],
            f"{row['years']:.0f}",
            f"{row['oggm']['seconds']:.2f}",
            f"{row['odinn'][0]['seconds']:.3f}",
            f"**{row['ratio']:.1f}**",
            f"{row['processor_ratio']:.1f}",
            "none"
            if row["as_good_tol"] is None
            else f"{row['as_good_ratio']:.1f} ({row['as_good_tol']:.0e})",
            f"{row['oggm']['steps']:.0f}",
            f"{row['odinn'][0]['evaluations']:.0f}",
            f"{row['oggm']['error_m']:.1e}",
            f"{row['odinn'][0]['error_m']:.1e}",
            f"{row['difference_m']:.2f}",
            f"{row['change_m']:.1f}",
        )
        for row in result["rows"]
    )
    oggm, least = result["oggm"], min(row["ratio"] for row in result["rows"])
    return [
        "## Forward runs against OGGM's two-dimensional model",
        "",
        prose(
            f"""{measured(result)} OGGM {oggm["oggm"]} with NumPy {oggm["numpy"]} in a process of its own, class `Upstream2D`
            with its default steps (explicit Euler, CFL 0.124, 31 days at most); odinn with its default, `RKC2(tol=1e-2)`.
            Ten years, fewer where OGGM would take more than {result["patience_s"]:.0f} s."""
        ),
        "",
        prose(
            """- Equal: bed, ice at the start, square grid, n = 3, A = 2.4e-24 Pa⁻³ s⁻¹, 900 kg m⁻³, gravity, the span in
            seconds, no sliding. Balance: none, or linear in altitude (5e-3 m w.e. yr⁻¹ per m, zero at the mean altitude of
            the ice, with feedback of the surface at every step, no gain outside the outline)."""
        ),
        prose(
            """- Not equal: the scheme in space (upstream thickness against capped corner diffusivity), hence the column
            difference; the scheme in time; odinn's time is a whole call of `simulate` with its checks and its budget,
            OGGM's the stepping alone, without imports and set-up; NumPy works with one core, XLA with those it wants:
            processor time counts all."""
        ),
        prose(
            """- Errors are of time alone, rms over ice at the end: odinn against RKC2(tol=1e-7), OGGM against a quarter of its
            step, which leaves out a quarter of its error. The column "as good" is the ratio with the tolerance that brings
            odinn's error below OGGM's (of 1e-2, 1e-3, 1e-4, 1e-5). The difference between the two models at the end and the
            change that odinn finds in the run are rms over ice, too."""
        ),
        "",
        f"The aim is a ratio of 8 on each case; the smallest is {least:.1f}.",
        "",
        *table(
            "glacier | cells | dx m | balance | years | OGGM s | odinn s | ratio | processor time "
            "| as good (tol) | OGGM steps "
            "| odinn evaluations | OGGM error m | odinn error m | difference m | change m",
            rows,
        ),
    ]


def scaling(result: dict[str, Any]) -> list[str]:
    """Size, precision, fresh processes."""
    cells = (
        (
            row["glacier"],
            f"{row['dx_m']:.0f}",
            str(row["cells"]),
            str(row["ice_cells"]),
            f"{row['seconds_per_year']:.4f}",
            f"{row['evaluations_per_year']:.0f}",
            f"{row['ns_per_cell_and_evaluation']:.0f}",
        )
        for row in result["cells"]
    )
    precision = (
        (
            row["glacier"],
            str(row["cells"]),
            f"{row['seconds']['float64']:.3f}",
            f"{row['seconds']['float32']:.3f}",
            f"{row['seconds']['float32'] / row['seconds']['float64']:.2f}",
            f"{row['rms_m']:.1e}",
            f"{row['max_m']:.1e}",
            f"{row['volume_relative']:.0e}",
        )
        for row in result["precision"]
    )
    processes = dict(result["fresh"]["processes"])
    imported = processes.pop("import")
    runs = (
        (
            name,
            f"{row['first_seconds']:.2f}",
            f"{row['second_seconds']:.2f}",
            f"{row['programs']:.0f}",
            f"{row['from_disk']:.0f}",
            f"{row['trace_seconds'] + row['lower_seconds']:.2f}",
            f"{row['compile_seconds']:.2f}",
            f"{row['opened_mb']:.0f}",
            f"{row['peak_mb']:.0f}",
        )
        for name, row in processes.items()
    )
    return [
        "## Size of the grid",
        "",
        prose(
            f"""{measured(result)} {result["years"]:.0f} years with monthly balance, saved at the end, default stepper. A
            monthly balance takes some 36 evaluations of the right-hand side a year; finer grids take more where ice is
            thick and steep."""
        ),
        "",
        *table(
            "glacier | dx m | cells | with ice | s per year | evaluations per year | ns per cell "
            "and evaluation",
            cells,
        ),
        "",
        "## float32 against float64",
        "",
        prose(
            """Runs of ten years with `dtype="float32"` and "float64": differences of thickness at the end, over ice, and of
            volume. Steps are chosen anew in each precision, so differences hold round-off and what the tolerance allows in
            time."""
        ),
        "",
        *table(
            "glacier | cells | float64 s | float32 s | ratio | rms m | largest m | volume",
            precision,
        ),
        "",
        "## Start of a process",
        "",
        prose(
            f"""Medians over {result["rounds"]} fresh processes. Importing JAX takes {imported["jax_seconds"]:.2f} s, odinn
            after it {imported["odinn_seconds"]:.2f} s; {imported["imported_mb"]:.0f} MB are resident then. Below, ten years
            forward with monthly balance, and a gradient over five years with respect to A on every corner, with an empty
            and a warm disk cache of compiled programs (glacier: {result["fresh"]["glacier"]}, full resolution). Compiling
            includes reading from disk; memory is the most that was resident, after opening the glacier and at the end of
            the second run."""
        ),
        "",
        *table(
            "task | first run s | second run s | programs | from disk | tracing s | compiling s | "
            "opened MB | peak MB",
            runs,
        ),
    ]


def right_hand_side(result: dict[str, Any]) -> list[str]:
    """A stencil by hand."""
    rows = (
        (
            row["glacier"],
            str(row["cells"]),
            f"{row['odinn']:.1f}",
            f"{row['numba']:.1f}",
            f"{row['numba'] / row['odinn']:.0%}",
            f"{row['difference']:.0e}",
        )
        for row in result["rows"]
    )
    return [
        "## One right-hand side",
        "",
        *([measured(result)] if "machine" in result else []),
        "Microseconds, odinn (XLA, the machine's threads) and a serial numba stencil.",
        "",
        *table("glacier | cells | odinn | numba | numba / odinn | largest difference", rows),
    ]


def batch(result: dict[str, Any]) -> list[str]:
    """Many glaciers."""
    empty, filled, runs = result["empty_cache"], result["filled_cache"], result["runs_cpu_s"]
    count, years, warm = result["glaciers"], result["years"], runs["list"]
    host, unlike = result["host"], result["stages"]["unlike"]
    a_program = (empty["first_cpu_s"] - empty["warm_cpu_s"]) / empty["of_the_loop"]
    rows = [
        ("programs of the loop that the list asks for", str(empty["of_the_loop"]), "<= 12"),
        (
            "first run, empty cache, over a warm one",
            f"{empty['first_cpu_s'] / empty['warm_cpu_s']:.1f} ({empty['first_cpu_s']:.1f} s)",
            "<= 20",
        ),
        ("CPU s to make a program", f"{a_program:.1f}", "<= 7.5"),
        (
            "first run, filled cache, over a warm one",
            f"{filled['first_cpu_s'] / filled['warm_cpu_s']:.1f} ({filled['first_cpu_s']:.1f} s)",
            "<= 1.5",
        ),
        ("glacier-years per CPU s, list", f"{count * years / warm:.0f}", ""),
        ("the same, a loop over `simulate`", f"{count * years / runs['loop']:.0f}", ""),
        ("the same, the first one alone", f"{years / runs['alone']:.0f}", ""),
        ("list against single runs, m", f"{result['agreement']['single_m']:.0e}", "<= 1e-6"),
        (
            "list against its steps repeated, m",
            f"{result['agreement']['replay_m']:.0e}",
            "<= 1e-10",
        ),
        ("border 80 over border 10", f"{runs['border 80'] / runs['border 10']:.2f}", "<= 1.2"),
        (
            f"stages run over needed, {unlike['glaciers']} unlike glaciers",
            f"{unlike['driver']:.2f}",
            "<= 1.2",
        ),
        (
            "the same, all in one batch; fours unsorted; fours sorted",
            "; ".join(
                f"{unlike[name]:.2f}" for name in ("sorted in 16", "unsorted in 4", "sorted in 4")
            ),
            "",
        ),
        (
            f"host share of a run of {host['rows']}x{host['columns']} cells",
            f"{host['share']:.0%} of {1e3 * host['run_cpu_s']:.1f} ms",
            "<= 30%",
        ),
    ]
    lines = [
        "## Many glaciers",
        "",
        prose(
            f"""{measured(result)} CPU seconds of processes that are pinned to one core (`benchmarks.pinning`). The list
            holds {count} glaciers of 0.1 to 0.25 km², each with a shape and a spacing of its own; {years} years with
            monthly balance, saved each year. The unlike glaciers have 0.1 to 10 km²; their stages are those of accepted
            steps. The host's share is CPU time that is not in the compiled calls."""
        ),
        "",
        *table("what | measured | bar", rows),
    ]
    if "against" in result:
        other = result["against"]
        lines += [
            "",
            f"Against commit {other['commit']}, in turn:",
            "",
            *table(
                "run | before CPU s | now CPU s | now / before | before / now",
                (
                    (
                        row["run"],
                        f"{row['before_cpu_s']:.3f}",
                        f"{row['now_cpu_s']:.3f}",
                        f"{row['now_over_before']:.2f}",
                        f"{1 / row['now_over_before']:.2f}",
                    )
                    for row in other["rows"]
                ),
            ),
        ]
    return lines


def stream(result: dict[str, Any]) -> list[str]:
    """Lists to a folder."""
    rows = (
        (
            f"{row['glaciers']:.0f}",
            f"{row['imported_mb']:.0f}",
            f"{row['peak_mb']:.0f}",
            f"{row['cpu_seconds']:.1f}",
            f"{1e3 * row['cpu_seconds'] / row['glaciers']:.0f}",
            f"{row['written_mb']:.0f}",
        )
        for row in result["lists"]
    )
    return [
        "## Lists to a folder",
        "",
        prose(
            f"""{computer(result["machine"])}; each list once, in a process of its own that is not pinned. Glaciers of 0.1
            to 0.25 km², ten years with monthly balance, saved each year, by `simulate(..., output=FOLDER)`, each glacier
            made when its turn comes, compiled programs on the disk. Memory must not grow with the list: the most that was
            resident of the long list is {result["memory_ratio"]:.2f} times that of the short one (bar 1.3; the short one
            does not fill the load of 256 glaciers that are in memory together). The difference of the CPU times holds what
            a glacier costs, its file included; most of that is the host's."""
        ),
        "",
        *table(
            "glaciers | MB after imports | most MB | CPU s | CPU ms a glacier | written MB", rows
        ),
    ]


def device(result: dict[str, Any]) -> list[str]:
    """A GPU."""
    name, rows = result["machine"]["device"], result["rows"]
    failed = [f"{label}: {row['failed']}" for label, row in rows.items() if "failed" in row]
    return [
        f"## On a GPU: {name}",
        "",
        prose(
            f"""{computer(result["machine"])}; medians of {result["rounds"]} warm runs (`make bench-device`). Nothing in
            odinn is tuned for this device. Arrays are on it before the clock starts; the host's part is not in these
            figures. A copy on it moves {1e-12 * result["copy bandwidth"]:.2f} TB/s, read and written. The bytes that a
            program moves are counted in what the compiler made of it: whole fields that its launches read and write. A
            share above 100 % says that some of them came from the cache."""
        ),
        "",
        *_device_forward(rows),
        "",
        *_device_gradient(rows),
        *(["", "Failed: " + "; ".join(failed) + "."] if failed else []),
    ]


def _device_forward(rows: dict[str, Any]) -> list[str]:
    lines = (
        (
            *_device_row(name, row, row["seconds"]),
            f"{1e-9 * row['cells x evaluations / s']:.2f}",
            f"{row['evaluations a month']:.1f}",
            f"{row['launches a month']:.0f}",
            f"{row['share of copy bandwidth']:.0%}",
        )
        for name, row in rows.items()
        if "seconds" in row
    )
    return [
        "### Forward",
        "",
        prose(
            """Glaciers of 0.1 to 0.25 km², each on an array of 56 x 48 cells, ten years; the ice cap has 500-m cells and
            3 km of ice, one year. Monthly balance from days, saved each year. Launches are those of a month, counted in the
            program's loops."""
        ),
        "",
        *table(
            "run | cells | s | compiling s | 10⁹ cells x months / s | 10⁹ cells x evaluations / s "
            "| evaluations a month | launches a month | share of copy bandwidth",
            lines,
        ),
    ]


def _device_gradient(rows: dict[str, Any]) -> list[str]:
    lines = (
        (*_device_row(name, row, row["gradient s"]), f"{row['gradient / forward']:.1f}")
        for name, row in rows.items()
        if "gradient s" in row
    )
    return [
        "### Gradient",
        "",
        prose(
            """One year; the thickness at its end with respect to a rate factor of each glacier's own. Glaciers have 40 x 41
            cells here."""
        ),
        "",
        *table(
            "run | cells | s | compiling s | 10⁹ cells x months / s | gradient / forward", lines
        ),
    ]


def _device_row(name: str, row: dict[str, Any], seconds: float) -> tuple[str, ...]:
    """The run in words, cells, seconds, seconds of compiling, cells and months a second."""
    kind, count, precision = name.split()
    plural = "" if count == "1" else "s"
    what = f"ice cap {count} x {count}" if kind == "cap" else f"{count} glacier{plural}"
    return (
        f"{what}, {precision}",
        str(row["cells"]),
        f"{seconds:.4f}",
        f"{row['seconds of compiling']:.1f}",
        f"{1e-9 * row['cells x months / s']:.3f}",
    )


SECTIONS: tuple[Callable[[dict[str, Any]], list[str]], ...] = (
    forward,
    batch,
    stream,
    device,
    against_oggm,
    scaling,
    right_hand_side,
)


def page() -> str:
    """The page of what is in benchmarks/results."""
    parts = ["\n".join(head())]
    for section in SECTIONS:
        path = RESULTS / f"{section.__name__}.json"
        if path.exists():
            parts.append("\n".join(section(json.loads(path.read_text()))))
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write it, and the pages of the gradient and of all glaciers."""
    from benchmarks import gradients, planet_page

    (ROOT.parent / "docs" / "benchmarks.md").write_text(page())
    found = json.loads((RESULTS / "gradients.json").read_text())
    (ROOT.parent / "docs" / "gradient_methods.md").write_text(gradients.page(found))
    found = json.loads((RESULTS / "planet.json").read_text())
    (ROOT.parent / "docs" / "scaling.md").write_text(planet_page.page(found))


if __name__ == "__main__":
    main()
