"""Graph attention on the edges of a CPU's graph, forward and backward, compiled by Numba; `edge_cpu` calls it.

Channels come before nodes, so that the states of a channel stay in the processor's first caches while all edges read
them, and edges are worked through `STRIP` at a time, in vector instructions. `edge_kernels` has the same sums for CUDA.
"""

import numpy as np

from gogooku_kedro.arrays.compiled import vectorised
from gogooku_kedro.typing import Array, Float32Array

STRIP = 512
"""Edges worked on at a time."""

SLOPE = np.float32(0.2)
"""Of LeakyReLU for negative values."""

ZERO, ONE, LOWEST = np.float32(0), np.float32(1), np.finfo(np.float32).min


@vectorised
def logits(
    left: Float32Array, right: Float32Array, source: Array, target: Array, attr: Float32Array, weight: Float32Array,
    att: Float32Array, out: Float32Array, first: int, last: int,
) -> None:  # fmt: skip
    """Write the logits of the heads from `first` to before `last`.

    Shapes:
        - **left**, **right**: `(H, C, N)`
        - **source**, **target**: `(E,)`
        - **attr**: `(A, E)`
        - **weight**: `(H, C, A)`
        - **att**: `(H, C)`
        - **out**: `(H, E)`
    """
    before = np.empty(STRIP, np.float32)
    for head in range(first, last):
        for start in range(0, len(source), STRIP):
            stop = min(start + STRIP, len(source))
            total = out[head, start:stop]
            total[:] = ZERO
            for c in range(left.shape[1]):
                _before(left[head, c], right[head, c], source, target, attr, weight[head, c], start, stop, before)
                a = att[head, c]
                for e in range(stop - start):
                    total[e] += a * max(before[e], SLOPE * before[e])


@vectorised
def logits_back(
    left: Float32Array, right: Float32Array, source: Array, target: Array, attr: Float32Array, weight: Float32Array,
    att: Float32Array, gradient: Float32Array, dleft: Float32Array, dright: Float32Array, dattr: Float32Array,
    dweight: Float32Array, datt: Float32Array, of_attr: bool, first: int, last: int,
) -> None:  # fmt: skip
    """Add the gradients of the heads from `first` to before `last`.

    A gradient has the shape of what it belongs to, see `logits`; `dattr` is `(H, A, E)`, of every head by itself, and
    is left alone without `of_attr`.
    """
    before = np.empty(STRIP, np.float32)
    for head in range(first, last):
        for start in range(0, len(source), STRIP):
            stop = min(start + STRIP, len(source))
            g = gradient[head, start:stop]
            for c in range(left.shape[1]):
                _before(left[head, c], right[head, c], source, target, attr, weight[head, c], start, stop, before)
                a, total = att[head, c], ZERO
                for e in range(stop - start):
                    slope = ONE if before[e] > ZERO else SLOPE
                    total += g[e] * slope * before[e]
                    before[e] = g[e] * a * slope
                datt[head, c] += total
                _scatter(before, source, dleft[head, c], start, stop)
                _scatter(before, target, dright[head, c], start, stop)
                for k in range(len(attr)):
                    dweight[head, c, k] += _dot(before, attr[k, start:stop])
                    if of_attr:
                        _add(dattr[head, k, start:stop], before, weight[head, c, k])


@vectorised
def softmax(logits: Float32Array, target: Array, out: Float32Array, nodes: int, first: int, last: int) -> None:
    """Write the shares of the edges into a node, of the heads from `first` to before `last`; `(H, E)` both."""
    for head in range(first, last):
        values, share = logits[head], out[head]
        largest, total = np.full(nodes, LOWEST, np.float32), np.zeros(nodes, np.float32)
        for e in range(len(target)):
            largest[target[e]] = max(largest[target[e]], values[e])
        for e in range(len(target)):
            share[e] = np.exp(values[e] - largest[target[e]])
            total[target[e]] += share[e]
        for e in range(len(target)):
            share[e] /= total[target[e]]


@vectorised
def softmax_back(
    share: Float32Array, target: Array, gradient: Float32Array, dlogits: Float32Array, nodes: int, first: int, last: int
) -> None:
    """Write the gradient of what `softmax` was given."""
    for head in range(first, last):
        p, g, total = share[head], gradient[head], np.zeros(nodes, np.float32)
        for e in range(len(target)):
            total[target[e]] += p[e] * g[e]
        for e in range(len(target)):
            dlogits[head, e] = p[e] * (g[e] - total[target[e]])


@vectorised
def edge_sum(
    states: Float32Array, source: Array, target: Array, weight: Float32Array, out: Float32Array, first: int, last: int
) -> None:
    """Add to each target the weighted states of its sources, of the heads from `first` to before `last`.

    Shapes:
        - **states**, **out**: `(H, C, N)`
        - **source**, **target**: `(E,)`
        - **weight**: `(H, E)`
    """
    for head in range(first, last):
        w = weight[head]
        for c in range(states.shape[1]):
            state, total = states[head, c], out[head, c]
            for e in range(len(source)):
                total[target[e]] += w[e] * state[source[e]]


@vectorised
def edge_sum_back(
    states: Float32Array, source: Array, target: Array, weight: Float32Array, gradient: Float32Array,
    dstates: Float32Array, dweight: Float32Array, first: int, last: int,
) -> None:  # fmt: skip
    """Add the gradients of states and weights, each in the shape of what it belongs to."""
    for head in range(first, last):
        w, dw = weight[head], dweight[head]
        for c in range(states.shape[1]):
            state, g, dstate = states[head, c], gradient[head, c], dstates[head, c]
            for e in range(len(source)):
                back = g[target[e]]
                dw[e] += back * state[source[e]]
                dstate[source[e]] += w[e] * back


@vectorised
def _before(
    left: Float32Array, right: Float32Array, source: Array, target: Array, attr: Float32Array, weight: Float32Array,
    start: int, stop: int, out: Float32Array,
) -> None:  # fmt: skip
    """What enters LeakyReLU, of one channel."""
    sources, targets = source[start:stop], target[start:stop]
    for e in range(stop - start):
        out[e] = left[sources[e]] + right[targets[e]]
    for k in range(len(attr)):
        _add(out, attr[k, start:stop], weight[k])


@vectorised
def _add(out: Float32Array, values: Float32Array, factor: np.float32) -> None:
    for e in range(min(len(out), len(values))):
        out[e] += factor * values[e]


@vectorised
def _scatter(values: Float32Array, index: Array, out: Float32Array, start: int, stop: int) -> None:
    places = index[start:stop]
    for e in range(stop - start):
        out[places[e]] += values[e]


@vectorised
def _dot(one: Float32Array, other: Float32Array) -> np.float32:
    total = ZERO
    for e in range(len(other)):
        total += one[e] * other[e]
    return total
