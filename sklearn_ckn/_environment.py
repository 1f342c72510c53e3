"""A report on the installed software and the machine, and compilation of code before its first use."""

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

from ._auto.estimators import AutoCKNClassifier
from ._core.layer import patches
from ._core.runtime import compilation, simd
from ._layer import CKNLayer
from ._utils.caller import warn

NEEDED = ["numpy", "scipy", "numba", "llvmlite", "joblib", "scikit-learn", "threadpoolctl"]
EXTRAS = ["matplotlib", "dask", "distributed", "zarr", "h5py", "onnx", "onnxruntime", "skops"]
FEW = 40  # number of random signals, enough for all code to be compiled


def show_versions() -> None:
    """Print the information that a bug report should contain.

    The output lists the versions of this package, its required and optional dependencies and Python. It also states the
    operating system, the processor, the numbers of threads of BLAS and OpenMP, and the folder for compiled code.

    See Also
    --------
    warmup : Compile code before its first use and store it in the folder for compiled code.

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
    rows["processor"] = f"{llvmlite.binding.get_host_cpu_name()}, {cpu_count()} cores available to this process"
    rows["registers"] = f"{8 * simd.REGISTER_BYTES} bits"
    for pool in threadpool_info():
        threads = f"{pool['num_threads']} threads, {pool['filepath']}"
        rows[f"{pool['internal_api']} {pool['version'] or ''}".strip()] = threads
    rows["compiled code"] = compilation.cache_folder(patches.read) or "kept in memory only"
    print("\n".join(f"{name}: {value}" for name, value in rows.items()))


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def warmup(
    estimator: BaseEstimator | None = None, shape: Sequence[int] = (32, 32, 3), dtype: str | type | np.dtype = "float32"
) -> None:
    """Compile in advance the code that an estimator needs, so that its first use in any process is fast.

    A clone of the estimator is fitted to a few random signals, and its `predict` or `transform` is then called. The
    compiled code is stored in the folder that `show_versions` prints. Call this function once when a container image is
    built, or before the workers of a cluster start.

    Parameters
    ----------
    estimator : estimator or None, default=None
        An estimator that accepts signals, such as a `CKNFeatureMap`, a `CKNClassifier` or a Pipeline. If None,
        an `AutoCKNClassifier` is used.
    shape : tuple of ints, default=(32, 32, 3)
        Shape of one signal, as the estimator expects it.
    dtype : str, type or dtype, default="float32"
        The dtype of the signals. The code for `"float64"` is compiled separately.

    Raises
    ------
    TypeError
        If `estimator` is not a scikit-learn estimator.
    ValueError
        If the estimator does not accept signals of the given shape.

    Warns
    -----
    UserWarning
        If no folder for compiled code is writable, or if the folder is full. The compiled code is then lost when this
        process ends.

    See Also
    --------
    show_versions : Print the folder for compiled code, among other information.

    Examples
    --------
    >>> import sklearn_ckn
    >>> sklearn_ckn.warmup(sklearn_ckn.CKNLayer(), shape=(28, 28))
    """
    estimator = AutoCKNClassifier(random_state=0) if estimator is None else clone(estimator)
    for part in estimator.get_params().values():
        if isinstance(part, CKNLayer):  # Fewer patches and iterations exercise the same code.
            part.set_params(n_patches=min(part.n_patches, 4 * part.n_filters), max_iter=min(part.max_iter, 3))
    rng = np.random.RandomState(0)
    X, y = rng.uniform(1, 2, size=(FEW, *shape)).astype(dtype), np.arange(FEW) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Warnings about random signals are irrelevant.
        warnings.filterwarnings("default", "Compiled code cannot be stored")
        estimator.fit(X, y.astype(float) if is_regressor(estimator) else y)
        getattr(estimator, "predict" if hasattr(estimator, "predict") else "transform")(X)
    if compilation.cache_folder(patches.read) is None:
        warn(
            "No folder for compiled code is writable, so the code is kept in memory only. Set the environment variable "
            "NUMBA_CACHE_DIR to a writable folder."
        )
