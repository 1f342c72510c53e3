"""The dot-product kernels: ``K(z, z') = |z| |z'| kappa(<z, z'> / |z| |z'|)`` with ``kappa(1) = 1``.

A kernel is a record of its parameters with two methods, ``kappa(self, u)`` and its derivative ``slope(self, u)``,
written for arrays (Numba requires the argument names ``self`` and ``u``). Compiled code calls the same methods on
vectors, through the functions `value` and `slope` below, which select the method by the type of the record. To add a
kernel, write a record and add it to `KERNELS`.
"""

from math import log, pi
from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from ..runtime import simd

LOG_2 = log(2)
COINCIDENT = 2e-15  # maximum distance from 1 of a cosine that equals 1 up to rounding


def _interpolate(function, degree, low, high):
    """Return the coefficients, highest degree first, of a polynomial close to ``function`` on [low, high]."""
    series = np.polynomial.Chebyshev.interpolate(function, degree, [low, high])
    return tuple(float(c) for c in series.convert(kind=np.polynomial.Polynomial).coef[::-1])


@njit(inline="always")
def _polynomial(coefficients, x):  # coefficients by decreasing degree
    value = simd.zeros(x)
    for coefficient in coefficients:
        value = value * x + coefficient
    return value


def _is_single(x):
    return x.dtype.bitwidth == 32


def exp2(x):
    """Return ``2^x`` for x <= 0; compiled code returns at least ``2^-126`` (``2^-1022`` in double precision)."""
    return np.exp2(x)


@overload(exp2, inline="always")
def _compile_exp2(x):
    """Compute ``2^n 2^f``, where ``x = n + f``, n is an integer and ``|f| <= 1/2``, without branches or tables."""
    degree, lowest, round_off = (5, -126, 1.5 * 2.0**23) if _is_single(x) else (10, -1022, 1.5 * 2.0**52)
    coefficients = _interpolate(np.exp2, degree, -0.5, 0.5)
    even, odd = coefficients[-1::-2][::-1], coefficients[-2::-2][::-1]  # two polynomials in f^2, evaluated in parallel

    def exp2(x):
        x = simd.larger(x, lowest)
        bits = x + round_off  # This rounds x to an integer n, which the lowest bits then contain.
        f = x - (bits - round_off)
        return simd.times_power(_polynomial(even, f * f) + f * _polynomial(odd, f * f), bits)

    return exp2


def arccos(u):
    """Return the angle whose cosine is u, after clipping u to [-1, 1]."""
    return np.arccos(np.clip(u, -1, 1))


@overload(arccos, inline="always")
def _compile_arccos(u):
    """Compute ``sqrt(1 - |u|)`` times a polynomial in |u|, subtracted from ``pi`` where u is negative."""
    coefficients = _interpolate(_arccos_over_sqrt, 8 if _is_single(u) else 21, 0, 1)

    def arccos(u):
        size = simd.smaller(simd.copy_sign(u, 1), 1)
        angle = _polynomial(coefficients, size) * simd.sqrt(1 - size)
        return pi / 2 - simd.copy_sign(pi / 2 - angle, u)

    return arccos


def _arccos_over_sqrt(u):
    return np.arccos(u) / np.sqrt(1 - u)


def sqrt(x):
    """Return the square root of x, or 0 if rounding has made x negative."""
    return np.sqrt(np.maximum(x, 0))


@overload(sqrt, inline="always")
def _compile_sqrt(x):
    return lambda x: simd.sqrt(simd.larger(x, 0))


def power(x, n):
    """Return ``x^n`` for a non-negative integer n."""
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
    """``exp((u - 1) / sigma^2)``, which is the Gaussian kernel on the sphere, where ``|z - z'|^2 = 2 - 2 u``."""

    sigma: float

    def kappa(self, u):
        return exp2((u - 1) / (self.sigma**2 * LOG_2))

    def slope(self, u):
        return value(self, u) / self.sigma**2

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
    """``1 / (2 - u)``, whose RKHS contains networks with smooth activations (Zhang et al., 2016)."""

    def kappa(self, u):
        return 1 / (2 - u)

    def slope(self, u):
        return 1 / power(2 - u, 2)


class ArcCosine0(NamedTuple):
    """``1 - t / pi`` with ``t = arccos(u)``: the kernel of infinitely many step activations (Cho and Saul, 2009)."""

    def kappa(self, u):  # The slope at 1 is infinite, so a rounding error in a cosine of 1 would be visible.
        return 1 - arccos(u * (1 + COINCIDENT)) / pi

    def slope(self, u):
        return 1 / (pi * sqrt(1 - u * u))


class ArcCosine1(NamedTuple):
    """``(sin t + (pi - t) cos t) / pi`` with ``t = arccos(u)``: the kernel of infinitely many ReLU activations."""

    def kappa(self, u):
        return (sqrt(1 - u * u) + (pi - arccos(u)) * u) / pi

    def slope(self, u):
        return 1 - arccos(u) / pi


class Vovk(NamedTuple):
    """``(1 + u + u^2) / 3``, the polynomial kernel of Vovk of degree 2 (Saunders et al., 1998)."""

    def kappa(self, u):
        return (1 + u + u * u) / 3

    def slope(self, u):
        return (1 + 2 * u) / 3


class Linear(NamedTuple):
    """``u``, which adds no non-linearity."""

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
    """Return the kernel called ``name``; parameters that it does not have are ignored."""
    kernel = KERNELS[name]
    return kernel(**{field: parameters[field] for field in kernel._fields})


def has_sigma(name):
    """Return whether the kernel called ``name`` has a width sigma."""
    return "sigma" in KERNELS[name]._fields


def lipschitz_constant(kernel):
    """Return the Lipschitz constant ``rho = max(1, sqrt(kappa'(1)))`` of the kernel mapping, which may be infinite.

    The formula is that of Remark 8, equation (14), in Bietti and Mairal (2019).
    """
    with np.errstate(divide="ignore"):
        return max(1.0, float(np.sqrt(kernel.slope(1.0))))


# Functions that call the methods of a kernel, both in Python and in compiled code.


def value(kernel, u):
    """Return ``kappa(u)``."""
    return kernel.kappa(u)


def slope(kernel, u):
    """Return the derivative of ``kappa`` at u."""
    return kernel.slope(u)


def slope_of_log_sigma(kernel, u):
    """Return the derivative of ``kappa(u)`` with respect to ``log(sigma)``, which is 0 for a kernel without sigma."""
    return kernel.slope_of_log_sigma(u) if hasattr(kernel, "slope_of_log_sigma") else 0 * u


@overload(value, inline="always")
def _compile_value(self, u):
    return self.instance_class.kappa


@overload(slope, inline="always")
def _compile_slope(self, u):
    return self.instance_class.slope


@overload(slope_of_log_sigma, inline="always")
def _compile_slope_of_log_sigma(self, u):
    return getattr(self.instance_class, "slope_of_log_sigma", lambda self, u: 0 * u)


@njit(inline="always")
def clip(cosine):
    """Return cosines clipped to [-1, 1]: rounding can move those of patches of small norm far outside this interval."""
    return simd.larger(simd.smaller(cosine, 1), -1)


@njit(inline="always")
def homogeneous(kernel, norms, cosine):
    """Return ``K(z, z')`` from the product of the norms of z and z' and from their cosine, which is clipped first."""
    return norms * value(kernel, clip(cosine))


@njit(inline="always")
def slope_of_pair(kernel, norms, cosine):
    """Return ``kappa'`` at the cosine of z and z', or 0 if the product of their norms is 0.

    A cosine of 1 up to rounding is set to 1, because the slope of `ArcCosine1` is `ArcCosine0`, which is steep at 1.
    """
    return simd.where_larger(norms, 0, slope(kernel, clip(cosine * (1 + COINCIDENT))), 0)
