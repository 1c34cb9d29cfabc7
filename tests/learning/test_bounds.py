"""A bound that an inversion runs into is said."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import odinn
from odinn.learning.bounds import at_bounds

BOUNDS = (1e-18, 1e-15)
P = odinn.Parameter


def at(model, *glaciers):
    return [str(found) for found in at_bounds(odinn.bind(model, glaciers), list(glaciers))]


def second(glacier):
    return dataclasses.replace(glacier, rgi_id="TEST-00.00002")


def test_nearness_is_measured_on_the_scale_of_the_parameter(slab):
    number = lambda initial, scale: odinn.Model(odinn.SIA2D(A=P(initial, BOUNDS, scale)))
    near, far = 1e-18 * 1000**0.0099, 1e-18 * 1000**0.0101  # 1 % of three decades
    assert at(number(near, "log"), slab) == ["flow.A is at its lower bound, 1e-18"]
    assert at(number(far, "log"), slab) == []
    assert at(number(9.91e-16, "linear"), slab) == ["flow.A is at its upper bound, 1e-15"]
    assert at(number(9.89e-16, "linear"), slab) == []


def test_one_glacier_of_two_counts_and_few_cells_do_not(slab):
    other = second(slab)
    each = P({slab.rgi_id: 2.0, other.rgi_id: 0.5001}, (0.5, 4.0), per="glacier")
    model = odinn.Model(odinn.SIA2D(), odinn.TemperatureIndex(precip_factor=each))
    assert at(model, slab, other) == [
        "mass_balance.precip_factor is at its lower bound, 0.5 on 50% of 2 glaciers"
    ]
    ice = np.flatnonzero(slab.thickness.ravel() >= 1.0)

    def field(share):
        cells = np.full(slab.thickness.size, 2.0)
        cells[ice[: int(share * ice.size)]] = 3.99
        cells[np.flatnonzero(slab.thickness.ravel() == 0.0)] = (
            0.501  # where there is no ice, nothing was learned
        )
        return odinn.Model(
            odinn.SIA2D(),
            odinn.TemperatureIndex(precip_factor=P(cells.reshape(24, 30), (0.5, 4.0), per="cell")),
        )

    assert at(field(0.2), slab) == [
        "mass_balance.precip_factor is at its upper bound, 4 on 20% of the ice"
    ]
    assert at(field(0.04), slab) == []
    learned = slab.replace(thickness=P(slab.thickness, (0.0, None), per="cell"))
    assert (
        at(odinn.Model(odinn.SIA2D()), learned) == []
    )  # has no upper bound, and 0 m is no surprise


def test_a_law_counts_by_the_ice_on_which_it_is_at_a_bound(slab):
    def law(inputs, weights):
        basis = odinn.laws.Basis(inputs, BOUNDS, kind="polynomial", size=2)
        return odinn.Model(
            odinn.SIA2D(A=eqx.tree_at(lambda b: b.weights, basis, jnp.asarray(weights)))
        )

    altitude = [odinn.inputs.Altitude()]
    (found,) = at_bounds(odinn.bind(law(altitude, [0.0, -20.0]), slab), [slab])[
        1:
    ]  # low is high, and high is low
    assert (found.end, found.of) == ("upper", "the ice")
    assert 0.1 < found.share < 0.6
    assert at(law(altitude, [0.0, -2.0]), slab) == []
    whole = [odinn.inputs.LongTermTemperature()]
    other = second(slab).replace(bed=slab.bed + 1000.0, keep="thickness")
    assert at(law(whole, [0.0, -10.0]), slab, other) == [
        "flow.A is at its lower bound, 1e-18 on 50% of 2 glaciers",
        "flow.A is at its upper bound, 1e-15 on 50% of 2 glaciers",
    ]
