"""What an inversion depends on, part by part, so that a checkpoint of another one is known by what
differs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from odinn.errors import InputError
from odinn.learning.optimizers import AbstractOptimizer
from odinn.learning.pure_objective import Objective
from odinn.learning.state import InversionState
from odinn.results.parts import differences, parts_of


class Fingerprint(NamedTuple):
    """Parts of an inversion by name, such as "model.flow.A.bounds": short values as they are,
    arrays as their digest; and how many steps each stage may take.
    """

    parts: dict[str, str]
    steps: list[int]

    @property
    def text(self) -> str:
        """As JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def from_text(cls, text: str) -> Fingerprint:
        """Inverse of :attr:`text`; any other text is a ``ValueError``."""
        match json.loads(text):
            case {"parts": dict(parts), "steps": list(steps), **rest} if not rest:
                whole = all(type(step) is int for step in steps)
                if whole and all(isinstance(part, str) for part in parts.values()):
                    return cls(parts, steps)
        raise ValueError("no fingerprint of an inversion")

    def differences(self, theirs: Fingerprint) -> list[str]:
        """The parts in which a checkpoint's fingerprint is not this one, with their values where
        they are short.
        """
        return differences(theirs.parts, self.parts)

    def check_steps(self, theirs: Fingerprint, state: InversionState) -> None:
        """Raise :class:`InputError` where these stages would not have led to a checkpoint's
        state.
        """
        # the first row of the history is of the start
        stages = [int(stage) for stage in state.records.get("stage", [])[1:]]
        for k, (before, now) in enumerate(zip(theirs.steps, self.steps, strict=True)):
            done = stages.count(k)
            if now < done:
                raise InputError(
                    f"optimizer {k + 1} has done {done} steps, and steps={now} now; give at least "
                    f"{done}"
                )
            # a stage that was cut off by its steps would have gone on
            if k < state.stage and now > done == before:
                raise InputError(
                    f"optimizer {k + 1} ended after its {done} steps, and the next one has begun: "
                    f"steps={now} come too late; give {done}"
                )


def fingerprint(
    objective: Objective, stages: Sequence[AbstractOptimizer], seed: int
) -> Fingerprint:
    """That of an inversion: model, glaciers with all that was measured, loss, settings of the runs,
    optimisers (but for their steps) and seed.
    """
    model, glaciers = objective.combined(objective.params)
    found = list(parts_of("model", model))
    found.append(("glaciers", ", ".join(glacier.rgi_id for glacier in glaciers)))
    for glacier in glaciers:
        for name, part in parts_of("", glacier):
            found.append((f"{glacier.rgi_id}: {name[1:] or 'kind'}", part))
    for name, weight, term in objective.loss.named:
        found += [(f"weight of loss.{name}", repr(weight)), *parts_of(f"loss.{name}", term)]
    found += parts_of("run", objective.settings)
    found.append(("optimizers", ", ".join(stage.name for stage in stages)))
    for number, stage in enumerate(stages, start=1):
        own = f"optimizer {number}"
        found += [part for part in parts_of(own, stage) if part[0] != f"{own}.steps"]
    found.append(("seed", repr(seed)))
    return Fingerprint(dict(found), [int(stage.steps) for stage in stages])
