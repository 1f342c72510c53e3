"""Models that are made small enough for a test."""


def few(model):
    """Reduce the number of filters and patches in every layer of a model, and return the model."""
    numbers = {"n_filters": 8, "n_patches": 1000}
    names = {name: name.rpartition("__")[2] for name in model.get_params()}
    return model.set_params(**{name: numbers[last] for name, last in names.items() if last in numbers})
