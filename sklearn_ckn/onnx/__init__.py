"""Conversion of fitted networks to ONNX graphs, for runtimes that need neither Python nor scikit-learn.

It needs the package `onnx` (``pip install "sklearn-ckn[onnx]"``), which ``import sklearn_ckn`` alone does not import.
"""

from ._export import to_onnx

__all__ = ["to_onnx"]
