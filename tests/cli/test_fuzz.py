"""Mutants of a configuration: understood, or an error that names the file."""

import pytest
import yaml
from hypothesis import given

from odinn.cli.config import build_model, read_config
from odinn.errors import OdinnError
from tests.data import mutants
from tests.data.test_fuzz import SIZES, examples

SOUND = yaml.safe_dump(
    {
        "glacier": {"source": "a.nc", "climate": {"product": "w5e5", "temp": 1.5}, "coarsen": 2},
        "model": {
            "flow": {"type": "SIA2D", "A": 4e-17, "n": 3.0},
            "mass_balance": {"type": "TemperatureIndex", "melt_factor": 0.005},
        },
        "calibrate": {"target": -0.5, "period": [2000, 2010]},
        "run": {"t0": 2000, "t1": "2010-01-01", "stepper": {"type": "RKC2", "tol": 0.01}},
        "output": {"directory": "results", "plots": False},
    },
    sort_keys=False,
)


@pytest.mark.parametrize("size", SIZES)
def test_a_configuration_with_mistakes_is_understood_or_refused_by_name(size, tmp_path):
    path = tmp_path / "run.yaml"

    @examples(8 * size)
    @given(mutants.texts(SOUND))
    def check(text):
        path.write_text(text, encoding="utf-8")
        refused = None
        try:
            config = read_config(path, [])
            build_model(config["model"], f"{path}: model")
        except OdinnError as error:
            refused = str(error)
        # any other kind of error is a fault of its own
        assert refused is None or "run.yaml" in refused

    check()
