"""Transformers that prepare signals for the first layer of a network."""

from ._differences import Differences
from ._patch_whitening import PatchWhitening

__all__ = ["Differences", "PatchWhitening"]
