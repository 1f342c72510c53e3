"""Base class of displays, and the deferred import of matplotlib."""


class Display:
    """Base class of displays. As in scikit-learn, the constructor takes the data, and the method ``plot`` draws it."""

    def _set_axes(self, ax):
        self.ax_ = pyplot().subplots(layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        return self.ax_


def pyplot():
    """Import matplotlib.pyplot. Displays call this function first, so that a missing package is reported at once."""
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError('Displays need matplotlib. Install it with: pip install "sklearn-ckn[plot]"') from error
    return pyplot
