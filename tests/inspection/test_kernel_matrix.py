"""The display of a kernel matrix."""

import numpy as np
import pytest
from drawings import drawn
from inspected_networks import DIGITS, LABELS, layer
from numpy.testing import assert_array_equal

from sklearn_ckn import CKNKernel
from sklearn_ckn.inspection import KernelMatrixDisplay


@pytest.mark.parametrize("names", [np.array(["zero", "one"]), np.array([0, 1])])
def test_matrix_is_sorted_by_labels(pyplot, names):
    y = names[LABELS[:12] % 2]
    kernel = CKNKernel(layer())
    display = drawn(KernelMatrixDisplay.from_estimator(kernel, DIGITS[:12], list(y)))
    K = kernel(DIGITS[:12])
    assert_array_equal(display.matrix, K)
    assert_array_equal(display.labels, y)
    order = np.argsort(y, kind="stable")
    assert_array_equal(display.image_.get_array(), K[order][:, order])
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == sorted(map(str, names))
    edge = np.sum(y == min(y)) - 0.5
    assert [line.get_xdata()[0] for line in display.ax_.lines if line.get_ydata()[0] == 0] == [edge]
    assert_array_equal(
        KernelMatrixDisplay(matrix=K.tolist(), labels=list(y)).plot().image_.get_array(), K[order][:, order]
    )
    as_it_is = drawn(KernelMatrixDisplay.from_estimator(kernel, DIGITS[:12]))
    assert_array_equal(as_it_is.image_.get_array(), K)
    assert not as_it_is.ax_.lines and as_it_is.colorbar_.ax in as_it_is.figure_.axes
    many = drawn(KernelMatrixDisplay(matrix=np.eye(31), labels=np.arange(31)).plot())
    assert not many.ax_.lines
    names = np.repeat(np.array([0.1 + 0.2, 1.5]), [6, 2])
    few = drawn(KernelMatrixDisplay(matrix=np.eye(8), labels=names).plot())
    assert [text.get_text() for text in few.ax_.get_xticklabels()] == ["0.3", "1.5"]
    assert_array_equal(few.ax_.get_xticks(), [2.5, 6.5])
    assert_array_equal(few.ax_.get_yticks(), [2.5, 6.5])
    assert [line.get_ydata()[0] for line in few.ax_.lines if line.get_xdata()[0] == 0] == [5.5]
    crowded = drawn(KernelMatrixDisplay(matrix=np.eye(30), labels=np.arange(30)).plot())
    assert len(crowded.ax_.lines) == 2 * 29
    for display, angle in ((few, 0), (crowded, 90)):
        assert {text.get_rotation() for text in display.ax_.get_xticklabels()} == {angle}
