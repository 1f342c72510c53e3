"""The filters of a layer in the forms that the strategies of a convolution read.

These forms depend on the filters but not on the size of the maps, so each of them is computed once and shared by maps
of all sizes.
"""

from functools import cached_property

from ..runtime.microkernel import pack


class PackedFilters:
    """Filters Z of shape ``(m, d)``, and the forms of them that have been computed so far."""

    def __init__(self, Z):
        self.Z, self._transformed = Z, {}

    @cached_property
    def panels(self):  # (n_panels, d, n_lanes)
        """The filters in panels."""
        return pack(self.Z)

    def transformed(self, transform, *how):
        """Return ``transform(Z, *how)``, which is computed only once for the same arguments."""
        key = transform, *how
        if key not in self._transformed:
            self._transformed[key] = transform(self.Z, *how)
        return self._transformed[key]
