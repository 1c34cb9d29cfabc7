"""Checkpoints: bit for bit, and nothing but what an inversion wrote."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import odinn
from odinn.errors import InputError
from odinn.learning.checkpoint import read_checkpoint, write_checkpoint
from odinn.learning.fingerprint import Fingerprint
from odinn.learning.state import InversionState

STATE = InversionState(
    x=np.array([0.1, -1 / 3]),
    value=1 / 7,
    gradient=np.array([1e-300, 5e-324]),
    best=np.array([0.1, 2 / 3]),
    best_value=np.float64(0.1),
    stage=1,
    step=2,
    total=5,
    memory={"moments": [np.asarray(3), np.arange(2.0)], "scale": np.asarray(0.5)},
    records={"loss": [1 / 3, 1 / 7], "thickness": [jnp.asarray(0.1), np.inf]},
)
PROBLEM = Fingerprint({"model.flow.A": "1e-16", "seed": "0"}, [1, 5])


@pytest.fixture
def path(tmp_path):
    write_checkpoint(tmp_path / "run.npz", STATE, PROBLEM)
    return tmp_path / "run.npz"


def bits(value):
    """A state as bytes, whatever numbers it holds."""
    if isinstance(value, InversionState):
        return bits(vars(value))
    if value is None:
        return None
    if isinstance(value, dict):
        return {k: bits(v) for k, v in value.items()}
    if isinstance(value, list):
        return [bits(v) for v in value]
    return np.asarray(value).tobytes(), np.asarray(value).dtype, np.shape(value)


def test_a_checkpoint_keeps_every_bit(path):
    assert bits(read_checkpoint(path, PROBLEM)) == bits(STATE)
    assert bits(read_checkpoint(path)) == bits(STATE)
    assert [p.name for p in path.parent.iterdir()] == ["run.npz"]
    assert read_checkpoint(path.with_name("none.npz"), PROBLEM) is None


def test_a_checkpoint_that_could_not_be_written_leaves_the_last_one(path, monkeypatch):
    def half(file, **content):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("numpy.savez", half)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(path, dataclasses.replace(STATE, step=3), PROBLEM)
    assert bits(read_checkpoint(path, PROBLEM)) == bits(STATE)
    assert [p.name for p in path.parent.iterdir()] == ["run.npz"]


@given(where=st.floats(0.0, 1.0, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_checkpoint_is_an_input_error_or_whole(path, where, byte, cut):
    content = path.read_bytes()
    at = int(where * len(content))
    damaged = path.with_name("damaged.npz")
    damaged.write_bytes(content[:at] if cut else content[:at] + bytes([byte]) + content[at + 1 :])
    try:
        state = read_checkpoint(damaged, PROBLEM)
    except InputError:
        return
    assert bits(state) == bits(STATE)


def crafted(path, **changes):
    """The checkpoint with other members."""
    with np.load(path) as file:
        content = {name: file[name] for name in file.files} | changes
    np.savez(path, **{name: value for name, value in content.items() if value is not None})


def with_field(path, field, value):
    with np.load(path) as file:
        document = json.loads(str(file["__objects__"]))
    document["object"]["fields"][field] = value
    crafted(path, __objects__=json.dumps(document))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("stage", -1, "stage is -1, expected >= 0"),
        ("stage", "1", "stage: found str 1, expected int"),
        ("best", 3.0, "best: found float 3.0, expected Float"),
        ("x", {"array": "a9", "dtype": "<f8", "jax": False}, "'a9' is not in the file"),
        ("records", {"dict": [["loss", {"list": []}], ["more", {"list": [1.0]}]]}, "lengths"),
        ("records", {"dict": [["loss", {"list": ["much"]}]]}, "records: found dict"),
        ("memory", {"list": []}, "memory: found list"),
        ("more", 1, "'more' is not one of its fields"),
    ],
)
def test_what_is_wrong_in_a_checkpoint_is_named(path, field, value, message):
    with_field(path, field, value)
    with pytest.raises(InputError, match=f"run.npz: odinn.InversionState.*{message}"):
        read_checkpoint(path, PROBLEM)


def test_numbers_of_a_checkpoint_have_one_length_and_are_finite(path):
    crafted(path, a1=np.zeros(3))
    with pytest.raises(InputError, match=r"gradient: found an array of float64 \(3,\)"):
        read_checkpoint(path, PROBLEM)
    crafted(path, a0=np.array([np.nan, 1.0]), a1=np.zeros(2))
    with pytest.raises(InputError, match="run.npz: .*x is not finite"):
        read_checkpoint(path, PROBLEM)


def test_other_files_and_earlier_checkpoints_are_refused(path):
    crafted(path, __objects__=json.dumps({"format": 2, "object": {"dict": []}}))
    with pytest.raises(InputError, match="run.npz: holds a dict, expected a checkpoint"):
        read_checkpoint(path, PROBLEM)
    crafted(path, __objects__=None, __tree__="{}")
    with pytest.raises(InputError, match="run.npz: written by an earlier .* with odinn 0.1.0.dev0"):
        read_checkpoint(path, PROBLEM)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(InputError, match="run.npz: not a checkpoint of odinn.invert"):
        read_checkpoint(path, PROBLEM)
    np.savez(path, __objects__=np.array([{"a": 1}], object), __problem__=PROBLEM.text)
    with pytest.raises(InputError, match="run.npz: not a checkpoint of odinn.invert"):
        read_checkpoint(path, PROBLEM)


class NotRegistered(odinn.laws.AbstractLaw):
    inputs: tuple
    weights: dict
    ranges: tuple = ()

    def with_ranges(self, ranges):
        return self

    def evaluate(self, altitude):
        return jnp.exp(self.weights["log a"]) + 0.0 * altitude


def test_a_class_that_is_not_registered_is_noticed_before_the_first_step(slab, path, monkeypatch):
    law = NotRegistered((odinn.inputs.Altitude(),), {"log a": jnp.log(1e-16)})
    model = odinn.Model(odinn.SIA2D(A=law), None)
    monkeypatch.setattr("odinn.learning.driver.objective", None)  # nothing is run
    with pytest.raises(InputError, match=r"checkpoint=.*NotRegistered.*odinn.register\(NotReg"):
        odinn.invert(
            model, slab, odinn.losses.Thickness(), (2000.0, 2001.0), checkpoint=path, progress=False
        )
