import atexit
import os
import shutil
import tempfile

import numpy as np
import pytest

# The suite compiles everything itself: what it tests is the code on disk, never an older compilation of it. Its worker
# processes share what they compile, and CI keeps it in an empty folder for the examples.
if "SKLEARN_CKN_TESTS_CACHE" in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = os.environ["SKLEARN_CKN_TESTS_CACHE"]
elif "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="sklearn_ckn_tests_")
    atexit.register(shutil.rmtree, os.environ["NUMBA_CACHE_DIR"], ignore_errors=True)


@pytest.fixture
def rng():
    return np.random.RandomState(0)
