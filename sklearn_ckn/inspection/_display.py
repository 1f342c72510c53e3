"""What all displays share: axes, and matplotlib only where it draws."""


class Display:
    """A figure in the manner of scikit-learn's displays: data in the constructor, drawn by ``plot``."""

    def _set_axes(self, ax):
        self.ax_ = pyplot().subplots(layout="constrained")[1] if ax is None else ax
        self.figure_ = self.ax_.figure
        return self.ax_


def pyplot():
    """matplotlib.pyplot; called before any work, so that nobody waits for an error."""
    try:
        import matplotlib.pyplot as pyplot
    except ImportError as error:
        raise ImportError('Displays are drawn by matplotlib: pip install "sklearn-ckn[plot]"') from error
    return pyplot
