"""Transformers that prepare signals for the first layer of a network."""

from ._differences import Differences
from ._gradient_map import GradientMap
from ._patch_whitening import PatchWhitening

__all__ = ["Differences", "GradientMap", "PatchWhitening"]
