"""An inversion goes on from a checkpoint of the same problem only, and what differs is named."""

import dataclasses

import numpy as np
import pytest

import odinn
from odinn.errors import InputError
from odinn.learning.fingerprint import Fingerprint, fingerprint
from odinn.learning.state import InversionState
from odinn.results.parts import listed

TI = odinn.TemperatureIndex(4e-3, 2.0)
ADAM, LBFGS = odinn.optimizers.adam, odinn.optimizers.lbfgs
BOUNDS = (1e-18, 1e-14)


def law(seed=0, end=300.0):
    thickness = odinn.inputs.IceThickness(range=(0.0, end))
    return odinn.laws.Neural([thickness], bounds=(1e-4, 1e-2), hidden=(2,), seed=seed)


def formula(power):
    return odinn.laws.Function(lambda h: 1e-3 * h**power, [odinn.inputs.Altitude()])


@pytest.fixture(scope="module")
def given(slab):
    """Arguments of an inversion that has something of everything."""
    observations = odinn.Observations(
        thickness=slab.thickness + 1.0,
        speed=np.where(slab.mask, 10.0, np.nan),
        dates={"thickness": 2001.0},
        errors={"thickness": 2.0, "speed": np.full(slab.grid.shape, 3.0)},
    )
    return {
        "glacier": slab.replace(observations=observations),
        "model": odinn.Model(odinn.SIA2D(A=odinn.Parameter(1e-16, BOUNDS), C=law()), TI),
        "loss": odinn.losses.Thickness() + 0.1 * odinn.losses.Velocity(where=slab.mask),
        "period": (2000.0, 2001.0),
        "stages": [ADAM(0.1, 4), LBFGS(3)],
        "seed": 0,
        "options": {"stepper": odinn.RKC2(tol=1e-3), "max_steps": 1000},
    }


def problem(given, **changes):
    parts = given | changes
    options = parts["options"]
    whole = odinn.objective(
        parts["model"], parts["glacier"], parts["loss"], parts["period"], **options
    )
    return fingerprint(whole, parts["stages"], parts["seed"])


@pytest.fixture(scope="module")
def mine(given):
    return problem(given)


def flow(**changes):
    slots = {"A": odinn.Parameter(1e-16, BOUNDS), "C": law()} | changes
    return lambda g: {"model": odinn.Model(odinn.SIA2D(**slots), TI)}


def measured(**changes):
    def change(given):
        own = given["glacier"].observations
        replaced = {name: make(own) for name, make in changes.items()}
        observations = dataclasses.replace(own, **replaced)
        return {"glacier": given["glacier"].replace(observations=observations)}

    return change


def glacier(**changes):
    def change(given):
        own = given["glacier"]
        return {
            "glacier": dataclasses.replace(own, **{k: make(own) for k, make in changes.items()})
        }

    return change


def one_more(field):
    """The field with its largest value a little larger."""
    return np.where(field == np.nanmax(field), field * (1 + 1e-12), field)


ID = "TEST-00.00001: "
CHANGES = {
    "model.flow.A.bounds": flow(A=odinn.Parameter(1e-16, (1e-18, 1e-13))),
    "model.flow.A.initial": flow(A=odinn.Parameter(1.1e-16, BOUNDS)),
    "model.flow.A.scale": flow(A=odinn.Parameter(1e-16, BOUNDS, "linear")),
    "model.flow.A.per": flow(A=odinn.Parameter(1e-16, BOUNDS, per="glacier")),
    "model.flow.n": flow(n=3.1),
    "model.flow.C.weights": flow(C=law(seed=1)),
    "model.flow.C.ranges": flow(C=law(end=301.0)),
    "model.flow.C": flow(C=1e-3),
    "model.mass_balance.melt_factor": lambda g: {
        "model": odinn.Model(g["model"].flow, odinn.TemperatureIndex(4.1e-3, 2.0))
    },
    ID + "observations.thickness": measured(thickness=lambda own: one_more(own.thickness)),
    ID + "observations.errors.thickness": measured(errors=lambda own: {"thickness": 2.1}),
    ID + "observations.dates.thickness": measured(dates=lambda own: {"thickness": 2000.5}),
    ID + "mask": glacier(mask=lambda g: g.thickness > 20.0),
    ID + "thickness": glacier(thickness=lambda g: one_more(np.asarray(g.thickness))),
    ID + "bed": glacier(bed=lambda g: np.asarray(g.bed) - 1e-9),
    ID + "climate.temp": glacier(climate=lambda g: g.climate.shift(temp=1e-9)),
    ID + "climate.scenario": glacier(climate=lambda g: g.climate.repeat((2000, 2004))),
    "glaciers": glacier(rgi_id=lambda g: "TEST-00.00009"),
    "loss.velocity.where": lambda g: {
        "loss": odinn.losses.Thickness()
        + 0.1 * odinn.losses.Velocity(where=g["glacier"].thickness > 30.0)
    },
    "loss.thickness.margin": lambda g: {
        "loss": odinn.losses.Thickness(margin=1)
        + 0.1 * odinn.losses.Velocity(where=g["glacier"].mask)
    },
    "weight of loss.velocity": lambda g: {
        "loss": odinn.losses.Thickness() + 0.2 * odinn.losses.Velocity(where=g["glacier"].mask)
    },
    "run.t1": lambda g: {"period": (2000.0, 2002.0)},
    "run.stepper.tol": lambda g: {"options": {"stepper": odinn.RKC2(tol=2e-3)}},
    "run.stepper": lambda g: {"options": {"stepper": odinn.SSPRK3()}},
    "run.coupling": lambda g: {"options": {"coupling": "jump"}},
    "run.dtype": lambda g: {"options": {"dtype": "float32"}},
    "run.max_steps": lambda g: {"options": {"max_steps": 2000}},
    "optimizer 1.learning_rate": lambda g: {"stages": [ADAM(0.2, 4), LBFGS(3)]},
    "optimizer 2.memory": lambda g: {"stages": [ADAM(0.1, 4), LBFGS(3, memory=5)]},
    "optimizers": lambda g: {"stages": [LBFGS(3), ADAM(0.1, 4)]},
    "seed": lambda g: {"seed": 1},
}


@pytest.mark.parametrize("part", CHANGES)
def test_every_part_of_an_inversion_that_changes_is_named(given, mine, part):
    other = problem(given, **CHANGES[part](given))
    differences = mine.differences(other)
    names = [text.partition(" (")[0] for text in differences]
    assert any(name == part or name.startswith(f"{part}.") for name in names)
    assert len(names) < len(mine.parts)


def test_the_same_inversion_made_anew_agrees_and_so_does_what_is_only_for_the_record(given, mine):
    own = dataclasses.replace(given["glacier"], name="Another", provenance={"a": "b"})
    again = flow()(given) | {"glacier": own}
    assert mine.differences(problem(given, **again)) == []
    assert Fingerprint.from_text(mine.text) == mine
    bound = odinn.bind(given["model"], given["glacier"])
    assert mine.differences(problem(given, model=bound)) == []


def test_a_formula_is_known_by_what_it_computes(given):
    one, same, other = (
        problem(given, **flow(C=formula(power))(given)) for power in (0.1, 0.1, 0.2)
    )
    assert one.differences(same) == []
    assert any("model.flow.C" in name for name in one.differences(other))


def test_short_values_are_shown_and_many_differences_are_counted(mine):
    wider = mine._replace(parts=mine.parts | {"seed": "3"})
    assert mine.differences(wider) == ["seed (3 there, 0 here)"]
    assert listed([*"abcdef"]) == "a, b, c, d and 2 more"


def state(*, stage, rows):
    """A state whose history has the start and these steps of stages."""
    numbers = np.zeros(1)
    records = {"loss": [1.0] * (len(rows) + 1), "stage": [0.0, *map(float, rows)]}
    return InversionState(numbers, 1.0, numbers, numbers, 1.0, {}, records, stage)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ([4, 3], None),
        ([4, 9], None),
        ([4, 2], None),
        ([4, 1], "optimizer 2 has done 2 steps, and steps=1 now; give at least 2"),
        ([5, 3], "optimizer 1 ended after its 4 steps, .* steps=5 come too late; give 4"),
        ([3, 3], "optimizer 1 has done 4 steps, and steps=3 now"),
    ],
)
def test_the_stage_at_hand_may_have_more_steps_and_one_that_is_over_may_not(mine, now, message):
    at = state(stage=1, rows=[0, 0, 0, 0, 1, 1])
    before, after = mine._replace(steps=[4, 3]), mine._replace(steps=now)
    if message is None:
        after.check_steps(before, at)
        return
    with pytest.raises(InputError, match=message):
        after.check_steps(before, at)


def test_a_stage_that_ended_by_itself_may_have_been_given_more_steps(mine):
    at = state(stage=1, rows=[0, 0, 1])  # two of four steps, then the target was met
    mine._replace(steps=[9, 3]).check_steps(mine._replace(steps=[4, 3]), at)
