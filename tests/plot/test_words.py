"""Words on figures: all of them are there, inside the figure, and none over another."""

import dataclasses
from itertools import combinations

import equinox as eqx
import pytest

import odinn
from odinn.cli import demo_pictures
from odinn.plot import figures, maps, page

LONG = (
    "Glacier du Mont de Lans et de la Girose, avec tous ses affluents du nord et du sud, "
    "$A_1$ & <b>[/bold]</b> "
) + "Kangerlussuaq" * 9


@pytest.fixture(scope="module")
def lengthy(slab_run):
    """The run with long names, under a scenario that takes many words."""
    climate = slab_run.glacier.climate.constant((2001, 2003)).shift(temp=2.0, precip=1.25)
    climate = dataclasses.replace(
        climate, name="a_reanalysis_downscaled_to_the_valley_and_debiased"
    )
    glacier = dataclasses.replace(slab_run.glacier, name=LONG, climate=climate)
    return eqx.tree_at(lambda sim: sim.glacier, slab_run, glacier)


def words(part):
    """The texts of a figure, of its parts and of all axes but for the numbers at the ticks."""
    for inner in getattr(part, "subfigs", []):
        yield from words(inner)
    yield from part.texts
    for ax in {ax for ax in part.axes if ax.get_figure(root=False) is part}:
        yield from (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)
        legend = ax.get_legend()
        yield from legend.get_texts() if legend else []


def boxes(fig):
    """Each text that is not empty, and its place in pixels."""
    for _ in range(2):  # what is laid out by the first moves the second
        fig.draw_without_rendering()
    shown = [text for text in words(fig) if text.get_text().strip() and text.get_visible()]
    return {text: text.get_window_extent() for text in shown}


def assert_all_inside(fig):
    for text, box in boxes(fig).items():
        inside = fig.bbox.x0 - 1 <= box.x0 < box.x1 <= fig.bbox.x1 + 1
        inside &= fig.bbox.y0 - 1 <= box.y0 < box.y1 <= fig.bbox.y1 + 1
        assert inside, text.get_text()


def squeezed(text):
    return "".join(text.split())


@pytest.mark.parametrize("name", figures.FIGURES)
def test_long_names_lie_inside_every_figure_and_are_whole(lengthy, name):
    fig = figures.FIGURES[name].draw(lengthy)
    assert_all_inside(fig)
    assert squeezed(LONG) in squeezed("".join(text.get_text() for text in words(fig)))


def test_a_long_name_lies_inside_the_figure_of_a_glacier(lengthy):
    fig = lengthy.glacier.plot()
    assert_all_inside(fig)
    assert squeezed(LONG) in squeezed(fig.get_suptitle())


def test_the_page_wraps_what_is_long_and_cuts_nothing(lengthy):
    fig = page.summary(lengthy)
    said = squeezed("".join(text.get_text() for text in fig.subfigs[0].texts))
    for text in page.numbers(lengthy).values():
        assert squeezed(text) in said
    assert "+2K,precipitationx1.25" in said


def test_no_words_of_the_page_lie_over_others(lengthy):
    fig = page.summary(lengthy)
    places = boxes(fig)
    head = [(text.get_text(), places[text]) for text in fig.subfigs[0].texts]
    for (one, here), (other, there) in combinations(head, 2):
        assert not here.padded(-1).overlaps(there.padded(-1)), (one, other)
    lowest = min(box.y0 for _, box in head)
    assert lowest >= max(ax.bbox.y1 for ax in fig.subfigs[1].axes)


@pytest.mark.parametrize("count", [1, 2])
def test_the_captions_of_the_demonstration_lie_inside_and_are_whole(slab_run, count):
    names = ["Ramsay Glacier", "Lyell Glacier"][:count]
    runs = {name: {"constant": slab_run, "warmer": slab_run} for name in names}
    climates = {"constant": "every year alike", "warmer": "1.5 K warmer"}
    maps_of = demo_pictures.maps_of([slab_run.glacier] * count, slab_run.model)
    for fig in (maps_of, demo_pictures.futures(runs, climates)):
        (caption,) = [t for t in fig.texts if "Neither a reconstruction" in t.get_text()]
        box = boxes(fig)[caption]
        assert fig.bbox.x0 <= box.x0 < box.x1 <= fig.bbox.x1
        assert fig.bbox.y0 <= box.y0 < box.y1 <= fig.bbox.y1
        assert squeezed(demo_pictures.CAPTION) in squeezed(caption.get_text())
        # the maps keep the larger part of the picture
        assert box.height < 0.25 * fig.bbox.height


@pytest.mark.parametrize("what", ["thickness", "speed", "surface", "change"])
def test_maps_of_several_dates_share_their_colours_on_request(slab_run, what):
    def limits(index, **options):
        return maps.draw_run(slab_run, what, index, **options).images[1].get_clim()

    assert limits(1, limits="shared") == limits(-1, limits="shared")
    assert limits(1) != limits(-1)


def test_figures_of_several_dates_share_their_colours_on_request(slab_run):
    first, last = (maps.thickness_and_speed(slab_run, i, limits="shared") for i in (0, -1))
    for one, other in zip(first.axes[:2], last.axes[:2], strict=True):
        assert one.images[1].get_clim() == other.images[1].get_clim()
        assert one.get_xlim() == other.get_xlim()


def test_limits_by_another_word_are_refused(slab_run):
    with pytest.raises(odinn.InputError, match=r"limits='same'.*'shared'"):
        maps.draw_run(slab_run, limits="same")
