"""Programs on disk: what cannot be read is made anew, once and without a word."""

import os
import subprocess
import sys

START = """
import jax
import jax.monitoring
from odinn.cache import enable_compilation_cache

hits = []
count = lambda event, **_: hits.append(event.endswith("cache_hits"))
jax.monitoring.register_event_listener(count)
enable_compilation_cache()
for k in (2.0, 3.0, 5.0):
    jax.jit(lambda x: (x * k).sum(), inline=True).lower(jax.ShapeDtypeStruct((3,), float)).compile()
print(sum(hits))
"""


def hits_of_a_start(folder):
    """How many of three programs a new process finds there."""
    told = os.environ | {
        "ODINN_CACHE": str(folder),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    told.pop("JAX_COMPILATION_CACHE_DIR", None)
    start = subprocess.run(
        [sys.executable, "-c", START], env=told, capture_output=True, text=True, check=True
    )
    assert start.stderr == ""
    return int(start.stdout)


def test_programs_that_cannot_be_read_are_dropped_and_written_again(tmp_path):
    assert hits_of_a_start(tmp_path) == 0
    entries = sorted(tmp_path.glob("*-cache"))
    assert len(entries) == 3
    whole = entries[1].read_bytes()
    for entry, damaged in zip(entries, (b"", whole[: len(whole) // 2], b"no program"), strict=True):
        entry.write_bytes(damaged)
    assert hits_of_a_start(tmp_path) == 0
    assert hits_of_a_start(tmp_path) == 3
