"""Seconds and peak memory of ``transform`` against the number of images, filters, pixels and threads.

    python benchmarks/scaling.py

Everything but one size stays at 5 000 images of 32 x 32 x 3 (fewer, where they are larger or have more filters), 64/256
filters and 2 threads. Each point is the median of some runs in a process of its own; memory is what the last run takes
beyond input and output (Linux only). Writes a JSON file and a figure, whose dotted lines grow as the arithmetic of the
plain formulas does, from the largest point down.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from machine import added_memory, describe, in_a_process
from sklearn.pipeline import make_pipeline

from sklearn_ckn import CKNFeatureMap, CKNLayer

BASE = {"images": 5000, "filters": 64, "pixels": 32, "n_jobs": 2}
SIZES = {
    "images": [1000, 2000, 5000, 10000, 20000, 60000],
    "filters": [16, 32, 64, 128, 256],
    "pixels": [16, 24, 32, 48, 64, 96, 128],
    "n_jobs": [1, 2],
}
LABELS = {
    "images": "images",
    "filters": "filters of layer 1 (layer 2: 4 times as many)",
    "pixels": "pixels along each axis",
    "n_jobs": "threads (n_jobs)",
}


def arithmetic(images, filters, pixels, n_jobs):
    """Multiplications of the plain formulas, shared by the threads."""
    half, sixth = pixels // 2, -(-(pixels // 2) // 6)
    first = pixels**2 * 27 * filters + half**2 * filters**2
    second = half**2 * 9 * filters * 4 * filters + sixth**2 * (4 * filters) ** 2
    return images * (first + second) / n_jobs


def measure(images, filters, pixels, n_jobs, n_runs):
    """Seconds and memory in MB of one transform."""
    images = images if pixels <= 32 and filters <= 64 else max(200, images // (pixels // 32 * filters // 64) ** 2)
    rng = np.random.RandomState(0)
    X = rng.randint(256, size=(images, pixels, pixels, 3), dtype=np.uint8)
    layers = [
        CKNLayer(m, pooling_width=w, init="random", n_patches=4 * m, random_state=0)
        for m, w in ((filters, 2), (4 * filters, 6))
    ]
    feature_map = CKNFeatureMap(make_pipeline(*layers), n_jobs=n_jobs).fit(X[:500])
    feature_map.transform(X[:100])
    seconds = []
    for _ in range(n_runs - 1):
        begin = time.perf_counter()
        feature_map.transform(X)
        seconds.append(time.perf_counter() - begin)
    features, last, added = added_memory(lambda: feature_map.transform(X))
    return float(np.median([*seconds, last])) / images, added - features.nbytes / 2**20


def draw(results, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(SIZES), figsize=(13, 5.5), sharex="col", layout="constrained")
    for column, name in zip(axes.T, SIZES):
        sizes, values = results[name]["sizes"], results[name]["values"]
        column[0].plot(sizes, values[0], "o", color="C0")
        work = [arithmetic(**BASE | {name: size}) for size in sizes]
        largest = np.argmax(work)
        column[0].plot(sizes, np.multiply(work, values[0][largest] / work[largest]), ":", color="C0")
        column[0].set_ylabel("seconds" if name == "images" else "milliseconds per image")
        column[0].set(xscale="log", yscale="log")
        column[1].plot(sizes, values[1], "o", color="C1")
        column[1].set_ylim(0, 1.2 * max(max(results[n]["values"][1]) for n in SIZES))
        column[1].set_xlabel(LABELS[name])
        column[1].set_xticks(sizes, sizes, rotation=45, fontsize=8)
        column[1].minorticks_off()
    axes[1, 0].set_ylabel("MB beyond input and output")
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "scaling.json")
    parser.add_argument("--figure", type=Path, default=Path(__file__).parent / "results" / "scaling.svg")
    options = parser.parse_args()
    results = {"machine": describe(), "base": BASE}
    for name, sizes in SIZES.items():
        points = []
        for size in sizes:
            arguments = BASE | {name: size}
            per_image, added = in_a_process(measure, *arguments.values(), options.runs)
            points.append((per_image * size if name == "images" else 1e3 * per_image, added))
            unit = "s" if name == "images" else "ms an image"
            print(f"{name} {size:>6}: {points[-1][0]:8.2f} {unit}, {added:5.0f} MB", flush=True)
        results[name] = {"sizes": sizes, "values": [list(values) for values in zip(*points)]}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    draw(results, options.figure)


if __name__ == "__main__":
    main()
