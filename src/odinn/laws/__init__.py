"""Laws of flow: for now the published sliding of other models."""

from odinn.laws.sliding import oggm_sliding

__all__ = ["oggm_sliding"]
