import atexit
import os
import shutil
import tempfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

# The suite compiles all code itself, so that it tests the code on disk and never an older compilation. Its worker
# processes share the compiled code, and CI keeps it in a new folder, which its examples use afterwards.
if "SKLEARN_CKN_TESTS_CACHE" in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = os.environ["SKLEARN_CKN_TESTS_CACHE"]
elif "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="sklearn_ckn_tests_")
    atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)


@pytest.fixture
def rng():
    """Return a random number generator with a fixed seed."""
    return np.random.RandomState(0)


@pytest.fixture(scope="module")
def digits():
    """Return 300 images of digits in single precision, and their labels."""
    images, target = load_digits(return_X_y=True)
    return images[:300].reshape(-1, 8, 8).astype(np.float32), target[:300]
