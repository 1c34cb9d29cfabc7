"""Inversions that have to work: twin experiments and real data on real glaciers. ``python -m benchmarks.experiments --help``."""

from __future__ import annotations

from benchmarks.experiments import laws

EXPERIMENTS = {
    f.__name__: f
    for f in (
        laws.plumbing_network,
        laws.plumbing_spline,
        laws.everywhere,
        laws.creep_of_temperature_and_thickness,
        laws.diffusivity_of_thickness_and_slope,
    )
}
