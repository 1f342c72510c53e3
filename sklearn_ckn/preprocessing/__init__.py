"""Transformers that prepare signals for the first layer of a network."""

from ._channel_scaler import ChannelScaler
from ._differences import Differences
from ._gradient_map import GradientMap
from ._patch_whitening import PatchWhitening

__all__ = ["ChannelScaler", "Differences", "GradientMap", "PatchWhitening"]
