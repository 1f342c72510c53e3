"""What `accuracy` has measured, as tables and as one figure of error against seconds.

    python benchmarks/report.py

The last line of ``--results`` for every set of images, method, processor and seed counts; runs on held-out images do
not, nor do lines that tell why they are ``superseded``. Tables and figure go to ``--output``, where
``doc/benchmarks.rst`` takes them from.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from accuracy import EFFORTS, IMAGES, SIGNALS

NAMES = {
    **{effort: f'"{effort}"' for effort in EFFORTS},
    "rbf": "SVM, RBF kernel of pixels",
    "nystroem": "Nyström features of pixels",
    "hog": "histograms of gradients",
    "k_means": "k-means features",
    "scattering": "wavelet scattering",
    "cnn": "small CNN (PyTorch)",
    "mini_rocket": "MiniRocket",
}
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
HEADER = ["method", "mirror images", "training signals", "test error, %", "seconds", "memory, GB", "processor"]


def read(path):
    """Return the last run of every seed, by dataset and by (method, symmetries, n_train, processor)."""
    last = {}
    for line in path.read_text().splitlines():
        result = json.loads(line)
        if not (result["held_out"] or "superseded" in result):
            symmetries = result["symmetries"] or result["runs"][0]["chosen"].get("symmetries")
            key = result["dataset"], result["method"], symmetries, result["n_train"], result["processor"]
            last.setdefault(key, {})[result["seed"]] = result
    found = {}
    for (dataset, *method), runs in last.items():
        found.setdefault(dataset, {})[tuple(method)] = [runs[seed] for seed in sorted(runs)]
    return found


def rows(methods):
    """Of the table of a dataset, the least error first."""
    mean_errors = {key: np.mean([run["error"] for run in runs]) for key, runs in methods.items()}
    for key in sorted(mean_errors, key=mean_errors.get):
        (method, symmetries, n_train, processor), runs = key, methods[key]
        errors = ", ".join(f"{run['error']:.2f}" for run in runs)
        seconds = np.mean([run["seconds"] for run in runs])
        memory = max(run["peak_memory_mb"] for run in runs) / 1024
        signals = f"{n_train:,}".replace(",", " ") if n_train else "all"
        yield (
            NAMES[method],
            "yes" if symmetries else "no",
            signals,
            errors,
            f"{float(f'{seconds:.3g}'):g}",
            f"{memory:.1f}",
            processor,
        )


def draw(found, path):
    """Error against seconds, a panel for every set of images, all training images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, panels = plt.subplots(1, len(IMAGES), figsize=(12, 4), layout="constrained")
    for axes, dataset in zip(panels, IMAGES):
        shown = []
        for (method, symmetries, n_train, _), runs in found.get(dataset, {}).items():
            if not n_train:
                shown.append(
                    (*(np.mean([run[name] for run in runs]) for name in ("error", "seconds")), method, symmetries)
                )
        for i, (error, seconds, method, symmetries) in enumerate(sorted(shown)):
            of_ours = method in EFFORTS
            axes.plot(
                seconds,
                error,
                "o" if of_ours else "s",
                color="C0" if of_ours else "0.5",
                mfc="none" if not symmetries else None,
            )
            offset = (4, -10 if i % 2 else 4)  # neighbours' names do not meet
            name = method.replace("_", "-")
            axes.annotate(name, (seconds, error), offset, textcoords="offset points", fontsize="x-small")
        axes.set(title=TITLES[dataset], xscale="log", yscale="log", xlabel="seconds, training and test")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="y", which="minor", labelsize="x-small")
        axes.margins(0.25, 0.1)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("test error, %")
    figure.savefig(path, metadata={"Date": None})


def main():
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", type=Path, default=here / "results" / "accuracy.jsonl")
    parser.add_argument("--output", type=Path, default=here.parent / "doc" / "benchmarks")
    options = parser.parse_args()
    found = read(options.results)
    options.output.mkdir(parents=True, exist_ok=True)
    for dataset in (*IMAGES, SIGNALS):
        with (options.output / f"{dataset}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows(found.get(dataset, {}))])
    draw(found, options.output / "accuracy.svg")


if __name__ == "__main__":
    main()
