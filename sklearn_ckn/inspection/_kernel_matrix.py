"""Figures of Gram matrices."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import _num_samples

from .._network import kind_of
from .._utils.typing import Axes, Rows
from ._display import Display, pyplot

MANY_CLASSES = 30  # maximum number of classes that are marked; more lines would hide the matrix


class KernelMatrixDisplay(Display):
    """Image of a Gram matrix, with rows and columns sorted by label.

    Lines and names mark the classes, unless there are more than 30 classes.

    Parameters
    ----------
    matrix : ndarray of shape `(n_samples, n_samples)`
        The Gram matrix.

    labels : ndarray of shape `(n_samples,)` or None, default=None
        Labels of the signals, one for each row of `matrix`; they need not be sorted. The rows and columns of the image
        are sorted by label. If None, the matrix is drawn as it is.

    Attributes
    ----------
    image_ : matplotlib AxesImage
        Image of the matrix.

    colorbar_ : matplotlib Colorbar
        Colour bar of the image.

    ax_ : matplotlib Axes
        Axes of the plot.

    figure_ : matplotlib Figure
        Figure that contains `ax_`.

    See Also
    --------
    ApproximationDisplay : Scatter plot of approximate Gram matrices against exact Gram matrices.

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
        """Compute the kernel of all pairs of signals and draw the Gram matrix.

        Parameters
        ----------
        kernel : CKNKernel or callable
            Kernel, or any other function such that ``kernel(X)`` is the Gram matrix.
        X : array-like of shape `(n_samples, *space, n_channels)`, `(n_samples, *space)` or `(n_samples, n_features)`
            Signals.
        y : array-like of shape `(n_samples,)`, default=None
            Labels of the signals. If None, the signals are not sorted.
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        display : KernelMatrixDisplay
            The drawn display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `kernel` is not callable or is a class.
        ValueError
            If `y` and `X` have different lengths, or if `X` is rejected by the kernel.
        """
        pyplot()
        if not callable(kernel) or isinstance(kernel, type):
            raise TypeError(f"kernel must be a CKNKernel or another function of X; got {kind_of(kernel)}.")
        labels = _read_labels("y", y, _num_samples(X), "signals of X")
        return cls(matrix=kernel(X), labels=labels).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the matrix, with lines between the classes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. If None, a new figure is created.

        Returns
        -------
        display : KernelMatrixDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `matrix` is not square, or if `labels` does not have one label for each row of `matrix`.
        """
        matrix = np.asarray(self.matrix)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"matrix must be square, with one row and column per signal; got shape {matrix.shape}.")
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


def _mark_classes(ax, labels):  # labels are sorted
    """Draw lines between the classes, and label each class in the middle of its rows and columns."""
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
    if max(map(len, names)) * len(names) > 30:  # horizontal names would touch
        ax.tick_params(axis="x", labelrotation=90)
