"""Make the figures of README and docs: ``python tools/make_figures.py`` (Argentière needs the real
glaciers).
"""

import os
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

import odinn
import tutorials
from odinn.cli import demo_pictures
from odinn.cli.demo import learn
from odinn.plot.figures import save

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DATA = Path(os.environ.get("ODINN_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    """Draw the README's picture, Argentière and the tutorials, and keep their pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tutorials.keep(save(first_screen(), Path(folder) / "demo.png"), "demo")
        glacier = odinn.open_glacier(DATA / "glaciers" / "argentiere_RGI60-11.03638.nc")
        model = odinn.Model(mass_balance=odinn.TemperatureIndex(precip_factor=2.5))
        model = odinn.calibrate(model, glacier, target=-1.206, period=(2009.75, 2019.75))
        sim = odinn.simulate(model, glacier, 2009.75, 2019.75, save_every=0.25)
        names = ("overview", "series", "summary", "section")
        odinn.plot.save_all(sim, Path(folder) / "argentiere", names)
        for name in names:
            tutorials.keep(Path(folder) / "argentiere" / f"{name}.png", f"argentiere_{name}")
    tutorials.main()
    print(f"wrote {', '.join(sorted(p.name for p in IMAGES.iterdir()))}")


def first_screen() -> Figure:
    """Two embedded glaciers, and a law learned on them beside the truth, with where there are
    data.
    """
    fig = Figure(figsize=(15.0, 7.0), layout="constrained")
    left, right = fig.subfigures(1, 2, width_ratios=(1.35, 1.0))
    demo_pictures.draw_maps(left, odinn.demo_glaciers()[:2], odinn.demo_model())
    ax = right.subplots()
    twin = learn()
    odinn.plot.law(twin.law, twin.glaciers, twin.truth, ax, initial=twin.before, label="flow.A")
    right.suptitle("A(T) learned from surface speeds (twin experiment)", fontsize=12)
    return fig


if __name__ == "__main__":
    main()
