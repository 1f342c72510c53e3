"""Conversion of fitted networks to ONNX graphs, for runtimes that need neither Python nor scikit-learn.

The conversion needs the package `onnx` (``pip install "sklearn-ckn[onnx]"``). ``import sklearn_ckn`` alone does not
import `onnx`.
"""

from ._export import to_onnx

__all__ = ["to_onnx"]
