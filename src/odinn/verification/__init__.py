"""Exact solutions, and the model against them: the table behind ``odinn verify``."""

from odinn.verification.measures import convergence_order
from odinn.verification.problems import (
    PROBLEMS,
    Bar,
    Problem,
    Result,
    Row,
    run,
    run_all,
)

__all__ = [
    "PROBLEMS",
    "Bar",
    "Problem",
    "Result",
    "Row",
    "convergence_order",
    "run",
    "run_all",
]
