"""exp, log and their kin for one scalar, as polynomials without branches, so that LLVM vectorises the loop around them.

Numba has no vectorised exp or tanh. One text serves float32 and float64; the constants of each are closed over.
Largest errors measured, in ulp: exp 0.96, expm1 1.1, log and log1p 0.8, tanh 1.5, softplus 1.6, sigmoid 1.9, silu 3.2 (float32,
all floats in -8..-0.25 and every 977th elsewhere), the same in float64; Φ and erf about 1 in float64, so exact in float32.
"""
import math
from types import SimpleNamespace

import numpy as np

from .face import by_type, inline, like

__all__ = ["exp", "expm1", "log", "log1p", "tanh", "silu", "sigmoid", "softplus", "normal", "erf", "tiny"]


@inline
def _exp_single(r):
    p = np.float32(1.3926183e-3) * r + np.float32(8.3631792e-3)
    return (p * r + np.float32(4.1666556e-2)) * r + np.float32(1.6666577e-1)


@inline
def _exp_double(r):
    p = 2.0914686968086876e-09 * r + 2.5105217004720745e-08
    p = (p * r + 2.75572736431103e-07) * r + 2.7557255400206422e-06
    p = (p * r + 2.4801587325547743e-05) * r + 1.9841269874820627e-04
    p = (p * r + 1.3888888888883748e-03) * r + 8.333333333326136e-03
    return (p * r + 4.166666666666667e-02) * r + 1.666666666666667e-01


@inline
def _log_single(z):
    p = np.float32(0.24279078841) * z + np.float32(0.28498786688)
    return (p * z + np.float32(0.40000972152)) * z + np.float32(0.66666662693)


@inline
def _log_double(z):
    p = 1.479819860511658591e-01 * z + 1.531383769920937332e-01
    p = (p * z + 1.818357216161805012e-01) * z + 2.222219843214978396e-01
    p = (p * z + 2.857142874366239149e-01) * z + 3.999999999940941908e-01
    return p * z + 6.666666666666735130e-01


@inline
def _tanh_single(z):
    p = np.float32(-6.5425420e-3) * z + np.float32(2.1272748e-2)
    p = (p * z - np.float32(5.3903348e-2)) * z + np.float32(1.3333082e-1)
    return p * z - np.float32(3.3333332e-1)


@inline
def _tanh_double(z):
    p = -2.0141494563083882e-05 * z + 8.443719567103072e-05
    p = (p * z - 2.342148186711548e-04) * z + 5.88792024475583e-04
    p = (p * z - 1.455632070932804e-03) * z + 3.592106586471979e-03
    p = (p * z - 8.863234104802229e-03) * z + 2.1869488480722565e-02
    p = (p * z - 5.396825396714515e-02) * z + 1.3333333333332467e-01
    return p * z - 3.333333333333333e-01


def _build(real, integer, bits, bias, root, exp_poly, exp_parts, exp_range, log_poly, log_parts, tanh_poly):
    """The functions of one float type: `bits` in the mantissa, exponent `bias`, `root` the bit pattern of sqrt(1/2)."""
    one, two, half, zero = real(1), real(2), real(0.5), real(0)
    shift, bias, root, mask = integer(bits), integer(bias), integer(root), integer((1 << bits) - 1)
    one_bit = integer(1)
    magic = real(1.5 * 2.0 ** bits)  # added and taken away it rounds to an integer, which then stands in the low bits
    magic_bits = magic.view(integer)
    turn = real(0.55)  # where tanh is 1/2
    flat = real(bits + 20)  # exp(-flat) is nothing beside 1
    log2e, infinity, nan = real(1 / math.log(2)), real(np.inf), real(np.nan)
    exp_high, exp_low = real(exp_parts[0]), real(exp_parts[1])
    largest, smallest = real(exp_range[0]), real(exp_range[1])  # beyond: inf; x exp(x) = 0
    log_high, log_low = real(log_parts[0]), real(log_parts[1])
    tiny, lift, lifted = np.finfo(real).tiny, real(2.0 ** (bits + 2)), real(bits + 2)

    @inline
    def split(x):
        """k and exp(r) - 1, where x = k ln 2 + r (Cody and Waite); r is kept in two parts, which saves a quarter of an ulp."""
        t = x * log2e + magic
        k = t - magic
        high, low = x - k * exp_high, k * exp_low
        r = high - low
        return integer(real(t).view(integer) - magic_bits), high + ((r * r) * (exp_poly(r) * r + half) - low)

    @inline
    def power_of_two(k):
        return integer(integer(k + bias) << shift).view(real)

    @inline
    def exp_factors(x):
        """Two normal numbers whose product is exp(x), so that a subnormal result is rounded once."""
        x = largest if x > largest else x
        x = smallest if x < smallest else x
        k, p = split(x)
        h = integer(k >> one_bit)
        return (one + p) * power_of_two(h), power_of_two(integer(k - h))

    @inline
    def exp(x):
        p, s = exp_factors(x)
        return p * s

    @inline
    def silu(x):
        x = smallest if x < smallest else x
        p, s = exp_factors(-abs(x))
        below = x < zero
        return (x * p if below else x) / (one + p * s) * (s if below else one)

    @inline
    def expm1(x):
        x = -flat if x < -flat else x
        k, p = split(x)
        s = power_of_two(k)
        return s * p + (s - one)

    @inline
    def tanh(x):
        a = abs(x)
        a = flat if a > flat else a
        z = a * a
        near = x if x == zero else x + x * z * tanh_poly(z)  # -0 stays -0
        k, p = split(a * -two)
        s = power_of_two(k)
        e = s + s * p
        far = one - two * e / (one + e)
        return near if a < turn else (-far if x < zero else far)

    @inline
    def log_sum(u, c, k0):
        """log(u) + c + k0 log 2 for normal u and small c, as in fdlibm's e_log.c and s_log1p.c."""
        above = integer(real(u).view(integer) - root)
        k = real(integer(above >> shift)) + k0
        f = integer(integer(above & mask) + root).view(real) - one
        s = f / (two + f)
        z = s * s
        h = half * f * f
        return k * log_high - ((h - (s * (h + z * log_poly(z)) + (k * log_low + c))) - f)

    @inline
    def log(x):
        small = x < tiny
        y = log_sum(x * lift if small else x, zero, -lifted if small else zero)
        y = y if x < infinity else x
        return y if x > zero else (-infinity if x == zero else nan)

    @inline
    def log1p(x):
        u = one + x
        y = log_sum(u, (x - (u - one)) / u, zero)
        return -infinity if u == zero else y

    return SimpleNamespace(exp=exp, expm1=expm1, log=log, log1p=log1p, tanh=tanh, silu=silu)


_TINY_SINGLE, _TINY_DOUBLE = np.finfo(np.float32).tiny, np.finfo(np.float64).tiny

_single = _build(np.float32, np.int32, 23, 127, 0x3F3504F3, _exp_single, (0.693359375, -2.12194440e-4), (89, -120),
                 _log_single, (6.9313812256e-01, 9.0580006145e-06), _tanh_single)
_double = _build(np.float64, np.int64, 52, 1023, 0x3FE6A09E667F3BCD, _exp_double,
                 (6.93147180369123816490e-01, 1.90821492927058770002e-10), (710, -760),
                 _log_double, (6.93147180369123816490e-01, 1.90821492927058770002e-10), _tanh_double)

tiny = by_type(inline(lambda x: _TINY_SINGLE), inline(lambda x: _TINY_DOUBLE))
"""The smallest normal number of the type of x."""

exp = by_type(_single.exp, _double.exp)
"""e to the x, also where the result is subnormal, 0 or infinite."""

expm1 = by_type(_single.expm1, _double.expm1)
"""exp(x) - 1 for x <= 0."""

log = by_type(_single.log, _double.log)
"""The natural logarithm; -inf at 0, NaN below."""

log1p = by_type(_single.log1p, _double.log1p)
"""log(1 + x) for x in -1..1."""

tanh = by_type(_single.tanh, _double.tanh)
"""A polynomial below 0.55, above it 1 - 2 / (exp(2 |x|) + 1)."""

silu = by_type(_single.silu, _double.silu)
"""x / (1 + exp(-x)), -0 at -inf. x times sigmoid(x) would be wrong where sigmoid(x) is subnormal and the product is not."""


@inline
def sigmoid(x):
    """1 / (1 + exp(-x)), from exp(-|x|) so that nothing overflows."""
    e, one = exp(-abs(x)), like(x, 1)
    below = x < like(x, 0)
    q = (e if below else one) / (one + e)
    return e - e * q if below and e < like(x, 0.4) else q  # equal, but here 1 + e is not rounded first


@inline
def softplus(x):
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
    zero = like(x, 0)
    return (x if x > zero else zero) + log1p(exp(-abs(x)))


@inline
def _scaled_tail(a):
    """exp(a² / 2) Φ(-a) for a in 0..40: a polynomial in (a - 5) / (a + 5), of degree 22, over 1 + 2 a."""
    t = (a - 5.0) / (a + 5.0)
    p = 1.7370737348015927e-09 * t + 8.527593351984104e-09
    p = (p * t - 1.1252541842437079e-09) * t - 6.95595714486075e-08
    p = (p * t - 3.27249725717045e-08) * t + 4.367812454055226e-07
    p = (p * t + 1.720105733645257e-07) * t - 2.8632035093676177e-06
    p = (p * t + 5.373970716164532e-07) * t + 1.9392448283206474e-05
    p = (p * t - 2.643745869710766e-05) * t - 1.0817738181343191e-04
    p = (p * t + 4.250959137242306e-04) * t - 1.1869345896422193e-04
    p = (p * t - 3.5716954393749177e-03) * t + 1.5422845668711185e-02
    p = (p * t - 3.933220135519987e-02) * t + 7.24878269766557e-02
    p = (p * t - 1.0065743821677635e-01) * t + 1.008885820345359e-01
    p = (p * t - 5.400807503407655e-02) * t - 3.964700840400564e-02
    return (p * t + 8.461123547250693e-01) / (1.0 + 2.0 * a)


@inline
def normal(x):
    """Φ(x) and exp(-x² / 2) of a float64 x. The square is split in two, or its rounding would cost exp hundreds of ulp."""
    a = 40.0 if abs(x) > 40.0 else abs(x)
    high = np.int64(np.float64(a).view(np.int64) & np.int64(-(1 << 27))).view(np.float64)
    low = -0.5 * (a - high) * (a + high)
    e = exp(-0.5 * high * high)
    e += e * low * (1.0 + low * (0.5 + low * (1 / 6)))
    tail = e * _scaled_tail(a)
    return (tail if x < 0.0 else 1.0 - tail), e


@inline
def erf(x):
    """erf of a float64 x: an odd polynomial below 1, above it 1 - 2 Φ(-sqrt 2 |x|)."""
    a = abs(x)
    z = 1.0 if a > 1.0 else x * x
    p = -7.795547647493875e-10 * z + 1.3719880012236024e-08
    p = (p * z - 1.6208442020927564e-07) * z + 1.6447419370488171e-06
    p = (p * z - 1.492473648590296e-05) * z + 1.2055294883501286e-04
    p = (p * z - 8.548325974698299e-04) * z + 5.22397760710251e-03
    p = (p * z - 2.6866170643236143e-02) * z + 1.1283791670944997e-01
    p = (p * z - 3.7612638903183543e-01) * z + 1.1283791670955126
    tail, _ = normal(a * -1.4142135623730951)
    far = 1.0 - 2.0 * tail
    return (-far if x < 0.0 else far) if a > 1.0 else x * p
