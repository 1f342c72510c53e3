"""Filters learned with labels on real images: accuracy after every round, seconds and memory.

    python benchmarks/supervised.py --data FOLDER --dataset cifar10

FOLDER holds ``mnist.npz``, ``fashion_mnist.npz`` or ``cifar10.npz`` with uint8 arrays X_train, y_train, X_test, y_test.
Round 0 is the network learned without labels. All settings were chosen on held-out training images (``--held-out``).
The test accuracy after every round is recorded, and nothing is done with it: the result is the last one, of the filters
that ``fit`` keeps. One JSON line is appended to ``--output``.

For CIFAR-10 the network is the one of five layers in the repository CKN-Pytorch-image (Chen, 2019), and images are half
whitened. The README of that repository states 13.9 % test error without flips, for the epoch that is best on the test
images.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import images
import numpy as np
from machine import describe
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNClassifier, CKNLayer, PatchWhitening

NETWORKS = {  # filters, patches, pooling, sigma, centring of the first layer
    "cifar10": ([128] * 5, [3, 1, 3, 1, 3], [2, 1, 2, 1, 3], [0.5] * 5, False),
    "mnist": ([32, 64], [3, 3], [2, 4], [0.6, 0.6], True),
    "fashion_mnist": ([64, 512], [3, 2], [2, 4], [0.6, 0.8], True),
}


def prepare(X, dataset, n_jobs):
    if dataset != "cifar10":
        return X
    return PatchWhitening(exponent=0.25, reg=0, normalize_contrast=False, n_jobs=n_jobs).fit_transform(X)


class Curve:
    """A callback that records what there is after every round."""

    def __init__(self, X, y):
        self.X, self.y, self.rounds = X, y, []

    def setup(self, estimator, context):
        self.begin, self.aside = np.array([time.perf_counter(), time.process_time()]), 0.0

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if fitted_estimator is None or context.task_name == "fit":
            return
        now = np.array([time.perf_counter(), time.process_time()])
        seconds, cpu_seconds = (now - self.begin - self.aside).round(1).tolist()
        self.rounds.append(
            {
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "objective": fitted_estimator.loss_curve_[-1],
                "test_accuracy": float(fitted_estimator.score(self.X, self.y)),
            }
        )
        print(json.dumps(self.rounds[-1]), flush=True)
        self.aside += np.array([time.perf_counter(), time.process_time()]) - now  # the recording is not the fit's

    def teardown(self, estimator, context):
        pass


def build(options, seed):
    filters, sizes, widths, sigmas, centring = NETWORKS[options.dataset]
    layers = [
        CKNLayer(
            m,
            patch_size=k,
            pooling_width=w,
            kernel="exponential" if k > 1 else "polynomial",
            sigma=sigma,
            patch_centering=centring and i == 0,
        )
        for i, (m, k, w, sigma) in enumerate(zip(filters, sizes, widths, sigmas))
    ]
    return CKNClassifier(
        make_pipeline(*layers),
        alpha=options.alpha,
        max_iter=options.rounds,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        augmentation=options.augmentation,
        random_state=seed,
        n_jobs=options.n_jobs,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the npz files")
    parser.add_argument("--dataset", choices=NETWORKS, default="cifar10")
    parser.add_argument("--n-train", type=int, help="training images drawn at random; all by default")
    parser.add_argument("--held-out", type=int, default=0, help="training images to test on in the test images' stead")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--alpha", type=float, default=2e-5)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--augmentation", help="flip, rotate, dihedral or flip-crop")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0, help="draws the training images, and everything in the fit")
    parser.add_argument("--draws", type=int, default=1, help="repetitions, with the seeds that follow")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "supervised.jsonl")
    options = parser.parse_args()
    machine, start = describe(), time.perf_counter()
    X_all, y_all, X_test, y_test = images.read(options)
    X_test, curves, seconds = prepare(X_test, options.dataset, options.n_jobs), [], []
    for seed in range(options.seed, options.seed + options.draws):
        begin, drawn = time.perf_counter(), np.random.RandomState(seed).permutation(len(X_all))[: options.n_train]
        X, y, curve = prepare(X_all[drawn], options.dataset, options.n_jobs), y_all[drawn], Curve(X_test, y_test)
        print(f"seed {seed}, {len(X)} images ready after {time.perf_counter() - start:.0f} s", flush=True)
        build(options, seed).set_callbacks(curve).fit(X, y)
        curves.append(curve.rounds)
        seconds.append(round(time.perf_counter() - begin - curve.aside[0], 1))
    result = {
        **{name: value for name, value in vars(options).items() if name not in ("data", "output")},
        "n_train": len(X),
        "network": dict(zip(("filters", "patches", "pooling", "sigma", "centering"), NETWORKS[options.dataset])),
        "unsupervised_accuracy": float(np.mean([curve[0]["test_accuracy"] for curve in curves])),
        "accuracy": float(np.mean([curve[-1]["test_accuracy"] for curve in curves])),
        "seconds": float(np.mean(seconds)),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "curves": curves,
        **machine,
    }
    print(json.dumps({name: value for name, value in result.items() if name != "curves"}, indent=1))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("a") as lines:
        lines.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
