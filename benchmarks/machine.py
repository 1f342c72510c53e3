"""What a benchmark says of the machine it ran on, and how it times."""

import os
import platform
import statistics
import time

import llvmlite.binding
import numba
import numpy as np
import scipy
import sklearn

import sklearn_ckn


def describe():
    """Processor, load and versions, for the JSON of a result."""
    return {
        "processor": llvmlite.binding.get_host_cpu_name(),
        "n_processors": os.cpu_count(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "versions": {module.__name__: module.__version__ for module in (sklearn_ckn, sklearn, np, scipy, numba)}
        | {"python": platform.python_version()},
    }


def alternate(functions, n_rounds):
    """Seconds of every function in every round; all run in turn, once unmeasured first.

    The machine's speed drifts, so what is compared is the ratio within a round.
    """
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    for _ in range(n_rounds):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def median_ratio(slower, faster):
    """The median over rounds of ``slower / faster``."""
    return statistics.median(a / b for a, b in zip(slower, faster))
