"""docs/scaling.md, from benchmarks/results/planet.json."""

from __future__ import annotations

from typing import Any

from benchmarks.inventory import SOURCE
from benchmarks.page import computer, prose, table
from benchmarks.small import spacing

CORES, SPARE = 16, 0.25  # of the prediction's machine; how far it may be from what is measured
AIM_H, AIM_GPU_MIN = 2.0, 15.0


def page(result: dict[str, Any]) -> str:
    """The page."""
    parts = [_answer, _classes, _check, _costs, _assumptions, _run]
    return "\n\n".join("\n".join(part(result)) for part in parts) + "\n"


def _hours(total: dict[str, Any]) -> float:
    return float(total["program_s"] + total["host_s"]) / 3600.0


def _answer(result: dict[str, Any]) -> list[str]:
    check = result["check"]
    rows = []
    for one in result["inventories"]:
        total = one["total"]
        rows.append(
            (
                one["name"],
                f"{total['glaciers']:,.0f}",
                f"{1e-9 * total['cells']:.2f}",
                f"{total['program_s'] / 3600:.1f}",
                f"{total['host_s'] / 3600:.1f}",
                f"**{_hours(total) / CORES:.1f}**",
                f"**{total['float64'] / 60:.0f}** / {total['float32'] / 60:.0f}",
                f"{total['host_s'] / CORES / 60:.0f}",
                f"{1e-9 * total['bytes']:.0f}",
            )
        )
    slow, fast = (result["inventories"][k]["total"] for k in (-1, 0))
    reach = f"{_hours(fast) / CORES:.1f} to {_hours(slow) / CORES:.1f}"
    minutes = sorted(one["total"]["float64"] / 60 for one in result["inventories"])
    return [
        "# All glaciers for a century",
        "",
        prose(
            f"""What every glacier of the planet costs from 2000 to 2100, each on a grid of its own by OGGM's rule, with shallow
            ice, a monthly balance from daily weather, and a file as its result. **It is a prediction**: costs were measured
            on small lists of glaciers made in code and added up over the inventory; no such run was made, and the largest
            glaciers are extrapolated. A real run of {check["glaciers"]} variants took {check["ratio"]:.2f} times what is
            predicted for it. `python -m benchmarks.planet` measures anew, `python -m benchmarks.page` writes this page."""
        ),
        "",
        *table(
            f"inventory | glaciers | 10⁹ cells computed | core-hours in the program | core-hours of the host | hours on {CORES} "
            f"cores | minutes of one {result['gpu']['device'].split()[1]}, float64 / float32 | minutes of the host on {CORES} "
            "cores beside it | GB of results",
            rows,
        ),
        "",
        prose(
            f"""The aim of {AIM_H:g} hours on {CORES} cores {_met(_hours(slow) / CORES, AIM_H)} ({reach}). That of {AIM_GPU_MIN:g}
            minutes of an H100 {_met(minutes[-1], AIM_GPU_MIN)} by the device's own part ({minutes[-1]:.0f} minutes in
            float64), but not by the whole: the host's part does not go away with a GPU, and opening, preparing and writing
            take {slow["host_s"] / CORES / 60:.0f} minutes on {CORES} cores that do nothing else."""
        ),
        "",
        prose(
            f"""A process holds {check["peak_mb"] / 1e3:.1f} GB at most, {CORES * check["peak_mb"] / 1e3:.0f} GB for {CORES},
            measured on the run of {check["glaciers"]}, and does not grow with the list; a glacier of thousands of km² alone
            takes more. Programs are compiled once into a cache that all processes share: the run of {check["glaciers"]}
            asked for {check["loop_programs"]} of the loop and took {check["first_s"]:.0f} CPU s with an empty cache, against
            {min(check["both_runs_s"]):.0f} later."""
        ),
    ]


def _met(found: float, aim: float) -> str:
    return "is met" if found <= aim else "is missed"


def _classes(result: dict[str, Any]) -> list[str]:
    last = result["inventories"][-1]
    rows = [
        (
            f"{row['from']:g} to {row['to']:,.0f}" if row["to"] >= 1 else f"{row['from']:g} to 0.1",
            f"{row['glaciers']:,.0f}",
            f"{row['area']:,.0f}",
            f"{row['cells'] / row['glaciers']:,.0f}",
            f"{1e9 * row['program_s'] / row['cell_months']:.0f}",
            f"{row['program_s'] / row['glaciers']:.2f}",
            f"{row['host_s'] / row['glaciers']:.2f}",
            f"{(row['program_s'] + row['host_s']) / 3600:.1f}",
            f"{row['float64'] / 60:.1f}",
            f"{1e-9 * row['bytes']:.0f}",
        )
        for row in last["classes"]
    ]
    return [
        f"## By size, {last['name']}",
        "",
        *table(
            "km² | glaciers | km² of all | cells of one | ns a cell and month | CPU s of one in the program | CPU s of the "
            "host | core-hours | GPU minutes, float64 | GB",
            rows,
        ),
    ]


def _check(result: dict[str, Any]) -> list[str]:
    check = result["check"]
    predicted, measured = check["predicted"], check["measured"]
    total = result["inventories"][-1]["total"]
    rows = [
        (
            name,
            f"{predicted[key] * k:.2f}",
            f"{measured[key] * k:.2f}",
            f"{measured[key] / predicted[key]:.2f}",
        )
        for name, key, k in (
            ("CPU s in the program", "program_s", 1.0),
            ("CPU s of the host", "host_s", 1.0),
            ("MB written", "bytes", 1e-6),
        )
    ]
    sums = [sum(part[key] for key in ("program_s", "host_s")) for part in (predicted, measured)]
    rows.append(("**CPU s, all**", f"{sums[0]:.2f}", f"{sums[1]:.2f}", f"**{check['ratio']:.2f}**"))
    inside = "within" if abs(check["ratio"] - 1.0) <= SPARE else "**beyond**"
    return [
        "## The check",
        "",
        prose(
            f"""{check["glaciers"]} glaciers, evenly drawn from RGI 7.0 by number (the middle of each of as many equal shares; the
            largest has {check["largest_km2"]:.0f} km², none is left out), for {check["years"]} years, files to files, by
            `simulate(paths, ..., output=FOLDER)` in a process on one core, compiled programs on the disk. None of them is
            among those that costs were fitted to. The ratio is {inside} 0.75 to 1.25. The host's part is {measured["host_s"] / sums[1]:.0%} of it, and in a century
            {total["host_s"] / (total["host_s"] + total["program_s"]):.0%}. What the check cannot say: longer
            spans, glaciers beyond its largest, and how real ones differ from those made in code."""
        ),
        "",
        *table("what | predicted | measured | measured / predicted", rows),
    ]


def _costs(result: dict[str, Any]) -> list[str]:
    program, host, storage = (result["costs"][key] for key in ("program", "host", "storage"))
    rows = [
        (
            f"{row['cells']:,}" + (" (alone)" if row["glaciers"] == 1 else ""),
            f"{row['area']:,.0f}" if row["area"] > 100.0 else f"{row['area']:.2g}",
            f"{row['years']}",
            f"{row['evaluations_a_month']:.1f}",
            f"{row['ns_a_cell_and_month']:.0f}",
            f"{row['program_s']:.3f}",
            f"{row['fitted_program_s']:.3f}",
            f"{row['host_s']:.3f}",
            f"{row['fitted_host_s']:.3f}",
        )
        for row in [*result["lists"], *result["large"]]
    ]
    return [
        "## What was measured",
        "",
        prose(
            f"""{computer(result["machine"])}; CPU seconds on one core, medians of warm runs. Fitted: in the program
            {1e9 * program[0]:.0f} ns a cell and month and {1e9 * program[1]:.1f} ns a cell and evaluation; of the host
            {1e3 * host[0]:.0f} ms a glacier, {1e3 * host[1]:.1f} ms a year, {1e6 * host[2]:.2f} µs a cell of the file's grid
            and field; {1e-3 * storage[0]:.0f} kB a glacier, {1e-3 * storage[1]:.0f} kB a year (daily weather and sums of each
            month, which a restart needs), {storage[2]:.1f} bytes a cell and field. Rows of more evaluations for the same area
            have stiffer ice, which advances: some of their windows were run again on larger arrays, and they cost up to twice what is
            fitted to them; the largest that are not stiff cost less than is fitted. Glaciers that are alone were not fitted to: they show how far the largest are from the fit."""
        ),
        "",
        *table(
            "cells of one | median km² | years | evaluations a month | ns a cell and month | CPU s in the program | fitted | CPU s "
            "of the host | fitted",
            rows,
        ),
    ]


def _assumptions(result: dict[str, Any]) -> list[str]:
    usual = result["inventories"][-1]["total"]
    other = result["otherwise"]
    real = ", ".join(
        f"{row['glacier']} {row['evaluations_a_month']:.1f} ({row['cells_over_ice']:.1f})"
        for row in sorted(result["real"], key=lambda row: row["area"])
    )
    made = [row for row in result["lists"] if row["area"] > 2.0 and row["years"] == 10]
    filled = sorted(
        {row["cells"] / (1e6 * row["area"] / spacing(row["area"]) ** 2) for row in made}
    )
    hours = {name: _hours(total) / CORES for name, total in other.items()}
    return [
        "## What is assumed",
        "",
        prose(
            f"""- **How many glaciers of which area**: counts below 1, 1 to 10, 10 to 100 and above 100 km², and the area of all,
            are those of the {SOURCE}, which lists RGI 6.0 beside 7.0 (its counts of 7.0 were made 39 glaciers before the last).
            Areas by class are not in it: between the figures stands a power law in each of three ranges, continuous at 1 and 100
            km², from 0.01 km² to the size that the total area asks for. It has no number left to choose."""
        ),
        prose(
            f"""- **Cells**: spacing by OGGM's rule (14 √(area in km²) + 10 m, within 10 to 200 m); the frame that a run computes
            ([architecture](architecture.md#what-happens-in-a-run)), around outlines made in code; files with a border of 10
            cells. Those measured above 2 km² compute {filled[0]:.1f} to {filled[-1]:.1f} cells for each cell of ice; real ones
            as many as the brackets below say."""
        ),
        prose(
            f"""- **Evaluations a month**: as measured on glaciers made in code up to 1 km², from there on towards the geometric
            mean of real ones. Those are, with the cells computed for each cell of ice in brackets: {real}. As made in code
            throughout, RGI 7.0 takes {hours["made in code"]:.1f} hours; with the stiffest real one's above 1 km²
            {hours["stiffest"]:.1f}; as assumed {_hours(usual) / CORES:.1f}."""
        ),
        prose(
            """- **Extrapolated**: a century from spans of 10 and 50 years; glaciers above 100,000 cells from the
            fit, at the evaluations of real glaciers up to 111 km². Ice caps of thousands of km² at 200 m are beyond what shallow
            ice and these figures know."""
        ),
        prose(
            f"""- **Cores**: one process on each, as fast as one alone; what sharing caches and memory costs is not in it. **GPU**:
            cells x months and evaluations at the rates of [the fullest batch of small glaciers and the ice
            cap](benchmarks.md#on-a-gpu-{result["gpu"]["device"].lower().replace(" ", "-")}), so batches are full; the
            host's rates are those of the processor above."""
        ),
        prose(
            """- **Results**: a file for each glacier with thickness and surface every ten years, sums of each month, and what a
            restart needs. Yearly fields multiply the part of the cells by ten."""
        ),
    ]


def _run(result: dict[str, Any]) -> list[str]:
    return [
        "## To run it",
        "",
        prose(
            f"""A process takes a part of the list; {CORES} of them, each on a core of its own, take all. XLA is told to use one
            thread, for small arrays gain nothing from more, and affinity is set before JAX starts. A process that was cut off is
            started again and goes on where it was; the table of each part is in its folder."""
        ),
        "",
        "```text",
        "for k in $(seq 0 15); do",
        '  XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" taskset -c $k python planet.py $k &',
        "done; wait",
        "```",
        "",
        "with `planet.py`:",
        "",
        "```text",
        "import sys",
        "from pathlib import Path",
        "import odinn",
        "",
        "part = int(sys.argv[1])",
        'paths = sorted(Path("glaciers").glob("*.nc"))[part::16]',
        "model = odinn.Model(odinn.SIA2D(A=7e-17), odinn.TemperatureIndex(melt_factor=5e-3))",
        'odinn.simulate(model, paths, 2000, 2100, save_every=10.0, output=f"results/{part:02d}")',
        "```",
    ]
