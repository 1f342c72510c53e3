"""Speed of this checkout relative to another one, and whether the results have the same bits.

    python benchmarks/compare.py --other FOLDER

FOLDER is another checkout, for instance that of an earlier commit (``git worktree add FOLDER COMMIT``). Each checkout
runs in a process of its own. The two take turns within every round, so that the ratio within a round does not depend on
the speed of the machine, which drifts. A ratio above 1 means that this checkout takes longer.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent.parent
AT_LEAST = 0.3  # seconds for which a workload is repeated in each round


def workloads():
    """Name -> function without arguments, whose result is compared; only public names, which both checkouts have."""
    from sklearn.pipeline import make_pipeline

    from sklearn_ckn import CKNClassifier, CKNFeatureMap, CKNKernel, CKNLayer, LinearClassifier, PatchWhitening

    def random(*shape):
        return np.random.RandomState(0).rand(*shape).astype(np.float32)

    def transform(n, shape, filters, patches, pooling):
        sizes = zip(filters, patches, pooling)
        common = {"ndim": len(shape) - 1, "init": "random", "random_state": 0}
        layers = [CKNLayer(m, patch_size=k, pooling_width=w, n_patches=2 * m, **common) for m, k, w in sizes]
        X = random(max(n, 200), *shape)
        feature_map = CKNFeatureMap(make_pipeline(*layers)).fit(X)
        return lambda: feature_map.transform(X[:n])

    two = make_pipeline(CKNLayer(pooling_width=2), CKNLayer(pooling_width=5))
    X, Y = random(64, 28, 28), random(128, 28, 28)[64:]
    features = np.random.RandomState(0).randn(6000, 1000).astype(np.float32)
    labels = (features[:, :10] + np.random.RandomState(1).randn(6000, 10)).argmax(axis=1)
    images, classes = random(256, 32, 32, 3), np.arange(256) % 10
    trained = make_pipeline(CKNLayer(64, n_patches=1000), CKNLayer(64, n_patches=1000, pooling_width=6))

    def train():
        return CKNClassifier(trained, max_iter=2, random_state=0).fit(images, classes).coef_

    return {
        "transform, A": transform(64, (32, 32, 3), (64, 256), (3, 3), (2, 6)),
        "transform, A28": transform(64, (28, 28, 1), (64, 256), (3, 3), (2, 6)),
        "transform, B": transform(24, (32, 32, 3), (256, 1024), (3, 3), (2, 6)),
        "transform, S": transform(64, (512, 1), (64, 128), (9, 9), (4, 8)),
        "transform, V": transform(16, (24, 24, 24, 1), (32, 64), (3, 3), (2, 4)),
        "transform, few filters": transform(128, (28, 28, 1), (16, 32), (3, 3), (2, 6)),
        "exact kernel, two layers": lambda: CKNKernel(two)(X, Y),
        "exact kernel, float64": lambda: CKNKernel(two)(X[:32].astype(float), Y[:32].astype(float)),
        "exact kernel, derivatives": lambda: CKNKernel(two)(X[:32], eval_gradient=True)[1],
        "linear model": lambda: LinearClassifier(C=10).fit(features, labels).coef_,
        "linear model, logistic": lambda: LinearClassifier("logistic", C=10).fit(features, labels).coef_,
        "training": train,
        "whitening": lambda: PatchWhitening().fit_transform(images),
        "fit": lambda: CKNLayer(256, n_patches=20_000, random_state=0).fit(random(2000, 16, 16, 3)).filters_,
    }


def serve():
    """Read names from the standard input, and write the seconds and a hash of each result to the standard output."""
    functions = workloads()
    print(json.dumps(list(functions)), flush=True)
    for name in map(str.strip, sys.stdin):
        n_calls, begin = 0, time.perf_counter()
        while n_calls == 0 or time.perf_counter() - begin < AT_LEAST:
            result = functions[name]()
            n_calls += 1
        seconds = (time.perf_counter() - begin) / n_calls
        bits = hashlib.sha256(np.ascontiguousarray(result).tobytes()).hexdigest()
        print(json.dumps([seconds, bits]), flush=True)


class Checkout:
    """A process that runs the workloads with the package of one checkout."""

    def __init__(self, folder):
        command, variables = [sys.executable, __file__, "--serve"], {**os.environ, "PYTHONPATH": str(folder)}
        self.process = subprocess.Popen(command, env=variables, stdin=-1, stdout=-1, text=True, cwd=folder)
        self.names = json.loads(self.process.stdout.readline())

    def run(self, name):  # -> seconds, hash
        print(name, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--other", type=Path, help="folder of another checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", default="", help="a part of the names of the workloads to run")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    ours, other = Checkout(HERE), Checkout(options.other.resolve())
    print(f"{'':28s}  ratio   (from, to)       ms  same bits")
    for name in ours.names:
        if options.only in name:
            (_, mine), (_, its) = ours.run(name), other.run(name)  # not measured: it compiles
            rounds = [(ours.run(name)[0], other.run(name)[0]) for _ in range(options.rounds)]
            ratios = sorted(a / b for a, b in rounds)
            milliseconds = 1000 * statistics.median(a for a, _ in rounds)
            spread = f"({ratios[0]:.3f}, {ratios[-1]:.3f})"
            print(
                f"{name:28s}  {statistics.median(ratios):.3f}  {spread} {milliseconds:8.1f}  {mine == its}", flush=True
            )


if __name__ == "__main__":
    main()
