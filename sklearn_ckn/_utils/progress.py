"""Progress of long tasks: calls to the callbacks of scikit-learn (version 1.9 and later), and printed lines."""

import time
from contextlib import contextmanager
from threading import Lock

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:
        """A substitute for older versions of scikit-learn, which have no callbacks."""


# A count prints its first line after FIRST seconds. After a line at t seconds, the next follows at LONGER * t + FIRST.
FIRST, LONGER = 2.0, 1.2


def tell(estimator, begin, text):
    """Print a line, with the number of seconds since ``begin``."""
    print(f"[{type(estimator).__name__}] {time.perf_counter() - begin:.1f} s: {text}", flush=True)


class Count:
    """Thread-safe count of the finished parts of a task, printed periodically if requested."""

    def __init__(self, estimator, total, name, verbose):
        self.estimator, self.total, self.name, self.verbose = estimator, total, name, verbose
        self.lock, self.done, self.begin = Lock(), 0, time.perf_counter()
        self.next = FIRST

    def __call__(self, n):
        with self.lock:
            self.done += n
            seconds = time.perf_counter() - self.begin
            if self.verbose and (seconds >= self.next or self.done == self.total):
                self.next = seconds * LONGER + FIRST
                tell(self.estimator, self.begin, f"{self.done} of {self.total} {self.name}")


class Progress:
    """The successive tasks of a fit, reported to the estimator's callbacks and printed if requested.

    Parameters
    ----------
    estimator : the estimator that is being fitted
    n_tasks : int, the maximum number of tasks
    verbose : bool, whether a line is printed after every task
    X, y : the data of the fit, which are passed to the callbacks
    """

    def __init__(self, estimator, n_tasks, verbose, X, y):
        self.estimator, self.verbose, self.data = estimator, verbose, {"X": X, "y": y}
        self.context, self.begin, self.is_to_stop = None, time.perf_counter(), False
        if hasattr(estimator, "_init_callback_context"):
            self.context = estimator._init_callback_context(max_subtasks=n_tasks)
            self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    @contextmanager
    def task(self, name, attributes=None):
        """Enclose one task; ``attributes()`` returns the fitted attributes of a fit that ends with this task.

        The context manager yields a dict, which the caller fills with the figures to print. If a callback asks the fit
        to stop, `is_to_stop` is set.
        """
        context, figures = None, {}
        if self.context is not None:
            context = self.context.subcontext(task_name=name)
            context.call_on_fit_task_begin(estimator=self.estimator, **self.data)
        yield figures
        if self.verbose:
            told = "".join(f", {figure} {value:.4g}" for figure, value in figures.items())
            tell(self.estimator, self.begin, f"{name}{told}")
        if context is not None and context.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=attributes, **self.data
        ):
            self.is_to_stop = True

    def end(self, attributes=None):
        """Report the end of the fit to the callbacks."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=attributes, **self.data
            )
