"""Laws: what may stand where a number stands. Published ones, networks, basis functions,
formulas.
"""

from odinn.physics.laws.base import AbstractLaw
from odinn.physics.laws.basis import Basis
from odinn.physics.laws.debris import DebrisCover
from odinn.physics.laws.input_base import AbstractInput
from odinn.physics.laws.learned import AbstractLearnedLaw
from odinn.physics.laws.neural import Neural
from odinn.physics.laws.rheology import CuffeyPaterson, Function
from odinn.physics.laws.sliding import SyntheticSliding, oggm_sliding

__all__ = [
    "AbstractInput",
    "AbstractLaw",
    "AbstractLearnedLaw",
    "Basis",
    "CuffeyPaterson",
    "DebrisCover",
    "Function",
    "Neural",
    "SyntheticSliding",
    "oggm_sliding",
]
