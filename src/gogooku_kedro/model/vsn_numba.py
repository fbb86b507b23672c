"""The network of one feature on a CPU, forward and backward, compiled by Numba; `vsn_cpu` has what calls it.

A feature's network is worked through `STRIP` tokens at a time: all between its input and its weighted part stays in
the processor's first cache, and every loop over tokens is one of vector instructions. Channels come before tokens.
The six vectors of a network are those of `vsn_kernels.weighted_parts`.
"""

import numpy as np

from gogooku_kedro.arrays.compiled import vectorised
from gogooku_kedro.typing import Array, Float32Array

STRIP = 256
"""Tokens worked on at a time."""

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
EPSILON = np.float32(1e-5)  # vsn_kernels.EPSILON

LOWEST, HIGHEST = np.float32(-87), np.float32(87)
LOG2_E, LN2_HIGH, LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
COEFFICIENTS = tuple(
    np.float32(each)
    for each in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)
)
"""Of the polynomial for exp on [-ln 2 / 2, ln 2 / 2] in Cephes, `expf.c` (Moshier, 1992): a library's exp is a call."""


@vectorised
def forward(
    x: Float32Array, weights: Float32Array, vectors: Float32Array, glu: Float32Array, parts: Float32Array,
    first: int, last: int,
) -> None:  # fmt: skip
    """Write the weighted parts of the features from `first` to before `last`.

    Shapes:
        - **x**, **weights**: `(F, tokens)`
        - **vectors**: `(F, 6, c)`
        - **glu**: `(F, c, 2c)`
        - **parts**: `(F, c, tokens)`
    """
    channels, tokens = glu.shape[1], x.shape[1]
    wide, scale, bits = np.empty((4, channels, STRIP), np.float32), np.empty(STRIP, np.float32), _bits()
    for f in range(first, last):
        for start in range(0, tokens, STRIP):
            stop = min(start + STRIP, tokens)
            _network(x[f, start:stop], vectors[f], glu[f], wide, scale, bits)
            share = weights[f, start:stop]
            for k in range(channels):
                part, out = wide[3, k], parts[f, k, start:stop]
                for t in range(len(out)):
                    out[t] = part[t] * scale[t] * share[t]


@vectorised
def backward(
    x: Float32Array, weights: Float32Array, vectors: Float32Array, glu: Float32Array,
    parts: Float32Array, dparts: Float32Array, dx: Float32Array, dweights: Float32Array,
    dvectors: Float32Array, dglu: Float32Array, of_x: bool, first: int, last: int,
) -> None:  # fmt: skip
    """Write the weighted parts and the gradients of features and weights; add to those of vectors and `glu`.

    What comes in with `dparts`, the gradient of the weighted parts, is lost. A gradient has the shape of what it
    belongs to, see `forward`; `dx` is left alone without `of_x`.
    """
    channels, tokens = glu.shape[1], x.shape[1]
    wide, scale, bits = np.empty((5, channels, STRIP), np.float32), np.empty(STRIP, np.float32), _bits()
    for f in range(first, last):
        for start in range(0, tokens, STRIP):
            stop = min(start + STRIP, tokens)
            xs, share, dshare = x[f, start:stop], weights[f, start:stop], dweights[f, start:stop]
            _network(xs, vectors[f], glu[f], wide, scale, bits)
            _through_norm(share, parts[f], dparts[f], start, dshare, wide[3], scale, bits.view(np.float32))
            _through_glu(xs, glu[f], dparts[f], start, wide, dvectors[f], dglu[f])
            if of_x:
                _through_embedding(vectors[f], dparts[f], start, wide[4], dx[f, start:stop])


@vectorised
def _bits() -> Array:
    """Room for the bits of a number of every token."""
    return np.empty(STRIP, np.int32)


@vectorised
def _network(
    x: Float32Array, vectors: Float32Array, glu: Float32Array, wide: Float32Array, scale: Float32Array, bits: Array
) -> None:
    """Fill `wide` with the hidden layer, value and gate of the GLU and the centred output; the norm's scale beside."""
    n, width = len(x), np.float32(len(glu))
    total = bits.view(np.float32)
    _hidden(x, vectors, wide[0], scale, bits)
    for k in range(len(glu)):
        _gated(wide[0], n, k, glu, vectors, wide[1, k], wide[2, k], bits)
    total[:] = ZERO
    for k in range(len(glu)):
        value, gate, part, embedding, bias = wide[1, k], wide[2, k], wide[3, k], vectors[0, k], vectors[1, k]
        for t in range(n):
            part[t] = embedding * x[t] + bias + value[t] * gate[t]
            total[t] += part[t]
    scale[:] = ZERO
    for k in range(len(glu)):
        part = wide[3, k]
        for t in range(n):
            part[t] -= total[t] / width
            scale[t] += part[t] * part[t]
    for t in range(n):
        scale[t] = ONE / np.sqrt(scale[t] / width + EPSILON)


@vectorised
def _hidden(x: Float32Array, vectors: Float32Array, hidden: Float32Array, below: Float32Array, bits: Array) -> None:
    """ELU of the first layer."""
    for k in range(len(hidden)):
        slope, intercept, out = vectors[2, k], vectors[3, k], hidden[k]
        for t in range(len(x)):
            out[t] = slope * x[t] + intercept
            below[t] = min(out[t], ZERO)
        _exponential(below, bits, len(x))
        for t in range(len(x)):
            out[t] = out[t] if out[t] > ZERO else below[t] - ONE


@vectorised
def _gated(
    hidden: Float32Array, n: int, k: int, glu: Float32Array, vectors: Float32Array,
    value: Float32Array, gate: Float32Array, bits: Array,
) -> None:  # fmt: skip
    """Value and gate of a channel of the GLU."""
    value[:], gate[:] = vectors[4, k], -vectors[5, k]
    for i in range(len(hidden)):
        of_value, of_gate, row = glu[i, k], glu[i, len(hidden) + k], hidden[i]
        for t in range(n):
            value[t] += of_value * row[t]
            gate[t] -= of_gate * row[t]
    _exponential(gate, bits, n)
    for t in range(n):
        gate[t] = ONE / (ONE + gate[t])


@vectorised
def _exponential(values: Float32Array, bits: Array, n: int) -> None:
    c0, c1, c2, c3, c4, c5 = COEFFICIENTS
    power = bits.view(np.float32)
    for t in range(n):
        x = min(max(values[t], LOWEST), HIGHEST)
        whole = np.floor(x * LOG2_E + HALF)
        x = x - whole * LN2_HIGH
        x = x - whole * LN2_LOW
        y = ((((c0 * x + c1) * x + c2) * x + c3) * x + c4) * x + c5
        values[t] = y * x * x + x + ONE
        bits[t] = (np.int32(whole) + np.int32(127)) << np.int32(23)  # of 2 to the power of `whole`
    for t in range(n):
        values[t] *= power[t]


@vectorised
def _through_norm(
    share: Float32Array, parts: Float32Array, dparts: Float32Array, start: int, dshare: Float32Array,
    normed: Float32Array, scale: Float32Array, total: Float32Array,
) -> None:  # fmt: skip
    """Turn the gradient of the weighted parts into that of what enters the norm; write the parts and that of shares."""
    n, width = len(share), np.float32(len(normed))
    total[:], dshare[:] = ZERO, ZERO
    for k in range(len(normed)):
        row, part, dpart = normed[k], parts[k, start : start + n], dparts[k, start : start + n]
        for t in range(n):
            row[t] *= scale[t]
            part[t] = row[t] * share[t]
            total[t] += dpart[t]
            dshare[t] += dpart[t] * row[t]
    for t in range(n):
        scale[t] *= share[t]
    for k in range(len(normed)):
        row, dpart = normed[k], dparts[k, start : start + n]
        for t in range(n):
            dpart[t] = scale[t] * (dpart[t] - (total[t] + row[t] * dshare[t]) / width)


@vectorised
def _through_glu(
    x: Float32Array, glu: Float32Array, dparts: Float32Array, start: int, wide: Float32Array,
    dvectors: Float32Array, dglu: Float32Array,
) -> None:  # fmt: skip
    """Add the gradients of the network's weights; that of the first layer takes the last place of `wide`."""
    n, channels = len(x), len(glu)
    for k in range(channels):
        dvalue, dgate, dpart = wide[1, k], wide[2, k], dparts[k, start : start + n]
        for t in range(n):
            back = dpart[t] * dgate[t]
            dgate[t] = back * dvalue[t] * (ONE - dgate[t])
            dvalue[t] = back
        _add(dvectors, 0, 1, k, dpart, x)
        dvectors[4, k] += _sum(dvalue, n)
        dvectors[5, k] += _sum(dgate, n)
    for i in range(channels):
        hidden, dhidden = wide[0, i], wide[4, i]
        dhidden[:] = ZERO
        for k in range(channels):
            dvalue, dgate, of_value, of_gate = wide[1, k], wide[2, k], glu[i, k], glu[i, channels + k]
            for t in range(n):
                dhidden[t] += of_value * dvalue[t] + of_gate * dgate[t]
            dglu[i, k] += _dot(hidden, dvalue, n)
            dglu[i, channels + k] += _dot(hidden, dgate, n)
        for t in range(n):
            dhidden[t] *= min(hidden[t], ZERO) + ONE  # the slope of the ELU is 1 above 0 and its value plus 1 below
        _add(dvectors, 2, 3, i, dhidden, x)


@vectorised
def _add(dvectors: Float32Array, slope: int, intercept: int, k: int, gradient: Float32Array, x: Float32Array) -> None:
    dvectors[slope, k] += _dot(gradient, x, len(x))
    dvectors[intercept, k] += _sum(gradient, len(x))


@vectorised
def _through_embedding(
    vectors: Float32Array, dparts: Float32Array, start: int, dhidden: Float32Array, dx: Float32Array
) -> None:
    dx[:] = ZERO
    for k in range(len(dhidden)):
        dpart, behind, embedding, slope = dparts[k, start : start + len(dx)], dhidden[k], vectors[0, k], vectors[2, k]
        for t in range(len(dx)):
            dx[t] += embedding * dpart[t] + slope * behind[t]


@vectorised
def _dot(one: Float32Array, other: Float32Array, n: int) -> np.float32:
    total = ZERO
    for t in range(n):
        total += one[t] * other[t]
    return total


@vectorised
def _sum(one: Float32Array, n: int) -> np.float32:
    total = ZERO
    for t in range(n):
        total += one[t]
    return total
