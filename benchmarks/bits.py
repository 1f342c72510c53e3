"""Hashes of what the package computes, to show that a change of the code changes no bit of it.

    python benchmarks/bits.py --output before.json
    python benchmarks/bits.py --output after.json --against before.json

Run the first line in the old checkout (or with ``PYTHONPATH`` set to it) and the second one in the new checkout, on the
same machine. Filters, maps, features, exact kernels and their derivatives, linear models, trained networks, whitened
images and ONNX outputs are hashed, in one to three dimensions, in both precisions, and for shapes that take every
convolution strategy. Only public names are used. It takes about five minutes to compile and compute everything.
"""

import argparse
import hashlib
import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
from sklearn.datasets import load_digits
from sklearn.pipeline import make_pipeline

from sklearn_ckn import (
    AutoCKNClassifier,
    CKNClassifier,
    CKNFeatureMap,
    CKNKernel,
    CKNLayer,
    CKNRegressor,
    LinearClassifier,
    LinearRegressor,
    PatchWhitening,
)
from sklearn_ckn.inspection import approximation_report, deformation, stability_report
from sklearn_ckn.onnx import to_onnx

SPACES = {1: (40,), 2: (13, 11), 3: (6, 5, 7)}
KERNELS = [
    {"kernel": "exponential"},
    {"kernel": "exponential", "sigma": "auto"},
    {"kernel": "polynomial", "degree": 3, "coef0": 0.5},
    *({"kernel": name} for name in ("inverse_polynomial", "arccos1", "vovk", "linear")),
]
PAIRS = ("exponential", "arccos1"), ("polynomial", "exponential"), ("arccos0", "vovk"), ("inverse_polynomial", "linear")
LOSSES = "squared_hinge", "logistic", "squared_error"
PATCHES = [("same", False, 3), ("valid", True, 2), ("same", True, 3), ("valid", False, 3)]


def outputs_of_layers(ndim, dtype, rng):
    """Names and arrays of single layers: kernels, poolings, paddings, and shapes for every convolution strategy."""
    space, common = SPACES[ndim], {"ndim": ndim, "random_state": 0}
    X = rng.rand(30, *space, 2).astype(dtype)
    for (k, kernel), pooling, (padding, centering, size) in itertools.product(
        enumerate(KERNELS), ("gaussian", "average"), PATCHES
    ):
        settings = {"pooling": pooling, "padding": padding, "patch_centering": centering, "patch_size": size, **kernel}
        layer = CKNLayer(20, n_patches=500, ndim=ndim, random_state=k, n_jobs=1 + k % 2, **settings)
        maps = layer.fit_transform(X)
        yield f"layer {settings}", layer.filters_, layer.whitening_, layer.sigma_, layer.n_iter_, maps
    sizes = {"patch_size": (3, 2, 2), "pooling_width": (3, 1, 2), "subsampling": (2, 1, 1)}
    layer = CKNLayer(70, n_patches=3000, **{name: size[:ndim] for name, size in sizes.items()}, **common).fit(X)
    yield "sizes that differ by axis", layer.filters_, layer.transform(X)
    layer = CKNLayer(10, init="random", **common).fit(X).partial_fit(X[:10]).partial_fit(X[10:])
    yield "partial_fit", layer.filters_, layer.transform(X)
    for size in ((3,) * ndim, (2,) * ndim, (5,) * ndim, (*(3,) * (ndim - 1), 6), (*(3,) * (ndim - 1), 9)):
        if max(size) <= min(space):
            M = rng.rand(7, *space, 64).astype(dtype)
            layer = CKNLayer(48, patch_size=size, n_patches=300, max_iter=3, **common).fit(M)
            yield f"many channels {size}", layer.filters_, layer.transform(M)
    for centering in (False, True):
        settings = {"patch_size": space, "padding": "valid", "pooling_width": 1, "patch_centering": centering}
        layer = CKNLayer(12, **settings, **common).fit(X)
        yield f"single patch {centering}", layer.filters_, layer.transform(X)
    rows = CKNLayer(33, patch_size=1, pooling_width=1, ndim=1, input_shape=(1, -1), init="random", random_state=0)
    yield "rows", rows.fit_transform(X.reshape(30, -1))


def two_layers(ndim):
    return make_pipeline(
        CKNLayer(40, patch_size=3, patch_centering=True, n_patches=1000, ndim=ndim, random_state=0),
        CKNLayer(50, patch_size=2, n_patches=1000, ndim=ndim, random_state=1),
    )


def outputs_of_networks(ndim, dtype, rng):
    """Names and arrays of feature maps, exact kernels, whitening, training and ONNX graphs."""
    X = rng.rand(30, *SPACES[ndim], 2).astype(dtype)
    network, y, t = two_layers(ndim), np.arange(30) % 3, rng.randn(30, 2)
    for n_jobs, symmetries in itertools.product((1, 2), (None, "flip")):
        settings = {"symmetries": symmetries, "center": True, "scale": symmetries is None, "n_jobs": n_jobs}
        yield f"features {settings}", CKNFeatureMap(network, **settings).fit_transform(X)

    pairs = (
        ("exponential", "arccos1"),
        ("polynomial", "exponential"),
        ("arccos0", "vovk"),
        ("inverse_polynomial", "linear"),
    )
    for normalize, kernels, centred in itertools.product((False, True), pairs, ((0, 0), (1, 0), (0, 1))):
        first = CKNLayer(kernel=kernels[0], patch_centering=bool(centred[0]), ndim=ndim)
        pooling = {"pooling": "average"} if centred[0] else {"pooling_width": 2 - centred[1]}
        second = CKNLayer(patch_size=2, kernel=kernels[1], patch_centering=bool(centred[1]), ndim=ndim, **pooling)
        K = CKNKernel(make_pipeline(first, second), normalize=normalize, n_jobs=2)
        yield f"kernel {normalize} {kernels} {centred}", K(X[:9]), K(X[:5], X[5:12]), K.diag(X)
        if "arccos0" not in kernels:
            yield f"derivatives {normalize} {kernels} {centred}", *K(X[:6], eval_gradient=True)
    for centering, padding in itertools.product((False, True), ("same", "valid")):
        K = CKNKernel(CKNLayer(patch_centering=centering, padding=padding, ndim=ndim))
        yield f"kernel of one layer {centering} {padding}", K(X[:9]), *K(X[:6], eval_gradient=True)
    three = [CKNLayer(patch_size=2, pooling_width=1 + (k == 0), ndim=ndim, sigma=0.5 + k / 10) for k in range(3)]
    yield "derivatives, three layers", *CKNKernel(make_pipeline(*three))(X[:6], eval_gradient=True)

    for method, (exponent, contrast) in itertools.product(("local", "global"), ((0.5, True), (0.25, False), (0, True))):
        settings = {"method": method, "exponent": exponent, "normalize_contrast": contrast}
        whitening = PatchWhitening(ndim=ndim, subsample=20, random_state=0, n_jobs=2, **settings)
        yield f"whitening {settings}", whitening.fit_transform(X)

    for loss, augmentation in itertools.product(
        ("squared_hinge", "logistic", "squared_error"), (None, "flip", "flip-crop")
    ):
        stopping = {"early_stopping": augmentation == "flip", "validation_fraction": 0.2}
        settings = {"loss": loss, "augmentation": augmentation, "n_jobs": 2 if augmentation else 1, **stopping}
        model = CKNClassifier(network, max_iter=3, batch_size=8, random_state=0, **settings).fit(X, y)
        yield f"trained {settings}", *of_model(model), model.loss_curve_, model.decision_function(X)
    model = CKNRegressor(network, max_iter=2, batch_size=16, random_state=0).fit(X, t)
    yield "trained regressor", *of_model(model), model.loss_curve_, model.predict(X)
    model = (
        CKNClassifier(network, random_state=0)
        .partial_fit(X[:15], y[:15], classes=[0, 1, 2])
        .partial_fit(X[15:], y[15:])
    )
    yield "trained on a stream", *of_model(model), model.decision_function(X)
    wide = make_pipeline(
        CKNLayer(64, pooling_width=1, kernel="arccos1", n_patches=1000, ndim=ndim),
        CKNLayer(70, kernel="polynomial", n_patches=1000, ndim=ndim),
        CKNLayer(40, patch_size=2, patch_centering=True, n_patches=500, ndim=ndim),
    )
    model = CKNClassifier(wide, max_iter=2, batch_size=8, random_state=0).fit(X, y)
    yield "trained, wide", *of_model(model), model.decision_function(X)

    features = CKNFeatureMap(network, center=True, scale=True)
    for estimator in (features, PatchWhitening(2, ndim=ndim), CKNLayer(9, ndim=ndim, n_patches=300, random_state=0)):
        yield f"ONNX {type(estimator).__name__}", *of_graph(estimator.fit(X), X)
    yield "ONNX CKNClassifier", *of_graph(model, X)


def of_model(model):
    arrays = [array for layer in model.network_ for array in (layer.filters_, layer.whitening_)]
    return *arrays, model.coef_, model.intercept_


def of_graph(model, X):
    session = onnxruntime.InferenceSession(to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": X.astype(np.float32)})


def outputs_of_linear_models(dtype, rng):
    for n, d in ((300, 20), (150, 900), (1200, 300)):
        X, y, t = rng.randn(n, d).astype(dtype), rng.randint(4, size=n), rng.randn(n, 2)
        for loss in LOSSES:
            for C, n_jobs in itertools.product((0.01, 1, [0.1, 1, 10]), (1, 2)):
                model = LinearClassifier(loss, C=C, random_state=0, n_jobs=n_jobs).fit(X, y)
                yield f"{n} {d} {loss} {C} {n_jobs}", model.coef_, model.intercept_, model.n_iter_, model.C_
            model = LinearClassifier(loss, C=0.1, class_weight="balanced").fit(X, y % 2, sample_weight=rng.rand(n))
            yield f"{n} {d} {loss}, weights", model.coef_, model.intercept_
        model = LinearRegressor(C=[0.01, 1], random_state=0).fit(X, t)
        yield f"{n} {d} regression", model.coef_, model.intercept_, model.validation_scores_


def outputs_on_digits(rng):
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    large = np.kron(images[:600], np.ones((2, 2)))
    for k, X in ((8, large), (16, (large + rng.rand(*large.shape)).astype(np.float32))):
        layer = CKNLayer(60, patch_size=k, padding="valid", pooling_width=1, n_patches=1500, random_state=0).fit(X)
        yield f"k-means of long patches {k}", layer.filters_
    for kind, X in itertools.product(("fast", "balanced"), (images[:300], rng.rand(100, 8, 8, 3))):
        model = AutoCKNClassifier(kind, random_state=0, n_jobs=2).fit(X, labels[: len(X)])
        yield f"chosen, {kind} {X.shape}", model.decision_function(X), *of_graph(model, X)
    rows = images.reshape(-1, 64)
    series = AutoCKNClassifier("fast", ndim=1, random_state=0).fit(rows[:300], labels[:300])
    yield "chosen for series", series.decision_function(rows[300:400])
    feature_map = CKNFeatureMap(make_pipeline(*[CKNLayer(16, n_patches=500, random_state=0)] * 2)).fit(images[:200])
    report = approximation_report(feature_map, images[:30])
    yield "approximation", report.frobenius_error, report.spectral_error, report.effective_rank, *report.spectra
    for estimator in (feature_map, CKNKernel(feature_map.network)):
        report = stability_report(estimator, images[:10], [0, 0.5, 1], random_state=0)
        yield f"stability {type(estimator).__name__}", report.change, report.gradient_term, report.translation_term
    deformed = deformation(images[:10], 1.5, random_state=0)
    yield "deformation", deformed.signals, deformed.displacement, deformed.gradient_norm
    yield "uint8", CKNFeatureMap(feature_map.network).fit_transform((15 * images[:100]).astype(np.uint8))


def hashes():
    """Name -> hash of the bytes, dtypes and shapes of some arrays."""
    found = {}

    def add(prefix, outputs):
        for name, *arrays in outputs:
            digest = hashlib.sha256()
            for array in map(np.ascontiguousarray, arrays):
                digest.update(str((array.dtype.str, array.shape)).encode())
                digest.update(array.astype(str).tobytes() if array.dtype == object else array.tobytes())
            assert f"{prefix}{name}" not in found, name
            found[f"{prefix}{name}"] = digest.hexdigest()

    for ndim, dtype in itertools.product(SPACES, ("float32", "float64")):
        for outputs in (outputs_of_layers, outputs_of_networks):
            add(f"{ndim}-D {dtype}: ", outputs(ndim, dtype, np.random.RandomState(ndim)))
    for dtype in ("float32", "float64"):
        add(f"linear model, {dtype}: ", outputs_of_linear_models(dtype, np.random.RandomState(3)))
    add("digits: ", outputs_on_digits(np.random.RandomState(4)))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--against", type=Path, help="an output to compare with")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = hashes()
    options.output.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{len(found)} outputs")
    if options.against:
        before = json.loads(options.against.read_text())
        different = [name for name in before.keys() | found.keys() if before.get(name) != found.get(name)]
        print(f"{len(different)} of them differ", *sorted(different), sep="\n  ")


if __name__ == "__main__":
    main()
