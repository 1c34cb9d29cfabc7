"""Experiments that learn fields: A on cells, the initial thickness; and real data."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

import odinn
from benchmarks.experiments.common import FIGURES, Row, balance, glacier


def _smooth(shape: tuple[int, int], cells: float, seed: int) -> np.ndarray:
    """A random field with unit standard deviation, smooth over some cells."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), cells / 2.0)
    return (field - field.mean()) / field.std()


def gridded_creep() -> list[Row]:
    """A on every corner of Argentière, coarsened 2 times, 2010-2012; a truth that is smooth over 10
    cells and varies by a factor of 1.6 (one standard deviation), H and V with 1 % noise, smoothness
    of the unit-scale parameter with
    weight 200: of 0.3, 3, 30, 200 and 1000 the first above 0.9, so a tuned one; chi2/N says what it
    costs the data."""
    span, own = (2010.0, 2012.0), glacier("argentiere", 2)
    melt = balance("argentiere", 2)
    rate = 4e-17 * np.exp(0.5 * _smooth(own.grid.corner_shape, 10.0, 3))
    twin = odinn.synthetic_observations(
        odinn.Model(odinn.SIA2D(A=rate), melt),
        own,
        span,
        noise={"thickness": 0.01, "velocity": 0.01},
        seed=2,
    )
    seen = twin[0].observations
    loss = (
        odinn.losses.Thickness(error=np.nan_to_num(0.01 * seen.thickness) + 0.2)
        + odinn.losses.Velocity(error=np.nan_to_num(0.01 * seen.speed) + 0.2)
        + 200.0 * odinn.losses.Smoothness("flow.A")
    )
    learned = odinn.Parameter(4e-17, (1e-18, 1e-15), "log", per="cell")
    fit = odinn.invert(
        odinn.Model(odinn.SIA2D(A=learned), melt),
        twin,
        loss,
        span,
        optimizer=odinn.optimizers.lbfgs(120),
        progress=False,
    )
    found = np.asarray(fit.model.flow.A.physical(own.rgi_id))
    from odinn.grid import corner_mean

    thick = np.asarray(corner_mean(own.thickness)) > 20.0
    correlation = np.corrcoef(np.log(found[thick]), np.log(rate[thick]))[0, 1]
    _draw_fields(np.where(thick, rate, np.nan), np.where(thick, found, np.nan))
    return [
        Row("pattern correlation of log A where ice is thicker than 20 m", correlation, ">=", 0.9),
        Row("rms error of log A there", np.sqrt(np.mean(np.log(found / rate)[thick] ** 2))),
        *(Row(f"chi2/N of {k}", v) for k, v in fit.misfits[own.rgi_id].items()),
        Row("seconds in the inversion", fit.records["seconds"].sum()),
    ]


def _draw_fields(truth: np.ndarray, found: np.ndarray) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.6), constrained_layout=True)
    for ax, field, title in zip(
        axes, (truth, found), ("truth", "learned from H and V"), strict=True
    ):
        image = ax.imshow(
            field, norm="log", vmin=np.nanmin(truth), vmax=np.nanmax(truth), cmap="viridis"
        )
        ax.set_title(title, fontsize=9)
        ax.set_axis_off()
    figure.colorbar(image, ax=axes, label="A, Pa⁻³ yr⁻¹", shrink=0.8)
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / "gridded_creep.webp", dpi=110)
    plt.close(figure)


def initial_thickness() -> list[Row]:
    """Initial thickness of Argentière, coarsened 2 times, bed known: the first guess is wrong by a
    smooth 20 % (one standard deviation); data are surfaces (thickness over the known bed) at the
    ends of years 1 to 5, without noise."""
    span, own = (2010.0, 2015.0), glacier("argentiere", 2)
    melt = balance("argentiere", 2)
    model = odinn.Model(odinn.SIA2D(A=4e-17), melt)
    sim = odinn.simulate(model, own, *span, save_every=1.0)
    ice = own.mask & (sim.thickness > 0)
    years = sim.times[1:].tolist()
    seen = odinn.Observations(
        thickness=np.where(ice, sim.thickness, np.nan)[1:], dates={"thickness": years}
    )
    guess = own.thickness * np.clip(1.0 + 0.2 * _smooth(own.grid.shape, 12.0, 5), 0.3, 1.7)
    start = own.replace(observations=seen).replace(
        thickness=odinn.Parameter(guess, (0, None), "linear", per="cell"), keep="bed"
    )
    fit = odinn.invert(
        model,
        start,
        odinn.losses.Thickness(),
        span,
        optimizer=odinn.optimizers.lbfgs(60),
        progress=False,
    )
    found = np.asarray(fit.glaciers[0].without_parameters().thickness)
    where = own.mask & (own.thickness > 0)
    rms = lambda h: float(np.sqrt(np.mean((h - own.thickness)[where] ** 2)))
    change = lambda g: (
        odinn.simulate(model, g, 2010.0, 2011.0, save_every=1.0).thickness[-1]
        - np.asarray(g.thickness)
    )
    rate = lambda g: float(np.sqrt(np.mean(change(g)[where] ** 2)))
    settled = fit.glaciers[0].without_parameters()
    return [
        Row(
            "rms error of the initial thickness over that of the first guess",
            rms(found) / rms(guess),
            "<=",
            0.5,
        ),
        Row("rms error of the first guess, m", rms(guess)),
        Row("smallest learned thickness, m", found.min(), ">=", 0.0),
        Row("rms dH/dt of year 1 over the truth's", rate(settled) / rate(own), "<=", 1.5),
        Row("seconds in the inversion", fit.records["seconds"].sum()),
    ]


def observed_speed() -> list[Row]:
    """Real data: A, then A and C, of Vegafonna from its observed speed (full resolution, thickness
    of the consensus, a state of 2010 after half a year), odd cells of a checkerboard for training
    and even ones held out. The speed is a mean of 2017-2018; the errors are taken as 10 m/yr. The
    figure observed_speed.webp has the residuals."""
    span, own = (2010.0, 2010.5), glacier("vegafonna")
    melt = balance("vegafonna")
    rows, columns = np.indices(own.grid.shape)
    odd = (rows + columns) % 2 == 1
    own = own.replace(observations=odinn.Observations(speed=own.observations.speed))
    measured = np.isfinite(own.observations.speed) & own.mask & ~odd
    loss = odinn.losses.Velocity(error=10.0, where=odd)
    rate = odinn.Parameter(2e-17, (1e-19, 1e-14), "log")
    slide = odinn.Parameter(1e-3, (1e-8, 1e2), "log")
    stage = odinn.optimizers.gauss_newton(30)
    flows = {"start": odinn.SIA2D(A=2e-17)}
    for name, flow in {"A": odinn.SIA2D(A=rate), "A and C": odinn.SIA2D(A=rate, C=slide)}.items():
        fit = odinn.invert(
            odinn.Model(flow, melt), own, loss, span, optimizer=stage, progress=False
        )
        learned = fit.model.flow
        value = lambda p: float(p.physical()) if isinstance(p, odinn.Parameter) else p
        flows[name] = odinn.SIA2D(A=value(learned.A), C=value(learned.C))
    original = glacier("vegafonna").observations.thickness
    out, residual = [], {}
    for name, flow in flows.items():
        sim = odinn.simulate(odinn.Model(flow, melt), own, *span, save_every=0.5)
        residual[name] = sim.velocity()[2][-1] - own.observations.speed
        out.append(
            Row(
                f"{name}: rms misfit on held-out cells, m/yr",
                np.sqrt(np.mean(residual[name][measured] ** 2)),
            )
        )
        if original is not None:
            five = odinn.simulate(
                odinn.Model(flow, melt), own, 2010.0, 2018.0, save_every=8.0
            ).thickness[-1]
            known = np.isfinite(original)
            out.append(
                Row(
                    f"{name}: rms misfit at {known.sum()} measured thicknesses in 2018, m",
                    np.sqrt(np.mean((five - original)[known] ** 2)),
                )
            )
        if name != "start":
            out += [
                Row(f"{name}: A, Pa-3 yr-1", float(np.asarray(flow.A))),
                Row(f"{name}: C", float(np.asarray(flow.C))),
            ]
    speed = own.observations.speed
    spread = np.sqrt(
        np.mean((speed - speed[own.mask & odd & np.isfinite(speed)].mean())[measured] ** 2)
    )
    out.append(
        Row("for comparison: rms of the held-out speeds about the training mean, m/yr", spread)
    )
    _draw_residuals({k: np.where(own.mask, v, np.nan) for k, v in residual.items()})
    return out


def _draw_residuals(residual: dict[str, np.ndarray]) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(residual), figsize=(9.6, 3.4), constrained_layout=True)
    limit = float(np.nanquantile(np.abs(residual["start"]), 0.98))
    for ax, (name, field) in zip(axes, residual.items(), strict=True):
        image = ax.imshow(field, cmap="RdBu_r", vmin=-limit, vmax=limit)
        ax.set_title({"start": "A = 2e-17 (start)"}.get(name, f"{name} learned"), fontsize=9)
        ax.set_axis_off()
    figure.colorbar(image, ax=axes, label="modelled − observed speed, m yr⁻¹", shrink=0.8)
    FIGURES.mkdir(exist_ok=True)
    figure.savefig(FIGURES / "observed_speed.webp", dpi=110)
    plt.close(figure)
