"""Logarithm, exponential, surrogate activations and random numbers, made to vectorise.

numba cannot call torch: :mod:`psl.activations` and :func:`psl.streams.uniforms` stand here again,
held to the first by ``test_softmax_losses`` and ``test_the_sampler_draws_what_torch_draws``.
"""

import math

import numpy as np
from numba import njit

from psl.kernels.cpu.compiling import OPTIONS

f4, i4, u8 = np.float32, np.int32, np.uint64
inlined = njit(inline="always", **OPTIONS)
helper = njit(**OPTIONS)  # compiled once for all that call it, and inlined where that pays
EPS = f4(np.finfo(np.float32).eps)
LN2, HUGE = f4(math.log(2)), f4(np.finfo(np.float32).max)


@njit(inline="always")
def uniform(key, n):
    """Return number ``n`` of :func:`psl.streams.uniforms`, in [0, 1); ``key`` is uint64."""
    h = key + u8(n) * u8(0x9E3779B97F4A7C15)
    h = (h ^ (h >> u8(30))) * u8(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> u8(27))) * u8(0x94D049BB133111EB)
    h = h ^ (h >> u8(31))
    return np.float64(h >> u8(11)) * (1.0 / 9007199254740992.0)


@inlined
def exp(x):
    """Exponential of ``x`` held in [-87, 64], branch-free: 2^k times a series on |f| <= 1/2.

    Relative error 1e-7 (2 + |x|): the rounding of the exponent, as small as it matters here, where
    a term far from the largest hardly counts.  The largest, 6e27, may still be multiplied by what a
    compiler that may regroup factors finds beside it.
    """
    x = min(max(x, f4(-87)), f4(64)) * f4(1.4426950408889634)
    k = np.floor(x + f4(0.5))
    f = (x - k) * LN2
    p = f4(1 / 5040)
    p = p * f + f4(1 / 720)
    p = p * f + f4(1 / 120)
    p = p * f + f4(1 / 24)
    p = p * f + f4(1 / 6)
    p = p * f + f4(1 / 2)
    p = p * f + f4(1)
    p = p * f + f4(1)
    return p * i4((i4(k) + i4(127)) << i4(23)).view(np.float32)


@inlined
def log(x):
    """Logarithm of a positive number to 2e-7: e log 2 + 2 atanh(r), r = (m - 1) / (m + 1)."""
    bits = f4(x).view(np.int32)
    e = i4(i4(bits - i4(0x3F3504F3)) >> i4(23))  # m in [sqrt(1/2), sqrt(2))
    m = i4(bits - i4(e << i4(23))).view(np.float32)
    r = (m - f4(1)) / (m + f4(1))
    z = r * r
    p = f4(2 / 9)
    p = p * z + f4(2 / 7)
    p = p * z + f4(2 / 5)
    p = p * z + f4(2 / 3)
    p = p * z + f4(2)
    return p * r + f4(e) * LN2


@inlined
def atan(x):
    """Arc tangent to 2e-7 on [-1, 1], 6e-7 elsewhere.

    The angle is halved twice, then its series is taken on |y| <= tan(pi / 8).
    """
    y = x / (f4(1) + np.sqrt(f4(1) + x * x))
    y = y / (f4(1) + np.sqrt(f4(1) + y * y))
    z = y * y
    p = f4(-1 / 15)
    p = p * z + f4(1 / 13)
    p = p * z - f4(1 / 11)
    p = p * z + f4(1 / 9)
    p = p * z - f4(1 / 7)
    p = p * z + f4(1 / 5)
    p = p * z - f4(1 / 3)
    p = p * z + f4(1)
    return f4(4) * p * y


@inlined
def log_sigma_and_slope(activation, d):
    """Return log sigma(d) and its derivative, as :mod:`psl.activations` defines them.

    ``activation``, an index into ``ACTIVATIONS``, is known at compile time: one branch is left.
    """
    if activation == 0:
        return d, f4(1)
    # Beyond what exp is held in, the 1 beside it counts for nothing.  A choice, not a sum: an added
    # term would be fused with those of the logarithm, and d in [-1, 1] would get other bits.
    if activation == 1:
        e = exp(f4(-2) * d)  # 1 + tanh d = 2 / (1 + exp(-2 d))
        x = LN2 - log(f4(1) + e)
        return (LN2 + f4(2) * d if d < f4(-30) else x), f4(2) * e / (f4(1) + e)
    if activation == 2:
        x = max(f4(1) + atan(d), EPS)
        return log(x), f4(x > EPS) / (x * (f4(1) + d * d))
    if activation == 3:
        x = max(f4(1) + d, EPS)
        return log(x), f4(x > EPS) / x
    e = exp(d)
    x = log(f4(1) + e)
    return (d if d > f4(60) else x), e / (f4(1) + e)


ACTIVATIONS = ("exp", "tanh", "atan", "relu", "softplus")
