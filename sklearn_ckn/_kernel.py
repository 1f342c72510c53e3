"""The exact kernel of a network, with the interface of scikit-learn's kernels for Gaussian processes."""

from functools import partial
from itertools import pairwise
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from ._arrays import validation
from ._arrays.dask import kernel_blocks
from ._arrays.results import check_no_out, check_out
from ._arrays.stores import is_lazy
from ._core.exact import gram
from ._layer import CKNLayer
from ._network import Network, check_architecture, check_parameters, in_step, layers_of, steps_of
from ._utils.progress import Count
from ._utils.serialization import PersistentMixin
from ._utils.threads import effective_n_jobs
from ._utils.typing import Result, Rows


class CKNKernel(PersistentMixin, BaseEstimator, Kernel):
    """Exact multilayer convolutional kernel, which a network of `CKNLayer` approximates.

    Each layer computes the inner products between all positions of two output maps from the inner products between all
    positions of the two input maps. The recursion is that of [1]_, without an approximation by filters::

        k_0(u, u') = <x(u), x'(u')>
        P(u, u')   = sum_v k_{l-1}(u + v, u' + v)
        k_l(w, w') = sum_{u, u'} h(u - w) h(u' - w') |z| |z'| kappa(P(u, u') / (|z| |z'|))
        K(x, x')   = sum_w k_n(w, w)

    where v ranges over the positions of a patch (`patch_size`), kappa is the function selected by `kernel`, h are the
    pooling weights (`pooling`) and n is the number of layers. The norms of the patches come from each signal with
    itself: ``|z|^2 = P(u, u)``.

    The kernel works with :class:`~sklearn.gaussian_process.GaussianProcessClassifier` and
    :class:`~sklearn.gaussian_process.GaussianProcessRegressor`, can be added to and multiplied with other kernels, can
    be passed as `kernel` to :class:`~sklearn.svm.SVC`, and computes the matrix for estimators with
    ``kernel="precomputed"``. The computing time grows with the square of the number of signals and with the square of
    the number of positions in a signal. The kernel is therefore suited to up to a few thousand small signals.

    A Gaussian process can also tune the scale of the kernel: pass ``ConstantKernel(10) * kernel``. Gaussian process
    regression needs a matrix in double precision: pass signals in float64, or set ``normalize=True`` and an `alpha` (or
    a :class:`~sklearn.gaussian_process.kernels.WhiteKernel`) of at least 1e-5.

    Parameters
    ----------
    network : CKNLayer or Pipeline of CKNLayer
        The architecture, as for `CKNFeatureMap`. It need not be fitted: `n_filters`, `reg` and all other parameters of
        the filters are ignored, and so is `n_jobs` of the layers. Only a layer with ``sigma="auto"`` must be fitted.
        Gaussian processes and searches clone the kernel, and a clone is not fitted. For these, set `sigma` to the
        fitted layer's `sigma_`.

    normalize : bool, default=False
        Whether to return the cosine ``K(x, x') / sqrt(K(x, x) K(x', x'))``, which is 0 for a signal of zeros.

    sigma_bounds : pair of floats > 0 or "fixed", default=(0.1, 10)
        Bounds within which Gaussian processes tune `sigma`. Every layer with an exponential kernel has its own `sigma`,
        and all of them share these bounds. Other layers have nothing to tune. If `"fixed"`, no `sigma` is tuned. The
        `sigma` of a layer with ``sigma="auto"`` is never tuned.

    verbose : bool, default=False
        Whether to print progress. A call prints the number of pairs computed so far, at growing intervals.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a :obj:`joblib.parallel_config` context. -1 means using all
        processors. The result is the same, bit for bit, for any value.

    Raises
    ------
    TypeError
        If `network` is neither a `CKNLayer` nor a `Pipeline` of them.
    ValueError
        If, when the kernel is called, the signals are not valid input for `CKNLayer`, a parameter is out of its range,
        a layer with ``sigma="auto"`` is not fitted, or the result is too large for its dtype.

    See Also
    --------
    CKNFeatureMap : Approximation of the kernel by filters, for many signals.

    References
    ----------
    .. [1] J. Mairal, "End-to-end kernel learning with supervised convolutional kernel networks", NIPS 2016,
       section 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.svm import SVC
    >>> from sklearn_ckn import CKNKernel, CKNLayer
    >>> images, labels = load_digits().images, load_digits().target
    >>> kernel = CKNKernel(CKNLayer(patch_size=3, pooling_width=2), normalize=True)
    >>> kernel(images[:3]).round(2)
    array([[1.  , 0.88, 0.9 ],
           [0.88, 1.  , 0.95],
           [0.9 , 0.95, 1.  ]])
    >>> machine = SVC(kernel=kernel, C=100).fit(images[:300], labels[:300])
    >>> bool(machine.score(images[300:600], labels[300:600]) > 0.89)  # 0.86 with an RBF kernel of the pixels
    True
    """

    _parameter_constraints = {
        "network": "no_validation",
        "normalize": ["boolean"],
        "sigma_bounds": "no_validation",
        "verbose": ["verbose"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        network: Network,
        *,
        normalize: bool = False,
        sigma_bounds: tuple[float, float] | Literal["fixed"] = (0.1, 10.0),
        verbose: bool | int = False,
        n_jobs: int | None = None,
    ) -> None:
        self.network = network
        self.normalize = normalize
        self.sigma_bounds = sigma_bounds
        self.verbose = verbose
        self.n_jobs = n_jobs

    def __call__(
        self, X: Rows, Y: Rows | None = None, eval_gradient: bool = False, *, out: np.ndarray | None = None
    ) -> Result:
        """Compute the kernel of all pairs of signals.

        Parameters
        ----------
        X : array-like of shape `(n, *space, n_channels)`, `(n, *space)` or `(n, n_features)`
            Signals; see `ndim` and `input_shape` of the network's first layer.
        Y : array-like of the same kind, default=None
            Other signals. If None or the same object as `X`, the kernel is computed between the signals of `X`, once
            for each pair.
        eval_gradient : bool, default=False
            Whether to also return the derivatives with respect to `theta`. It needs ``Y=None``.
        out : ndarray of shape `(n, n_Y)`, default=None
            Array to write the result to, of the same dtype, such as a :obj:`numpy.memmap`. After an exception or an
            interrupt, the blocks computed so far are kept, and a note on the exception lists them. If, for example,
            rows 0:96 of a Gram matrix are finished, ``kernel(X[96:], out=out[96:, 96:])`` computes the rest. Sums and
            products of kernels do not accept `out`: pass one to each kernel and combine the results.

        Returns
        -------
        K : ndarray or Dask array of shape `(n, n_Y)`
            The kernel matrix. The dtype is float64 if `X` or `Y` is float64, float32 otherwise. `out` if it is given.
            For Dask arrays, the result is a Dask array that is not computed yet.
        gradient : ndarray of shape `(n, n, n_dims)`
            The derivatives with respect to `theta`, which holds the logarithm of every `sigma` that is not fixed.
            Returned only if `eval_gradient` is True.

        Raises
        ------
        ValueError
            If the signals of `X` and `Y` differ in shape, only one of `X` and `Y` is a Dask array, or `out` has another
            shape or dtype or is read-only. With `eval_gradient`, if `Y` is given, `X` is a Dask array, or a layer with
            ``kernel="arccos0"`` follows a layer whose `sigma` is tuned.
        """
        if eval_gradient and Y is not None:
            raise ValueError("eval_gradient=True needs Y=None: derivatives are computed only for X with itself.")
        X, Y, settings = self._read(X, Y, stored=is_lazy(X) or is_lazy(Y))
        dtype, shape, n_threads = np.result_type(X.dtype, Y.dtype), (len(X), len(Y)), effective_n_jobs(self.n_jobs)
        if X.is_lazy or Y.is_lazy:
            check_no_out(out)
            return self._of_blocks(X, Y, dtype, eval_gradient)
        free = self._differentiated() if eval_gradient else [False] * len(settings)
        K, network = check_out(out, shape, dtype), gram.prepare(settings, X.shape, dtype, free)
        gradient = np.empty((*shape, sum(free)), dtype=dtype) if eval_gradient else None
        matrix = gram.Matrix(K, gradient, self.normalize, finished=[])
        n_pairs = len(X) * (len(X) + 1) // 2 if Y is X else len(X) * len(Y)
        count = Count(self, n_pairs, "pairs", self.verbose)
        try:
            described = gram.describe(X, network, n_threads)
            others = described if Y is X else gram.describe(Y, network, n_threads)
            if not self.normalize:
                validation.check_diagonal(np.append(described.diagonal, others.diagonal), dtype)
            gram.fill(network, described, others, matrix, n_threads, count)
        except BaseException as error:
            if out is not None:
                blocks = _name_blocks(matrix.finished, Y is X, len(Y)) if matrix.finished else "no finished block"
                error.add_note(f"out holds {blocks}; the rest of it is not finished.")
            raise
        return (K, gradient) if eval_gradient else K

    def diag(self, X: Rows) -> np.ndarray:
        """Compute the kernel of each signal with itself.

        Parameters
        ----------
        X : array-like of shape `(n, *space, n_channels)`, `(n, *space)` or `(n, n_features)`
            Signals; see `ndim` and `input_shape` of the network's first layer.

        Returns
        -------
        diagonal : ndarray of shape `(n,)`
            The diagonal of ``K(X)``. Computing it takes as long as computing n pairs.
        """
        X, _, settings = self._read(X)
        network = gram.prepare(settings, X.shape, X.dtype, [False] * len(settings))
        diagonal = gram.describe(X, network, effective_n_jobs(self.n_jobs)).diagonal
        if self.normalize:
            return (diagonal > 0).astype(X.dtype)
        validation.check_diagonal(diagonal, X.dtype)
        return diagonal.astype(X.dtype)

    def is_stationary(self) -> bool:
        """Return whether the kernel depends only on the difference of two signals.

        Returns
        -------
        stationary : bool
            Always False.
        """
        return False

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """The `sigma` of every layer with an exponential kernel, as hyperparameters of a scikit-learn kernel."""
        is_layer = isinstance(self.network, CKNLayer)
        return [
            Hyperparameter(f"network__{'' if is_layer else f'{name}__'}sigma", "numeric", self._bounds_of(layer))
            for name, layer in self._read_steps()
            if layer.kernel == "exponential"
        ]

    def set_params(self, **params: Any) -> Self:
        """Set the parameters of the kernel and of its layers.

        Parameters
        ----------
        **params : dict
            Parameters by name, such as ``network__sigma``. NumPy scalars, which Gaussian processes pass, are converted
            to Python numbers.

        Returns
        -------
        self : CKNKernel
            The kernel.

        Raises
        ------
        ValueError
            If there is no parameter of that name.
        """
        return super().set_params(**{k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()})

    def __eq__(self, other: object) -> bool:
        """Return whether all parameters are equal, including the parameters of the layers."""
        if type(self) is not type(other):
            return False
        mine, others = (kernel._leaves() for kernel in (self, other))
        return mine.keys() == others.keys() and all(np.array_equal(mine[key], others[key]) for key in mine)

    def _leaves(self):
        """Return the parameters of the kernel and of each layer, and the fitted value of every ``sigma="auto"``."""
        leaves = {name: value for name, value in self.get_params(deep=False).items() if name != "network"}
        for k, (name, step) in enumerate(steps_of(self.network)):
            is_layer = isinstance(step, CKNLayer)
            parameters = step.get_params() if is_layer else {"no layer": step}
            found = {"sigma_": getattr(step, "sigma_", None)} if is_layer and step.sigma == "auto" else {}
            leaves |= {(k, name, key): value for key, value in (parameters | found).items()}
        return leaves

    def _bounds_of(self, layer):
        return "fixed" if layer.sigma == "auto" else self.sigma_bounds

    def _differentiated(self):
        """Return, for each layer, whether to differentiate with respect to its sigma."""
        layers = [layer for _, layer in layers_of(self.network)]
        free = [layer.kernel == "exponential" and not isinstance(self._bounds_of(layer), str) for layer in layers]
        for k, layer in enumerate(layers):
            if layer.kernel == "arccos0" and any(free[:k]):
                raise ValueError(
                    "eval_gradient=True: there is no derivative through a layer with kernel='arccos0', whose slope is "
                    "infinite, with respect to the sigma of an earlier layer. Set sigma_bounds='fixed' or "
                    "kernel='arccos1'."
                )
        return free

    def _read_steps(self):
        """Check the layers and return them with their names.

        Gaussian processes read the hyperparameters before they call the kernel, so these are checked here too.
        """
        steps = layers_of(self.network)
        check_architecture(steps)
        check_parameters(steps)
        validation.check_bounds("sigma_bounds", self.sigma_bounds)
        return steps

    def _of_blocks(self, X, Y, dtype, eval_gradient):
        """Return the kernel matrix of Dask arrays as a Dask array."""
        if eval_gradient:
            raise ValueError("eval_gradient=True needs arrays in memory; got a Dask array.")
        if not (X.is_lazy and Y.is_lazy):
            raise ValueError("X and Y must both be Dask arrays, or both be in memory; got one of each kind.")
        return kernel_blocks(self, X, Y, dtype)

    def _read(self, X, Y=None, stored=False):
        """Return the signals of X and of Y, checked to have the same shape, and the settings of the layers.

        If Y is None or X itself, both are the same object.
        """
        self._validate_params()
        steps = self._read_steps()
        first = steps[0][1]
        read = partial(validation.as_signals, self, ndim=first.ndim, input_shape=first.input_shape, stored=stored)
        signals = read(X)
        others = signals if Y is None or Y is X else read(Y, name="Y")
        if others.shape != signals.shape:
            raise ValueError(
                f"X has signals of shape {signals.shape}, but Y has signals of shape {others.shape}: their spatial "
                f"sizes and channels must be the same."
            )
        settings, space = [], signals.shape[:-1]
        for name, layer in steps:
            with in_step(name):
                settings.append(settings_of(layer))
                validation.check_space(settings[-1], space)
            space = settings[-1].pooled_positions(space)
        return signals, others, settings


def settings_of(layer):
    """Return the settings of a layer that follow from its parameters: everything except the filters."""
    return layer._read_settings()._replace(kernel=layer._read_kernel(_sigma_of(layer)))


def _sigma_of(layer):
    if layer.sigma != "auto":
        return float(layer.sigma)
    if not hasattr(layer, "sigma_"):
        raise ValueError(
            "sigma='auto' is found by fit, but this layer is not fitted (clones, which Gaussian processes and searches "
            "make, never are). Either set sigma to a number, such as the sigma_ of a fitted layer, or, if nothing "
            "clones the kernel, pass the network_ of a fitted CKNFeatureMap as network."
        )
    return layer.sigma_


def _name_blocks(blocks, symmetric, n_columns):
    """Describe in words which blocks of a matrix have been written; each block is a pair (rows, columns) of slices."""
    whole, others, bands = 0, [], {}
    for rows, columns in sorted(blocks, key=lambda block: (block[0].start, block[1].start)):
        bands.setdefault((rows.start, rows.stop), []).append((columns.start, columns.stop))
    for (start, stop), columns in bands.items():
        contiguous = all(a[1] == b[0] for a, b in pairwise(columns))
        from_the_first = columns[0][0] <= (start if symmetric else 0)
        if start == whole and from_the_first and contiguous and columns[-1][1] == n_columns:
            whole = stop
        else:
            others += [f"[{start}:{stop}, {first}:{last}]" for first, last in columns]
    mirrored = f" and, mirrored, columns 0:{whole}" if symmetric else ""
    return f"rows 0:{whole}{mirrored}" + (f" and the blocks {', '.join(others)}" if others else "")
