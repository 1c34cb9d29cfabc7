"""Inversions that have to work: twin experiments and real data on real glaciers. ``python -m
benchmarks.experiments --help``.
"""

from __future__ import annotations

from benchmarks.experiments import fields, laws, numbers

EXPERIMENTS = {
    f.__name__: f
    for f in (
        laws.plumbing_network,
        laws.plumbing_spline,
        numbers.no_crime,
        laws.everywhere,
        numbers.wrong_melt_factor,
        numbers.sliding_with_creep,
        numbers.exponent_with_creep,
        fields.gridded_creep,
        fields.initial_thickness,
        laws.creep_of_temperature_and_thickness,
        laws.diffusivity_of_thickness_and_slope,
        fields.observed_speed,
    )
}
