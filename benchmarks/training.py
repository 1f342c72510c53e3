"""Images per second of training steps, beside the same network in plain PyTorch autograd, and the memory of both.

    python benchmarks/training.py

A step is forward, backward and update of all filters for a minibatch, and of no classifier. The network is the one of
five layers in the repository CKN-Pytorch-image (Chen, 2019): patches 3, 1, 3, 1, 3, 128 filters, pooling 2, 1, 2, 1, 3.
The gradients of both are compared first. PyTorch runs at the best of its memory formats. Memory is what the steps of a
fresh process add to it, its libraries loaded and its code compiled.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
from machine import added_memory, alternate, describe, in_a_process, median_ratio

from sklearn_ckn import CKNLayer
from sklearn_ckn._core import riemannian_sgd
from sklearn_ckn._core.layer import kappa
from sklearn_ckn._core.layer.patches import normalize

PATCHES, POOLING, N_FILTERS, N_CLASSES = (3, 1, 3, 1, 3), (2, 1, 2, 1, 3), 128, 10
SHAPE, SIGMA, REG, RATE, MOMENTUM = (32, 32, 3), 0.5, 1e-3, 0.01, 0.9
TOP = riemannian_sgd.Top("squared_hinge", center=True, scale=True)
MEMORY = 2**30  # what scikit-learn sets for blocks


def problem(batch, seed=0):
    """Random images and signs, random filters, and a random classifier."""
    rng, filters, c = np.random.RandomState(seed), [], SHAPE[-1]
    for size in PATCHES:
        filters.append(normalize(rng.randn(N_FILTERS, size * size * c).astype(np.float32))[1])
        c = N_FILTERS
    X = rng.rand(batch, *SHAPE).astype(np.float32)
    Y = np.where(rng.randint(N_CLASSES, size=batch)[:, None] == np.arange(N_CLASSES), 1, -1).astype(np.int8)
    W = rng.randn(N_CLASSES, 9 * N_FILTERS).astype(np.float32)
    return X, Y, filters, riemannian_sgd.Head(W, np.zeros(N_CLASSES, np.float32))


def settings():
    layers = []
    for size, width in zip(PATCHES, POOLING):
        layer = CKNLayer(patch_size=size, pooling_width=width, reg=REG)._read_settings()
        kernel = kappa.Exponential(SIGMA) if size > 1 else kappa.Polynomial(2, 0.0)
        layers.append(layer._replace(kernel=kernel))
    return layers


def ours(X, Y, filters, head, n_threads):  # -> step, gradients
    share, layers = np.full(len(X), 1 / len(X), np.float32), settings()
    state = {"filters": filters, "velocities": [np.zeros_like(Z) for Z in filters]}

    def gradients(filters):
        network = riemannian_sgd.DifferentiableNetwork(filters, layers, n_threads, MEMORY)
        return network.gradients([(np.arange(len(X)), X)], Y, share, head, TOP)

    def step():
        found = gradients(state["filters"])
        moved = riemannian_sgd.step_filters(state["filters"], state["velocities"], found, MOMENTUM, RATE)
        state["filters"], state["velocities"] = moved

    return step, lambda: gradients(filters).filters


def pytorch(X, Y, filters, head, n_threads, channels_last):  # -> step, gradients
    import torch
    from torch.nn import functional

    memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def tensor(array):
        return torch.tensor(array.copy()).contiguous(memory_format=memory_format)

    weights, c = [], SHAPE[-1]
    for size, Z in zip(PATCHES, filters):
        weights.append(tensor(np.moveaxis(Z.reshape(-1, size, size, c), -1, 1)).requires_grad_())
        c = len(Z)
    ones = [torch.ones(1, z.shape[1], *z.shape[2:]) for z in weights]
    windows = []
    for width in POOLING:
        weight = np.exp(-((np.arange(-width, width + 1) / width) ** 2))
        window = np.multiply.outer(weight / weight.sum(), weight / weight.sum()).astype(np.float32)
        windows.append(torch.tensor(window).expand(N_FILTERS, 1, -1, -1).contiguous())
    images, signs, W = tensor(np.moveaxis(X, -1, 1)), torch.tensor(Y, dtype=torch.float32), torch.tensor(head.W)
    optimiser = torch.optim.SGD(weights, lr=RATE, momentum=MOMENTUM)

    def kernel(u, size):
        return torch.exp((u - 1) / SIGMA**2) if size > 1 else u * u

    def loss():
        x = images
        for z, one, window, size, width in zip(weights, ones, windows, PATCHES, POOLING):
            rows = z.flatten(1)
            eigenvalues, vectors = torch.linalg.eigh(kernel((rows @ rows.T).clamp(-1, 1), size).double())
            whitening = (vectors / (eigenvalues.clamp_min(0) + REG).sqrt()) @ vectors.T
            norms = functional.conv2d(x * x, one, padding=size // 2).clamp_min(1e-12).sqrt()
            x = norms * kernel(functional.conv2d(x, z, padding=size // 2) / norms, size)
            if width > 1:
                x = functional.conv2d(x, window, stride=width, padding=width, groups=N_FILTERS)
            x = functional.conv2d(x, whitening.float()[:, :, None, None])
        features = x.permute(0, 2, 3, 1).flatten(1)
        features = features - features.mean(dim=1, keepdim=True)
        features = features / features.norm(dim=1, keepdim=True)
        return (1 - signs * (features @ W.T)).clamp_min(0).square().sum(dim=1).mean()

    def gradients():
        torch.set_num_threads(n_threads)
        optimiser.zero_grad()
        loss().backward()
        found = [z.grad.permute(0, 2, 3, 1).flatten(1).numpy() for z in weights]
        return [riemannian_sgd.tangent(G, Z) for G, Z in zip(found, filters)]

    def step():
        torch.set_num_threads(n_threads)
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
        with torch.no_grad():
            for z in weights:
                z /= z.flatten(1).norm(dim=1)[:, None, None, None]

    return step, gradients


CONTENDERS = {"ours": ours, "PyTorch": pytorch}


def memory_of_steps(name, batch, n_threads, *more):
    """MB that some steps add to a process that has made one of a small minibatch."""
    CONTENDERS[name](*problem(32), n_threads, *more)[0]()
    step, _ = CONTENDERS[name](*problem(batch), n_threads, *more)
    return added_memory(lambda: [step() for _ in range(5)])[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "training.json")
    options = parser.parse_args()
    result = {"machine": describe(), "batch": options.batch, "threads": options.threads}
    data = problem(options.batch)
    step, gradients = ours(*data, options.threads)
    theirs = {last: pytorch(*data, options.threads, last) for last in (False, True)}
    result["largest_relative_difference_of_gradients"] = max(
        float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(gradients(), theirs[False][1]())
    )
    assert result["largest_relative_difference_of_gradients"] < 1e-2, "PyTorch computes something else"
    times = alternate({last: contender[0] for last, contender in theirs.items()}, 3)
    best = min(times, key=lambda last: statistics.median(times[last]))
    seconds = alternate({"ours": step, "PyTorch": theirs[best][0]}, options.rounds)
    result["images_per_second"] = {name: options.batch / statistics.median(each) for name, each in seconds.items()}
    result["ratio"] = median_ratio(seconds["PyTorch"], seconds["ours"])
    result["megabytes"] = {
        "ours": in_a_process(memory_of_steps, "ours", options.batch, options.threads),
        "PyTorch": in_a_process(memory_of_steps, "PyTorch", options.batch, options.threads, best),
    }
    print(json.dumps(result, indent=1))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
