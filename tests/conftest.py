import os
import tempfile

# The suite compiles everything itself: what it tests is the code on disk, never an older compilation of it.
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="sklearn_ckn_tests_")

import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.RandomState(0)
