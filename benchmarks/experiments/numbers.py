"""Experiments that learn a few numbers: A, C, n, the melt factor; with and without an inverse
crime.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import odinn
from benchmarks.experiments.common import FIGURES, Row, balance, glacier

_RATE = 4e-17


def _coarser(field: np.ndarray, factor: int, shape: tuple[int, int]) -> np.ndarray:
    """Block means on a grid of this shape, whose last row and column reach beyond the field (by
    ice-free ground).
    """
    ny, nx = (n * factor - m for n, m in zip(shape, field.shape, strict=True))
    return (
        np.pad(field, ((0, ny), (0, nx)))
        .reshape(shape[0], factor, shape[1], factor)
        .mean(axis=(1, 3))
    )


def no_crime() -> list[Row]:
    """A of Vegafonna, no inverse crime: the data come from a run on a grid twice as fine with a
    tight stepper (tol 1e-5), are averaged to the fitting grid (coarsened 4 times), and get 5 %
    noise on speed and 10 % on thickness; ten draws. Data count two cells inside the outline. The
    error of the data includes what the coarse grid cannot represent, taken as 5 % of the median
    speed and thickness, a number fixed beforehand."""
    span, name = (2010.0, 2012.0), "vegafonna"
    fine, own = glacier(name, 2), glacier(name, 4)
    sim = odinn.simulate(
        odinn.Model(odinn.SIA2D(A=_RATE), balance(name, 2)),
        fine,
        *span,
        save_every=2.0,
        stepper=odinn.RKC2(tol=1e-5),
    )
    speed, thickness = sim.velocity()[2][-1], sim.thickness[-1]
    speed, thickness = (_coarser(f, 2, own.grid.shape) for f in (speed, thickness))
    inside = own.mask & (thickness > 20.0)
    floor_v, floor_h = (0.05 * float(np.median(f[inside])) for f in (speed, thickness))
    errors, scores, covered = [], [], 0
    for seed in range(10):
        random = np.random.default_rng(seed)
        noisy = lambda f, s, r=random: np.where(
            inside, f * (1 + s * r.normal(size=f.shape)), np.nan
        )
        seen = odinn.Observations(thickness=noisy(thickness, 0.10), speed=noisy(speed, 0.05))
        loss = odinn.losses.Thickness(
            error=np.hypot(0.10 * thickness, floor_h) + 1e-9, margin=2
        ) + odinn.losses.Velocity(error=np.hypot(0.05 * speed, floor_v) + 1e-9, margin=2)
        rate = odinn.Parameter(2e-17, (1e-18, 1e-15), "log")
        fit = odinn.invert(
            odinn.Model(odinn.SIA2D(A=rate), balance(name, 4)),
            own.replace(observations=seen),
            loss,
            span,
            optimizer=odinn.optimizers.gauss_newton(8, target=0.0),
            progress=False,
        )
        parameter = fit.model.flow.A
        found, raw = float(parameter.physical()), float(parameter.raw)
        half = 1.645 * float(np.sqrt(fit.covariance[0, 0]))
        at = lambda r, p=parameter: float(
            eqx.tree_at(lambda q: q.raw, p, jnp.asarray(r)).physical()
        )
        low, high = at(raw - half), at(raw + half)
        errors.append(abs(found / _RATE - 1))
        covered += low <= _RATE <= high
        scores.append(fit.records["loss"].min() / 2.0)
    return [
        Row("median relative error of A over ten draws of noise", np.median(errors), "<=", 0.10),
        Row("median chi2/N, lower bar", np.median(scores), ">=", 0.8),
        Row("median chi2/N, upper bar", np.median(scores), "<=", 1.2),
        Row(
            "draws of ten within 1.645 standard errors of the truth; these know the stated "
            "errors, not that of the coarse grid, "
            "and no intervals are offered",
            covered,
        ),
    ]


def wrong_melt_factor() -> list[Row]:
    """A of Argentière, coarsened 2 times, 2010-2015, H each year and V at the end, no noise, with a
    melt factor that is 30 % too large; then the melt factor learned, too."""
    span, own = (2010.0, 2015.0), glacier("argentiere", 2)
    melt = balance("argentiere", 2)
    factor = float(np.asarray(melt.melt_factor))
    truth = odinn.Model(odinn.SIA2D(A=_RATE), melt)
    sim = odinn.simulate(truth, own, *span, save_every=1.0)
    ice = own.mask & (sim.thickness > 0)
    seen = odinn.Observations(
        thickness=np.where(ice, sim.thickness, np.nan)[1:],
        speed=np.where(ice[-1], sim.velocity()[2][-1], np.nan),
        dates={"thickness": sim.times[1:].tolist(), "speed": span[1]},
    )
    loss = odinn.losses.Thickness() + odinn.losses.Velocity()
    rate = odinn.Parameter(2e-17, (1e-18, 1e-15), "log")

    def fitted(number: Any, steps: int) -> odinn.Inversion:
        model = odinn.Model(odinn.SIA2D(A=rate), odinn.TemperatureIndex(number, melt.precip_factor))
        stage = odinn.optimizers.gauss_newton(steps, target=1e-10)
        return odinn.invert(
            model, own.replace(observations=seen), loss, span, optimizer=stage, progress=False
        )

    wrong = fitted(1.3 * factor, 10)
    both = fitted(odinn.Parameter(1.3 * factor, (1e-3, 2e-2), "log"), 15)
    return [
        Row(
            "relative error of A with the wrong melt factor (the bias)",
            float(wrong.model.flow.A.physical()) / _RATE - 1,
        ),
        Row("loss that remains then", wrong.records["loss"].min()),
        Row(
            "relative error of A, melt factor learned",
            abs(float(both.model.flow.A.physical()) / _RATE - 1),
            "<=",
            1e-3,
        ),
        Row(
            "relative error of the melt factor",
            abs(float(both.model.mass_balance.melt_factor.physical()) / factor - 1),
            "<=",
            1e-3,
        ),
    ]


def _two_numbers(
    truth: odinn.Model, start: odinn.Model, loss: Any, noise: dict[str, float] | None = None
) -> Any:
    span, own = (2010.0, 2013.0), glacier("vegafonna", 4)
    twin = odinn.synthetic_observations(truth, own, span, noise=noise)
    stage = odinn.optimizers.gauss_newton(25, target=1e-12)
    return odinn.invert(start, twin, loss, span, optimizer=stage, progress=False)


def sliding_with_creep() -> list[Row]:
    """C with A of Vegafonna, coarsened 4 times, 2010-2013, both 30 % off at the start: H and V
    without noise; and H alone with 2 % noise, which cannot tell them apart. The figure is
    non_separability.webp."""
    melt, c = balance("vegafonna", 4), 2e-4
    truth = odinn.Model(odinn.SIA2D(A=_RATE, C=c), melt)
    start = odinn.Model(
        odinn.SIA2D(
            A=odinn.Parameter(1.3 * _RATE, (1e-18, 1e-15), "log"),
            C=odinn.Parameter(0.7 * c, (1e-6, 1e-2), "log"),
        ),
        melt,
    )
    thickness, velocity = odinn.losses.Thickness(), odinn.losses.Velocity(component="xy")
    good = _two_numbers(truth, start, thickness + velocity)
    noise = {"thickness": 0.02, "velocity": 0.02}
    alone = _two_numbers(truth, start, odinn.losses.Thickness(error=4.0), noise)
    noisy = _two_numbers(
        truth, start, odinn.losses.Thickness(error=4.0) + odinn.losses.Velocity(error=0.5), noise
    )
    error = lambda fit: [
        abs(float(p.physical()) / t - 1)
        for p, t in ((fit.model.flow.A, _RATE), (fit.model.flow.C, c))
    ]
    _draw_non_separability(truth, start, (_RATE, c))
    return [
        Row("relative error of A, H and V", error(good)[0], "<=", 1e-3),
        Row("relative error of C, H and V", error(good)[1], "<=", 1e-3),
        Row("relative error of A, H alone with 2 % noise", error(alone)[0]),
        Row("relative error of C, H alone with 2 % noise", error(alone)[1]),
        Row("relative error of A, H and V with 2 % noise", error(noisy)[0]),
        Row("relative error of C, H and V with 2 % noise", error(noisy)[1]),
        Row(
            "spread of log C, H alone over H and V (standard errors)",
            np.sqrt(alone.covariance[1, 1] / noisy.covariance[1, 1]),
        ),
    ]


def _draw_non_separability(
    truth: odinn.Model, start: odinn.Model, numbers: tuple[float, float]
) -> None:
    """The misfit of H alone, and of H and V, over factors of A and C."""
    import matplotlib.pyplot as plt

    own, span = glacier("vegafonna", 4), (2010.0, 2013.0)
    factors = np.geomspace(0.5, 2.0, 9)
    target = odinn.simulate(truth, own, *span, save_every=3.0, progress=False)
    H, V = target.thickness[-1], target.velocity()[2][-1]
    misfit = np.zeros((2, factors.size, factors.size))
    for i, a in enumerate(factors):
        for j, c in enumerate(factors):
            model = odinn.Model(odinn.SIA2D(A=a * numbers[0], C=c * numbers[1]), truth.mass_balance)
            sim = odinn.simulate(model, own, *span, save_every=3.0, progress=False)
            parts = [
                np.sqrt(np.mean((x - y)[own.mask] ** 2)) / e
                for x, y, e in ((sim.thickness[-1], H, 4.0), (sim.velocity()[2][-1], V, 0.5))
            ]
            misfit[:, j, i] = parts[0], float(np.hypot(*parts))
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.9), sharey=True, constrained_layout=True)
    for ax, field, title in zip(
        axes, misfit, ("thickness alone", "thickness and speed"), strict=True
    ):
        levels = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
        drawn = ax.contour(factors, factors, field, levels=levels, cmap="viridis", norm="log")
        ax.clabel(drawn, fontsize=7)
        ax.plot(1, 1, "r*", label="truth")
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="A / true A",
            title=f"misfit in standard errors: {title}",
        )
        ax.title.set_size(9)
    axes[0].set_ylabel("C / true C")
    axes[0].legend(frameon=False)
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / "non_separability.webp", dpi=110)
    plt.close(figure)


def exponent_with_creep() -> list[Row]:
    """n with A of Vegafonna, coarsened 4 times, 2010-2013: A 30 % off and n = 2.6 at the start,
    truth n = 3 with A stated at 100 kPa; H and V without noise."""
    melt = balance("vegafonna", 4)
    truth = odinn.Model(odinn.SIA2D(A=_RATE), melt)
    start = odinn.Model(
        odinn.SIA2D(
            A=odinn.Parameter(1.3 * _RATE, (1e-18, 1e-15), "log"),
            n=odinn.Parameter(2.6, (1.5, 4.5)),
            reference_stress=1e5,
        ),
        melt,
    )
    fit = _two_numbers(
        truth, start, odinn.losses.Thickness() + odinn.losses.Velocity(component="xy")
    )
    return [
        Row("relative error of A", abs(float(fit.model.flow.A.physical()) / _RATE - 1), "<=", 1e-3),
        Row("relative error of n", abs(float(fit.model.flow.n.physical()) / 3.0 - 1), "<=", 1e-3),
    ]
