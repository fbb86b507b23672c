"""The network of one feature in Triton, forward and backward; `vsn_kernels` has what calls it.

A program has one feature and a span of tokens. It goes through them a block at a time; a thread has a few channels of
a few tokens, and the feature's weights and the sums for their gradients stay in its registers. Products have
`WIDTH` channels, of which the last may not be real: their weights are 0.
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _vector(vectors, C: tl.constexpr, WIDTH: tl.constexpr):
    channel = tl.arange(0, WIDTH)
    return tl.load(vectors + channel, mask=channel < C, other=0.0).to(tl.float32)[None, :]


@triton.jit
def _vectors(vectors, C: tl.constexpr, WIDTH: tl.constexpr):
    return (
        _vector(vectors, C, WIDTH),
        _vector(vectors + C, C, WIDTH),
        _vector(vectors + 2 * C, C, WIDTH),
        _vector(vectors + 3 * C, C, WIDTH),
        _vector(vectors + 4 * C, C, WIDTH),
        _vector(vectors + 5 * C, C, WIDTH),
    )


@triton.jit
def _matrices(glu_weight, TURNED: tl.constexpr, KIND: tl.constexpr, C: tl.constexpr, WIDTH: tl.constexpr):
    one, other = tl.arange(0, WIDTH)[:, None], tl.arange(0, WIDTH)[None, :]
    at = glu_weight + (other * (2 * C) + one if TURNED else one * (2 * C) + other)
    mask = (one < C) & (other < C)
    return tl.load(at, mask=mask, other=0.0).to(KIND), tl.load(at + C, mask=mask, other=0.0).to(KIND)


@triton.jit
def _column(x, token, inside, stride):
    return tl.load(x + token * stride, mask=inside, other=0.0).to(tl.float32)[:, None]


@triton.jit
def _network(x, vectors, matrices, real, C: tl.constexpr, EPS: tl.constexpr, PRECISION: tl.constexpr):
    """Hidden layer as it enters products, value and gate of the GLU, output of the norm and its scale."""
    embedding, embedding_bias, slope, intercept, bias, gate_bias = vectors
    hidden = slope * x + intercept
    hidden = tl.where(hidden > 0, hidden, tl.exp2(tl.minimum(hidden, 0.0) * LOG2_E) - 1)
    hidden = hidden.to(matrices[0].dtype)
    value = tl.dot(hidden, matrices[0], input_precision=PRECISION) + bias
    gate = tl.dot(hidden, matrices[1], input_precision=PRECISION) + gate_bias
    gate = tl.rsqrt(1 + tl.exp2(gate * -LOG2_E))  # a root is cheaper than a division
    gate *= gate
    part = embedding * x + embedding_bias + value * gate  # 0 in channels that are not real
    part = tl.where(real, part - tl.sum(part, 1)[:, None] * (1 / C), 0.0)
    scale = tl.rsqrt(tl.sum(part * part, 1)[:, None] * (1 / C) + EPS)
    return hidden, value, gate, part * scale, scale


@triton.jit
def forward(
    x, weights, vectors, glu_weight, parts,
    tokens, features, x_token, x_feature, weights_token, weights_feature,
    C: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, SPAN: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    """Write the weighted parts; grid `(features, programs)`."""
    KIND: tl.constexpr = parts.dtype.element_ty
    PRECISION: tl.constexpr = "ieee" if parts.dtype.element_ty == tl.float32 else "tf32"
    feature, begin = tl.program_id(0), tl.program_id(1).to(tl.int64) * SPAN
    channel = tl.arange(0, WIDTH)[None, :]
    vectors = _vectors(vectors + feature * (6 * C), C, WIDTH)
    matrices = _matrices(glu_weight + feature * (2 * C * C), False, KIND, C, WIDTH)
    x += begin * x_token + feature.to(tl.int64) * x_feature
    weights += begin * weights_token + feature.to(tl.int64) * weights_feature
    parts += begin * (features * C) + feature * C
    for start in range(0, SPAN, BLOCK):
        token = start + tl.arange(0, BLOCK)
        inside = begin + token < tokens
        xs, share = _column(x, token, inside, x_token), _column(weights, token, inside, weights_token)
        _, _, _, normed, _ = _network(xs, vectors, matrices, channel < C, C, EPS, PRECISION)
        at = token[:, None] * (features * C) + channel
        tl.store(parts + at, (normed * share).to(KIND), mask=inside[:, None] & (channel < C))


@triton.jit
def _through_norm(dpart, normed, scale, share, dshare, real, C: tl.constexpr):
    dpart = dpart - tl.sum(dpart, 1)[:, None] * (1 / C) - normed * (dshare[:, None] * (1 / C))
    return tl.where(real, share * scale * dpart, 0.0)


@triton.jit
def _through_glu(dvalue, dgate, turned, hidden, PRECISION: tl.constexpr):
    """Back through both products and the ELU, whose slope is 1 above 0 and its value plus 1 below."""
    dhidden = tl.dot(dvalue, turned[0], input_precision=PRECISION)
    dhidden = tl.dot(dgate, turned[1], dhidden, input_precision=PRECISION)
    return tl.where(hidden > 0, dhidden, dhidden * (hidden + 1))


@triton.jit
def _fold(values, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    """Sum every eighth token: in the layout of products a thread has them all and needs no other."""
    return tl.sum(tl.reshape(values, (BLOCK // 8, 8, WIDTH)), 0)


@triton.jit
def _add(sums, dpart, dhidden, dvalue, dgate, x, BLOCK: tl.constexpr, WIDTH: tl.constexpr):
    return (
        sums[0] + _fold(dpart * x, BLOCK, WIDTH),
        sums[1] + _fold(dpart, BLOCK, WIDTH),
        sums[2] + _fold(dhidden * x, BLOCK, WIDTH),
        sums[3] + _fold(dhidden, BLOCK, WIDTH),
        sums[4] + _fold(dvalue, BLOCK, WIDTH),
        sums[5] + _fold(dgate, BLOCK, WIDTH),
    )


@triton.jit
def _store(dvectors, dglu, sums, dweight, dgate_weight, C: tl.constexpr, WIDTH: tl.constexpr):
    channel = tl.arange(0, WIDTH)
    for index in tl.static_range(6):
        tl.store(dvectors + index * C + channel, tl.sum(sums[index], 0), mask=channel < C)
    row, column = channel[:, None], channel[None, :]
    at = dglu + row * (2 * C) + column
    tl.store(at, dweight, mask=(row < C) & (column < C))
    tl.store(at + C, dgate_weight, mask=(row < C) & (column < C))


@triton.jit
def backward(
    gradient, x, weights, vectors, glu_weight, dx, dweights, dvectors, dglu,
    tokens, features, x_token, x_feature, weights_token, weights_feature, out_token, out_feature,
    OF_X: tl.constexpr,
    C: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr, SPAN: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    """Write the gradients of features and weights, and those of the network as a sum of each program."""
    KIND: tl.constexpr = gradient.dtype.element_ty
    PRECISION: tl.constexpr = "ieee" if gradient.dtype.element_ty == tl.float32 else "tf32"
    feature, begin = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64) * SPAN
    channel = tl.arange(0, WIDTH)[None, :]
    vectors = _vectors(vectors + feature * (6 * C), C, WIDTH)
    matrices = _matrices(glu_weight + feature * (2 * C * C), False, KIND, C, WIDTH)
    turned = _matrices(glu_weight + feature * (2 * C * C), True, KIND, C, WIDTH)
    x += begin * x_token + feature * x_feature
    weights += begin * weights_token + feature * weights_feature
    dx += begin * out_token + feature * out_feature
    dweights += begin * out_token + feature * out_feature
    gradient += begin * (features * C) + feature * C
    zero = tl.zeros((8, WIDTH), tl.float32)
    sums = (zero, zero, zero, zero, zero, zero)
    dweight, dgate_weight = tl.zeros((WIDTH, WIDTH), tl.float32), tl.zeros((WIDTH, WIDTH), tl.float32)
    for start in range(0, SPAN, BLOCK):
        token = start + tl.arange(0, BLOCK)
        inside = begin + token < tokens
        at = token[:, None] * (features * C) + channel
        dpart = tl.load(gradient + at, mask=inside[:, None] & (channel < C), other=0.0).to(tl.float32)
        xs, share = _column(x, token, inside, x_token), _column(weights, token, inside, weights_token)
        hidden, value, gate, normed, scale = _network(xs, vectors, matrices, channel < C, C, EPS, PRECISION)
        dshare = tl.sum(dpart * normed, 1)
        tl.store(dweights + token * out_token, dshare, mask=inside)
        dpart = _through_norm(dpart, normed, scale, share, dshare, channel < C, C)
        dvalue = dpart * gate
        dgate = dvalue * value * (1 - gate)
        dhidden = _through_glu(dvalue.to(KIND), dgate.to(KIND), turned, hidden.to(tl.float32), PRECISION)
        if OF_X:
            of_x = tl.sum(dpart * vectors[0] + dhidden * vectors[2], 1)
            tl.store(dx + token * out_token, of_x, mask=inside)
        dweight = tl.dot(tl.trans(hidden), dvalue.to(KIND), dweight, input_precision=PRECISION)
        dgate_weight = tl.dot(tl.trans(hidden), dgate.to(KIND), dgate_weight, input_precision=PRECISION)
        sums = _add(sums, dpart, dhidden, dvalue, dgate, xs, BLOCK, WIDTH)
    place = tl.program_id(1).to(tl.int64) * features + feature
    _store(dvectors + place * (6 * C), dglu + place * (2 * C * C), sums, dweight, dgate_weight, C, WIDTH)
