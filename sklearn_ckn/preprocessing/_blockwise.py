"""Code shared by the transformers that compute one map from each signal, block by block."""

from sklearn.base import BaseEstimator

from .._arrays import tables
from .._arrays.notes import of_signal
from .._arrays.results import transformed
from .._arrays.signals import over_pieces
from .._core.runtime.threads import over_blocks, slices
from .._utils.maps import MapsMixin
from .._utils.n_jobs import effective_n_jobs
from .._utils.serialization import PersistentMixin


def check_shapes(signals, check):
    """Call ``check(shape)``, which may raise an error, for every shape ``(*space, n_channels)`` of the signals."""
    for rows, part in signals.groups:
        with of_signal(signals, rows):
            check(part.shape)


class BlockwiseTransformer(PersistentMixin, MapsMixin, BaseEstimator):
    """Base class of transformers that compute a map from each signal, with parameters `input_shape` and `n_jobs`."""

    def _record(self, X, signals):
        """Set the attributes that describe the signals seen in `fit`."""
        tables.record_feature_names(self, X)
        self.input_shape_ = signals.shape
        self._flattened = self.input_shape is not None

    def _compute(self, function, n_together, signals, shape_of, out, X):
        """Return the results of a function that is applied to a few signals at a time, in several threads.

        ``n_together(shape)`` is the number of signals of the given shape to which the function is applied at once. See
        `transformed` for the other parameters.
        """

        def write(group, destination, n_threads):
            def fill(piece, part, place):
                def compute(rows):
                    part[place(rows)] = function(piece.read(rows))

                over_blocks(compute, slices(len(piece), n_together(piece.shape)), n_threads)

            return over_pieces(group, destination, fill)

        return transformed(self, signals, shape_of, write, effective_n_jobs(self.n_jobs), out, X)
