"""The number of threads that a call uses."""

import joblib
from joblib.parallel import ThreadingBackend, get_active_backend


def effective_n_jobs(n_jobs):
    """Return the number of threads that `n_jobs` stands for.

    It is the number that joblib returns, except within joblib's Dask backend. That backend counts the threads of the
    whole cluster, and every task would start that many threads, so the threads of this machine are counted instead.
    """
    backend, _ = get_active_backend()
    if type(backend).__name__ == "DaskDistributedBackend":
        return ThreadingBackend().effective_n_jobs(n_jobs)
    return joblib.effective_n_jobs(n_jobs)
