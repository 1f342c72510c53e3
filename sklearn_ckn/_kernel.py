"""The exact kernel of a network, as scikit-learn's kernels are."""

from functools import partial
from itertools import pairwise
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

from . import _validation
from ._core import gram
from ._layer import CKNLayer
from ._lazy import kernel_blocks
from ._network import Network, check_architecture, check_parameters, in_step, layers_of, steps_of
from ._persistence import PersistentMixin
from ._progress import Count
from ._stores import is_lazy
from ._threads import effective_n_jobs
from ._typing import Result, Rows


class CKNKernel(PersistentMixin, BaseEstimator, Kernel):
    """The multilayer convolutional kernel itself, without filters: what a network of `CKNLayer` approximates.

    From the products of all pairs of pixels of two signals, each layer makes those of its maps [1]_::

        k_0(u, u') = <x(u), x'(u')>
        P(u, u')   = sum_v k_{l-1}(u + v, u' + v)
        k_l(w, w') = sum_{u, u'} h(u - w) h(u' - w') |z| |z'| kappa(P(u, u') / (|z| |z'|))
        K(x, x')   = sum_w k_n(w, w)

    with v over the positions of a patch (`patch_size`), kappa = the function of `kernel`, h = the weights of `pooling`,
    n layers, and the norms of patches from each signal with itself, ``|z|^2 = P(u, u)``.

    It is a kernel for :class:`~sklearn.gaussian_process.GaussianProcessClassifier` and
    :class:`~sklearn.gaussian_process.GaussianProcessRegressor`, can be added to others and multiplied, is the `kernel`
    of :class:`~sklearn.svm.SVC`, and gives the matrix for estimators with ``kernel="precomputed"``. The time grows with
    the square of the number of signals, and for each pair with that of their positions: it is for some thousands of
    small ones.

    Gaussian processes tune a factor too, if they are given one: ``ConstantKernel(10) * kernel``. Those for regression
    need a matrix in float64: give them signals in float64, or ``normalize=True`` and `alpha` (or a
    :class:`~sklearn.gaussian_process.kernels.WhiteKernel`) of 1e-5 at least.

    Parameters
    ----------
    network : CKNLayer or Pipeline of CKNLayer
        The architecture, as for `CKNFeatureMap`. It need not be fitted: `n_filters`, `reg` and all that is about
        filters is not used, nor is `n_jobs` of the layers. With ``sigma="auto"`` a layer must have been fitted, and
        what clones the kernel (Gaussian processes, searches) forgets it: give those the number that was found, the
        layer's `sigma_`.

    normalize : bool, default=False
        Give ``K(x, x') / sqrt(K(x, x) K(x', x'))``, the cosine; 0 for a signal of zeros.

    sigma_bounds : pair of floats > 0 or "fixed", default=(0.1, 10)
        Where Gaussian processes look for `sigma` of the layers with an exponential kernel, each by itself between the
        same two; other layers have nothing to tune. `"fixed"`, or ``sigma="auto"``: they leave it.

    verbose : bool, default=False
        Whether a call prints how far it is, now and then.

    n_jobs : int or None, default=None
        Threads over blocks of pairs. None: 1, unless in a :obj:`joblib.parallel_config` context. -1: all processors.
        Every value gives the same result to the last bit.

    Raises
    ------
    TypeError
        `network` is no `CKNLayer` and no `Pipeline` of them.
    ValueError
        When called: signals as `CKNLayer` refuses them; a parameter out of its range; ``sigma="auto"`` of a layer that
        is not fitted; a result that is too large for its dtype.

    See Also
    --------
    CKNFeatureMap : The approximation by filters, for many signals.

    References
    ----------
    .. [1] J. Mairal, "End-to-end kernel learning with supervised convolutional kernel networks", NIPS 2016,
       section 2; without filters.

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
            Other signals. None, or X itself: X with X, where pairs are computed once.
        eval_gradient : bool, default=False
            Also give the derivatives by `theta`; not with Y.
        out : ndarray of shape `(n, n_Y)`, default=None
            Where the result is written, such as a :obj:`numpy.memmap`, of the same dtype. An exception, also an
            interrupt, leaves blocks of it finished and tells which in a note: with rows 0:96 of a Gram matrix
            finished, ``kernel(X[96:], out=out[96:, 96:])`` makes the rest. Sums and products of kernels do not take
            `out`: give one to each kernel, and combine them.

        Returns
        -------
        K : ndarray or Dask array of shape `(n, n_Y)`
            In float64 if X or Y is (or longer), else in float32. `out`, if that is given. Of Dask arrays one of blocks
            that are not computed yet.
        gradient : ndarray of shape `(n, n, n_dims)`
            Derivatives by `theta`, the logarithms of each `sigma` that is not fixed. Only with `eval_gradient`.

        Raises
        ------
        ValueError
            Signals of X and of Y differ in shape, or one of the two is a Dask array; `out` has another shape or dtype,
            or is read-only; `eval_gradient` with Y, for a Dask array, or through a layer with ``kernel="arccos0"``.
        """
        if eval_gradient and Y is not None:
            raise ValueError("eval_gradient=True needs Y=None: derivatives are given for X with X only.")
        X, Y, settings = self._read(X, Y, stored=is_lazy(X) or is_lazy(Y))
        dtype, shape, n_threads = np.result_type(X.dtype, Y.dtype), (len(X), len(Y)), effective_n_jobs(self.n_jobs)
        if X.is_lazy or Y.is_lazy:
            _validation.check_no_out(out)
            return self._of_blocks(X, Y, dtype, eval_gradient)
        free = self._differentiated() if eval_gradient else [False] * len(settings)
        K = _validation.check_out(out, shape, dtype)
        gradient = np.empty((*shape, sum(free)), dtype=dtype) if eval_gradient else None
        network, finished = gram.make_network(settings, X.shape, dtype, free), []
        n_pairs = len(X) * (len(X) + 1) // 2 if Y is X else len(X) * len(Y)
        count = Count(self, n_pairs, "pairs", self.verbose)
        try:
            described = gram.describe(X, network, n_threads)
            others = described if Y is X else gram.describe(Y, network, n_threads)
            if not self.normalize:
                _validation.check_diagonal(np.append(described.diagonal, others.diagonal), dtype)
            gram.fill(network, described, others, K, gradient, self.normalize, n_threads, finished, count)
        except BaseException as error:
            if out is not None:
                blocks = _name_blocks(finished, Y is X, len(Y)) if finished else "no finished block"
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
            The diagonal of ``K(X)``, in the time of n pairs.
        """
        X, _, settings = self._read(X)
        network = gram.make_network(settings, X.shape, X.dtype, [False] * len(settings))
        diagonal = gram.describe(X, network, effective_n_jobs(self.n_jobs)).diagonal
        if self.normalize:
            return (diagonal > 0).astype(X.dtype)
        _validation.check_diagonal(diagonal, X.dtype)
        return diagonal.astype(X.dtype)

    def is_stationary(self) -> bool:
        """Tell whether the kernel depends on differences of signals only.

        Returns
        -------
        stationary : bool
            False.
        """
        return False

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """The `sigma` of every layer with an exponential kernel, in the manner of scikit-learn's kernels."""
        is_layer = isinstance(self.network, CKNLayer)
        return [
            Hyperparameter(f"network__{'' if is_layer else f'{name}__'}sigma", "numeric", self._bounds_of(layer))
            for name, layer in self._read_steps()
            if layer.kernel == "exponential"
        ]

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the layers included.

        Parameters
        ----------
        **params : dict
            Such as ``network__sigma``. Numbers of NumPy, as from Gaussian processes, become Python's own.

        Returns
        -------
        self : CKNKernel
            The kernel.

        Raises
        ------
        ValueError
            There is no parameter of that name.
        """
        return super().set_params(**{k: v.item() if isinstance(v, np.generic) else v for k, v in params.items()})

    def __eq__(self, other: object) -> bool:
        """Whether all parameters are equal, those of the layers included."""
        if type(self) is not type(other):
            return False
        mine, others = (kernel._leaves() for kernel in (self, other))
        return mine.keys() == others.keys() and all(np.array_equal(mine[key], others[key]) for key in mine)

    def _leaves(self):
        """The kernel's own parameters, those of each layer, and what fit found for ``sigma="auto"``."""
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
        """By which layers' sigma."""
        layers = [layer for _, layer in layers_of(self.network)]
        free = [layer.kernel == "exponential" and not isinstance(self._bounds_of(layer), str) for layer in layers]
        for k, layer in enumerate(layers):
            if layer.kernel == "arccos0" and any(free[:k]):
                raise ValueError(
                    "eval_gradient=True: there is no derivative through a layer with kernel='arccos0', of infinite "
                    "slope, by the sigma of a layer before it. Set sigma_bounds='fixed', or kernel='arccos1'."
                )
        return free

    def _read_steps(self):
        """The layers, checked; also in a Gaussian process, which has no checks but its own."""
        steps = layers_of(self.network)
        check_architecture(steps)
        check_parameters(steps)
        _validation.check_bounds("sigma_bounds", self.sigma_bounds)
        return steps

    def _of_blocks(self, X, Y, dtype, eval_gradient):
        """The kernel as a Dask array."""
        if eval_gradient:
            raise ValueError("eval_gradient=True needs arrays in memory; got a Dask array.")
        if not (X.is_lazy and Y.is_lazy):
            raise ValueError("X and Y must both be Dask arrays, or both be in memory; got one of each kind.")
        return kernel_blocks(self, X, Y, dtype)

    def _read(self, X, Y=None, stored=False):
        """Signals of one shape (the same object, if Y is X or None), and the settings of the layers."""
        self._validate_params()
        steps = self._read_steps()
        first = steps[0][1]
        read = partial(_validation.as_signals, self, ndim=first.ndim, input_shape=first.input_shape, stored=stored)
        signals = read(X)
        others = signals if Y is None or Y is X else read(Y, name="Y")
        if others.shape != signals.shape:
            raise ValueError(
                f"X has signals of shape {signals.shape}, but Y of shape {others.shape}: their space and channels must "
                f"be the same."
            )
        settings, space = [], signals.shape[:-1]
        for name, layer in steps:
            with in_step(name):
                settings.append(settings_of(layer))
                _validation.check_space(settings[-1], space)
            space = settings[-1].pooled_positions(space)
        return signals, others, settings


def settings_of(layer):
    """What the layer computes by its parameters, but for filters."""
    return layer._read_settings()._replace(kernel=layer._read_kernel(_sigma_of(layer)))


def _sigma_of(layer):
    if layer.sigma != "auto":
        return float(layer.sigma)
    if not hasattr(layer, "sigma_"):
        raise ValueError(
            "sigma='auto' is found by fit, but this layer is not fitted (clones, as in Gaussian processes or searches, "
            "never are): set sigma to a number, such as the sigma_ of a fitted layer; or, where nothing clones the "
            "kernel, give it the network_ of a fitted CKNFeatureMap."
        )
    return layer.sigma_


def _name_blocks(blocks, symmetric, n_columns):
    """In words, which (rows, columns) of a matrix are written."""
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
