"""Code shared by the transformers that turn signals into maps."""

from math import prod
from typing import Literal, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.metadata_routing import UNUSED


def channel_names(letter, n):  # -> ndarray of str
    return np.array([f"{letter}{i}" for i in range(n)], dtype=object)


class SignalsMixin:
    """A mixin for estimators whose input consists of signals of the shape `input_shape_`."""

    @property
    def n_features_in_(self) -> int:
        """Number of values in one signal, which is the number of columns of a 2-D `X`."""
        shape = getattr(self, "input_shape_", None)
        if shape is None or None in shape:  # The estimator is not fitted, or was fitted on signals of different sizes.
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'n_features_in_'")
        return prod(shape)


class MapsMixin(SignalsMixin, TransformerMixin):
    """A mixin for transformers that return maps and have the parameters `ndim` and `input_shape`."""

    __metadata_request__transform = {"out": UNUSED}  # `out` is not metadata.

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)  # Subclasses do not inherit the keyword.

    def set_output(self, *, transform: Literal["default", "pandas", "polars"] | None = None) -> Self:
        """Do nothing, because maps have several axes and are always returned as arrays.

        Arrays have no index. A Pipeline of layers and `Flatten` therefore returns a table with a new index, whereas
        `CKNFeatureMap` keeps the index of `X`.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Ignored. The method exists so that a `Pipeline` with such a transformer can be configured as a whole.

        Returns
        -------
        self : estimator
            The transformer.
        """
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.ndim == 1 or self.input_shape is not None
        tags.input_tags.three_d_array = self.ndim in (1, 2)
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
