"""The dot-product kernels: ``K(z, z') = |z| |z'| kappa(<z, z'> / |z| |z'|)`` with ``kappa(1) = 1``.

A kernel is a record of its parameters with two methods, ``kappa`` and its derivative ``slope``, written for arrays.
Both are compiled too, as they stand, for the vectors of `simd` inside the loops of `fused` and `pairs` (where the
functions `kappa` and `slope` below stand for the methods, chosen by the record's type). To add a kernel, write a record
and add its row to `KERNELS`.
"""

from math import log, pi
from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from . import simd

LOG_2 = log(2)
COINCIDENT = 2e-15  # cosines so close to 1 are 1 but for rounding


def _interpolate(function, degree, low, high):
    """Coefficients, the highest first, of the polynomial close to ``function`` on [low, high]."""
    series = np.polynomial.Chebyshev.interpolate(function, degree, [low, high])
    return tuple(float(c) for c in series.convert(kind=np.polynomial.Polynomial).coef[::-1])


@njit(inline="always")
def _polynomial(coefficients, x):  # the highest first
    value = simd.zeros(x)
    for coefficient in coefficients:
        value = value * x + coefficient
    return value


def _is_single(x):
    return x.dtype.bitwidth == 32


def exp2(x):
    """``2^x`` for x <= 0, down to ``2^-126`` (``2^-1022`` in double precision) when compiled."""
    return np.exp2(x)


@overload(exp2, inline="always")
def _compile_exp2(x):
    """``2^n 2^f`` with ``x = n + f``, n an integer and ``|f| <= 1/2``: no branch and no table."""
    degree, lowest, round_off = (5, -126, 1.5 * 2.0**23) if _is_single(x) else (10, -1022, 1.5 * 2.0**52)
    coefficients = _interpolate(np.exp2, degree, -0.5, 0.5)
    even, odd = coefficients[-1::-2][::-1], coefficients[-2::-2][::-1]  # two polynomials of f^2, side by side

    def exp2(x):
        x = simd.larger(x, lowest)
        bits = x + round_off  # rounds to an integer, which then stands in the lowest bits
        f = x - (bits - round_off)
        return simd.times_power(_polynomial(even, f * f) + f * _polynomial(odd, f * f), bits)

    return exp2


def arccos(u):
    """The angle whose cosine is u; what rounding has carried beyond 1 is 1."""
    return np.arccos(np.clip(u, -1, 1))


@overload(arccos, inline="always")
def _compile_arccos(u):
    """``sqrt(1 - |u|)`` times a polynomial of |u|, and ``pi`` less that where u is negative."""
    coefficients = _interpolate(_arccos_over_sqrt, 8 if _is_single(u) else 21, 0, 1)

    def arccos(u):
        size = simd.smaller(simd.copy_sign(u, 1), 1)
        angle = _polynomial(coefficients, size) * simd.sqrt(1 - size)
        return pi / 2 - simd.copy_sign(pi / 2 - angle, u)

    return arccos


def _arccos_over_sqrt(u):
    return np.arccos(u) / np.sqrt(1 - u)


def sqrt(x):
    """The square root; what rounding made negative is 0."""
    return np.sqrt(np.maximum(x, 0))


@overload(sqrt, inline="always")
def _compile_sqrt(x):
    return lambda x: simd.sqrt(simd.larger(x, 0))


def power(x, n):
    """``x^n``, n a natural number."""
    return x**n


@overload(power, inline="always")
def _compile_power(x, n):
    def power(x, n):
        result = simd.zeros(x) + 1
        for _ in range(n):
            result = result * x
        return result

    return power


class Exponential(NamedTuple):
    """``exp((u - 1) / sigma^2)``: the Gaussian kernel on the sphere, as ``|z - z'|^2 = 2 - 2 u``."""

    sigma: float

    def kappa(self, u):
        return exp2((u - 1) / (self.sigma**2 * LOG_2))

    def slope(self, u):
        return kappa(self, u) / self.sigma**2

    def slope_of_log_sigma(self, u):
        return 2 * (1 - u) * slope(self, u)


class Polynomial(NamedTuple):
    """``((coef0 + u) / (coef0 + 1))^degree``."""

    degree: int
    coef0: float

    def kappa(self, u):
        return power((self.coef0 + u) / (self.coef0 + 1), self.degree)

    def slope(self, u):
        return self.degree / (self.coef0 + 1) * power((self.coef0 + u) / (self.coef0 + 1), self.degree - 1)


class InversePolynomial(NamedTuple):
    """``1 / (2 - u)``, whose space contains smooth networks (Zhang et al., 2016)."""

    def kappa(self, u):
        return 1 / (2 - u)

    def slope(self, u):
        return 1 / power(2 - u, 2)


class ArcCosine0(NamedTuple):
    """``1 - t / pi`` with ``t = arccos(u)``: step activations, infinitely many (Cho and Saul, 2009)."""

    def kappa(self, u):  # of an infinite slope at 1: rounding of a cosine of 1 would be seen
        return 1 - arccos(u * (1 + COINCIDENT)) / pi

    def slope(self, u):
        return 1 / (pi * sqrt(1 - u * u))


class ArcCosine1(NamedTuple):
    """``(sin t + (pi - t) cos t) / pi`` with ``t = arccos(u)``: ReLU activations, infinitely many."""

    def kappa(self, u):
        return (sqrt(1 - u * u) + (pi - arccos(u)) * u) / pi

    def slope(self, u):
        return 1 - arccos(u) / pi


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


def slope(self, u):
    """The method ``slope``, the same way."""
    return self.slope(u)


def slope_of_log_sigma(self, u):
    """The derivative of ``kappa`` by ``log(sigma)``, the same way; 0 for a kernel without."""
    return self.slope_of_log_sigma(u) if hasattr(self, "slope_of_log_sigma") else 0 * u


@overload(kappa, inline="always")
def _compile_kappa(self, u):
    return self.instance_class.kappa


@overload(slope, inline="always")
def _compile_slope(self, u):
    return self.instance_class.slope


@overload(slope_of_log_sigma, inline="always")
def _compile_slope_of_log_sigma(self, u):
    return getattr(self.instance_class, "slope_of_log_sigma", lambda self, u: 0 * u)
