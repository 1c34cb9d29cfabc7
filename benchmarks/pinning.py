"""One core for a process that measures. It imports no JAX, for XLA counts the cores when it starts.

What it does to a process holds for that process alone; odinn itself never touches these settings.
"""

from __future__ import annotations

import os

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def pin(core: int | None = None) -> int | None:
    """Keep this process, and the threads that it starts from now on, on one core.

    Args:
        core: which of the cores that it may use; the last one without it.

    Returns:
        The core; None where the system knows no affinity, and XLA is only asked for one thread.
    """
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {ONE_THREAD}".strip()
    if not hasattr(os, "sched_setaffinity"):  # macOS, Windows
        return None
    core = max(os.sched_getaffinity(0)) if core is None else core
    os.sched_setaffinity(0, {core})
    return core
