"""The demonstration: a synthetic valley glacier under its climate, and 1.5 K warmer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp

from odinn.data.synthetic import demo_model, grown_valley
from odinn.errors import InputError
from odinn.model import Model

YEARS = (2000.0, 2050.0)


def run_demo(output: Path, say: Callable[[str], None]) -> list[Path]:
    """Run the demonstration and return the files made."""
    import equinox as eqx

    import odinn

    model = demo_model()
    assert isinstance(model, Model)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: exists and is not a folder")
    say("Growing a synthetic valley glacier from no ice, 200 years (the first run compiles for some seconds) ...")
    glacier = grown_valley(progress=None)
    say(f"{glacier}")
    written = []
    warmer = eqx.tree_at(lambda m: m.mass_balance.temp_bias, model, jnp.asarray(1.5))
    for name, own in (("same_climate", model), ("warmer", warmer)):
        sim = odinn.simulate(own, glacier, *YEARS, save_every=1.0)
        change = sim.volume[-1] / sim.volume[0] - 1
        label = "the climate it grew under" if name == "same_climate" else "1.5 K warmer"
        say(f"{YEARS[0]:.0f} to {YEARS[1]:.0f} in {label}: volume {change:+.0%}, {sim.steps}, {sim.seconds:.1f} s")
        written.append(odinn.save(sim, output / f"{name}.nc"))
        written += odinn.plot.save_all(sim, output / name)
    return written
