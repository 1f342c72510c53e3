"""What a long fit tells while it runs: scikit-learn's callbacks (from its version 1.9 on), and lines on demand."""

import time
from contextlib import contextmanager

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # older

    class CallbackSupportMixin:
        """No callbacks."""


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
            seconds = time.perf_counter() - self.begin
            print(f"[{type(self.estimator).__name__}] {seconds:.1f} s: {name}{told}", flush=True)
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
