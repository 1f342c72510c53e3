"""How many threads a call has."""

import joblib
from joblib.parallel import ThreadingBackend, get_active_backend


def effective_n_jobs(n_jobs):
    """The threads that `n_jobs` stands for: as joblib says, but within its Dask backend those of this machine.

    That backend knows the cluster only, and would have every task start as many threads as the cluster has.
    """
    backend, _ = get_active_backend()
    if type(backend).__name__ == "DaskDistributedBackend":
        return ThreadingBackend().effective_n_jobs(n_jobs)
    return joblib.effective_n_jobs(n_jobs)
