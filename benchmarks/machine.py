"""What a benchmark says of the machine it ran on, and how it measures."""

import ctypes
import importlib.metadata
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import llvmlite.binding

import sklearn_ckn

CONTENDERS = ("torch", "scikit-image", "kymatio", "cyanure", "aeon", "dask", "zarr", "onnxruntime")


def describe():
    """Processor, load, versions and commit, for the JSON of a result."""
    return {
        "processor": llvmlite.binding.get_host_cpu_name(),
        "n_processors": os.cpu_count(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "versions": {"sklearn_ckn": sklearn_ckn.__version__, "python": platform.python_version()}
        | dict(filter(None, map(version, ("scikit-learn", "numpy", "scipy", "numba", *CONTENDERS)))),
        "commit": commit(),
    }


def version(name):
    """An installed distribution and its version, or None."""
    try:
        return name, importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit():
    """Of the checkout that is measured, with a mark if code differs from it; None outside a repository."""

    def git(*arguments):
        command = ["git", "-C", str(Path(__file__).parent.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "sklearn_ckn", "benchmarks/*.py")
        return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def alternate(functions, n_rounds, at_least=0.3):
    """Seconds that a call of every function takes in every round, called again for ``at_least`` so many seconds.

    All run in turn, once unmeasured first. The machine's speed drifts, so what is compared is the ratio within a round;
    a processor that was idle wakes up slowly, so a short call is repeated.
    """
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    for _ in range(n_rounds):
        for name, function in functions.items():
            n_calls, begin = 0, time.perf_counter()
            while n_calls == 0 or time.perf_counter() - begin < at_least:
                function()
                n_calls += 1
            seconds[name].append((time.perf_counter() - begin) / n_calls)
    return seconds


def median_ratio(slower, faster):
    """The median over rounds of ``slower / faster``."""
    return statistics.median(a / b for a, b in zip(slower, faster))


def in_a_process(function, *arguments):
    """Call ``function`` in a fresh process: what it measures of memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def added_memory(function):
    """What a call gives, its seconds, and the memory in MB that it takes at its peak (Linux only)."""

    def status(field):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))

    ctypes.CDLL(None).malloc_trim(0)  # gives back what was freed before: nothing of it may serve unseen
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, begin = status("VmRSS"), time.perf_counter()
    result = function()
    seconds = time.perf_counter() - begin
    return result, seconds, status("VmHWM") - before
