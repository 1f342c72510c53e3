"""Warnings that point at the line of the caller, outside of this package and of scikit-learn."""

import sys
import warnings
from pathlib import Path

import joblib
import sklearn

PACKAGES = sys.modules[__package__.partition(".")[0]], sklearn, joblib
INSIDE = tuple(f"{Path(package.__file__).parent.as_posix()}/" for package in PACKAGES)


def warn(message, category=UserWarning):
    """Warn the caller of the package, whether it was called directly or through scikit-learn."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and Path(frame.f_code.co_filename).as_posix().startswith(INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
