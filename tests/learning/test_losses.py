"""Losses against hand computations on an outcome made up for the purpose, and their bad input."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import odinn
from odinn.errors import InputError
from odinn.learning.terms import Outcome, as_total

losses = odinn.losses
SPAN = (2000.0, 2001.0)
ENDS = np.arange(1, 13) / 12 + 2000.0
SHAPE = 6, 8


def plane(a, b, c):
    """a + b x + c y on cells, x and y in m from the north-west cell."""
    rows, columns = np.indices(SHAPE)
    return a + b * 100.0 * columns - c * 100.0 * rows


def glacier(**observations):
    grid = odinn.Grid(SHAPE[1], SHAPE[0], 100.0, 100.0, x0=1000.0, y0=5000.0)
    mask = np.zeros(SHAPE, bool)
    mask[1:-1, 1:-1] = True
    return odinn.Glacier(
        "made",
        "Made",
        grid,
        np.full(SHAPE, 2000.0),
        50.0 * mask,
        mask,
        observations=odinn.Observations(**observations),
    )


# Ice everywhere, a plane that thins by 6 m in the year; velocity a plane that doubles while the ice
# thins from 100 m to 94 m.
THICK = plane(100.0, 0.01, 0.02)
TIMES = np.array([2000.0, *ENDS])
MONTHLY = [np.zeros(SHAPE)] + [np.full(SHAPE, -0.5) + 0.01 * m for m in range(12)]
GROWTH = 1.0 + jnp.asarray(TIMES - 2000.0)
OUTCOME = Outcome(
    thickness=jnp.stack([THICK - 6.0 * (t - 2000.0) for t in TIMES]),
    balance=jnp.asarray(np.cumsum(MONTHLY, axis=0)),
    velocity=lambda i, begins=False: (
        GROWTH[i] * plane(3.0, 0.01, 0.0),
        GROWTH[i] * plane(4.0, 0.0, 0.01),
    ),
    water=0.9,
)


def residuals(loss, g):
    """(residuals where there are data, their number)"""
    index = lambda t: 0 if t == 2000.0 else int(np.argmin(np.abs(ENDS - t))) + 1
    times = loss.stops(g, SPAN)
    assert all(abs(t - ([2000.0, *ENDS])[index(t)]) < 1e-9 for t in times)
    targets = loss.targets(g, SPAN, index)
    return np.asarray(loss.residuals(OUTCOME, targets)), int(loss.count(targets))


def value(loss, g):
    found, number = residuals(loss, g)
    return (found**2).sum() / number


PLACE = {"x": [1150.0, 1320.0], "y": [4850.0, 4710.0]}
EAST, NORTH = np.array([150.0, 320.0]), np.array([-150.0, -290.0])


def test_points_are_read_bilinearly_at_their_dates_with_their_errors():
    table = PLACE | {
        "thickness": [90.0, 95.0],
        "date": ["2000-07-01", "2001-01-01"],
        "error": [2.0, 4.0],
    }
    expected = (100.0 + 0.01 * EAST + 0.02 * NORTH - [3.0, 6.0] - table["thickness"]) / table[
        "error"
    ]
    for form in (
        table,
        xr.Dataset({k: ("point", v) for k, v in table.items()}).set_coords(["x", "y"]),
        {"made": table},
    ):
        found, number = residuals(losses.Thickness(points=form), glacier())
        np.testing.assert_allclose(
            found[:, 0], expected, rtol=1e-12
        )  # round-off: bilinear is exact for a plane
        assert number == 2
    pandas = pytest.importorskip("pandas")
    assert value(losses.Thickness(points=pandas.DataFrame(table)), glacier()) == pytest.approx(
        (expected**2).mean()
    )
    found, _ = residuals(
        losses.Thickness(points=table, error=1.0, where=np.array([True, False])), glacier()
    )
    np.testing.assert_allclose(found[:, 0], [2.0 * expected[0], 0.0], rtol=1e-12)


def test_the_glaciers_own_points_are_used_when_asked_for():
    own = odinn.glacier.PointThickness(np.array([1150.0]), np.array([4850.0]), np.array([90.0]))
    assert value(losses.Thickness(points="observed"), glacier(points=own)) == pytest.approx(
        (98.5 - 6 - 90.0) ** 2
    )


def test_velocity_at_a_point_by_the_margin_comes_from_the_ice_beside_it():
    beside = {
        "x": [1150.0],
        "y": [4975.0],
        "vx": [1.0],
        "vy": [2.0],
    }  # three quarters of its cells' weight are outside
    found, _ = residuals(losses.Velocity("xy", points=beside), glacier())
    np.testing.assert_allclose(found, [[2 * (3 + 1.5) - 1.0, 2 * (4 - 1.0) - 2.0]], rtol=1e-12)
    with pytest.raises(
        InputError, match="made: 1 of 1 points have no cell of the glacier beside them"
    ):
        residuals(losses.Velocity(points={"x": [1050.0], "y": [5000.0], "speed": [1.0]}), glacier())


def test_a_mean_velocity_is_that_of_the_mean_vector_over_the_interval():
    vx, vy = plane(3.0, 0.01, 0.0), plane(4.0, 0.0, 0.01)
    speed, mask = np.hypot(vx, vy), glacier().mask
    halves = [(2000.0, 2000.5), (2000.5, "2001-01-01")]
    observed = np.stack([speed, 2.0 * speed])
    found, number = residuals(
        losses.Velocity(period=halves, error=0.5, margin=1), glacier(speed=observed)
    )
    core = np.zeros(SHAPE, bool)
    core[2:-2, 2:-2] = True  # a cell inside the outline
    np.testing.assert_allclose(found[0, 0], core * (1.25 - 1.0) * speed / 0.5, rtol=1e-12)
    np.testing.assert_allclose(found[1, 0], core * (1.75 - 2.0) * speed / 0.5, rtol=1e-12)
    assert number == 2 * core.sum()
    own = glacier(speed=observed, dates={"speed": halves}, errors={"speed": np.full(SHAPE, 0.5)})
    assert (residuals(losses.Velocity(margin=1), own)[0] == found).all()
    log, _ = residuals(
        losses.Velocity("log", at=2000.5, where={"made": mask}),
        glacier(speed=speed, errors={"speed": 0.5}),
    )
    expected = mask * np.log((1.5 * speed + 1) / (speed + 1)) / (0.5 / (speed + 1))
    np.testing.assert_allclose(log[0, 0], expected, rtol=1e-12)
    log, _ = residuals(
        losses.Velocity("log", at=2000.5), glacier(speed=speed)
    )  # without an error: 1, of the logarithm
    np.testing.assert_allclose(
        log[0, 0], mask * np.log((1.5 * speed + 1) / (speed + 1)), rtol=1e-12
    )


def test_a_mean_over_an_interval_that_no_month_ends_uses_its_ends():
    factors = losses.Velocity().moments((2000.04, 2000.3))
    assert sorted({t for t, _ in factors}) == [
        2000.04,
        2000 + 1 / 12,
        2000 + 2 / 12,
        2000.25,
        2000.3,
    ]
    assert sum(factors.values()) == pytest.approx(1.0)
    assert sum(f * t for (t, _), f in factors.items()) == pytest.approx(2000.17)
    assert (
        factors[2000.04, True] == factors[2000 + 1 / 12, False]
    )  # the two ends of a month, each with its own law
    assert (2000.04, False) not in factors
    assert (2000.3, True) not in factors


def test_data_without_dates_are_of_the_end_of_the_span_and_changes_of_all_of_it():
    for loss, time in ((losses.Thickness(), (2001.0,)), (losses.Velocity("xy"), (2001.0,))):
        assert loss.times(glacier(), SPAN) == [time]
    assert losses.ElevationChange().times(glacier(), SPAN) == [SPAN]


@pytest.mark.parametrize("component", ["speed", "log"])
def test_ice_at_rest_has_a_speed_of_zero_and_no_slope(component):
    rest = glacier(speed=np.zeros(SHAPE))
    loss = losses.Velocity(component, at=2001.0)
    targets = loss.targets(rest, SPAN, lambda t: 12)

    def value(push):
        moved = OUTCOME.__class__(
            **vars(OUTCOME) | {"velocity": lambda i, begins=False: (push, jnp.zeros(SHAPE))}
        )
        return jnp.sum(loss.residuals(moved, targets))

    found, slope = jax.value_and_grad(value)(jnp.zeros(SHAPE))
    assert found == 0.0
    assert (slope == 0.0).all()  # not NaN, which the square root alone would give


def test_elevation_changes_of_several_intervals_each_have_their_field():
    fields = np.stack([np.full(SHAPE, -5.0), np.where(glacier().mask, -6.5, np.nan)])
    halves = [(2000.0, 2000.5), (2000.25, 2001.0)]
    g = glacier(elevation_change=fields)
    found, number = residuals(losses.ElevationChange(period=halves, error=0.5), g)
    np.testing.assert_allclose(
        found[0, 0], -2.0 * g.mask, rtol=1e-11
    )  # nothing counts outside the outline
    np.testing.assert_allclose(found[1, 0], 1.0 * g.mask, rtol=1e-11)
    assert number == 2 * g.mask.sum()
    outside = glacier(
        elevation_change=np.where(g.mask, fields, 1e3)
    )  # the mean is that inside the outline
    found, number = residuals(losses.ElevationChange(period=halves, error=0.5, mean=True), outside)
    np.testing.assert_allclose(found, [-2.0, 1.0], rtol=1e-11)
    assert number == 2


def test_balances_of_intervals_are_means_inside_the_outline():
    halves = [(2000.0, 2000.5), (2000.5, 2001.0)]
    loss = losses.MassBalance(target=[-5.0, -4.0], period=halves, error=[0.1, 0.2])
    modelled = (
        0.9
        * np.array([sum(-0.5 + 0.01 * m for m in months) for months in (range(6), range(6, 12))])
        / 0.5
    )
    found, number = residuals(loss, glacier())
    np.testing.assert_allclose(found, (modelled - [-5.0, -4.0]) / [0.1, 0.2], rtol=1e-12)
    assert number == 2


def test_smooth_velocity_sees_what_differs_from_the_mean_of_its_neighbours():
    assert value(losses.SmoothVelocity(), glacier()) < 1e-24  # a plane is smooth
    bump = np.zeros(SHAPE)
    bump[2, 3] = 4.0
    rough = OUTCOME.__class__(
        **vars(OUTCOME)
        | {"velocity": lambda i, begins=False: (jnp.asarray(bump), jnp.zeros(SHAPE))}
    )
    loss = losses.SmoothVelocity(error=2.0)
    targets = loss.targets(glacier(), SPAN, lambda t: 12)
    found, number = np.asarray(loss.residuals(rough, targets)), int(loss.count(targets))
    assert (found**2).sum() == pytest.approx(
        (4.0 / 2) ** 2 + 3 * (1.0 / 2) ** 2
    )  # three of its neighbours count
    assert number == 2 * 2 * 4


def test_a_sum_reports_each_term_by_a_name_of_its_own():
    total = as_total(
        sum([losses.Velocity(), 2 * losses.Velocity("log")]) + odinn.losses.Prior("flow.A")
    )
    assert [(name, w) for name, w, _ in total.named] == [
        ("velocity", 1.0),
        ("velocity 2", 2.0),
        ("prior(flow.A)", 1.0),
    ]


class OnlyNamed(losses.AbstractLoss):
    name: ClassVar[str] = "only named"


TABLE = {"x": [1150.0, 1250.0], "y": [4850.0, 4850.0], "thickness": [90.0, 80.0]}
T, V = losses.Thickness, losses.Velocity
DATED = {"thickness": np.ones((2, *SHAPE))}
BAD = {
    "a list": (lambda: as_total([T(), V()]), "found a list of 2; add losses up"),
    "a class": (lambda: as_total(T), "found the class Thickness; call it"),
    "a number": (lambda: T() + 3.0, "loss: found float"),
    "a negative weight": (lambda: -1 * T(), "weight of a term is -1, expected a number >= 0"),
    "no columns": (
        lambda: T(points={"lon": [1.0], "lat": [2.0], "thickness": [3.0]}),
        "columns x and y .* are missing",
    ),
    "no value": (
        lambda: residuals(V(points=TABLE), glacier()),
        "no column speed or value; found x, y, thickness",
    ),
    "not a number": (
        lambda: T(points=TABLE | {"thickness": [90.0, np.nan]}),
        "column thickness is nan in 1 rows .first in row 1. of 2",
    ),
    "words": (
        lambda: T(points=TABLE | {"thickness": ["a", "b"]}),
        "column thickness does not hold numbers",
    ),
    "unequal": (lambda: T(points=TABLE | {"x": [1.0]}), "columns of lengths"),
    "far away": (
        lambda: residuals(T(points=TABLE | {"x": [1150.0, 9e5]}), glacier()),
        "made: 1 of 2 points lie outside the grid",
    ),
    "no such glacier": (
        lambda: residuals(T(points={"other": TABLE}), glacier()),
        "made: .* no entry for this glacier",
    ),
    "no own points": (
        lambda: residuals(T(points="observed"), glacier()),
        "made: .* no observed points",
    ),
    "dates for points": (
        lambda: residuals(T([2000.5] * 3, points=TABLE), glacier()),
        "3 dates for 2 points",
    ),
    "two fields": (
        lambda: residuals(T([2000.5] * 3), glacier(**DATED)),
        "2 observed fields for 3 dates",
    ),
    "backwards": (
        lambda: V(period=(2001.0, 2000.0)),
        "ends at 2000, which is not after its start 2001",
    ),
    "half": (lambda: V(period=2001.0), r"expected \(start, end\)"),
    "both": (lambda: V(at=2001.0, period=SPAN), "give one of the two"),
    "an interval": (
        lambda: residuals(
            T(points=TABLE | {"start": [2000.0, 2000.0], "end": [2001.0, 2001.0]}), glacier()
        ),
        "thickness has a date",
    ),
    "a date": (
        lambda: residuals(
            losses.ElevationChange(points=TABLE | {"value": [1.0, 1.0], "date": [2000.0, 2000.5]}),
            glacier(),
        ),
        "needs an interval",
    ),
    "a mask of another shape": (
        lambda: residuals(T(where=np.ones((2, 2), bool)), glacier(thickness=THICK)),
        r"where is bool of shape \(2, 2\), expected bool of shape \(6, 8\)",
    ),
    "all masked": (
        lambda: residuals(T(where=np.zeros(SHAPE, bool)), glacier(thickness=THICK)),
        "made: losses.thickness: there are no data inside its mask",
    ),
    "an error of another shape": (
        lambda: residuals(T(error=np.ones(3)), glacier(thickness=THICK)),
        "error has shape",
    ),
    "no error in a cell": (
        lambda: residuals(T(error=np.where(THICK > 100, 1.0, np.nan)), glacier(thickness=THICK)),
        "expected a positive standard error",
    ),
    "rough": (lambda: losses.SmoothVelocity(margin=0), "expected a whole number of at least 1"),
    "half a loss": (OnlyNamed, "abstract"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_an_error_that_says_what_to_do(case):
    call, message = BAD[case]
    with pytest.raises(TypeError if case == "half a loss" else InputError, match=message):
        call()
