"""A file from which an interrupted fit resumes."""

import os
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType

import joblib
import numpy as np
from sklearn.base import BaseEstimator

FORMAT = 1  # version of the file format; files of other versions are rejected


class Checkpoint:
    """The on-disk state of a fit, which is written atomically and can be read only by the same fit.

    Parameters
    ----------
    path : str, PathLike or None
        If None, nothing is written.
    estimator : the estimator that is fitted
    ignored : names of the estimator's parameters that do not change the result
    data : arrays on which the estimator is fitted
    """

    def __init__(self, path, estimator, ignored, data):
        self.path = None if path is None else Path(path)
        if path is None:
            return
        if self.path.is_dir() or not os.access(self.path.parent, os.W_OK):
            raise ValueError(
                f"checkpoint must be the path of a file in a folder that exists and is writable; got {str(path)!r}."
            )
        self.fit = [joblib.hash(part) for part in (identity(estimator, ignored), *data)]

    def read(self):
        """Return the state that was written last, or None if there is no file."""
        if self.path is None or not self.path.exists():
            return None
        try:
            found = joblib.load(self.path)
            is_known = found["format"] == FORMAT
            is_ours = is_known and found["fit"] == self.fit
            reached = found["reached"] if is_ours else None
        except Exception as error:
            raise ValueError(
                f"checkpoint={str(self.path)!r} exists but cannot be read. It may be truncated, or it may not be "
                f"a checkpoint: delete the file, or choose another path."
            ) from error
        if not is_ours:
            which = "to a fit with other data or parameters" if is_known else "to another version of the package"
            raise ValueError(f"checkpoint={str(self.path)!r} belongs {which}: delete the file, or choose another path.")
        return reached

    def write(self, reached):
        """Write the state of the fit, replacing the file."""
        if self.path is not None:
            with replacing(self.path) as file:
                joblib.dump({"format": FORMAT, "fit": self.fit, "reached": reached}, file)


@contextmanager
def replacing(path):
    """Open a temporary file that replaces the file ``path`` once it is complete, and that is deleted after an error."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # Otherwise, a crash of the system could leave a truncated file.
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.add_note(f"checkpoint={str(path)!r} was not written. If it exists, it has its previous content.")
        raise


def identity(estimator, ignored):
    """Return hashes of the parameters, including nested parameters, that determine what the estimator learns."""
    hashes = {}
    for name, value in estimator.get_params(deep=True).items():
        is_used_up = isinstance(value, np.random.RandomState)  # The file contains the seeds drawn from it.
        if name.rpartition("__")[2] not in (*ignored, "steps") and not is_used_up:
            try:
                hashes[name] = joblib.hash(_contents(value))
            except Exception as error:  # pickling may raise any exception
                raise ValueError(
                    f"checkpoint cannot be used with {name}={value!r}, which cannot be hashed: use a function defined "
                    f"at module level, or set checkpoint=None."
                ) from error
    return hashes


def _contents(value):
    """Return what identifies the value of a parameter; for a function, its name, code and captured values."""
    if isinstance(value, BaseEstimator):
        return type(value).__name__
    if isinstance(value, FunctionType):
        held = [cell.cell_contents for cell in value.__closure__ or ()]
        held += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return value.__module__, value.__qualname__, _contents(value.__code__), [_contents(each) for each in held]
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, [_contents(each) for each in value.co_consts]
    if isinstance(value, frozenset):  # a constant in the code; the hash of a set does not depend on its order
        return set(value)
    return value.item() if isinstance(value, np.generic) else value
