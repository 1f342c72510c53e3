"""Types that recur in the signatures of the package, short where they are printed."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any  # matplotlib is imported where it draws

Function = TypeVar("Function", bound=Callable[..., Any])


class Rows(Protocol):
    """What is read by slices of rows: a list, an array, a table, an array of zarr, h5py or Dask."""

    def __getitem__(self, rows: slice, /) -> Any: ...


class Writable(Rows, Protocol):
    """An array that is written by slices of rows, too."""

    @property
    def dtype(self) -> Any: ...
    def __setitem__(self, rows: slice, values: Any, /) -> None: ...


Result = np.ndarray | Any  # the latter where it is `out`, a Dask array or a table
Sizes = int | Sequence[int]  # the same along all space axes, or one for each
RandomState = int | np.random.RandomState
Numbers = float | Sequence[float] | np.ndarray  # one or several
ClassWeight = dict[Any, float] | Literal["balanced"]
Loss = Literal["squared_hinge", "logistic", "squared_error"]
KernelName = Literal["exponential", "polynomial", "inverse_polynomial", "arccos0", "arccos1", "vovk", "linear"]
Augmentation = Literal["flip", "flip-crop"] | Callable[[np.ndarray, np.random.Generator], np.ndarray]
Field = Literal["warp", "translation", "rotation"]
Kind = Literal["fast", "balanced", "accurate"]


def typed(decorator: Any) -> Callable[[Function], Function]:
    """A decorator of scikit-learn, which tells no types: what it decorates keeps its own."""
    return decorator
