"""What a long task tells while it runs: a fit scikit-learn's callbacks (from version 1.9 on), and lines on demand."""

import time
from contextlib import contextmanager
from threading import Lock

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # older

    class CallbackSupportMixin:
        """No callbacks."""


FIRST, LONGER = 2.0, 1.2  # seconds until the first line of a count, and how much longer it takes to the next ones


def tell(estimator, begin, text):
    """Print a line, with the seconds since the beginning."""
    print(f"[{type(estimator).__name__}] {time.perf_counter() - begin:.1f} s: {text}", flush=True)


class Count:
    """How many parts of a task are done, counted from several threads and, on demand, printed now and then."""

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
    """The tasks of a fit, one after the other, told to the estimator's callbacks and, on demand, printed.

    Parameters
    ----------
    estimator : the one that is fitted
    n_tasks : int, at most
    verbose : bool
    X, y : what it is fitted on, as callbacks want to see it
    """

    def __init__(self, estimator, n_tasks, verbose, X, y):
        self.estimator, self.verbose, self.data = estimator, verbose, {"X": X, "y": y}
        self.context, self.begin, self.is_to_stop = None, time.perf_counter(), False
        if hasattr(estimator, "_init_callback_context"):
            self.context = estimator._init_callback_context(max_subtasks=n_tasks)
            self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    @contextmanager
    def task(self, name, attributes=None):
        """Do one; ``attributes()`` are those that a fit that ended with it would set.

        What it yields is a dict of what is to be printed of it. If a callback asks for it, `is_to_stop` is set.
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
        """The fit is done."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=attributes, **self.data
            )
