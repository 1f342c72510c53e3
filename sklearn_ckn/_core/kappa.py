"""The dot-product kernels: ``K(z, z') = |z| |z'| kappa(<z, z'> / |z| |z'|)`` with ``kappa(1) = 1``.

A kernel is a record of its parameters with two methods, ``kappa`` and its derivative ``slope``. They are written once
and run twice: on NumPy arrays, and compiled for one number inside the loops of `blocks` (where `kappa` below stands
for the method, chosen by the record's type). To add a kernel, write a record and add its row to `KERNELS`.
"""

from math import factorial, log
from typing import NamedTuple

import numpy as np
from numba.extending import overload

EXP2 = tuple(log(2) ** i / factorial(i) for i in reversed(range(12)))  # 2^f to 1e-14 for |f| <= 1/2, by Horner's rule
ROUND = 1.5 * 2.0**52  # adding it rounds a double to an integer, which then stands in the lowest bits


def exp(x):
    """``e^x`` for x <= 0, down to ``2^-1022`` when compiled."""
    return np.exp(x)


@overload(exp, inline="always")
def _compile_exp(x):
    """``2^n 2^f`` with ``n + f = x / log 2``, n an integer: no branch and no table, so that it vectorises."""

    def exp(x):
        y = max(x / log(2), -1022.0)
        z = y + ROUND
        f = y - (z - ROUND)
        power = 0.0
        for coefficient in EXP2:
            power = power * f + coefficient
        exponent = np.float64(z).view(np.int64) << np.int64(52)
        return np.int64(np.float64(power).view(np.int64) + exponent).view(np.float64)

    return exp


class Exponential(NamedTuple):
    """``exp((u - 1) / sigma^2)``: the Gaussian kernel on the sphere, as ``|z - z'|^2 = 2 - 2 u``."""

    sigma: float

    def kappa(self, u):
        return exp((u - 1) / self.sigma**2)

    def slope(self, u):
        return kappa(self, u) / self.sigma**2


class Polynomial(NamedTuple):
    """``((coef0 + u) / (coef0 + 1))^degree``."""

    degree: int
    coef0: float

    def kappa(self, u):
        return ((self.coef0 + u) / (self.coef0 + 1)) ** self.degree

    def slope(self, u):
        return self.degree / (self.coef0 + 1) * ((self.coef0 + u) / (self.coef0 + 1)) ** (self.degree - 1)


class InversePolynomial(NamedTuple):
    """``1 / (2 - u)``, whose space contains smooth networks (Zhang et al., 2016)."""

    def kappa(self, u):
        return 1 / (2 - u)

    def slope(self, u):
        return 1 / (2 - u) ** 2


class ArcCosine0(NamedTuple):
    """``1 - t / pi`` with ``t = arccos(u)``: step activations, infinitely many (Cho and Saul, 2009)."""

    def kappa(self, u):
        return 1 - np.arccos(u) / np.pi

    def slope(self, u):  # infinite at 1
        return 1 / (np.pi * np.sqrt(1 - u * u))


class ArcCosine1(NamedTuple):
    """``(sin t + (pi - t) cos t) / pi`` with ``t = arccos(u)``: ReLU activations, infinitely many."""

    def kappa(self, u):
        return (np.sqrt(1 - u * u) + (np.pi - np.arccos(u)) * u) / np.pi

    def slope(self, u):
        return 1 - np.arccos(u) / np.pi


class Vovk(NamedTuple):
    """``(1 + u + u^2) / 3``."""

    def kappa(self, u):
        return (1 + u + u * u) / 3

    def slope(self, u):
        return (1 + 2 * u) / 3


class Linear(NamedTuple):
    """``u``: no non-linearity."""

    def kappa(self, u):
        return u

    def slope(self, u):
        return u * 0 + 1


KERNELS = {
    "exponential": Exponential,
    "polynomial": Polynomial,
    "inverse_polynomial": InversePolynomial,
    "arccos0": ArcCosine0,
    "arccos1": ArcCosine1,
    "vovk": Vovk,
    "linear": Linear,
}


def make(name, **parameters):
    """The kernel called ``name``, with those of ``parameters`` that it has."""
    kernel = KERNELS[name]
    return kernel(**{field: parameters[field] for field in kernel._fields})


def kappa(self, u):
    """The method ``kappa`` of the kernel ``self``, callable from compiled code too."""
    return self.kappa(u)


@overload(kappa, inline="always")
def _compile_kappa(self, u):
    return self.instance_class.kappa
