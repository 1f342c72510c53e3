"""Memory maps and their files: where in a file the data of an array are, and whether the disk has room for them."""

import errno
import mmap
import os
from typing import NamedTuple

import numpy as np

UNKNOWN_TO_THE_DISK = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)  # errors of file systems that cannot reserve space


class Place(NamedTuple):
    """The part of a file that contains the data of an array."""

    path: str
    start: int  # offset of the first byte
    stop: int  # offset of the last byte, plus 1


def place_in_file(array):  # -> Place, or None if there is no file
    """Return the part of a file that contains the data of a memmap or of a view of a memmap."""
    owner = array
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    mapped = getattr(owner, "_mmap", None)
    if not isinstance(owner, np.memmap) or mapped is None or owner.filename is None or owner.mode == "c":
        return None
    if not os.path.exists(owner.filename):  # The file was deleted or renamed.
        return None
    begin = np.frombuffer(mapped, dtype=np.uint8).__array_interface__["data"][0]
    first = array.__array_interface__["data"][0] - begin + owner.offset - owner.offset % mmap.ALLOCATIONGRANULARITY
    spans = [(length - 1) * stride for length, stride in zip(array.shape, array.strides)]
    low, high = sum(span for span in spans if span < 0), sum(span for span in spans if span > 0)
    return Place(os.path.realpath(owner.filename), first + low, first + high + array.itemsize)


def overlap(one, other):
    """Return whether two arrays may share data, in memory or in a file."""
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return one is other
    if np.may_share_memory(one, other):
        return True
    a, b = place_in_file(one), place_in_file(other)
    return a is not None and b is not None and a.path == b.path and a.start < b.stop and b.start < a.stop


def reserve(out):
    """Reserve disk space for a memmap, so that a full disk raises an error now instead of killing the process later."""
    place = place_in_file(out)
    if place is None or not hasattr(os, "posix_fallocate") or not os.access(place.path, os.W_OK):
        return
    with open(place.path, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), place.start, place.stop - place.start)
        except OSError as error:
            if error.errno in UNKNOWN_TO_THE_DISK:
                return
            size = f"{(place.stop - place.start) / 1e9:.3g} GB"
            raise OSError(error.errno, f"out needs {size} of disk space: {error.strerror}", place.path) from None
