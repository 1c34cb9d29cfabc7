"""OGGM's ``Upstream2D`` in a process of its own, with the Python of ``.venv-oggm``; started by
benchmarks.against_oggm.

Reads the case (an .npz file named on the command line), then a JSON line per run from standard
input: ``{"years", "part"}``, where ``part`` divides OGGM's two bounds of the step. Answers each
with a JSON line, ``{"seconds", "processor_seconds", "steps"}``, after writing the final thickness
beside the case. Only the stepping is timed.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

answers, sys.stdout = sys.stdout, sys.stderr  # what OGGM and its libraries print is no answer

from oggm import cfg  # noqa: E402
from oggm.core.massbalance import LinearMassBalance, ScalarMassBalance  # noqa: E402
from oggm.core.sia2d import Upstream2D  # noqa: E402

CFL, LONGEST = 0.124, 31.0 * cfg.SEC_IN_DAY  # the defaults of Upstream2D
YEAR = 365.25 * 86400.0  # odinn's, s; OGGM's has 365 days


class Counted(Upstream2D):
    """Counts its steps."""

    steps = 0

    def step(self, dt: float) -> float:
        """One step."""
        self.steps += 1
        return super().step(dt)


def model(case: Any, part: float) -> Counted:
    """The case as OGGM's model, its step bounded by a part of the defaults."""
    balance = ScalarMassBalance(0.0)
    if case["balance"] == "linear":
        per_oggm_year = (
            1000.0 * float(case["gradient"]) * cfg.SEC_IN_YEAR / YEAR
        )  # mm w.e. per 365 days and m
        balance = LinearMassBalance(float(case["ela"]), grad=per_oggm_year)
    return Counted(
        case["bed"],
        init_ice_thick=case["thickness"],
        dx=float(case["dx"]),
        mb_model=balance,
        glen_a=float(case["A"]) / YEAR,
        mb_elev_feedback="always" if case["balance"] == "linear" else "annual",
        mb_filter=case["mask"],
        cfl=CFL / part,
        max_dt=LONGEST / part,
    )


def main() -> None:
    """Answer until standard input ends."""
    cfg.initialize_minimal(logging_level="CRITICAL", params={"ice_density": 900.0, "glen_n": 3.0})
    path = Path(sys.argv[1])
    with np.load(path) as stored:
        case = dict(stored)
    say = lambda answer: print(json.dumps(answer), file=answers, flush=True)
    say(
        {
            "oggm": version("oggm"),
            "numpy": np.__version__,
            "gravity": cfg.G,
            "ice_density": cfg.PARAMS["ice_density"],
        }
    )
    for line in sys.stdin:
        wanted = json.loads(line)
        own = model(case, wanted["part"])
        until = wanted["years"] * YEAR / cfg.SEC_IN_YEAR
        began, busy = time.perf_counter(), time.process_time()
        own.run_until(until)
        seconds, processor = time.perf_counter() - began, time.process_time() - busy
        np.save(path.with_suffix(".thickness.npy"), own.ice_thick)
        say({"seconds": seconds, "processor_seconds": processor, "steps": own.steps})


if __name__ == "__main__":
    main()
