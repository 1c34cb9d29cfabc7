"""Write the generated pages of docs/: the table of output variables, and the Python reference."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import api_page
import slot_table
from odinn.results.variables import BY_YEAR, table

DOCS = Path(__file__).parents[1] / "docs"

PAGE = """# Result files

`odinn.save(sim, "run.nc")` and `odinn run` write one file per glacier: CF-1.11, NetCDF-4 (or Zarr). `time` is in days since
1970-01-01 with bounds, `decimal_year` beside it; the grid mapping is in `crs`. Rows run from north to south; `vx` and `vy` point
along increasing projected x and y. A `window` is a stretch between two stops (a month, for a monthly balance). "On the
glacier" is ice inside the outline, or thicker than 10 m outside. Rates are per model year, whose months are all 1/12:
integrate with `decimal_year`, not with `time`. `xr.open_dataset(path, decode_coords="all")` lets rioxarray find the
projection. `sim.smb` in Python is in m w.e. per year, `smb` in the file in kg m-2 yr-1. The equilibrium line
needs a saved state exactly one year before.

**Area** (`area_m2`, `sim.area`, bands, curves, maps) is that of the cells of `sim.is_glacier`: at least 1 m of ice, now and at
the last end of a balance year (1 October in the north, 1 April in the south). The snow of a winter on bare ground, which is ice in
the model at once, is area when it has outlasted a balance year, and so is ice that advances; the ice of the start of a run is area
from the start. If ends of balance years are not among the saved times, the last saved time before one stands for it: a run saved
each January may count snow that lay there a January before, so save months, or start in October (April). Where the hemisphere is
not known (a grid without CRS, a glacier on the equator), balance years are those of the run. The volume has all ice.

The group
`odinn` in the same file holds what `odinn.load` and `odinn.restart` need.

This table is generated from `odinn.results.variables` (`python tools/write_docs.py`).

{table}

## Water

`odinn.simulate(..., hydrology=True)` (YAML: `run: {{hydrology: true}}`) records snow, rain and melt of every cell and month, for
balances by degree-days. The variables along `month` above are then in the file, and as `sim.hydrology` in Python; `sim.series()`
has those without y and x. Names are OGGM's, but the unit of OGGM is kg: 1 m3 of water is 1000 kg.

- **Melt** is what melted, not what the degree-days could have melted (as `melt`, along `window`, is). On each cell, and in each
  month, snowfall = melt + balance of the ice + change of the snowpack, so the water agrees with the ice budget to round-off:
  over the whole grid, precipitation − runoff − stored snow − stored ice is the attribute `water_residual_m3`, with
  `water_relative_residual` below 1e-12. In Python: `sim.water`. `ice_balance` is what the ice of the domain gained.
- **On the glacier** are cells with at least 1 m of ice at the start of the month, fresh snow among it (unlike in `area_m2`); **off** is the rest of a
  domain that stays the same in time (`hydrology_domain`): the cells inside the outline, those with 1 m of ice some time in the
  run, and those where 1 m of ice melted in it. `sim.series(domain=mask)` takes another one: a catchment, or the domain of
  several runs or parts of a run, which makes them comparable.
- **Snow beside the ice.** Outside the outline, on bare ground and on ice thinner than 10 m, snow does not turn into ice. It
  lies in a snowpack (`snow_amount`; its sum is `snow_bucket`), melted by the degree-days that are left after the month's own
  snow. Thin ice beneath melts as if it were bare. High up, the pack may last and grow, for it does not flow. Inside the
  outline, snow on bare ground is ice at once: a metre of it in spring is on the glacier here, but no area yet.
- **Runoff** is melt and rain of the domain in the month. Nothing refreezes, evaporates, or is held back on its way.
- The snowpack is part of the state: parts of a run, joined by `initial=`, give the series of the whole. A glacier's own file,
  or a state of a run without hydrology, starts without snow beside the ice.

## Many glaciers

`odinn.simulate(model, glaciers, t0, t1)` returns a list of results in the order of the glaciers. A list that does not fit into
memory goes to a folder instead, a file for each glacier; what is returned is a table of pandas, which is in the folder as
`glaciers.csv`, too:

```python
from pathlib import Path

paths = sorted(Path("glaciers").glob("*.nc"))
table = odinn.simulate(model, paths, 2000, 2100, save_every=1.0, output="century")
print(table.volume_end_m3.sum() / table.volume_start_m3.sum())
print(table[table.status == "failed"].error)
first = odinn.load(Path("century") / table.file.iloc[0])
```

- **Glaciers** come from a list or a generator: `Glacier` objects, or what `odinn.open_glacier` opens. They are read, run and
  dropped some hundred at a time, so memory does not grow with their number. A generator may put them under a scenario or crop
  them: `(odinn.open_glacier(path).replace(climate=...) for path in paths)`.
- **A glacier that fails**, in opening or in running, is a row with its `error` and stops no other; `on_error="raise"` stops at the
  first. A disk that is full stops the list.
- **A run that was cut off** is called again as it was: glaciers whose file is there are not run again (`status` "resumed"), failed
  ones are. Files are whole or not there. A file of another model, other inputs or other settings in the place of a result is an
  error that says what differs: remove it, or choose another folder.
- **Laws** that take the ranges of their inputs from the glaciers of a run are bound before, to glaciers that stand for all:
  `model = odinn.bind(model, some)`.

| column | what it is |
|---|---|
| `rgi_id` | the index, in the order given; of what could not be opened, its path |
| `status` | "done", "resumed" (the file was there) or "failed" |
| `file` | the name of the result in the folder |
| `volume_start_m3`, `volume_end_m3` | ice |
| `area_start_m2`, `area_end_m2` | as `area_m2` above |
| `balance_m_we_yr` | mean balance: accumulation less ablation of the run, over the area in time, m w.e. yr⁻¹ |
| `seconds` | in the compiled program, a share of its batch's |
| `evaluations` | of the right-hand side |
| `error` | why it failed |

## Years and bands of altitude

`sim.annual("hydro")` and `sim.annual("calendar")` give the complete years of a run as an `xarray.Dataset`: the series above at
the end of the year, water as sums. Hydrological years start in October in the north and in April in the south (`hydro_month=` for
another month; on the equator it is asked for), and bear the label of the year in which they end; `calibrate` and comparisons with
measured balances take the same years. `sim.by_altitude(50.0, "hydro")` gives area and balance in bands
of altitude. Both work on runs loaded with `odinn.load`, and need the ends of years among the saved times. Further variables:

{by_year}
"""


def pages() -> dict[Path, str]:
    """The generated pages and their content."""
    return {
        DOCS / "output.md": PAGE.format(table=table(), by_year=table(BY_YEAR)),
        DOCS / "api.md": api_page.page(),
        DOCS / "learning.md": slot_table.inserted(
            (DOCS / "learning.md").read_text(encoding="utf-8")
        ),
    }


def main() -> None:
    """Write them, or with ``--check`` say which are old."""
    if "--check" in sys.argv:
        old = [
            path.name
            for path, text in pages().items()
            if not path.exists() or path.read_text(encoding="utf-8") != text
        ]
        sys.exit(f"run tools/write_docs.py: {', '.join(old)} is old" if old else 0)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
