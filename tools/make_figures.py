"""Make the figures of README and docs: ``python tools/make_figures.py`` (Argentière needs the real glaciers)."""

import os
import shutil
import tempfile
from pathlib import Path

import odinn
import tutorials
from odinn.cli.demo import run_demo

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DATA = Path(os.environ.get("ODINN_DATA", ROOT.parent / "shared" / "data"))


def main() -> None:
    """Run the demonstration, Argentière and the tutorials, and keep their pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        run_demo(Path(folder), print)
        shutil.copy(Path(folder) / "same_climate" / "thickness_speed.png", IMAGES / "demo.png")
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


if __name__ == "__main__":
    main()
