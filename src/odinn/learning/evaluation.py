"""One glacier's misfit evaluated on the host: its value, and its gradient with buffers that fit."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import PyTree

from odinn.glacier import Glacier
from odinn.learning.misfit import (
    Buffers,
    GlacierMisfit,
    compiled_gradient,
    compiled_value,
    with_room,
)
from odinn.run.checks import failure
from odinn.stepping.steps import Record

Sizes = dict[str, Buffers]  # by glacier


def value_of(
    misfit: GlacierMisfit, params: PyTree, glacier: Glacier
) -> tuple[float, np.ndarray, Record]:
    """(weighted value, values of the terms, whole record of the steps).

    Raises:
        SolverError: the run fails.
    """
    buffers = Buffers()
    while True:
        value, (values, record) = compiled_value(_sized(misfit, buffers), params)
        raise_on_failure(record, misfit, glacier)
        longest = int(record.longest)
        if longest <= buffers.steps:
            return float(value), np.asarray(values, float), record
        # a power of two, so that runs of alike length share a program
        buffers = Buffers(1 << (longest - 1).bit_length())


def gradient_of(
    misfit: GlacierMisfit, params: PyTree, glacier: Glacier, sizes: Sizes
) -> tuple[float, np.ndarray, PyTree]:
    """(weighted value, values of the terms, gradient) by the adjoint.

    Args:
        sizes: buffers of each glacier, kept between calls; those that are missing are measured by a
            first run, and they grow when a later one needs more.
    """
    key = glacier.rgi_id
    if key not in sizes:
        sizes[key] = buffers_for(misfit, params, glacier)
    while True:
        sized = _sized(misfit, sizes[key])
        (value, (values, record)), gradient = compiled_gradient(sized, params)
        raise_on_failure(record, misfit, glacier)
        needed = sized.needs(record)
        if sizes[key].hold(needed):
            return float(value), np.asarray(values, float), gradient
        # never smaller, so that points of an inversion do not compile in turn
        sizes[key] = Buffers(*map(max, sizes[key], with_room(needed)))


def buffers_for(misfit: GlacierMisfit, params: PyTree, glacier: Glacier) -> Buffers:
    """Buffers that hold the run at ``params``, with room."""
    first = _sized(misfit, Buffers())
    _, (_, record) = compiled_value(first, params)
    raise_on_failure(record, misfit, glacier)
    return with_room(first.needs(record))


def raise_on_failure(record: Record, misfit: GlacierMisfit, glacier: Glacier) -> None:
    """The error of a run that stopped; a compiled program cannot raise."""
    status = int(record.status)
    if status == 0:
        return
    # windows that fill up a chunk take no steps
    used = np.asarray(misfit.windows.length) > 0
    count = np.asarray(record.steps.count)[used]
    raise failure(status, glacier, misfit.windows, count, misfit.max_steps)


def _sized(misfit: GlacierMisfit, buffers: Buffers) -> GlacierMisfit:
    return dataclasses.replace(misfit, buffers=buffers)
