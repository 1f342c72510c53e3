"""Figures of Gram matrices."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from .._network import kind_of
from .._typing import Axes, Rows
from ._display import Display, pyplot

MANY_CLASSES = 30  # lines between more of them would hide the matrix


class KernelMatrixDisplay(Display):
    """A Gram matrix as an image, with rows and columns in the order of their labels.

    Lines and names mark the classes, unless there are more than 30 of them.

    Parameters
    ----------
    matrix : ndarray of shape `(n_samples, n_samples)`
        The Gram matrix.

    labels : ndarray of shape `(n_samples,)` or None, default=None
        Labels of the signals, in any order; they are sorted where it is drawn. None: the matrix as it is.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        The image.

    colorbar_ : matplotlib Colorbar
        Its colour bar.

    ax_ : matplotlib Axes
        Where it is drawn.

    figure_ : matplotlib Figure
        The figure of `ax_`.

    See Also
    --------
    ApproximationDisplay : Two such matrices, entry by entry.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_ckn import CKNKernel, CKNLayer
    >>> from sklearn_ckn.inspection import KernelMatrixDisplay
    >>> images, labels = load_digits(n_class=4).images[:60], load_digits(n_class=4).target[:60]
    >>> display = KernelMatrixDisplay.from_estimator(CKNKernel(CKNLayer(), normalize=True), images, labels)
    >>> [text.get_text() for text in display.ax_.get_xticklabels()]
    ['0', '1', '2', '3']
    """

    def __init__(self, *, matrix: np.ndarray, labels: np.ndarray | None = None) -> None:
        self.matrix = matrix
        self.labels = labels

    @classmethod
    def from_estimator(
        cls, kernel: Callable[[Any], np.ndarray], X: Rows, y: Rows | None = None, *, ax: Axes | None = None
    ) -> Self:
        """Compute the kernel of all pairs of signals, and draw it.

        Parameters
        ----------
        kernel : CKNKernel
            Or any other function that gives the matrix, ``kernel(X)``.
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals.
        y : array-like of shape `(n_samples,)`, default=None
            Labels; None: signals stay in their order.
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        display : KernelMatrixDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        TypeError
            `kernel` is no function.
        ValueError
            `y` has another length than `X`; `X` is refused by the kernel.
        """
        pyplot()
        if not callable(kernel) or isinstance(kernel, type):
            raise TypeError(f"kernel must be a CKNKernel or another function of X; got {kind_of(kernel)}.")
        labels = _read_labels("y", y, len(X), "signals of X")
        return cls(matrix=kernel(X), labels=labels).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the matrix, with lines between the labels.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None: a new figure.

        Returns
        -------
        display : KernelMatrixDisplay
            The display.

        Raises
        ------
        ImportError
            matplotlib is not installed.
        ValueError
            `matrix` is not square, or `labels` has another length.
        """
        matrix = np.asarray(self.matrix)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"matrix must be square, one row and one column for each signal; got {matrix.shape}.")
        labels = _read_labels("labels", self.labels, len(matrix), "rows of matrix")
        ax = self._set_axes(ax)
        if labels is not None:
            order = np.argsort(labels, kind="stable")
            matrix = matrix[np.ix_(order, order)]
            _mark_classes(ax, labels[order])
        self.image_ = ax.imshow(matrix, cmap="magma", interpolation="nearest")
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=ax)
        return self


def _read_labels(name, labels, n, of_what):
    labels = None if labels is None else np.asarray(labels)
    if labels is not None and labels.shape != (n,):
        raise ValueError(f"{name} must have one label for each of the {n} {of_what}; got shape {labels.shape}.")
    return labels


def _mark_classes(ax, labels):  # sorted
    """Lines between the classes, and their names in the middle of each."""
    classes, starts = np.unique(labels, return_index=True)
    if len(classes) > MANY_CLASSES:
        return
    edges = np.append(starts, len(labels)) - 0.5
    middles = (edges[:-1] + edges[1:]) / 2
    for edge in edges[1:-1]:
        ax.axhline(edge, color="white", linewidth=0.8)
        ax.axvline(edge, color="white", linewidth=0.8)
    names = [f"{name:g}" if isinstance(name, np.floating) else str(name) for name in classes]
    ax.set(xticks=middles, xticklabels=names, yticks=middles, yticklabels=names)
    ax.tick_params(length=0)
    if max(map(len, names)) * len(names) > 30:  # they would touch
        ax.tick_params(axis="x", labelrotation=90)
