"""The configuration of an inversion: what it builds, and what it says of mistakes. Nothing here is
compiled.
"""

import copy
import dataclasses
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import odinn
from odinn.cli import checkpoints, inverting
from odinn.cli.config import MODEL, build_model, to_yaml
from odinn.cli.learning import (
    INVERT,
    LOSSES,
    OPTIMIZERS,
    build_loss,
    build_optimizer,
    read_invert_config,
)
from odinn.cli.schema import INPUTS, LAWS, arguments, resolved
from odinn.data.demo.rakaia import FOLDER, demo_climate
from odinn.errors import InputError
from odinn.text import parse_yaml
from tests.learning.test_checkpoint import PROBLEM, STATE

TEMPERATURE = {"type": "LongTermTemperature", "per": "cell"}
CONFIG = {
    "glaciers": {"source": "demo:RGI60-18.03141", "coarsen": 4},
    "model": {
        "flow": {
            "A": {
                "type": "Neural",
                "inputs": [TEMPERATURE],
                "bounds": [1e-18, 1e-15],
                "hidden": [3],
                "seed": 1,
            },
            "C": {
                "type": "Parameter",
                "initial": 1e-3,
                "bounds": [1e-6, 1e-1],
                "scale": "log",
                "per": "cell",
            },
        },
        "mass_balance": {"precip_factor": 2.5, "melt_factor": {"RGI60-18.03141": 5e-3}},
    },
    "loss": [
        {"type": "Thickness"},
        {"type": "Velocity", "component": "xy", "at": "2010-07-01", "weight": 0.1},
        {"type": "Smoothness", "slot": "flow.C", "weight": 1e-3},
    ],
    "synthetic": {"model": {"flow": {"A": 4e-17}}, "noise": {"thickness": 0.1}},
    "period": [2010, "2011-01-01"],
    "optimizer": [
        {"type": "adam", "learning_rate": 2e-2, "steps": 3},
        {"type": "gauss_newton", "steps": 2},
    ],
}


def read(tmp_path, config, *overrides):
    path = tmp_path / "c.yaml"
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
    return read_invert_config(path, list(overrides))


def changed(path, value):
    """CONFIG with one place changed; a path is such as ``loss.1.at``."""
    config = copy.deepcopy(CONFIG)
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    place = config
    for part in parents:
        place = place[part]
    place[last] = value
    return config


def test_a_configuration_builds_what_the_same_words_build_in_python(tmp_path):
    config = read(tmp_path, CONFIG)
    model = build_model(config["model"], "c: model")
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
        "type": "Basis",
        "inputs": [TEMPERATURE],
        "bounds": [1e-18, 1e-15],
        "fit_to": {"formula": {"type": "CuffeyPaterson"}, "steps": 50},
    }
    config = changed("model.flow.A", law)
    config["loss"] = [
        {
            "type": "Thickness",
            "points": str(tmp_path / "drill.csv"),
            "error": {"RGI60-18.03141": 3.0},
        },
        {
            "type": "Prior",
            "slot": "flow.A",
            "sigma": 0.5,
            "guess": {"type": "CuffeyPaterson", "inputs": [TEMPERATURE]},
        },
    ]
    checked = read(tmp_path, config)
    (_, thickness), (_, prior) = build_loss(checked, "c").terms
    np.testing.assert_array_equal(thickness.points.columns["thickness"], [30.0, 40.0])
    assert thickness.error == {"RGI60-18.03141": 3.0}
    assert isinstance(prior.guess, odinn.laws.CuffeyPaterson)
    glacier = odinn.open_glacier(
        FOLDER / "RGI60-18.03141.nc", climate=demo_climate("RGI60-18.03141"), coarsen=4
    )
    started = build_model(checked["model"], "c: model", [glacier]).flow.A
    assert started.misfit(odinn.laws.CuffeyPaterson()) < 0.1
    wrong = law | {"fit_to": {"formula": {"type": "Cufey"}}}
    with pytest.raises(
        InputError,
        match="A.fit_to.formula.type: 'Cufey' is unknown; did you mean 'CuffeyPaterson'",
    ):
        read(tmp_path, changed("model.flow.A", wrong))
    with pytest.raises(InputError, match=r"loss.0.points: .*nowhere.csv cannot be read as a table"):
        read(tmp_path, changed("loss.0", {"type": "Thickness", "points": "nowhere.csv"}))


FLOWS, BALANCES = (MODEL[name].expected.calls for name in ("flow", "mass_balance"))


@pytest.mark.parametrize("calls", [LOSSES.calls, OPTIMIZERS.calls, LAWS, INPUTS, FLOWS, BALANCES])
def test_every_argument_of_what_may_be_named_is_a_key(calls):
    assert len(calls) >= 3
    for call in calls.values():
        own = {"weights", "ranges"}  # of a law, set by odinn
        keys = set(arguments(call)) - {"fit_to"}  # a method that stands beside the arguments
        assert keys == set(inspect.signature(call).parameters) - own


def test_what_may_be_named_has_its_name_in_python():
    assert LOSSES.calls == {name: getattr(odinn.losses, name) for name in LOSSES.calls}
    assert set(OPTIMIZERS.calls) == {"adam", "lbfgs", "gauss_newton"}
    known = {"Neural", "Basis", "CuffeyPaterson", "DebrisCover", "SyntheticSliding"}
    assert known == set(LAWS)


def test_the_resolved_configuration_has_every_default_and_reads_back(tmp_path):
    config = read(tmp_path, CONFIG)
    assert config["loss"][1]["floor"] == 1.0
    assert config["optimizer"][0]["clip"] is None
    assert config["model"]["flow"]["A"]["activation"] == "softplus"
    assert config["synthetic"]["model"].keys() == {"flow"}  # the balance is that of the model
    (tmp_path / "again.yaml").write_text(to_yaml(config))
    assert read_invert_config(tmp_path / "again.yaml", []) == config


def test_the_yaml_of_the_page_on_learning_is_understood():
    page = (Path(__file__).parents[2] / "docs" / "learning.md").read_text()
    blocks = [parse_yaml(block, "page") for block in re.findall(r"```yaml\n(.*?)```", page, re.S)]
    assert [list(block) for block in blocks] == [["model"], ["glaciers"]]
    for block in blocks:
        for name, value in block.items():
            resolved(INVERT[name].expected, value, name)
    entries = re.findall(r"`(\{type: [^`]*\})`", page)
    assert len(entries) >= 8
    for entry in entries:
        if "..." not in entry and "Name" not in entry:
            value = parse_yaml(entry, "page")
            resolved(OPTIMIZERS if value["type"].islower() else LOSSES, value, entry)


def test_numbers_may_be_written_as_people_write_them(tmp_path):
    text = yaml.safe_dump(CONFIG).replace("1.0e-18", "1e-18")
    assert "1e-18" in text
    assert build_model(read(tmp_path, text)["model"], "c: model").flow.A.bounds == (1e-18, 1e-15)


def test_overrides_reach_into_lists(tmp_path):
    config = read(tmp_path, CONFIG, "loss.1.weight=3", "optimizer.0.steps=7")
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
        ("model.flow.AA", {"type": "Parameter"}, "model.flow.AA: unknown key; did you mean 'A'"),
        (
            "model.flow.gravity",
            {"type": "Parameter"},
            "model.flow.gravity: is not learned; what can be: A, C, n, p, q",
        ),
        ("model.flow.A", {"typ": "Neural"}, "model.flow.A: 'typ' is unknown; did you mean 'type'"),
        ("model.flow.A", "soft", "model.flow.A: Input should be a valid number"),
        (
            "model.flow.A",
            {"type": "Neurl"},
            "model.flow.A.type: 'Neurl' is unknown; did you mean 'Neural'.; known",
        ),
        (
            "model.flow.A.hiden",
            [3],
            "flow.A.hiden: unknown key; did you mean 'hidden'.; known: inputs",
        ),
        (
            "model.flow.A.bounds",
            [1e-15, 1e-18],
            r"flow.A: Neural\(bounds=.*expected finite low < high",
        ),
        (
            "model.flow.A.inputs",
            [{"type": "Temperature"}],
            "inputs.0.type: 'Temperature' is unknown; did you mean 'MonthlyTemperature",
        ),
        ("model.flow.A.inputs", ["Altitude"], "inputs.0: found 'Altitude', expected {type: Alt"),
        (
            "model.flow.A.inputs",
            [{"type": "LongTermTemperature", "per": "cel"}],
            "inputs.0.per: Input should be 'glacier' or",
        ),
        (
            "model.flow.C.initial",
            1.0,
            r"flow.C: Parameter: initial value 1 is not strictly inside",
        ),
        (
            "model.flow.C",
            {"type": "Parameter", "bounds": [0, 1]},
            "flow.C.initial: is required",
        ),
        ("loss", [], "loss: found an empty list, expected at least one entry"),
        ("loss.0", {"type": "Thicknes"}, "loss.0.type: 'Thicknes' is unknown; .* 'Thickness'"),
        ("loss.0", {"weight": 2}, "loss.0: found {'weight': 2}, .*known: .*Thickness"),
        ("loss.0", "Thickness", "loss.0: found 'Thickness', expected {type: .*known: .*Thickness"),
        ("loss.1.weight", "much", "loss.1.weight: .*valid number.*found 'much'"),
        ("loss.1.weight", -1, "loss.1.weight: .*greater than or equal to 0 .found -1"),
        ("loss.1.weight", float("nan"), "loss.1.weight: .*greater than or equal to 0"),
        ("loss.1.weight", True, "loss.1.weight: .*valid number .found True"),
        (
            "loss.1.component",
            "xyz",
            "loss.1.component: Input should be 'speed', 'xy' or 'log' .found 'xyz'",
        ),
        (
            "loss.1.eror",
            1.0,
            "loss.1.eror: unknown key; did you mean 'error'.; known: component, at",
        ),
        (
            "optimizer.0.rate",
            1.0,
            "optimizer.0.rate: unknown key; .*known: learning_rate, steps",
        ),
        (
            "optimizer.0.steps",
            0,
            r"optimizer.0: optimizers.adam.steps=0.: expected a whole number of at least 1",
        ),
        (
            "synthetic.noise",
            {"speed": 0.1},
            "synthetic.noise: Input should be 'thickness', 'velocity', .*found {'speed'",
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
        "type": "Parameter",
        "initial": 5e-3,
        "per": "glacier",
    }
    config["synthetic"]["model"]["mass_balance"] = None
    study = inverting.prepared(read(tmp_path, config), "c", trial=True, say=lambda _: None)
    learned, data = inverting.learned_rows(study), inverting.data_rows(study)
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


def test_synthetic_data_of_several_dates_are_checked_and_made(tmp_path):
    config = changed("synthetic.at", [2010.5, "2011-01-01"])
    config["loss"] = [{"type": "Thickness"}]
    config = read(tmp_path, config)
    for trial in (True, False):
        study = inverting.prepared(config, "c", trial=trial, say=lambda _: None)
        data = study.glaciers[0].observations
        assert data.thickness.shape == (2, *study.glaciers[0].thickness.shape)
        assert data.dates["thickness"][0] == pytest.approx(2010.5)


def test_synthetic_data_over_intervals_and_a_balance_are_made_if_the_loss_reads_them(tmp_path):
    config = changed("synthetic.over", [["2010-01-01", "2010-07-01"], [2010.25, 2010.75]])
    config["loss"] = [{"type": name} for name in ("Velocity", "MassBalance", "ElevationChange")]
    study = inverting.prepared(read(tmp_path, config), "c", trial=True, say=lambda _: None)
    (glacier,) = study.glaciers
    ice = int((glacier.mask & (glacier.thickness > 0)).sum())
    data = inverting.data_rows(study)
    assert [row[1:] for row in data] == [
        ("velocity", str(2 * ice)),
        ("mass_balance", "1"),
        ("elevation_change", str(2 * ice)),
    ]
    assert glacier.observations.thickness is None


def test_an_initial_thickness_or_bed_is_learned_from_a_scaled_guess(tmp_path):
    config = changed(
        "glaciers.replace", {"thickness": {"type": "Parameter"}, "keep": "surface", "factor": 0.8}
    )
    study = inverting.prepared(read(tmp_path, config), "c", trial=True, say=lambda _: None)
    (glacier,) = study.glaciers
    own = odinn.open_glacier(FOLDER / "RGI60-18.03141.nc", coarsen=4)
    np.testing.assert_allclose(
        glacier.without_parameters().volume, 0.8 * own.volume, rtol=0.01
    )  # bare cells start at 1 cm
    np.testing.assert_allclose(glacier.surface, own.surface, atol=1e-9)
    assert ("thickness of RGI60-18.03141", "a field", own.mask.size) in [
        r[:3] for r in inverting.learned_rows(study)
    ]
    with pytest.raises(
        InputError, match="glaciers.0.replace: expected thickness: or bed:, one of the two"
    ):
        read(tmp_path, changed("glaciers.replace", {"keep": "surface"}))
    with pytest.raises(InputError, match=r"replace.bed: found .*, expected .type: Parameter"):
        read(tmp_path, changed("glaciers.replace", {"bed": {"typ": "Parameter"}}))


def test_what_the_data_do_not_allow_is_said_before_anything_is_compiled(tmp_path):
    trial = lambda config: inverting.prepared(
        read(tmp_path, config), "c", trial=True, say=lambda _: None
    )
    bare = copy.deepcopy(CONFIG)
    del bare["synthetic"]
    with pytest.raises(InputError, match="RGI60-18.03141: no observed thickness"):
        trial(bare)
    with pytest.raises(InputError, match=r"RGI60-18.03141: .*2012.0000 lies outside.* period"):
        trial(changed("loss.1.at", 2012))
    with pytest.raises(InputError, match="flow.n"):
        trial(changed("loss.2", {"type": "Smoothness", "slot": "flow.n"}))
    with pytest.raises(InputError, match="RGI60-18.03141: appears twice"):
        trial(changed("glaciers.source", ["demo:RGI60-18.03141"] * 2))
    with pytest.raises(InputError, match="period: ends at 2009"):
        trial(changed("period", [2010, 2009]))
    plain = changed("model.flow", {"A": 4e-17})
    with pytest.raises(InputError, match="nothing to learn: put"):
        trial(plain | {"loss": [{"type": "Thickness"}]})


def test_a_checkpoint_of_other_settings_is_refused_and_the_difference_named(tmp_path):
    from odinn.learning.checkpoint import write_checkpoint

    config = read(tmp_path, CONFIG, f"output.directory={tmp_path / 'out'}")
    assert checkpoints.steps_to_continue(config) is None
    checkpoints.begin_checkpoint(config)
    write_checkpoint(
        checkpoints.checkpoint_of(config), dataclasses.replace(STATE, total=4), PROBLEM
    )
    elsewhere = config | {"output": config["output"] | {"plots": False}}
    assert checkpoints.steps_to_continue(config) == checkpoints.steps_to_continue(elsewhere) == 4
    more = read(tmp_path, CONFIG, f"output.directory={tmp_path / 'out'}", "optimizer.0.steps=99")
    assert checkpoints.steps_to_continue(more) == 4
    other = read(
        tmp_path,
        CONFIG,
        f"output.directory={tmp_path / 'out'}",
        "model.flow.C.initial=2e-3",
    )
    with pytest.raises(InputError, match=r"model.flow.C.initial: 0.001 there, 0.002 here.*--fresh"):
        checkpoints.steps_to_continue(other)


def test_the_example_is_understood_and_says_how_many_numbers_it_learns():
    from typer.testing import CliRunner

    from odinn.cli.main import app

    example = Path(__file__).parents[2] / "examples" / "invert_law.yaml"
    out = CliRunner().invoke(app, ["invert", str(example), "--check"], catch_exceptions=False)
    assert out.exit_code == 0
    assert "46 numbers from 1 glacier(s), 2010 to 2011" in out.output
    assert "Neural of long-term air temperature" in out.output
    assert re.search(r"thickness +│ about \d{3} ", out.output)
