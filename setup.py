import re
import sys
from pathlib import Path

from setuptools import find_packages, setup

if sys.version_info < (3, 11):  # noqa: UP036  An old pip would try all versions of all dependencies instead.
    sys.exit(f"sklearn-ckn needs Python 3.11 or later; this is Python {sys.version.split()[0]}.")

here = Path(__file__).parent
version = re.search(r'__version__ = "(.*)"', (here / "sklearn_ckn/__init__.py").read_text()).group(1)

# The floors of what the package uses are what .ci/run installs in its last step; llvmlite comes with numba.
# numba 0.57 takes the code compiled for one kernel for another's, now and then; 0.61 does not.
# threadpoolctl before 3.5 does not find the BLAS library of recent NumPy, so its limits would have no effect.
RUN = ["numpy>=1.24", "scipy>=1.10", "numba>=0.61", "joblib>=1.3", "scikit-learn>=1.6", "threadpoolctl>=3.5"]
PLOT = ["matplotlib>=3.7"]
STORES = ["zarr>=2.18.7", "h5py>=3.10"]
DASK = ["dask[array,distributed]>=2024.8"]
ONNX = ["onnx>=1.17", "onnxruntime>=1.19"]  # older ones do not work with NumPy 2
PERSIST = ["skops>=0.11"]
EXTRAS = [*PLOT, *STORES, *DASK, *ONNX, *PERSIST]
DOC = [
    *EXTRAS,  # the gallery uses them
    "pillow>=10",
    "sphinx>=8.1",
    "pydata-sphinx-theme>=0.16",
    "numpydoc>=1.8",
    "sphinx-gallery>=0.19",
    "sphinx-design>=0.6.1",
    "sphinxcontrib-bibtex>=2.6",
    "sphinx-mathjax-offline>=0.0.2",  # formulas without a network
]
TEST = [*EXTRAS, "pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6.100", "pandas>=2", "numpydoc>=1.7"]

setup(
    name="sklearn-ckn",
    version=version,
    description="Convolutional kernel networks for scikit-learn",
    long_description=(here / "README.rst").read_text(),
    long_description_content_type="text/x-rst",
    project_urls={"Documentation": "https://sklearn-ckn.readthedocs.io"},
    license="BSD-3-Clause",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["sklearn_ckn", "sklearn_ckn.*"]),
    package_data={"sklearn_ckn": ["py.typed"]},
    install_requires=RUN,
    extras_require={
        "plot": PLOT,
        "stores": STORES,
        "dask": DASK,
        "onnx": ONNX,
        "persist": PERSIST,
        "test": TEST,
        "doc": DOC,
        "bench": [*PLOT, "pillow>=10", "torch>=2", "scikit-image>=0.22", "kymatio>=0.3", "cyanure>=1.1", "aeon>=1.0"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
