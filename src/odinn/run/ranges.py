"""What a run says of laws that it has asked beyond the range of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from odinn.climate import months_between
from odinn.errors import of_glacier
from odinn.glacier import Glacier
from odinn.model.binding import for_one_glacier
from odinn.model.model import Model
from odinn.physics.laws.base import AbstractLaw
from odinn.physics.laws.coverage import beyond_ranges

_ADVICE: Final = "Give the input a range= that covers it, and let it learn from data there."


def ranges_left(
    model: Model, glacier: Glacier, thickness: Sequence[np.ndarray], span: tuple[float, float]
) -> list[str]:
    """A sentence for each input of a law of a model that leaves its range on a glacier.

    Args:
        model: bound. thickness: of some states of a run, m, each (ny, nx). span: of the run,
            decimal years.
    """
    sentences = []
    for path, slot in for_one_glacier(model, glacier.rgi_id).slots().items():
        if isinstance(slot.value, AbstractLaw):
            for beyond in beyond_ranges(slot.value, glacier, thickness, months_between(*span)):
                text = f"the law in {path} is used {beyond}. {_ADVICE}"
                sentences.append(of_glacier(glacier.rgi_id, text))
    return sentences
