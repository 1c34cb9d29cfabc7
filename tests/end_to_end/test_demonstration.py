"""The demonstration, shortened: what it makes and what it says."""

import csv
import re
import sys

import numpy as np
import pytest

import odinn
from odinn.cli.demo import COLDER, run_demo
from odinn.cli.main import main


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """One glacier for two years on cells of 200 m, a few steps of learning, and no real glacier."""
    folder, said = tmp_path_factory.mktemp("demo"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ODINN_DATA", str(folder / "nowhere"))
        return folder, run_demo(folder, said.append, years=2, coarsen=4, count=1, steps=14), said


def test_pictures_come_first_and_in_order_and_every_file_is_named(short):
    folder, files, said = short
    pictures = ["1_maps.png", "2_2_years.png", "3_runoff.png", "5_learned_law.png"]
    runs = ["ramsay_constant.nc", "ramsay_warmer.nc"]
    assert [p.name for p in files] == [*pictures, *runs, "yearly.csv", "learned_law.nc"]
    assert {p.name for p in folder.iterdir()} == {p.name for p in files}
    assert all((folder / name).stat().st_size > 30_000 for name in pictures)
    text = "\n".join(said)
    assert re.findall(r"wrote \S+?(\d_\w+\.png)", text) == pictures
    last = text[text.index("Done.") :]
    assert all(path.name in last for path in files)
    assert "Neither a reconstruction nor a forecast" in text
    assert "A twin experiment" in text
    assert f"Air is {-COLDER:g} K colder" in text
    assert re.search(
        r"4_argentiere_balance.png is not drawn, since its data are not there: "
        r"the measured balance of a real glacier \(.*\) is not in ODINN_DATA=\S+nowhere",
        text,
    )
    assert re.search(r"half of the ice is within \d+\.\d % of the truth, 95 % of it", text)


def test_a_warmer_climate_leaves_less_ice_and_gives_more_water(short):
    folder, _, said = short
    same, warmer = (odinn.load(folder / f"ramsay_{key}.nc") for key in ("constant", "warmer"))
    assert warmer.volume[-1] < same.volume[-1]
    assert warmer.glacier.climate.shifted == (1.5, 1.0)
    assert warmer.relative_residual < 1e-12  # round-off
    with (folder / "yearly.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["hydrological_year"] for r in rows] == ["2001", "2002"] * 2
    runoff = [float(r["runoff"]) for r in rows]
    assert runoff[2] > 1.02 * runoff[0]
    assert runoff[3] > 1.02 * runoff[1]
    assert sum("balance of the first year" in line for line in said) == 2


def test_the_law_that_is_saved_goes_towards_the_truth(short):
    folder, _, _ = short
    fit = odinn.load(folder / "learned_law.nc")
    loss = fit.records["loss"]
    assert loss.min() < 0.5 * loss[0]  # the whole demo takes five times the steps
    temperature = np.array([-12.0, -3.0])
    assert (
        np.ptp(np.log(np.asarray(fit.model.flow.A(temperature)))) > 0.3
    )  # log 5 in truth; before learning 0.02


def test_argentieres_balance_is_calibrated_and_compared(data):
    from odinn.cli import demo, demo_pictures

    comparison, factor = demo.argentiere(data)
    assert factor == pytest.approx(3.885e-3, rel=1e-3)  # as examples/argentiere.yaml
    assert comparison.correlation > 0.8
    assert comparison.modelled.mean() == pytest.approx(comparison.measured.mean(), abs=1e-8)
    assert "bias +0.00" in demo_pictures.measured(comparison, factor).axes[0].get_title()


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--years", "70"], "expected 1 to 69"), (["-o", "taken"], "not a folder")],
)
def test_a_demo_that_cannot_be_is_refused_at_once(options, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "taken").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["odinn", "demo", *options])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
