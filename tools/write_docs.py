"""Write the generated pages of docs/: the table of output variables."""

from pathlib import Path

from odinn.output.variables import table

DOCS = Path(__file__).parents[1] / "docs"

PAGE = """# Result files

`odinn.save(sim, "run.nc")` and `odinn run` write one file per glacier: CF-1.11, NetCDF-4 (or Zarr). `time` is in days since
1970-01-01 with bounds, `decimal_year` beside it; the grid mapping is in `crs`. Rows run from north to south; `vx` and `vy` point
along increasing projected x and y. A `window` is a stretch between two stops (a month, for a monthly balance). "On the
glacier" is ice inside the outline, or thicker than 10 m outside. Rates are per model year, whose months are all 1/12:
integrate with `decimal_year`, not with `time`. `xr.open_dataset(path, decode_coords="all")` lets rioxarray find the
projection. `sim.smb` in Python is in metres of ice per year, `smb` in the file in kg m-2 yr-1. The equilibrium line
needs a saved state exactly one year before.

The group
`odinn` in the same file holds what `odinn.load` and `odinn.restart` need.

This table is generated from `odinn.output.variables` (`python tools/write_docs.py`).

{table}
"""


def pages() -> dict[Path, str]:
    """The generated pages and their content."""
    return {DOCS / "output.md": PAGE.format(table=table())}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        print(f"wrote {path.name}")
