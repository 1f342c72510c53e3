"""Check on random problems that the linear models reach the minimum of their objective, or warn.

    python benchmarks/random_problems.py
    python benchmarks/random_problems.py --case 17

Every problem is drawn from its own seed: loss, C, size, scales, offsets, duplicated and constant columns, dtype,
weights, classes. The objective is computed in extended precision from ``coef_`` and ``intercept_``. The smallest
objective is that of Newton's method in extended precision, started at 0 and at the fitted coefficients. The model could
have reached any point at which this method stops, so no difference is an artefact. A problem ends as one of:

- ``within tol``, ``within 2 tol``: the relative difference of the objectives; the documentation promises the first;
- ``rounding``: the difference is larger, but no larger than the cost of rounding the best coefficients to their dtype;
- ``warned``: the difference is larger, and there was a ConvergenceWarning; ``refused``: a ValueError of the package;
- ``silent``: the difference is larger, and there was no warning;
- ``undecided``: Newton's method has not converged either;
- ``error``: any other exception, or coefficients that are not finite.

Warnings of NumPy are counted separately. ``depth`` is the smallest objective divided by the objective for W = 0.
"""

import argparse
import json
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from machine import describe
from scipy.linalg import cho_factor, cho_solve
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from sklearn_ckn import LinearClassifier, LinearRegressor

DTYPES = ["float32"] * 4 + ["float64"] * 3 + ["float16", "uint8", "uint16", "int16", "int32", "bool"]
FACTOR = 2  # the documentation promises 1; rounding and the tolerance of Newton's method may add as much
ROUNDING = 10  # allowed multiple of the cost of rounding the best coefficients: the solver rounds more than once
FEATURES = ["depth", "loss", "dtype", "C", "scale", "spread", "offset", "columns", "target", "weights", "path"]


def draw(seed):
    """Return a problem: X, y, weights, the parameters, and a record of what was drawn."""
    rng = np.random.default_rng(seed)

    def maybe(probability, value, otherwise):
        return value() if rng.random() < probability else otherwise

    n, d = (int(10 ** rng.uniform(np.log10(low), np.log10(500.99))) for low in (2, 1))
    loss = str(rng.choice(["squared_hinge", "logistic", "squared_error", "regression"]))
    k = int(rng.integers(2, min(10, n) + 1))
    dtype = str(rng.choice(DTYPES))
    record = {
        "n": n,
        "d": d,
        "k": k,
        "loss": loss,
        "dtype": dtype,
        "C": float(10 ** rng.uniform(-4, 4)),
        "scale": maybe(0.4, lambda: float(10 ** rng.uniform(-20, 15)), 1.0),
        "spread": maybe(0.3, lambda: float(rng.uniform(1, 10)), 0.0),
        "offset": maybe(0.3, lambda: float(10 ** rng.uniform(0, 5)), 0.0),
        "columns": maybe(0.4, lambda: str(rng.choice(["duplicated", "constant", "collinear", "nonnegative"])), "any"),
        "target": str(rng.choice(["linear", "noisy", "random"])),
        "weights": str(rng.choice(["none", "none", "uniform", "zeros", "wide"])),
        "path": bool(rng.random() < 0.15),
        "fit_intercept": bool(rng.random() < 0.7),
    }
    if np.dtype(dtype).kind != "f" or dtype == "float16":
        record |= {"scale": 1.0, "spread": 0.0}
    if seed % 10 == 9:  # real features, with constant columns and many zeros
        record |= {"columns": "digits", "d": 64, "offset": 0.0}
    X = features(rng, record)
    y = targets(rng, X, record)
    weights = {
        "none": lambda: None,
        "uniform": lambda: rng.random(n) + 0.1,
        "zeros": lambda: np.where(rng.random(n) < 0.5, 0.0, 1.0),
        "wide": lambda: 10 ** rng.uniform(-3, 3, n),
    }[record["weights"]]()
    if weights is not None:
        weights[0] = 1.0
    return X, y, weights, record


def features(rng, record):
    n, d, dtype = record["n"], record["d"], np.dtype(record["dtype"])
    X = rng.standard_normal((n, d))
    if record["columns"] == "digits":
        X = load_digits().data[rng.choice(1797, n, replace=False)]
    if record["columns"] == "nonnegative":
        X = np.maximum(X, 0) ** 2
    if record["columns"] == "collinear":
        X = rng.standard_normal((n, 1 + d // 4)) @ rng.standard_normal((1 + d // 4, d))
    X = X + record["offset"]
    if dtype.kind in "ui":
        unit = np.abs(X).max() / {1: 120, 2: 3e4}.get(dtype.itemsize, 1e6)
        X = np.abs(X / unit * 2) if dtype.kind == "u" else X / unit
    X = X * record["scale"] * 10.0 ** (record["spread"] * rng.uniform(-0.5, 0.5, d))
    if record["columns"] == "constant":
        X[:, rng.random(d) < 0.5] = X.flat[0]
    if record["columns"] == "duplicated":
        X = X[:, rng.integers(0, 1 + d // 2, d)]
    if dtype.kind == "f" and dtype.itemsize < 8:  # the largest values that the estimators and float16 accept
        X = np.clip(X, *({2: (-6e4, 6e4), 4: (-1e16, 1e16)}[dtype.itemsize]))
    return X > 0 if dtype.kind == "b" else X.astype(dtype)


def targets(rng, X, record):
    """Return labels, or numbers of any scale and offset: linear in X, linear with noise, or random."""
    noise = {"linear": 0, "noisy": 1, "random": 1e3}[record["target"]]
    Z = X.astype(float) - X.mean(axis=0, dtype=float)
    sizes = np.abs(Z).max(axis=0)
    Z /= np.where(sizes > 0, sizes, 1)
    S = Z @ rng.standard_normal((X.shape[1], record["k"])) / np.sqrt(X.shape[1])
    S += noise * rng.standard_normal(S.shape)
    if record["loss"] != "regression":
        labels = S.argmax(axis=1)
        labels[: record["k"]] = np.arange(record["k"])
        return labels
    y = (S[:, : 1 + record["k"] // 4] + maybe_offset(rng)) * 10 ** rng.uniform(-10, 10)
    return y[:, 0] if y.shape[1] == 1 else y


def maybe_offset(rng):
    return 10 ** rng.uniform(0, 4) if rng.random() < 0.3 else 0


def fit(X, y, weights, record):
    """Fit the model of a problem. Return the model and the warnings."""
    C = [record["C"] / 100, record["C"] / 10, record["C"]] if record["path"] else record["C"]
    common = {"C": C, "fit_intercept": record["fit_intercept"], "random_state": 0}
    regression = record["loss"] == "regression"
    model = LinearRegressor(**common) if regression else LinearClassifier(record["loss"], **common)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y, sample_weight=weights)
    return model, caught


class Objective:
    """``1/2 |W|^2 + C sum_i s_i loss(W x_i + b, y_i)`` in extended precision.

    The rows x are centred if there is an intercept. Every target of a regressor is divided by its largest deviation
    from its mean, as documented for the parameter `tol`.
    """

    def __init__(self, X, y, weights, record, C):
        self.loss, self.fit_intercept = record["loss"], record["fit_intercept"]
        s = np.ones(len(X)) if weights is None else np.asarray(weights)
        if np.result_type(X.dtype, np.float32) == np.float32:
            s = s.astype(np.float32)  # as the estimator does
        self.c = (np.longdouble(C) * s.astype(np.longdouble))[:, None]
        self.mean = np.average(X.astype(np.longdouble), axis=0, weights=self.c[:, 0]) * self.fit_intercept
        self.X = X.astype(np.longdouble) - self.mean
        self.X64, self.size, self.centre = self.X.astype(float), 1, 0
        if self.loss == "regression":
            self.Y = np.reshape(y, (len(X), -1)).astype(np.longdouble)
            heavy = s > 0
            self.centre = np.average(self.Y, axis=0, weights=self.c[:, 0]) * self.fit_intercept
            size = np.abs(self.Y[heavy] - self.centre).max(axis=0)
            self.size = np.where(size > 0, size, 1)
            self.Y = (self.Y - self.centre) / self.size
        else:
            classes = np.arange(record["k"]) if record["k"] > 2 else np.array([1])
            self.Y = np.where(y[:, None] == classes, 1, -1).astype(np.longdouble)

    def inside(self, coef, intercept):
        """Return fitted coefficients as W and b of this objective."""
        W, b = np.atleast_2d(coef).astype(np.longdouble), np.atleast_1d(intercept).astype(np.longdouble)
        W, b = W / np.reshape(self.size, (-1, 1)), (b - self.centre) / self.size
        return W, b + W @ self.mean

    def rounded(self, W, b, model):
        """Return W and b after rounding to the dtypes of the fitted coefficients."""
        coef, intercept = W * np.reshape(self.size, (-1, 1)), (b - W @ self.mean) * self.size + self.centre
        return self.inside(coef.astype(model.coef_.dtype), intercept.astype(np.asarray(model.intercept_).dtype))

    def losses(self, S):
        """Return the sum of the losses, and their first derivatives (n, k)."""
        if self.loss == "squared_hinge":
            slack = np.maximum(1 - self.Y * S, 0)
            return (self.c * slack**2).sum(), -2 * self.c * self.Y * slack
        if self.loss != "logistic":
            return (self.c * (S - self.Y) ** 2).sum(), 2 * self.c * (S - self.Y)
        single = S.shape[1] == 1
        of_class = np.hstack([self.Y < 0, self.Y > 0]) if single else self.Y > 0
        T = np.hstack([np.zeros_like(S), S]) if single else S
        T = T - T[of_class][:, None]
        largest = np.maximum(T.max(axis=1, keepdims=True), 0)
        E = np.where(of_class, 0, np.exp(T - largest))  # without 1 - p, whose rounding would hide tiny losses
        others, own = E.sum(axis=1, keepdims=True), np.exp(-largest)
        losses = largest + np.where(largest > 0, np.log(own + others), np.log1p(others))
        G = np.where(of_class, -others, E) / (own + others)
        return (self.c * losses).sum(), (self.c * G)[:, single:]

    def log_probabilities(self, S):
        S = np.hstack([np.zeros_like(S), S]) if S.shape[1] == 1 else S
        S = S - S.max(axis=1, keepdims=True)
        return S - np.log(np.exp(S).sum(axis=1, keepdims=True))

    def curvature(self, S):
        """Return the second derivatives: a function (n, k) -> (n, k), and its diagonal (n, k)."""
        if self.loss != "logistic":
            active = self.Y * S < 1 if self.loss == "squared_hinge" else np.ones_like(S)
            h = (2 * self.c * active).astype(float)
            return lambda T: h * T, h
        P, c = np.exp(self.log_probabilities(S))[:, -S.shape[1] :].astype(float), self.c.astype(float)
        return lambda T: c * P * (T - (P * T).sum(axis=1, keepdims=True)), c * P * (1 - P)

    def __call__(self, W, b):  # -> value, gradients, scores
        S = self.X @ W.T + b
        value, G = self.losses(S)
        return value + (W**2).sum() / 2, W + G.T @ self.X, G.sum(axis=0) * self.fit_intercept, S


def solve_newton(objective, D, e, S):
    """Solve the Newton system by conjugate gradients, preconditioned by the Cholesky factors of its diagonal blocks."""
    curvature, h = objective.curvature(S)
    X1 = np.hstack([objective.X64, np.full((len(S), 1), float(objective.fit_intercept))])
    penalty = np.append(np.ones(X1.shape[1] - 1), 0.0)
    sizes = np.sqrt(penalty + h.T @ X1**2)
    sizes[sizes == 0] = 1
    with np.errstate(under="ignore"):
        factors = [
            cho_factor(np.diag(penalty / s**2 + 1e-13) + (X1 / s).T @ (v[:, None] * (X1 / s)))
            for s, v in zip(sizes, h.T)
        ]

    def precondition(R):
        return np.array([cho_solve(factor, r / s) / s for factor, r, s in zip(factors, R, sizes)])

    R = -np.hstack([D, e[:, None]]).astype(float)
    step, Z = np.zeros_like(R), precondition(R)
    P, rz = Z, (R * Z).sum()
    first = rz
    for _ in range(100):
        HP = penalty * P + curvature(X1 @ P.T).T @ X1
        bend = (P * HP).sum()
        if not (rz > 1e-13 * first and bend > 0 and np.isfinite(HP).all()):
            break
        step, R = step + rz / bend * P, R - rz / bend * HP
        Z = precondition(R)
        rz, old = (R * Z).sum(), rz
        P = Z + rz / old * P
    return step[:, :-1], step[:, -1]


def newton(objective, W, b, n_steps=100, precision=1e-9):
    """Minimise the objective. Return W, b, its value, and whether a further step could gain nothing."""
    value, D, e, S = objective(W, b)
    for _ in range(n_steps):
        dW, db = solve_newton(objective, D, e, S)
        slope = (D * dW).sum() + (e * db).sum()
        if -slope / 2 <= precision * value:
            return W, b, value, True
        length = 1.0
        while length > 1e-10:
            trial = objective(W + length * dW, b + length * db)
            if trial[0] <= value + 1e-4 * length * slope:
                break
            length /= 2
        else:
            return W, b, value, False
        W, b, (value, D, e, S) = W + length * dW, b + length * db, trial
    return W, b, value, False


def judge(seed):
    """Return the record of a problem with its results: ``outcome``, ``gap``, ``numpy`` and messages."""
    X, y, weights, record = draw(seed)
    record = {"seed": seed, **record, "numpy": []}
    try:
        begin = time.perf_counter()
        model, caught = fit(X, y, weights, record)
        record["seconds"] = time.perf_counter() - begin
    except Exception as error:
        record["message"] = f"{type(error).__name__}: {error}"
        return record | {"outcome": "refused" if type(error) is ValueError else "error"}
    warned = any(issubclass(w.category, ConvergenceWarning) for w in caught)
    record["numpy"] = sorted({str(w.message) for w in caught if issubclass(w.category, RuntimeWarning)})
    record["passes"] = model.n_iter_
    if not (np.isfinite(model.coef_).all() and np.isfinite(model.intercept_).all()):
        return record | {"outcome": "error", "message": "coefficients are not finite"}
    objective = Objective(X, y, weights, record, model.C_)
    fitted = objective.inside(model.coef_, model.intercept_)
    reached, zero = objective(*fitted)[0], (np.zeros_like(fitted[0]), np.zeros_like(fitted[1]))
    results = [newton(objective, *start) for start in (zero, fitted)]
    W, b, best, certain = min(results, key=lambda result: result[2])
    least = np.finfo(float).tiny
    gap = float((reached - best) / max(best, least))
    rounding = float((objective(*objective.rounded(W, b, model))[0] - best) / max(best, least))
    return record | {
        "gap": gap,
        "rounding": rounding,
        "depth": float(best / max(objective(*zero)[0], least)),
        "warned": warned,
        "outcome": outcome(gap, rounding, warned, certain, model.tol),
    }


def outcome(gap, rounding, warned, certain, tol):
    if gap > FACTOR * tol:
        return "rounding" if gap <= ROUNDING * rounding else "warned" if warned else "silent"
    if not certain:
        return "undecided"
    return "within tol" if gap <= tol else "within 2 tol"


def one_line(record):
    values = (
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in record.items()
    )
    return ", ".join(values)


def level(value):
    """Return a number as its power of ten, in steps of three, by which problems are counted."""
    if isinstance(value, float):
        return f"1e{3 * round(np.log10(value) / 3)}" if value else "0"
    return str(value)


def report(records):
    """Print the number of problems with each outcome, in total and for each property that was drawn."""
    outcomes = Counter(record["outcome"] for record in records)
    print(dict(outcomes), "NumPy warnings:", sum(bool(record["numpy"]) for record in records))
    for feature in FEATURES:
        groups = defaultdict(Counter)
        for record in records:
            groups[level(record.get(feature))].update([record["outcome"], *["NumPy"] * bool(record["numpy"])])
        for value, counts in sorted(groups.items()):
            print(f"{feature:<14}{value:<14}", "  ".join(f"{name} {counts[name]}" for name in (*outcomes, "NumPy")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=3000, help="number of problems")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first problem")
    parser.add_argument("--case", type=int, help="seed of a single problem")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "random_problems.json")
    options = parser.parse_args()
    if options.case is not None:
        print(json.dumps(judge(options.case), indent=1))
        return
    records = []
    for seed in range(options.seed, options.seed + options.n):
        with threadpool_limits(1):  # The matrices of Newton's method are small.
            records.append(judge(seed))
        if records[-1]["outcome"] in ("silent", "error", "undecided") or records[-1]["numpy"]:
            print(one_line(records[-1]), flush=True)
    report(records)
    bad = [record for record in records if record["outcome"] in ("silent", "error") or record["numpy"]]
    result = {"machine": describe(), "outcomes": Counter(record["outcome"] for record in records), "bad": bad}
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
