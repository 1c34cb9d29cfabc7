"""Twin experiments that learn a law: A(T), Y(T, H), U(H, slope)."""

from __future__ import annotations

import numpy as np

import odinn
from benchmarks.experiments.common import FOUR, NAMES, Row, balance, glacier, shared_balance

BOUNDS = (8e-21, 8e-17)
TRUTH = odinn.laws.CuffeyPaterson()


def plumbing(kind: str) -> list[Row]:
    """An inverse crime, and called so: data without noise from the model that is fitted. It tests
    the plumbing.
    """
    span, glaciers = (2010.0, 2012.0), [glacier(n, 4) for n in FOUR]
    melt, temperature = shared_balance(FOUR, 4), odinn.inputs.LongTermTemperature()
    twins = odinn.synthetic_observations(odinn.Model(odinn.SIA2D(A=TRUTH), melt), glaciers, span)
    law = (
        odinn.laws.Neural([temperature], BOUNDS, hidden=(4,))
        if kind == "network"
        else odinn.laws.Basis([temperature], BOUNDS, kind="bspline", size=6)
    )
    loss = odinn.losses.Thickness() + odinn.losses.Velocity()
    stage = odinn.optimizers.gauss_newton(80, target=1e-9)
    fit = odinn.invert(
        odinn.Model(odinn.SIA2D(A=law), melt), twins, loss, span, optimizer=stage, progress=False
    )
    at = np.array([float(temperature.field(g)) for g in glaciers])
    worst = np.abs(np.asarray(fit.model.flow.A(at)) / np.asarray(TRUTH(at)) - 1).max()
    losses = fit.records["loss"]
    return [
        Row("final loss / initial loss", losses.min() / losses[0], "<=", 1e-6),
        Row("worst relative error of A at the four temperatures", worst, "<=", 1e-3),
        Row(
            "seconds in the inversion, with compilation (aim 60 with all)",
            fit.records["seconds"].sum(),
        ),
    ]


def plumbing_network() -> list[Row]:
    """A(T) by a network of 13 weights, four glaciers, coarsened 4 times, 2010-2012, H and V without
    noise (inverse crime).
    """
    return plumbing("network")


def plumbing_spline() -> list[Row]:
    """The same with a B-spline of 6 coefficients."""
    return plumbing("spline")


def everywhere() -> list[Row]:
    """A(T), nine glaciers (W5E5, ERA5, CRU), full resolution, 2010-2015, 2 % noise, two glaciers
    held out; a B-spline of five coefficients, from the middle of its bounds."""
    span, held = (2010.0, 2015.0), ("bodleybreen", "taschach")
    temperature, names = odinn.inputs.LongTermTemperature(), tuple(NAMES)
    glaciers, melt = [glacier(n) for n in names], shared_balance(names)
    noise = {"thickness": 0.02, "velocity": 0.02}
    true_model = odinn.Model(odinn.SIA2D(A=TRUTH), melt)
    twins = odinn.synthetic_observations(true_model, glaciers, span, noise=noise, seed=1)
    training, rest = (
        [t for t, n in zip(twins, names, strict=True) if (n in held) == out]
        for out in (False, True)
    )
    law = odinn.laws.Basis([temperature], BOUNDS, kind="bspline", size=5)
    loss = odinn.losses.Thickness(error=5.0) + odinn.losses.Velocity(component="log", error=0.05)
    fit = odinn.invert(
        odinn.Model(odinn.SIA2D(A=law), melt),
        training,
        loss,
        span,
        optimizer=odinn.optimizers.gauss_newton(20),
        progress=False,
    )
    seen = [float(temperature.field(g)) for g in training]
    at = np.linspace(min(seen), max(seen), 50)
    off = lambda temperatures: np.abs(
        np.asarray(fit.model.flow.A(temperatures)) / np.asarray(TRUTH(temperatures)) - 1
    )
    misfit = lambda model: sum(
        sum(own.values()) for own in odinn.misfits(model, rest, loss, span).values()
    )
    return [
        Row(
            "worst relative error of the law at the temperatures of the training glaciers",
            off(np.array(seen)).max(),
        ),
        Row(
            "worst relative error of the law between the lowest and the highest of them",
            off(at).max(),
            "<=",
            0.05,
        ),
        Row("lowest of those temperatures, °C", at[0]),
        Row("highest of those temperatures, °C", at[-1]),
        Row(
            "misfit of the held-out glaciers / that of the true law",
            misfit(fit.model) / misfit(true_model),
            "<=",
            1.1,
        ),
        Row("Gauss-Newton steps", len(fit.records["loss"]) - 1),
        Row("seconds in the inversion", fit.records["seconds"].sum()),
    ]


def _flux(model: odinn.Model, own: odinn.Glacier, thickness: np.ndarray) -> np.ndarray:
    """Depth-integrated flux on cells, m² yr⁻¹, (2, T, ny, nx)."""
    from odinn.model.velocities import velocity_of

    vx, vy, _ = velocity_of(model, own, thickness, "mean")
    return np.stack([vx * thickness, vy * thickness])


def _state_law(
    flow: odinn.physics.flow.base.AbstractFlow, truth: odinn.Model, own: odinn.Glacier
) -> list[Row]:
    span, held = (2010.0, 2012.0), np.array([6, 12, 18])
    dates = [2010.0 + m / 12 for m in (0, 3, 9, 15, 21, 24)]
    sim = odinn.simulate(truth, own, *span, save_every=1 / 12)
    at = [round((d - 2010.0) * 12) for d in dates]
    vx, vy, speed = (v[at] for v in sim.velocity())
    masked = lambda a: np.where(own.mask & (sim.thickness[at] > 0), a, np.nan)
    seen = odinn.Observations(
        thickness=masked(sim.thickness[at])[1:],
        vx=masked(vx),
        vy=masked(vy),
        speed=masked(speed),
        dates={"thickness": dates[1:], "vx": dates, "vy": dates, "speed": dates},
    )
    twin = own.replace(observations=seen)
    loss = odinn.losses.Thickness(error=1.0) + odinn.losses.Velocity(component="xy", error=1.0)
    fit = odinn.invert(
        odinn.Model(flow, truth.mass_balance),
        twin,
        loss,
        span,
        optimizer=odinn.optimizers.gauss_newton(60, target=1e-5),
        progress=False,
    )
    expected = _flux(truth, own, sim.thickness[held])
    found = _flux(
        fit.model, own, odinn.simulate(fit.model, own, *span, save_every=1 / 12).thickness[held]
    )
    inside = own.mask[None] & (sim.thickness[held] > 0)
    error = np.sqrt(
        ((found - expected) ** 2).sum(axis=0)[inside].sum()
        / (expected**2).sum(axis=0)[inside].sum()
    )
    return [
        Row("relative misfit of the flux at three dates held out", error, "<=", 0.01),
        Row("final loss / initial loss", fit.records["loss"].min() / fit.records["loss"][0]),
        Row("seconds in the inversion", fit.records["seconds"].sum()),
    ]


def creep_of_temperature_and_thickness() -> list[Row]:
    """Y(T, H) by a network in place of A, Argentière coarsened 4 times; truth A(T) of Cuffey &
    Paterson per cell. It starts from half of that."""
    own, temperature = glacier("argentiere", 4), odinn.inputs.LongTermTemperature(per="cell")
    law = odinn.laws.Neural(
        [temperature, odinn.inputs.IceThickness(range=(0.0, 300.0))],
        BOUNDS,
        hidden=(6,),
        activation="tanh",
    )
    half = odinn.laws.CuffeyPaterson([temperature])
    law = law.fit_to(lambda T, H: 0.5 * half.evaluate(T) + 0.0 * H, glaciers=[own])
    truth = odinn.Model(
        odinn.SIA2D(A=odinn.laws.CuffeyPaterson([temperature])), balance("argentiere", 4)
    )
    return _state_law(odinn.HybridSIA2D(Y=law), truth, own)


def diffusivity_of_thickness_and_slope() -> list[Row]:
    """U(H, slope) by a network, D = U H, Argentière coarsened 4 times; truth A = 4e-17. It starts
    from a law with n = 2.7 and A 1.6 times too large in units of n = 3."""
    import jax.numpy as jnp

    own = glacier("argentiere", 4)
    inputs = [
        odinn.inputs.IceThickness(range=(0.0, 300.0)),
        odinn.inputs.SurfaceSlope(range=(0.0, 0.8)),
    ]
    weight, rate = 900.0 * 9.81, 4e-17

    def wrong(H: object, slope: object) -> object:
        tau = weight * jnp.maximum(H, 1.0) * jnp.maximum(slope, 0.01)
        return jnp.clip(
            2
            / 4.7
            * 1.6
            * rate
            * tau**2.7
            * 1e5**0.3
            * jnp.maximum(H, 1.0)
            / jnp.maximum(slope, 0.01),
            1e-5,
            1e6,
        )

    law = odinn.laws.Neural(inputs, (1e-6, 1e7), hidden=(8, 5), activation="tanh")
    law = law.fit_to(wrong, glaciers=[own], tolerance=5.0, outside="clip")
    truth = odinn.Model(odinn.SIA2D(A=rate), balance("argentiere", 4))
    return _state_law(odinn.DiffusiveSIA2D(U=law, surface_factor=0.8), truth, own)
