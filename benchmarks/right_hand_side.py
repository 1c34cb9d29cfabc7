"""One right-hand side of the flow (dH/dt of SIA2D, n = 3, no sliding) against a serial stencil
written by hand with numba.

Numba is no dependency: ``pip install numba`` first. Writes benchmarks/results/right_hand_side.json;
medians of interleaved rounds, each of many evaluations inside one compiled loop, so that no call
overhead counts.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import odinn
from benchmarks.experiments.common import FOUR, glacier
from benchmarks.measuring import keep, machine
from odinn.physics.domain import domain_of
from odinn.physics.flow.base import divergence

ROUNDS, REPEATS = 9, 100


def stencil() -> Any:
    """The same scheme in two loops: diffusivity on corners, then capped fluxes."""
    import numba

    @numba.njit(fastmath=False)
    def run(
        H: Any, bed: Any, factor: float, dx: float, dy: float, D: Any, out: Any, repeats: int
    ) -> None:
        ny, nx = H.shape
        S = bed + H
        for _ in range(repeats):
            for i in range(ny - 1):
                for j in range(nx - 1):
                    mean = 0.25 * (H[i, j] + H[i, j + 1] + H[i + 1, j] + H[i + 1, j + 1])
                    gx = 0.5 * (S[i, j + 1] - S[i, j] + S[i + 1, j + 1] - S[i + 1, j]) / dx
                    gy = 0.5 * (S[i, j] - S[i + 1, j] + S[i, j + 1] - S[i + 1, j + 1]) / dy
                    m2 = mean * mean
                    D[i, j] = factor * m2 * m2 * mean * (gx * gx + gy * gy + 1e-10)
            for i in range(1, ny - 1):
                for j in range(1, nx - 1):
                    total = 0.0
                    for a, b, d in (
                        (i, j + 1, 0.5 * (D[i - 1, j] + D[i, j]) / dx**2),
                        (i, j - 1, 0.5 * (D[i - 1, j - 1] + D[i, j - 1]) / dx**2),
                        (i + 1, j, 0.5 * (D[i, j - 1] + D[i, j]) / dy**2),
                        (i - 1, j, 0.5 * (D[i - 1, j - 1] + D[i - 1, j]) / dy**2),
                    ):
                        rise = S[a, b] - S[i, j]
                        rise = min(rise, H[a, b])
                        total += d * max(rise, -H[i, j])
                    out[i, j] = total
            S[0, 0] += 1e-9 * out[1, 1]  # so that no repeat can be left out

    return run


def measure(name: str, run: Any) -> dict[str, Any]:
    """Microseconds per right-hand side of both."""
    own = glacier(name)
    flow, domain = odinn.SIA2D(A=4e-17).on(own), domain_of(own)
    H = jnp.asarray(own.thickness)
    interior = lambda h: jnp.where(domain.interior & (h > 0), h, 0.0)
    rate = lambda h: divergence(flow.fluxes(domain, interior(h)), domain)
    ours = jax.jit(lambda h: jax.lax.fori_loop(0, REPEATS, lambda i, x: x + 1e-9 * rate(x), h))
    ice, bed = np.array(own.thickness), np.array(own.bed)
    D, out = np.zeros(own.grid.corner_shape), np.zeros(own.grid.shape)
    factor = 2.0 * 4e-17 * (900.0 * 9.81) ** 3 / 5.0
    theirs = lambda: run(ice, bed, factor, own.grid.dx, own.grid.dy, D, out, REPEATS)
    theirs()
    jax.block_until_ready(ours(H))
    difference = np.abs(out[1:-1, 1:-1] - np.asarray(rate(H))[1:-1, 1:-1]).max() / np.abs(out).max()
    seconds: dict[str, list[float]] = {"odinn": [], "numba": []}
    for _ in range(ROUNDS):
        for label, call in (("odinn", lambda: jax.block_until_ready(ours(H))), ("numba", theirs)):
            began = time.perf_counter()
            call()
            seconds[label].append((time.perf_counter() - began) / REPEATS * 1e6)
    medians = {k: statistics.median(v) for k, v in seconds.items()}
    return {"glacier": name, "cells": ice.size, **medians, "difference": float(difference)}


def main() -> None:
    """Measure and write."""
    try:
        run = stencil()
    except ImportError:
        sys.exit("numba is not installed: pip install numba")
    about, rows = machine(), []
    for name in FOUR:
        rows.append(measure(name, run))
        print(rows[-1], flush=True)
    keep("right_hand_side", {"machine": about, "rounds": ROUNDS, "rows": rows}, quick=False)


if __name__ == "__main__":
    main()
