"""The base class of displays, and the import of matplotlib when it is needed."""


class Display:
    """Base class of displays, which, like scikit-learn's, take data in the constructor and draw it in ``plot``."""

    def _set_axes(self, ax):
        self.ax_ = pyplot().subplots(layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        return self.ax_


def pyplot():
    """Import matplotlib.pyplot; displays call this before any computation, so that an error is raised at once."""
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError('Displays need matplotlib. Install it with: pip install "sklearn-ckn[plot]"') from error
    return pyplot
