"""Laws that are renewed each month: against runs made month by month, in gradients, and what their
inputs are.
"""

import jax.numpy as jnp
import numpy as np
import pytest

import odinn
from odinn.dates import month_index
from odinn.errors import ClimateError, InputError
from odinn.physics.laws.samples import samples
from tests.gradients.differences import wrong_derivatives

START, MONTHS = 2010.25, 5
END = START + MONTHS / 12


@pytest.fixture(scope="module")
def glacier(data):
    return odinn.open_glacier(data / "glaciers" / "argentiere_RGI60-11.03638.nc", coarsen=4)


def creep(temp):
    return 5e-17 * jnp.exp(0.05 * temp)


WARM = odinn.inputs.MonthlyTemperature()
LAW = odinn.laws.Function(creep, [WARM])
TI = odinn.TemperatureIndex(melt_factor=3.885e-3, precip_factor=2.5)


def test_a_run_is_that_of_each_month_with_its_own_number(glacier):
    whole = odinn.simulate(odinn.Model(odinn.SIA2D(A=LAW), TI), glacier, START, END)
    state, speeds = None, []
    for k in range(MONTHS):
        first = START + k / 12
        temp = WARM.in_months(glacier, np.array([month_index(first)]))[0]
        model = odinn.Model(odinn.SIA2D(A=float(creep(temp))), TI)
        sim = odinn.simulate(model, glacier, first, START + (k + 1) / 12, initial=state)
        state = sim.state
        speeds.append(sim.velocity()[2][-1])
    # round-off of another order of operations in A
    np.testing.assert_allclose(state.thickness, whole.thickness[-1], atol=1e-11, rtol=0)
    np.testing.assert_allclose(whole.velocity()[2][1:], speeds, rtol=1e-11)
    still = odinn.simulate(
        odinn.Model(odinn.SIA2D(A=creep(WARM.in_months(glacier, whole_months()).mean())), TI),
        glacier,
        START,
        END,
    )
    assert np.abs(still.thickness[-1] - whole.thickness[-1]).max() > 1e-3


def whole_months():
    return month_index(START) + np.arange(MONTHS)


def test_a_run_may_be_cut_within_a_month(glacier):
    model = odinn.Model(odinn.SIA2D(A=LAW), TI)
    half = START + 1.5 / 12
    whole = odinn.simulate(model, glacier, START, END, save_every=0.5 / 12)
    first = odinn.simulate(model, glacier, START, half, save_every=0.5 / 12)
    rest = odinn.simulate(model, glacier, half, END, save_every=0.5 / 12, initial=first.state)
    assert (rest.thickness[-1] == whole.thickness[-1]).all()


def test_without_balance_months_cut_the_run(glacier):
    sim = odinn.simulate(odinn.Model(odinn.SIA2D(A=LAW)), glacier, START, END, save_every=1.0)
    assert len(sim.steps.count) == MONTHS


def test_a_melt_factor_may_have_seasons(glacier):
    rising = odinn.laws.Function(lambda temp: 4e-3 + 1e-4 * temp, [WARM])
    run = lambda factor, t0, t1, state=None: odinn.simulate(
        odinn.Model(mass_balance=odinn.TemperatureIndex(factor, 2.5)),
        glacier,
        t0,
        t1,
        initial=state,
    )
    whole, state = run(rising, START, END), None
    for k in range(MONTHS):
        temp = WARM.in_months(glacier, np.array([month_index(START + k / 12)]))[0]
        state = run(4e-3 + 1e-4 * float(temp), START + k / 12, START + (k + 1) / 12, state).state
    np.testing.assert_allclose(state.thickness, whole.thickness[-1], atol=1e-11, rtol=0)
    with pytest.raises(InputError, match="renewed each month"):
        odinn.calibrate(
            odinn.Model(mass_balance=odinn.TemperatureIndex(rising)),
            glacier,
            -1.0,
            (2010.0, 2011.0),
            "precip_factor",
        )


slow = pytest.mark.slow


@pytest.mark.parametrize(
    "slot",
    [
        pytest.param("A", marks=slow),
        "C",
        pytest.param("melt_factor", marks=slow),
        "Y of month and thickness",
    ],
)
def test_gradients_are_exact(glacier, slot):
    temperature, melt = WARM, odinn.inputs.RecentDegreeDays(2)
    neural = lambda inputs, bounds: odinn.laws.Neural(inputs, bounds=bounds, hidden=(3,), seed=1)
    thick = odinn.inputs.IceThickness(range=(0.0, 400.0))
    flow, balance = {
        "A": (odinn.SIA2D(A=neural([temperature], (8e-21, 8e-17))), TI),
        "C": (odinn.SIA2D(C=neural([melt], (1e-6, 1e-2))), TI),
        "melt_factor": (
            odinn.SIA2D(),
            odinn.TemperatureIndex(neural([temperature], (1e-3, 1e-2)), 2.5),
        ),
        "Y of month and thickness": (
            odinn.HybridSIA2D(Y=neural([temperature, thick], (1e-18, 2e-16))),
            None,
        ),
    }[slot]
    span = (2010.25, 2010.75)
    truth = odinn.Model(odinn.SIA2D(A=6e-17, C=1e-3), TI)
    twins = odinn.synthetic_observations(truth, [glacier], span)
    loss = odinn.losses.Thickness() + odinn.losses.Velocity(component="xy")
    assert not wrong_derivatives(odinn.Model(flow, balance), twins, loss, span, bar=1e-6)


def test_temperature_of_a_month_is_the_mean_of_its_days(glacier):
    months = whole_months()
    climate = glacier.climate
    rows = climate.rows(months, glacier.rgi_id)
    height = glacier.surface[glacier.mask].mean() - climate.ref_height
    for value, row in zip(WARM.in_months(glacier, months), rows, strict=True):
        days = climate.temp[row][climate.used[row]]
        assert value == pytest.approx(
            days.mean() + climate.gradient[row][climate.used[row]].mean() * height
        )
    cells = odinn.inputs.MonthlyTemperature(per="cell").in_months(glacier, months)
    assert cells.shape == (MONTHS, *glacier.grid.shape)
    assert np.ptp(cells[0][glacier.mask]) > 5.0


def test_recent_degree_days_are_those_of_the_months_before(glacier):
    recent = odinn.inputs.RecentDegreeDays(3)
    august = month_index(2012 + 7 / 12)
    found = recent.in_months(glacier, np.array([august, august + 2]))
    summer = odinn.inputs.DegreeDays(period=(2012 + 4 / 12, 2012 + 7 / 12))
    np.testing.assert_allclose(found[0], summer.field(glacier) / 4, rtol=1e-12)  # it is per year
    assert (found[1] > found[0])[
        glacier.mask
    ].mean() > 0.9  # July to September are warmer than May to July
    with pytest.raises(ClimateError, match="covers"):
        recent.in_months(glacier, np.array([glacier.climate.first_month]))
    with pytest.raises(InputError, match="at least 1"):
        odinn.inputs.RecentDegreeDays(0)


def test_scaling_is_fitted_to_all_months(glacier):
    law = odinn.laws.Neural([WARM], bounds=(1e-18, 1e-16)).bound([glacier], "flow.A")
    low, high = law.ranges[0]
    values = WARM.in_months(glacier, glacier.climate.months)
    assert low < values.min() < values.max() < high


@pytest.mark.parametrize(
    ("balance_of", "number"),
    [
        (odinn.PrescribedBalance, lambda temp: 0.5 - 0.1 * temp),
        (lambda ela: odinn.LinearBalance(6e-3, ela), lambda temp: 2800.0 + 20.0 * temp),
    ],
    ids=["once a run", "at every stage"],
)
def test_every_balance_is_renewed(glacier, balance_of, number):
    model = lambda value: odinn.Model(mass_balance=balance_of(value))
    whole = odinn.simulate(model(odinn.laws.Function(number, [WARM])), glacier, START, END)
    state = None
    for k in range(MONTHS):
        first, last = START + k / 12, START + (k + 1) / 12
        value = number(float(WARM.in_months(glacier, np.array([month_index(first)]))[0]))
        state = odinn.simulate(model(value), glacier, first, last, initial=state).state
        state = odinn.State(state.time, state.thickness)  # without the balance that was in force
    np.testing.assert_allclose(state.thickness, whole.thickness[-1], atol=1e-9, rtol=0)
    assert np.ptp(np.diff(whole.thickness[:, glacier.mask], axis=0).mean(axis=1)) > 1e-2


def test_exponents_do_not_change_with_the_month(glacier):
    law = odinn.laws.Function(lambda temp: 3.0 + 0.0 * temp, [WARM])
    with pytest.raises(InputError, match="exponents take laws of fixed inputs"):
        odinn.simulate(odinn.Model(odinn.SIA2D(n=law)), glacier, START, END)


def test_velocities_say_that_they_need_a_month(glacier):
    from odinn.model.velocities import velocity_of

    with pytest.raises(InputError, match="needs months"):
        velocity_of(odinn.Model(odinn.SIA2D(A=LAW)), glacier, glacier.thickness[None])


def test_a_law_is_drawn_over_the_values_of_its_months(glacier):
    values = samples([WARM, odinn.inputs.Altitude()], glacier)
    months = 108  # nine years: the first of the ten is left out, for an input may look back
    corners = values.shape[1] // months
    assert values.shape == (2, corners * months)
    assert np.unique(values[0]).size == months
    ax = odinn.plot.law(LAW, glacier)
    assert ax.get_xlim()[0] <= values[0].min()


def test_means_over_months_are_those_of_each_month_with_its_own_law(glacier):
    """Against saves sixteen times a month; the trapezoid over a month's ends is off by a hundredth,
    with the law of the month before it would be by a tenth."""
    sliding = odinn.laws.Function(
        lambda days: 1e-4 * (1.0 + days / 50.0), [odinn.inputs.RecentDegreeDays()]
    )
    model = odinn.Model(odinn.SIA2D(C=sliding), TI)
    interval = (2010.5, 2010.75)
    fine = odinn.simulate(model, glacier, 2010.25, 2010.75, save_every=1 / 192)
    at = (fine.times > interval[0] + 1e-6) & (fine.times <= interval[1])
    expected = np.mean(fine.velocity()[0][at], axis=0)
    twin = odinn.synthetic_observations(
        model, glacier, (2010.25, 2010.75), of=("velocity",), over=interval
    )[0]
    seen = np.isfinite(twin.observations.vx) & (glacier.thickness > 20)
    off = np.abs(twin.observations.vx - expected)[seen]
    assert off.mean() < 0.02 * np.abs(expected[seen]).mean()
    loss = odinn.losses.Velocity("xy", period=interval)
    assert odinn.misfits(model, twin, loss, (2010.25, 2010.75))[glacier.rgi_id]["velocity"] < 1e-20
    plain = odinn.Model(
        odinn.SIA2D(C=4e-4), TI
    )  # laws that stay have one value at the ends of months
    twin = odinn.synthetic_observations(
        plain, glacier, (2010.25, 2010.75), of=("velocity",), over=interval
    )[0]
    assert odinn.misfits(plain, twin, loss, (2010.25, 2010.75))[glacier.rgi_id]["velocity"] < 1e-20


def test_a_law_of_the_months_before_is_learned(glacier):
    """The climate has just ten whole years, so the first month that can look back is within
    them.
    """
    recent = odinn.inputs.RecentDegreeDays()
    truth = odinn.Model(
        odinn.SIA2D(C=odinn.laws.Function(lambda days: 1e-4 * (1.0 + days / 50.0), [recent]))
    )
    dates = [2010.25 + k / 12 for k in range(1, 7)]
    twin = odinn.synthetic_observations(
        truth, glacier, (2010.25, 2010.75), of=("velocity",), at=dates
    )
    assert twin[0].observations.vx.shape == (6, *glacier.grid.shape)
    law = odinn.laws.Basis([recent], bounds=(1e-5, 1e-2), size=4)
    fit = odinn.invert(
        odinn.Model(odinn.SIA2D(C=law)),
        twin,
        odinn.losses.Velocity("xy"),
        (2010.25, 2010.75),
        optimizer=odinn.optimizers.gauss_newton(12),
        progress=False,
    )
    assert (
        fit.records["loss"].min() < 1e-2 * fit.records["loss"][0]
    )  # a spline of four numbers is not a straight line of log C
    for days in (100.0, 300.0):
        assert float(fit.model.flow.C(days)) == pytest.approx(1e-4 * (1.0 + days / 50.0), rel=0.05)


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda temp: 0.0 * temp - 1e-17, "flow.A: the law goes down to"),
        (lambda temp: np.nan * temp, "not finite"),
    ],
)
def test_a_law_that_makes_no_sense_is_refused_before_the_run(glacier, formula, message):
    for item in (WARM, odinn.inputs.LongTermTemperature(per="cell")):
        law = odinn.laws.Function(formula, [item])
        with pytest.raises(InputError, match=message):
            odinn.simulate(odinn.Model(odinn.SIA2D(A=law)), glacier, START, END)


def test_an_input_says_how_many_months_it_has(glacier):
    class Short(odinn.inputs.MonthlyInput):
        range, label, unit = None, "short", "1"

        def in_months(self, glacier, months):
            return np.ones(3)

    with pytest.raises(InputError, match=r"shape \(3,\) for 5 months"):
        odinn.simulate(
            odinn.Model(odinn.SIA2D(A=odinn.laws.Function(creep, [Short()]))), glacier, START, END
        )
    with pytest.raises(InputError, match="among the inputs"):
        odinn.laws.Function(creep, [odinn.inputs.MonthlyTemperature])


def test_a_run_with_a_formula_is_saved_without_it(glacier, tmp_path):
    sim = odinn.simulate(odinn.Model(odinn.SIA2D(A=LAW)), glacier, START, END)
    back = odinn.load(odinn.save(sim, tmp_path / "run.nc"))
    assert (back.thickness == sim.thickness).all()
    assert (odinn.restart(tmp_path / "run.nc")[1].thickness == sim.state.thickness).all()
    with pytest.raises(InputError, match="formula 'creep'.* not kept"):
        back.velocity()
