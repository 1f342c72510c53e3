"""Reports and figures about networks: how well they approximate their kernels, and how stable and smooth they are."""

from ._approximation import ApproximationDisplay, approximation_report
from ._deformation import deformation
from ._feature_maps import FeatureMapDisplay
from ._filters import FilterDisplay
from ._kernel_matrix import KernelMatrixDisplay
from ._norms import lipschitz_bound, rkhs_norm
from ._stability import StabilityDisplay, stability_report

__all__ = [
    "ApproximationDisplay",
    "FeatureMapDisplay",
    "FilterDisplay",
    "KernelMatrixDisplay",
    "StabilityDisplay",
    "approximation_report",
    "deformation",
    "lipschitz_bound",
    "rkhs_norm",
    "stability_report",
]
