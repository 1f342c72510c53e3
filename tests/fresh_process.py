"""Code that runs in a fresh Python process, for the tests of what happens once per process."""

import os
import subprocess
import sys
import textwrap

FIT_FEATURE_MAP = """
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn_ckn import CKNFeatureMap, CKNLayer
    X = np.random.RandomState(0).rand(20, 8, 8).astype(np.float32)
    network = make_pipeline(*[CKNLayer(4, n_patches=100, random_state=0) for _ in range(2)])
    feature_map = CKNFeatureMap(network, n_jobs=2).fit(X)
    checksum = float(feature_map.transform(X).sum())
"""
RECORD_COMPILATIONS = """
    from numba.core import event
    compilations = event.RecordingListener()
    event.register("numba:compile", compilations)
"""


def run(*parts, folder=None, **environment):
    """Run parts of a program in sequence, in one fresh process, and return what it prints."""
    code = "\n".join(textwrap.dedent(part) for part in parts)
    command, variables = [sys.executable, "-c", code], {**os.environ, **environment}
    result = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
