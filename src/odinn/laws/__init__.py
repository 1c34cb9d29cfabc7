"""Laws: what may stand where a number stands. Published ones, networks, basis functions, formulas."""

from odinn.laws.base import AbstractInput, AbstractLaw
from odinn.laws.basis import Basis
from odinn.laws.neural import Neural
from odinn.laws.rheology import CuffeyPaterson, Function
from odinn.laws.sliding import oggm_sliding

__all__ = ["AbstractInput", "AbstractLaw", "Basis", "CuffeyPaterson", "Function", "Neural", "oggm_sliding"]
