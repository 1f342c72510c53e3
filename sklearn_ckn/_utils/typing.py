"""Types that recur in the signatures of the package, kept short because the documentation prints them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
else:
    Axes = Any  # Matplotlib is imported only in the functions that draw.

Function = TypeVar("Function", bound=Callable[..., Any])


class Rows(Protocol):
    """An object that is read in slices of rows: a list, a table, or a NumPy, zarr, h5py or Dask array."""

    def __getitem__(self, rows: slice, /) -> Any: ...


class Writable(Rows, Protocol):
    """An array that is read and written in slices of rows."""

    @property
    def dtype(self) -> Any: ...
    def __setitem__(self, rows: slice, values: Any, /) -> None: ...


Result = np.ndarray | Any  # Any stands for `out`, a Dask array or a table.
Sizes = int | Sequence[int]  # one size for all spatial axes, or one size per axis
RandomState = int | np.random.RandomState
Numbers = float | Sequence[float] | np.ndarray  # one or more numbers
ClassWeight = dict[Any, float] | Literal["balanced"]
Loss = Literal[
    "squared_hinge",
    "logistic",
    "squared_error",
]
KernelName = Literal[
    "exponential",
    "polynomial",
    "inverse_polynomial",
    "arccos0",
    "arccos1",
    "vovk",
    "linear",
]
PoolingName = Literal[
    "gaussian",
    "average",
]
Symmetries = Literal["flip", "rotate", "dihedral"]
Augmentation = Literal[Symmetries, "flip-crop"] | Callable[[np.ndarray, np.random.Generator], np.ndarray]
Field = Literal["warp", "translation", "rotation"]
Kind = Literal["fast", "balanced", "accurate"]


def typed(decorator: Any) -> Callable[[Function], Function]:
    """Return an untyped scikit-learn decorator, typed as a decorator that preserves the type of a function."""
    return decorator
