"""Models as they are, but small enough for a test."""


def few(model):
    """The same with few patches and filters, for a test."""
    numbers = {"n_filters": 8, "n_patches": 1000}
    names = {name: name.rpartition("__")[2] for name in model.get_params()}
    return model.set_params(**{name: numbers[last] for name, last in names.items() if last in numbers})
