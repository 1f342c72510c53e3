"""Notes that are added to errors, because they are raised where the step and the signal are not known."""

from contextlib import contextmanager


@contextmanager
def in_step(name):
    """Add the name of a step of the network to a ValueError that is raised in the context, unless the name is None."""
    with noted(f"The error occurred in step {name!r} of network.", name is not None):
        yield


@contextmanager
def of_signal(signals, rows, name="X"):
    """Add the index of the first of ``rows`` to a ValueError raised in the context, if the signals differ in shape."""
    with noted(f"The error concerns {name}[{rows[0]}].", len(signals.groups) > 1):
        yield


@contextmanager
def noted(note, is_added=True):
    """Add a note to a ValueError that is raised in the context."""
    try:
        yield
    except ValueError as error:
        if is_added:
            error.add_note(note)
        raise
