"""What the package runs on, and how to be ready for it."""

import importlib.metadata
import platform
import sys
import warnings
from collections.abc import Sequence

import llvmlite.binding
import numpy as np
from joblib import cpu_count
from sklearn.base import BaseEstimator, clone, is_regressor
from threadpoolctl import threadpool_info

from ._core import machine, patches, simd
from ._layer import CKNLayer
from .presets import make_classifier

NEEDED = ["numpy", "scipy", "numba", "llvmlite", "joblib", "scikit-learn", "threadpoolctl"]
EXTRAS = ["matplotlib", "dask", "distributed", "zarr", "h5py", "onnx", "onnxruntime", "skops"]
FEW = 40  # signals from which everything is compiled


def show_versions() -> None:
    """Print what a report of an error should tell.

    The versions of this package, of those that it needs and of those that it can use, the processor, the threads of
    BLAS and OpenMP, and the folder of compiled code.

    See Also
    --------
    warmup : Fills that folder.

    Examples
    --------
    >>> import sklearn_ckn
    >>> sklearn_ckn.show_versions()  # doctest: +ELLIPSIS
    sklearn_ckn: ...
    """
    rows = {"sklearn_ckn": sys.modules[__package__].__version__}
    rows |= {name: _version(name) for name in (*NEEDED, *EXTRAS)}
    rows["python"] = f"{platform.python_version()}, {sys.executable}"
    rows["system"] = platform.platform()
    rows["processor"] = f"{llvmlite.binding.get_host_cpu_name()}, {cpu_count()} cores for this process"
    rows["registers"] = f"{8 * simd.REGISTER_BYTES} bits"
    for pool in threadpool_info():
        threads = f"{pool['num_threads']} threads, {pool['filepath']}"
        rows[f"{pool['internal_api']} {pool['version'] or ''}".strip()] = threads
    rows["compiled code"] = machine.cache_folder(patches.read) or "kept in memory only"
    print("\n".join(f"{name}: {value}" for name, value in rows.items()))


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def warmup(
    estimator: BaseEstimator | None = None, shape: Sequence[int] = (32, 32, 3), dtype: str | type | np.dtype = "float32"
) -> None:
    """Compile what an estimator needs: its first use, and that in other processes, takes no time for it then.

    A clone of it is fitted to a few random signals, and predicts or transforms them. What is compiled is kept in the
    folder that `show_versions` names: in an image of a container, or before the workers of a cluster start, call this
    once.

    Parameters
    ----------
    estimator : estimator or None, default=None
        An estimator of signals, such as a `CKNFeatureMap`, a `CKNClassifier`, a Pipeline. None: the recipe
        ``make_classifier("balanced", shape)``.
    shape : tuple of ints, default=(32, 32, 3)
        Shape of one signal, as the estimator takes it.
    dtype : str, type or dtype, default="float32"
        Of the signals: for `"float64"` other code is compiled.

    Raises
    ------
    TypeError
        `estimator` is something else.
    ValueError
        The estimator refuses signals of this shape.

    Warns
    -----
    UserWarning
        There is no folder that can be written to: what is compiled ends with this process.

    See Also
    --------
    show_versions : Tells the folder of compiled code.

    Examples
    --------
    >>> import sklearn_ckn
    >>> sklearn_ckn.warmup(sklearn_ckn.CKNLayer(), shape=(28, 28))
    """
    estimator = make_classifier("balanced", shape) if estimator is None else clone(estimator)
    for part in estimator.get_params().values():
        if isinstance(part, CKNLayer):  # fewer patches and iterations take the same code
            part.set_params(n_patches=min(part.n_patches, 4 * part.n_filters), max_iter=min(part.max_iter, 3))
    rng = np.random.RandomState(0)
    X, y = rng.uniform(1, 2, size=(FEW, *shape)).astype(dtype), np.arange(FEW) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of random signals nothing is learned
        estimator.fit(X, y.astype(float) if is_regressor(estimator) else y)
        getattr(estimator, "predict" if hasattr(estimator, "predict") else "transform")(X)
    if machine.cache_folder(patches.read) is None:
        warnings.warn(
            "No folder for compiled code can be written to, so that it is kept in memory only: set the environment "
            "variable NUMBA_CACHE_DIR to one that can."
        )
