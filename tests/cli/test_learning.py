"""The configuration of an inversion: what it builds, and what it says of mistakes. Nothing here is
compiled.
"""

import copy
import dataclasses
import inspect
import re

import numpy as np
import pytest
import yaml

import odinn
from odinn.cli import checkpoints, inverting, learning
from odinn.cli.calls import registry, section_of, snake
from odinn.cli.learning import build_loss, build_model, build_optimizer, read_invert_config
from odinn.data.demo.rakaia import FOLDER, demo_climate
from odinn.errors import InputError
from tests.learning.test_checkpoint import STATE

TEMPERATURE = {"long_term_temperature": {"per": "cell"}}
CONFIG = {
    "glaciers": {"source": "demo:RGI60-18.03141", "coarsen": 4},
    "model": {
        "flow": {
            "A": {
                "law": {
                    "neural": {
                        "inputs": [TEMPERATURE],
                        "bounds": [1e-18, 1e-15],
                        "hidden": [3],
                        "seed": 1,
                    }
                }
            },
            "C": {
                "parameter": {
                    "initial": 1e-3,
                    "bounds": [1e-6, 1e-1],
                    "scale": "log",
                    "per": "cell",
                }
            },
        },
        "mass_balance": {"precip_factor": 2.5, "melt_factor": {"RGI60-18.03141": 5e-3}},
    },
    "loss": [
        "thickness",
        {"velocity": {"component": "xy", "at": "2010-07-01"}, "weight": 0.1},
        {"smoothness": {"slot": "flow.C"}, "weight": 1e-3},
    ],
    "synthetic": {"model": {"flow": {"A": 4e-17}}, "noise": {"thickness": 0.1}},
    "period": [2010, "2011-01-01"],
    "optimizer": [{"adam": {"learning_rate": 2e-2, "steps": 3}}, {"gauss_newton": {"steps": 2}}],
}


def read(tmp_path, config, *overrides):
    path = tmp_path / "c.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return read_invert_config(path, list(overrides))


def changed(path, value):
    """CONFIG with one place changed; a path is such as ``loss.1.velocity``."""
    config = copy.deepcopy(CONFIG)
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    place = config
    for part in parents:
        place = place[part]
    place[last] = value
    return config


def test_a_configuration_builds_what_the_same_words_build_in_python(tmp_path):
    config = read(tmp_path, CONFIG)
    model = build_model(config.model, "c: model")
    wanted = odinn.laws.Neural(
        [odinn.inputs.LongTermTemperature("cell")], (1e-18, 1e-15), hidden=(3,), seed=1
    )
    assert model.flow.A.inputs == wanted.inputs
    np.testing.assert_array_equal(model.flow.A.weights[0][0], wanted.weights[0][0])
    assert (model.flow.C.per, model.flow.C.bounds, model.flow.C.scale) == (
        "cell",
        (1e-6, 1e-1),
        "log",
    )
    assert float(model.mass_balance.melt_factor["RGI60-18.03141"]) == 5e-3
    assert build_optimizer(config, "c") == [
        odinn.optimizers.adam(2e-2, steps=3),
        odinn.optimizers.gauss_newton(steps=2),
    ]
    (one, thickness), (tenth, velocity), (weight, smooth) = build_loss(config, "c").terms
    assert (one, tenth, weight) == (1.0, 0.1, 1e-3)
    assert isinstance(thickness, odinn.losses.Thickness)
    assert (velocity.component, smooth.slot) == ("xy", "flow.C")


def test_laws_start_from_formulas_and_losses_take_tables_and_laws(tmp_path):
    (tmp_path / "drill.csv").write_text("x,y,thickness\n1.0,2.0,30.0\n2.0,3.0,40.0\n")
    law = {
        "basis": {"inputs": [TEMPERATURE], "bounds": [1e-18, 1e-15]},
        "fit_to": {"cuffey_paterson": {}, "steps": 50},
    }
    config = changed("model.flow.A", {"law": law})
    config["loss"] = [
        {"thickness": {"points": str(tmp_path / "drill.csv"), "error": {"RGI60-18.03141": 3.0}}},
        {
            "prior": {
                "slot": "flow.A",
                "sigma": 0.5,
                "guess": {"law": {"cuffey_paterson": {"inputs": [TEMPERATURE]}}},
            }
        },
    ]
    checked = read(tmp_path, config)
    (_, thickness), (_, prior) = build_loss(checked, "c").terms
    np.testing.assert_array_equal(thickness.points.columns["thickness"], [30.0, 40.0])
    assert thickness.error == {"RGI60-18.03141": 3.0}
    assert isinstance(prior.guess, odinn.laws.CuffeyPaterson)
    glacier = odinn.open_glacier(FOLDER / "RGI60-18.03141.nc", climate=demo_climate(), coarsen=4)
    started = build_model(checked.model, "c: model", [glacier]).flow.A
    assert started.misfit(odinn.laws.CuffeyPaterson()) < 0.1
    with pytest.raises(
        InputError, match="law.basis.fit_to: 'cufey' is unknown; did you mean 'cuffey_paterson'"
    ):
        read(tmp_path, changed("model.flow.A", {"law": law | {"fit_to": "cufey"}}))
    with pytest.raises(
        InputError, match=r"loss.0.thickness.points: .*nowhere.csv cannot be read as a table"
    ):
        read(tmp_path, changed("loss.0", {"thickness": {"points": "nowhere.csv"}}))


@pytest.mark.parametrize("kind", ["losses", "laws", "inputs", "optimizers"])
def test_every_argument_of_what_may_be_named_is_a_key(kind):
    known = registry(kind)
    assert len(known) >= 3
    for call in known.values():
        own = {"weights", "ranges"}  # of a law, set by odinn
        assert set(section_of(call).model_fields) == set(inspect.signature(call).parameters) - own
    assert snake("LongTermTemperature") == "long_term_temperature"


def test_numbers_may_be_written_as_people_write_them(tmp_path):
    text = yaml.safe_dump(CONFIG).replace("1.0e-18", "1e-18")
    assert "1e-18" in text
    assert build_model(read(tmp_path, text).model, "c: model").flow.A.bounds == (1e-18, 1e-15)


def test_overrides_reach_into_lists(tmp_path):
    config = read(tmp_path, CONFIG, "loss.1.weight=3", "optimizer.0.adam.steps=7")
    assert build_loss(config, "c").terms[1][0] == 3.0
    assert build_optimizer(config, "c")[0].steps == 7
    with pytest.raises(InputError, match="'9' is no item of that list; expected 0 to 2"):
        read(tmp_path, CONFIG, "loss.9.weight=3")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "periot",
            1,
            "c.yaml: periot: unknown key; did you mean 'period'.; known: glaciers, model",
        ),
        (
            "glaciers.coarse",
            2,
            "glaciers.0.coarse: unknown key; did you mean 'coarsen'.; known: source, climate",
        ),
        ("glaciers.source", "demo:RGI60-18.0314", None),
        ("model.flow.type", "SIA", "model.flow.type: 'SIA' is unknown; did you mean 'SIA2D'"),
        ("model.flow.AA", {"parameter": {}}, "model.flow.AA: unknown key; did you mean 'A'"),
        (
            "model.flow.gravity",
            {"parameter": {}},
            "model.flow.gravity: is not learned; what can be: A, C, n, p, q",
        ),
        ("model.flow.A", {"lw": {}}, "model.flow.A: 'lw' is unknown; did you mean 'law'"),
        (
            "model.flow.A",
            {"law": {"neurl": {}}},
            "model.flow.A.law: 'neurl' is unknown; did you mean 'neural'.; known",
        ),
        (
            "model.flow.A.law.neural.hiden",
            [3],
            "law.neural.hiden: unknown key; did you mean 'hidden'.; known: inputs",
        ),
        (
            "model.flow.A.law.neural.bounds",
            [1e-15, 1e-18],
            r"law.neural: Neural\(bounds=.*expected finite low < high",
        ),
        (
            "model.flow.A.law.neural.inputs",
            ["temperatur"],
            "inputs.0: 'temperatur' is unknown; did you mean 'monthly_temperature",
        ),
        (
            "model.flow.A.law.neural.inputs",
            [{"long_term_temperature": {"per": "cel"}}],
            "per: Input should be 'glacier' or",
        ),
        (
            "model.flow.C.parameter.initial",
            1.0,
            r"flow.C.parameter: Parameter: initial value 1 is not strictly inside",
        ),
        ("model.flow.C.parameter", {"bounds": [0, 1]}, "flow.C.parameter.initial: is required"),
        ("loss", [], "loss: List should have at least 1 item"),
        ("loss.0", {"thicknes": {}}, "loss.0: 'thicknes' is unknown; did you mean 'thickness'"),
        (
            "loss.0",
            {"thickness": {}, "velocity": {}},
            "loss.0: thickness and velocity in one entry",
        ),
        ("loss.0", {"weight": 2}, "loss.0: names none of them; known: .*thickness"),
        ("loss.1.weight", "much", "loss.1.weight: found 'much', expected a number >= 0"),
        (
            "loss.1.velocity.component",
            "xyz",
            "loss.1.velocity.component: Input should be 'speed', 'xy' or 'log'",
        ),
        (
            "loss.1.velocity.eror",
            1.0,
            "loss.1.velocity.eror: unknown key; did you mean 'error'.; known: component, at",
        ),
        (
            "optimizer.0.adam.rate",
            1.0,
            "optimizer.0.adam.rate: unknown key; .*known: learning_rate, steps",
        ),
        (
            "optimizer.0.adam.steps",
            0,
            r"optimizers.adam.steps=0.: expected a whole number of at least 1",
        ),
        (
            "synthetic.noise",
            {"speed": 0.1},
            "synthetic.noise: 'speed' is unknown.*known: thickness, velocity",
        ),
        (
            "synthetic.over",
            [2010.5, 2010.0],
            "synthetic.over: over: the interval ends at 2010, which is not after",
        ),
        (
            "synthetic.model",
            {},
            "synthetic.model: flow.A is to be learned; say what it is in truth",
        ),
        ("calibrate", {"vary": "melt"}, "calibrate.vary: Input should be 'melt_factor'"),
        ("stepper", {"type": "RK"}, "stepper.type: 'RK' is unknown; did you mean 'RKC2'"),
        ("period", [2010], "period"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_known(tmp_path, path, value, message):
    if message is None:  # glaciers are looked for when they are opened
        config = read(tmp_path, changed(path, value))
        with pytest.raises(
            InputError, match=r"no such embedded glacier; did you mean 'RGI60-18.0314\d'"
        ):
            inverting.prepared(config, "c", trial=True, say=lambda _: None)
        return
    with pytest.raises(InputError, match=message):
        read(tmp_path, changed(path, value))


def test_a_trial_counts_what_would_be_learned_and_the_data_of_each_glacier(tmp_path):
    config = changed("glaciers.source", ["demo:RGI60-18.03141", "demo:RGI60-18.03339"])
    config["model"]["mass_balance"]["melt_factor"] = {
        "parameter": {"initial": 5e-3, "per": "glacier"}
    }
    config["synthetic"]["model"]["mass_balance"] = None
    study = inverting.prepared(read(tmp_path, config), "c", trial=True, say=lambda _: None)
    learned, data = inverting.described(study)
    corners = sum(np.prod(g.grid.corner_shape) for g in study.glaciers)
    assert {slot: count for slot, _, count, _ in learned} == {
        "flow.A": 3 + 3 + 3 + 1,
        "flow.C": corners,
        "mass_balance.melt_factor": 2,
    }
    ice = [int((g.mask & (g.thickness > 0)).sum()) for g in study.glaciers]
    ids = [g.rgi_id for g in study.glaciers]
    assert ("RGI60-18.03141", "thickness", str(ice[0])) in data
    assert ("RGI60-18.03339", "velocity", str(2 * ice[1])) in data  # two components
    assert [row[0] for row in data] == [ids[0]] * 2 + [ids[1]] * 2


def test_synthetic_data_over_intervals_and_a_balance_are_made_if_the_loss_reads_them(tmp_path):
    config = changed("synthetic.over", [["2010-01-01", "2010-07-01"], [2010.25, 2010.75]])
    config["loss"] = ["velocity", "mass_balance", "elevation_change"]
    study = inverting.prepared(read(tmp_path, config), "c", trial=True, say=lambda _: None)
    (glacier,) = study.glaciers
    ice = int((glacier.mask & (glacier.thickness > 0)).sum())
    _, data = inverting.described(study)
    assert [row[1:] for row in data] == [
        ("velocity", str(2 * ice)),
        ("mass_balance", "1"),
        ("elevation_change", str(2 * ice)),
    ]
    assert glacier.observations.thickness is None


def test_an_initial_thickness_or_bed_is_learned_from_a_scaled_guess(tmp_path):
    config = changed(
        "glaciers.replace", {"thickness": {"parameter": None}, "keep": "surface", "factor": 0.8}
    )
    study = inverting.prepared(read(tmp_path, config), "c", trial=True, say=lambda _: None)
    (glacier,) = study.glaciers
    own = odinn.open_glacier(FOLDER / "RGI60-18.03141.nc", coarsen=4)
    np.testing.assert_allclose(
        glacier.settled().volume, 0.8 * own.volume, rtol=0.01
    )  # bare cells start at 1 cm
    np.testing.assert_allclose(glacier.surface, own.surface, atol=1e-9)
    assert ("thickness of RGI60-18.03141", "a field", own.mask.size) in [
        r[:3] for r in inverting.described(study)[0]
    ]
    with pytest.raises(
        InputError, match="glaciers.0.replace: expected thickness: or bed:, one of the two"
    ):
        read(tmp_path, changed("glaciers.replace", {"keep": "surface"}))
    with pytest.raises(InputError, match=r"replace.bed: expected .parameter: .*, found parametr"):
        read(tmp_path, changed("glaciers.replace", {"bed": {"parametr": {}}}))


def test_what_the_data_do_not_allow_is_said_before_anything_is_compiled(tmp_path):
    trial = lambda config: inverting.prepared(
        read(tmp_path, config), "c", trial=True, say=lambda _: None
    )
    bare = copy.deepcopy(CONFIG)
    del bare["synthetic"]
    with pytest.raises(InputError, match="RGI60-18.03141: no observed thickness"):
        trial(bare)
    with pytest.raises(InputError, match=r"RGI60-18.03141: .*2012.0000 lies outside.* period"):
        trial(changed("loss.1.velocity.at", 2012))
    with pytest.raises(InputError, match="flow.n"):
        trial(changed("loss.2", {"smoothness": {"slot": "flow.n"}}))
    with pytest.raises(InputError, match="RGI60-18.03141: appears twice"):
        trial(changed("glaciers.source", ["demo:RGI60-18.03141"] * 2))
    with pytest.raises(InputError, match="period: ends at 2009"):
        trial(changed("period", [2010, 2009]))
    plain = changed("model.flow", {"A": 4e-17})
    with pytest.raises(InputError, match="nothing to learn: put"):
        trial(plain | {"loss": ["thickness"]})


def test_a_checkpoint_of_other_settings_is_refused_and_the_difference_named(tmp_path):
    from odinn.learning.checkpoint import write_checkpoint

    config = read(tmp_path, CONFIG, f"output.directory={tmp_path / 'out'}")
    assert checkpoints.steps_to_continue(config) is None
    checkpoints.begin_checkpoint(config)
    write_checkpoint(config.checkpoint_path, dataclasses.replace(STATE, total=4), "anything")
    elsewhere = config.model_copy(
        update={
            "output": learning.LearningOutputSection(directory=config.output.directory, plots=False)
        }
    )
    assert checkpoints.steps_to_continue(config) == checkpoints.steps_to_continue(elsewhere) == 4
    other = read(
        tmp_path,
        CONFIG,
        f"output.directory={tmp_path / 'out'}",
        "model.flow.C.parameter.initial=2e-3",
    )
    with pytest.raises(
        InputError, match=r"model.flow.C.parameter.initial: 0.001 there, 0.002 here.*--fresh"
    ):
        checkpoints.steps_to_continue(other)


def test_the_example_is_understood_and_says_how_many_numbers_it_learns():
    from pathlib import Path

    from typer.testing import CliRunner

    from odinn.cli.main import app

    example = Path(__file__).parents[2] / "examples" / "invert_law.yaml"
    out = CliRunner().invoke(app, ["invert", str(example), "--check"], catch_exceptions=False)
    assert out.exit_code == 0
    assert "46 numbers from 1 glacier(s), 2010 to 2011" in out.output
    assert "Neural of long-term air temperature" in out.output
    assert re.search(r"thickness +│ about \d{3} ", out.output)
