"""What a network does: how close it is to its kernel, how stable, how smooth; and figures of that."""

from ._approximation import approximation_report
from ._charts import ApproximationDisplay, StabilityDisplay
from ._deformation import deformation
from ._grids import FeatureMapDisplay, FilterDisplay
from ._matrices import KernelMatrixDisplay
from ._norms import lipschitz_bound, rkhs_norm
from ._stability import stability_report

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
