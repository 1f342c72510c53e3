"""Seconds of the first call in a fresh process: with nothing compiled, and with the compiled code on disk.

python benchmarks/startup.py
"""

import os
import subprocess
import sys
import tempfile

FIRST_CALL = """
import time
begin = time.perf_counter()
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn_ckn import CKNFeatureMap, CKNLayer
imported = time.perf_counter()
X = np.random.RandomState(0).rand(64, 32, 32, 3).astype(np.float32)
layers = [CKNLayer(m, pooling_width=w, n_patches=2000, random_state=0) for m, w in ((64, 2), (256, 6))]
feature_map = CKNFeatureMap(make_pipeline(*layers), n_jobs=2)
def use():
    begin = time.perf_counter()
    feature_map.fit(X).transform(X)
    return time.perf_counter() - begin
first, second = use(), use()
print(f"import {imported - begin:5.2f} s, first fit and transform {first:6.2f} s, the same again {second:5.2f} s")
"""


def main():
    with tempfile.TemporaryDirectory() as folder:
        for label in ("no cache", "cache", "cache"):
            environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
            result = subprocess.run([sys.executable, "-c", FIRST_CALL], env=environment, capture_output=True, text=True)
            print(f"{label:<9}", result.stdout.strip() or result.stderr, flush=True)


if __name__ == "__main__":
    main()
