"""A file from which a fit that was killed goes on."""

import os
from pathlib import Path
from types import CodeType, FunctionType

import joblib
import numpy as np
from sklearn.base import BaseEstimator

FORMAT = 1  # of the file; others are refused


class Checkpoint:
    """What a fit has reached, on disk: written as a whole or not at all, read only by the same fit.

    Parameters
    ----------
    path : str, PathLike or None
        None: nothing is written.
    estimator : the one that is fitted
    ignored : parameters of it that do not change the result
    data : arrays that it is fitted on
    """

    def __init__(self, path, estimator, ignored, data):
        self.path = None if path is None else Path(path)
        if path is None:
            return
        if self.path.is_dir() or not os.access(self.path.parent, os.W_OK):
            raise ValueError(
                f"checkpoint must be the path of a file in a folder that exists and can be written to; got "
                f"{str(path)!r}."
            )
        self.fit = [joblib.hash(part) for part in (identity(estimator, ignored), *data)]

    def read(self):
        """What was written last, or None if nothing was."""
        if self.path is None or not self.path.exists():
            return None
        try:
            found = joblib.load(self.path)
            is_known = found["format"] == FORMAT
        except Exception as error:
            raise ValueError(
                f"checkpoint={str(self.path)!r} exists and cannot be read: delete the file, or give another path."
            ) from error
        if not is_known or found["fit"] != self.fit:
            which = "to other data or parameters" if is_known else "to another version of the package"
            raise ValueError(f"checkpoint={str(self.path)!r} belongs {which}: delete the file, or give another path.")
        return found["reached"]

    def write(self, reached):
        """Replace the file."""
        if self.path is not None:
            part = self.path.with_name(self.path.name + ".part")
            joblib.dump({"format": FORMAT, "fit": self.fit, "reached": reached}, part)
            os.replace(part, self.path)


def identity(estimator, ignored):
    """The parameters, those of its steps too, that decide what it learns."""
    hashes = {}
    for name, value in estimator.get_params(deep=True).items():
        is_used_up = isinstance(value, np.random.RandomState)  # what was drawn from it is in the file
        if name.rpartition("__")[2] not in (*ignored, "steps") and not is_used_up:
            try:
                hashes[name] = joblib.hash(_contents(value))
            except Exception as error:  # whatever pickling it raises
                raise ValueError(
                    f"checkpoint must know {name} again, and cannot tell {value!r} from others: give a function of a "
                    f"module, or set checkpoint=None."
                ) from error
    return hashes


def _contents(value):
    """What tells a parameter's value from others: of a function its name, its code and the values it holds."""
    if isinstance(value, BaseEstimator):
        return type(value).__name__
    if isinstance(value, FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        held += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return value.__module__, value.__qualname__, _contents(value.__code__), [_contents(each) for each in held]
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, [_contents(each) for each in value.co_consts]
    if isinstance(value, frozenset):  # as a constant of code; of sets the order is not hashed
        return set(value)
    return value.item() if isinstance(value, np.generic) else value
