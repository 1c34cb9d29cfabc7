"""A notebook: what is the result of a cell is shown, what takes time shows that it moves."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import odinn
from odinn import notebook
from odinn.plot.parts import Pictures

CELLS = {
    "import": """
import numpy as np, odinn, odinn.progress
odinn.progress.PATIENCE = 0.0  # all is short here
""",
    "glacier": """
grid = odinn.Grid(20, 20, 100.0, 100.0, crs="EPSG:32632")
y, x = np.mgrid[-9.5:10, -9.5:10]
ice = 60.0 * np.maximum(1 - (x**2 + y**2) / 49.0, 0.0)
bed = 2000.0 + 20.0 * x
glacier = odinn.Glacier("cube", "<i>Ice & snow</i>", grid, bed, ice, ice > 0)
glacier
""",
    "glacier.plot": "glacier.plot()",
    "model": """
gradient = odinn.Parameter(0.01, bounds=(0.001, 0.1))
model = odinn.Model(None, odinn.LinearBalance(gradient=gradient, ela=2100.0))
model
""",
    "sim": "sim = odinn.simulate(model, glacier, 2000, 2003, save_every=1.0); sim",
    "sim.plot": "sim.plot()",
    "map": "odinn.plot.maps.draw_run(sim, 'change')",
    "curve": "odinn.plot.series.volume_and_area(sim)",
    "objective": """
seen = odinn.Observations(thickness=sim.thickness[-1] + 1.0)
loss = odinn.losses.Thickness()
objective = odinn.objective(model, glacier.replace(observations=seen), loss, (2000, 2001))
objective
""",
    "fit": """
fit = odinn.invert(model, glacier.replace(observations=seen), loss, (2000, 2001),
                   optimizer=odinn.optimizers.adam(0.1, 1))
fit
""",
    "pictures": "odinn.plot.inversion(fit)",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of each cell, in a kernel of its own, whose matplotlib knows no notebook."""
    book = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, CELLS.values())))
    folder = tmp_path_factory.mktemp("notebook")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        patch.setenv("PYTHONPATH", str(Path(odinn.__file__).parents[1]))
        patch.setenv("IPYTHONDIR", str(folder))
        client = NotebookClient(book, timeout=120, resources={"metadata": {"path": str(folder)}})
        client.execute()
    return dict(zip(CELLS, (cell.outputs for cell in book.cells), strict=True))


def result(outputs, cell):
    """What a cell showed as its result, by kind."""
    (shown,) = [out.data for out in outputs[cell] if out.output_type == "execute_result"]
    return shown


@pytest.mark.parametrize("cell", ["glacier.plot", "sim.plot", "map", "curve"])
def test_a_figure_shows_inline_without_a_magic(outputs, cell):
    picture = result(outputs, cell)["image/png"]
    assert len(picture) > 5000  # of base64


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("glacier", "<td>area</td><td>1.4"),
        ("model", "<td>mass_balance.gradient: balance gradient"),
        ("sim", "2000.00 to 2003.00, 4 saved times"),
        ("objective", "<td>numbers to learn</td><td>1</td>"),
        ("fit", "<td>learned mass_balance.gradient</td>"),
    ],
)
def test_what_a_cell_ends_with_shows_its_key_numbers(outputs, cell, words):
    html = result(outputs, cell)["text/html"]
    assert words in html
    has_picture = cell in ("glacier", "sim", "fit")
    assert ("data:image/png;base64," in html) == has_picture
    assert len(html) < 40_000
    assert "<i>" not in html  # a name is text


def test_the_name_of_a_glacier_is_text_in_a_notebook(outputs):
    for cell in ("glacier", "sim"):
        assert "&lt;i&gt;Ice &amp; snow&lt;/i&gt;" in result(outputs, cell)["text/html"]


@pytest.mark.parametrize("cell", ["sim", "fit"])
def test_what_is_long_is_short_as_text(outputs, cell):
    assert len(result(outputs, cell)["text/plain"]) < 200


def test_pictures_of_an_inversion_show_one_below_the_other(outputs):
    html = result(outputs, "pictures")["text/html"]
    assert html.count("<img") == html.count("<h4>") > 1


def test_a_run_shows_a_bar_that_ends_full(outputs):
    shown = [out.data["text/html"] for out in outputs["sim"] if out.output_type == "display_data"]
    assert [html for html in shown if 'value="1.000"' in html and "2003.0" in html]
    (label,) = [html for html in shown if "<progress" not in html]
    assert label == ""  # of the compilation, gone


def test_an_inversion_shows_its_last_step_in_one_place(outputs):
    shown = [out.data["text/html"] for out in outputs["fit"] if out.output_type == "display_data"]
    (line,) = [html for html in shown if "step" in html]
    assert re.search(r"best: step 1 of 1, loss", line)


def test_nothing_is_written_to_standard_error(outputs):
    said = [out.text for shown in outputs.values() for out in shown if out.output_type == "stream"]
    assert said == []


def test_outside_of_a_notebook_none_is_open():
    assert not notebook.is_open()


def test_names_of_pictures_are_text():
    pictures = Pictures({"<b>": odinn.plot.series.annual_balance([2000], [1.0], [1.1]).figure})
    assert "<b>" not in pictures._repr_html_()


def test_a_bare_glacier_and_a_run_without_ice_show_themselves():
    grid, flat = odinn.Grid(8, 8, 100.0, 100.0), np.full((8, 8), 2000.0)
    bare = odinn.Glacier("bare", "", grid, flat, 0.0 * flat, flat < 0)
    run = odinn.simulate(odinn.Model(None, None), bare, 2000, 2001, save_every=1.0)
    for shown in (bare, run):
        assert "0.00" in shown._repr_html_()
        shown.plot().draw_without_rendering()


def test_a_run_is_drawn_by_the_name_of_a_figure(slab):
    run = odinn.simulate(odinn.Model(None, None), slab, 2000, 2001, save_every=1.0)
    assert run.plot("before_after").get_suptitle() == "Slab (TEST-00.00001)"
    with pytest.raises(odinn.InputError, match=r"'maps': choose from .*glance"):
        run.plot("maps")
    with pytest.raises(odinn.InputError, match=r"odinn\.plot\.animate"):
        run.plot("gif")
