"""The gradient matrix: every kind of number, law, loss and balance against differences of the very
steps that ran.

Directional derivatives along the gradient, along random directions and in the most sensitive cells
of fields, over replayed steps. Such a difference is smooth except where a cell crosses a kink
(margin, slope cap, snow line), so the best of several steps is taken, and the cells that cross the
margin are counted. The bar is 1e-6 of the gradient's norm; ODINN's own thresholds for the same rows
run from 1e-5 to 3e-2.
"""

import pytest

import odinn
from tests.gradients.differences import wrong_derivatives

SPAN = (2010.0, 2011.0)
BAR = 1e-6
TI = odinn.TemperatureIndex(melt_factor=3.885e-3, precip_factor=2.5)
SIA, Par = odinn.SIA2D, odinn.Parameter


@pytest.fixture(scope="module")
def twins(data):
    """Argentière and Aletsch on coarse grids, observed without error under softer ice and some
    sliding.
    """
    names = "argentiere_RGI60-11.03638", "aletsch_RGI60-11.01450"
    glaciers = [odinn.open_glacier(data / "glaciers" / f"{n}.nc", coarsen=4) for n in names]
    truth = odinn.Model(SIA(A=6e-17, C=1e-3), TI)
    kinds = ("thickness", "velocity", "elevation_change")
    return odinn.synthetic_observations(truth, glaciers, SPAN, of=kinds)


def neural(inputs, bounds):
    return odinn.laws.Neural(inputs, bounds=bounds, hidden=(3,), seed=1)


A_BOUNDS, C_BOUNDS = (1e-18, 1e-15), (1e-6, 1e-1)
A = Par(3e-17, A_BOUNDS, "log")
A_LAW = neural([odinn.inputs.LongTermTemperature()], (8e-21, 8e-17))
THICK, SLOPE = (
    odinn.inputs.IceThickness(range=(0.0, 400.0)),
    odinn.inputs.SurfaceSlope(range=(0.0, 0.6)),
)
Y_LAW = neural([odinn.inputs.LongTermTemperature(), THICK], (1e-18, 2e-16))
U_LAW = neural([THICK, SLOPE], (0.1, 500.0))
MELT = Par(4e-3, (1e-3, 1e-2))
H, V = odinn.losses.Thickness(), odinn.losses.Velocity(component="xy")
SPEED, LOG = odinn.losses.Velocity(), odinn.losses.Velocity(component="log")
DHDT, DHDT_MEAN = odinn.losses.ElevationChange(), odinn.losses.ElevationChange(mean=True)
BALANCE = odinn.losses.MassBalance(target=-1.0)

ROWS = {
    "A, thickness": (SIA(A=A), None, H),
    "A, thickness, with balance": (SIA(A=A), TI, H),
    "A, velocity": (SIA(A=A), TI, V),
    "A, speed and log speed": (SIA(A=A), TI, SPEED + LOG),
    "A, elevation change": (SIA(A=A), TI, DHDT),
    "A, mean elevation change": (SIA(A=A), TI, DHDT_MEAN),
    "A, glacier-wide balance": (SIA(A=A), TI, BALANCE),
    "A per glacier, two glaciers": (SIA(A=Par(3e-17, A_BOUNDS, "log", "glacier")), TI, H),
    "A gridded, thickness and velocity": (
        SIA(A=Par(3e-17, A_BOUNDS, "log", "cell")),
        TI,
        H + 0.1 * V,
    ),
    "A law, two glaciers": (SIA(A=A_LAW), TI, H),
    "A law of each cell, velocity": (
        SIA(A=neural([odinn.inputs.LongTermTemperature(per="cell")], (8e-21, 8e-17))),
        TI,
        V,
    ),
    "A law with sliding, thickness": (SIA(A=A_LAW, C=1e-3), TI, H),
    "Y law of the state, thickness": (odinn.HybridSIA2D(Y=Y_LAW), TI, H),
    "Y law of the state, velocity": (odinn.HybridSIA2D(Y=Y_LAW), TI, V),
    "U law of the state, thickness": (odinn.DiffusiveSIA2D(U=U_LAW), TI, H),
    "U law of the state, velocity": (odinn.DiffusiveSIA2D(U=U_LAW, surface_factor=0.8), TI, V),
    "C, thickness and velocity": (SIA(C=Par(5e-4, C_BOUNDS, "log")), TI, H + 0.1 * V),
    "C gridded, velocity": (SIA(C=Par(5e-4, C_BOUNDS, "log", "cell")), TI, V),
    "n, velocity": (SIA(n=Par(2.8, (2.0, 4.0)), reference_stress=1e5), TI, V),
    "A and n, thickness": (SIA(A=A, n=Par(2.8, (2.0, 4.0)), reference_stress=1e5), None, H),
    "melt factor, thickness": (SIA(), odinn.TemperatureIndex(MELT, 2.5), H),
    "melt factor of each cell, balance": (
        SIA(),
        odinn.TemperatureIndex(Par(4e-3, (1e-3, 1e-2), per="cell"), 2.5),
        BALANCE,
    ),
    "temperature bias, thickness": (SIA(), odinn.TemperatureIndex(4e-3, 2.5, Par(0.1, (-3, 3))), H),
    "precipitation factor, elevation change": (
        SIA(),
        odinn.TemperatureIndex(4e-3, Par(2.4, (0.5, 5))),
        DHDT,
    ),
    "linear balance, thickness": (
        SIA(A=A),
        odinn.LinearBalance(6e-3, Par(2900.0, (2000.0, 4000.0))),
        H,
    ),
}
INITIAL = {
    "initial thickness over the bed": ("thickness", "bed", H + 0.1 * V),
    "initial thickness under the surface": ("thickness", "surface", V),
    "bed under the surface": ("bed", "surface", H + 0.1 * V),
    "bed under the thickness": ("bed", "thickness", V),
}


FAST = {
    "A, glacier-wide balance",
    "A gridded, thickness and velocity",
    "A law, two glaciers",
    "Y law of the state, velocity",
    "U law of the state, thickness",
    "A and n, thickness",
    "temperature bias, thickness",
}
fast_or_slow = lambda rows: [
    r if r in FAST else pytest.param(r, marks=pytest.mark.slow) for r in rows
]


@pytest.mark.parametrize("row", fast_or_slow(ROWS))
def test_the_gradient_is_that_of_the_steps_that_ran(twins, row):
    flow, balance, loss = ROWS[row]
    assert not wrong_derivatives(
        odinn.Model(flow, balance),
        twins if "two glaciers" in row else twins[:1],
        loss,
        SPAN,
        bar=BAR,
    )


@pytest.mark.parametrize(
    "row", [pytest.param(r, marks=pytest.mark.slow) if "bed under" in r else r for r in INITIAL]
)
def test_the_gradient_reaches_the_initial_state(twins, row):
    name, keep, loss = INITIAL[row]
    bounds = (0.0, None) if name == "thickness" else (None, None)
    learned = twins[0].replace(
        **{name: Par(getattr(twins[0], name), bounds, per="cell")}, keep=keep
    )
    assert not wrong_derivatives(odinn.Model(SIA(A=A), TI), [learned], loss, SPAN, bar=BAR)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stepper",
    [odinn.Euler(), odinn.SSPRK3(), odinn.Diffrax(atol=1e-2)],
    ids=lambda s: type(s).__name__,
)
def test_the_gradient_is_exact_for_every_stepper(twins, stepper):
    assert not wrong_derivatives(
        odinn.Model(SIA(A=A, C=1e-3), TI), twins[:1], H + 0.1 * V, SPAN, stepper=stepper, bar=BAR
    )


@pytest.mark.slow
def test_the_gradient_is_exact_for_jumps_at_month_ends(twins):
    assert not wrong_derivatives(
        odinn.Model(SIA(A=A), odinn.TemperatureIndex(MELT, 2.5)),
        twins[:1],
        H,
        SPAN,
        bar=BAR,
        coupling="jump",
    )


def test_data_within_a_month_carry_the_balance_in_force(twins):
    loss = odinn.losses.Thickness(at=[2010.37, 2010.81])
    assert not wrong_derivatives(
        odinn.Model(SIA(A=A), odinn.TemperatureIndex(MELT, 2.5)), twins[:1], loss, SPAN, bar=BAR
    )
