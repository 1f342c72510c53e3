"""What transformers from signals to maps share."""

from typing import Literal, Self

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.utils.metadata_routing import UNUSED


def channel_names(letter, n):  # -> ndarray of str
    return np.array([f"{letter}{i}" for i in range(n)], dtype=object)


class MapsMixin(TransformerMixin):
    """Signals of `ndim` space axes in, with `input_shape` as rows of a table, and arrays of several axes out."""

    __metadata_request__transform = {"out": UNUSED}  # it is no metadata

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)  # of each subclass: it is not inherited

    def set_output(self, *, transform: Literal["default", "pandas", "polars"] | None = None) -> Self:
        """Do nothing: maps have several axes and stay arrays, whatever container the steps after them give.

        Arrays have no index: a table that a Pipeline of layers gives is numbered anew, one of `CKNFeatureMap` is not.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Ignored; it is there so that a `Pipeline` with such steps can be configured as a whole.

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
