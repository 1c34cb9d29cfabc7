"""The gradient: its cost over the forward run, against diffrax with recursive checkpoints, and the
methods side by side.

Writes benchmarks/results/gradients.json and docs/gradient_methods.md. Times are medians of
interleaved warm runs.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import odinn
from benchmarks.experiments.common import ROOT, balance, glacier
from benchmarks.measuring import interleaved, processor
from odinn.learning.batches import batch_of, gradients, side_by_side
from odinn.learning.evaluation import Runs
from odinn.learning.gradients import OTHERS, Method
from odinn.model.binding import glacier_arrays
from odinn.physics.processes.system import Prognostic
from odinn.physics.state import State
from odinn.run.assembly import system_of


def twin(name: str, span: tuple[float, float], rate: Any, coarsen: int = 1) -> tuple[Any, ...]:
    """(model, glacier with thickness of a truth, loss) of a gradient with respect to A."""
    own, melt = glacier(name, coarsen), balance(name, coarsen)
    truth = odinn.Model(odinn.SIA2D(A=5e-17), melt)
    seen = odinn.synthetic_observations(truth, own, span, of=("thickness",))[0]
    return odinn.Model(odinn.SIA2D(A=rate), melt), seen, odinn.losses.Thickness()


class Prepared:
    """A loss of one glacier as compiled functions of the learned numbers."""

    def __init__(self, model: Any, own: Any, loss: Any, period: tuple[float, float]) -> None:
        self.whole = odinn.objective(model, own, loss, period)
        self.glacier, self.misfit = own, self.whole.misfits[0]
        self.params = self.whole.local(self.whole.params, own)
        self.runs = Runs(self.whole)

    def forward(self) -> float:
        """The value."""
        return self.runs.values(self.whole.params)[0].value

    def gradient(self, method: Method = "discrete") -> Any:
        """The gradient."""
        if method == "discrete":
            return self.runs.gradients(self.whole.params)[1]
        return OTHERS[method](self.misfit, self.params, self.glacier)[1]

    def temporaries(self) -> float:
        """Temporary memory of the gradient program, bytes, as the compiler states it."""
        batch = batch_of([self.runs.sized(0).misfit])
        given = side_by_side(self.runs.given(self.whole.params, [0]))
        lowered = gradients.lower(batch, given)
        return float(lowered.compile().compiled.memory_analysis().temp_size_in_bytes)


def bosh3(problem: Prepared, rate: jax.Array) -> Callable[[], Any]:
    """Value and gradient of the same loss through diffrax's Bosh3 (atol 1e-3, rtol 1e-6), the same
    right-hand side and the same hand-written transposes, recursive checkpoints within a month and
    the months rematerialised."""
    misfit, own = problem.misfit, problem.glacier
    model, _ = eqx.combine(problem.params, misfit.rest)
    used = np.asarray(misfit.windows.length) > 0
    windows = jax.tree.map(lambda a: jnp.asarray(np.asarray(a)[used]), misfit.windows)
    base = system_of(model, glacier_arrays(model, own), reports=False, carried=False)
    rate_factor = lambda system: system.processes[0].flow.A
    scale = rate_factor(base) / jnp.exp(rate)
    measured = np.isfinite(own.observations.thickness)
    target = jnp.asarray(np.nan_to_num(own.observations.thickness))

    def value(log_rate: jax.Array) -> Any:
        system = eqx.tree_at(rate_factor, base, scale * jnp.exp(log_rate)).for_transpose()

        @jax.checkpoint
        def month(H: Any, window: Any) -> tuple[Any, None]:
            held, start, _ = system.begin(State(window.start, H, {}), window)

            def field(t: Any, y: Any, args: None) -> Any:
                unknowns = Prognostic(y, start.of_processes)
                return system.continuous_tendency(held, t, unknowns).thickness

            out = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                diffrax.Bosh3(),
                window.start,
                window.start + window.length,
                window.length / 16,
                H,
                stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-3),
                adjoint=diffrax.RecursiveCheckpointAdjoint(),
                max_steps=4096,
            )
            H = out.ys[-1]
            return jnp.where(H > 0, H, 0.0), None

        H, _ = jax.lax.scan(month, jnp.asarray(own.thickness), windows)
        return jnp.sum(jnp.where(measured, (H - target) ** 2, 0.0)) / measured.sum()

    run = jax.jit(jax.value_and_grad(value))
    return lambda: jax.block_until_ready(run(rate))


def cost(name: str, span: tuple[float, float]) -> dict[str, Any]:
    """Gradient over forward, memory per window, and the ratio to diffrax."""
    field = odinn.Parameter(4e-17, (1e-18, 1e-15), "log", per="cell")
    own = Prepared(*twin(name, span, field), span)
    other = bosh3(own, jnp.zeros(()))
    medians = interleaved(
        {"forward": own.forward, "gradient": own.gradient, "Bosh3 gradient": other}
    )
    longer_span = span[0], span[1] + 4.0
    longer = Prepared(*twin(name, longer_span, field), longer_span)
    longer.sizes = own.sizes
    windows = int((np.asarray(own.misfit.windows.length) > 0).sum())
    more = len(longer.misfit.windows.start) - len(own.misfit.windows.start)
    cells = own.glacier.thickness.size
    return {
        "glacier": name,
        "years": span[1] - span[0],
        "seconds": medians,
        "gradient / forward": medians["gradient"] / medians["forward"],
        "Bosh3 gradient / gradient": medians["Bosh3 gradient"] / medians["gradient"],
        "fields of temporaries per window": own.temporaries() / (8 * cells * windows),
        "fields of temporaries per further window": (longer.temporaries() - own.temporaries())
        / (8 * cells * more),
        "windows": windows,
    }


def methods(
    name: str, spans: list[tuple[float, float]], numbers: list[int]
) -> list[dict[str, Any]]:
    """Seconds and error of every method against the number of parameters and the length of the
    run.
    """
    out = []
    for span in spans:
        for count in numbers:
            rate: Any = odinn.Parameter(4e-17, (1e-18, 1e-15), "log")
            if count > 1:
                rate = odinn.laws.Basis(
                    [odinn.inputs.Altitude()], (1e-18, 1e-15), kind="rbf", size=count
                )
            own = Prepared(*twin(name, span, rate, 4), span)
            flat = lambda g: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(g)])
            exact = flat(own.gradient())
            names = ["discrete", "autodiff", "forward", "finite-difference", "continuous"]
            found = {m: flat(own.gradient(m)) for m in names}
            medians = interleaved({m: partial(own.gradient, m) for m in names}, 3)
            base = own.forward
            forward = interleaved({"forward": base}, 5)["forward"]
            for m in names:
                error = float(np.linalg.norm(found[m] - exact) / np.linalg.norm(exact))
                row = {
                    "years": span[1] - span[0],
                    "numbers": count,
                    "method": m,
                    "seconds": medians[m],
                }
                out.append(
                    row | {"over forward": medians[m] / forward, "difference from discrete": error}
                )
                print(row, f"{error:.1e}", flush=True)
    return out


def page(result: dict[str, Any]) -> str:
    """The table of the documentation."""
    lines = [
        "# Methods of the gradient, measured",
        "",
        f"Machine: {result['machine']}. Warm runs, medians, interleaved.",
        "",
    ]
    lines += ["## Cost of the discrete adjoint", ""]
    lines += ["A on every corner, thickness at the end, full resolution, monthly balance.", ""]
    lines += [
        "| glacier | years | forward, s | gradient, s | gradient / forward | Bosh3 gradient / "
        "gradient "
        "| fields per window | per further window |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in result["cost"]:
        s = row["seconds"]
        lines.append(
            f"| {row['glacier']} | {row['years']:.0f} | {s['forward']:.3f} | {s['gradient']:.3f} | "
            f"{row['gradient / forward']:.1f} | "
            f"{row['Bosh3 gradient / gradient']:.1f} | "
            f"{row['fields of temporaries per window']:.2f} | "
            f"{row['fields of temporaries per further window']:.2f} |"
        )
    lines += [
        "",
        "Memory is what the gradient's program needs beside its arguments, in fields of float64: "
        "one state per window, and",
        "the buffers of a single month (its steps, the stages of a step, working fields), some "
        "sixty fields for any run.",
    ]
    lines += [
        "",
        "## Methods",
        "",
        "Argentière coarsened 4 times; A as a law of altitude with so many numbers.",
        "",
    ]
    lines += [
        "| years | numbers | method | seconds | over forward | difference from discrete |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["methods"]:
        lines.append(
            f"| {row['years']:.0f} | {row['numbers']} | {row['method']} | {row['seconds']:.3f} | "
            f"{row['over forward']:.1f} | "
            f"{row['difference from discrete']:.1e} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure and write."""
    result = {
        "machine": (
            f"{processor()}, {os.cpu_count()} cores, JAX {jax.__version__}, Python "
            f"{platform.python_version()}"
        ),
        "cost": [cost("argentiere", (2010.0, 2015.0)), cost("bodleybreen", (2010.0, 2015.0))],
    }
    print(json.dumps(result["cost"], indent=1), flush=True)
    result["methods"] = methods("argentiere", [(2010.0, 2011.0), (2010.0, 2015.0)], [1, 8])
    (ROOT / "results" / "gradients.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
