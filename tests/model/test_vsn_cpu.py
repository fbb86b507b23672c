"""The compiled loops of the variable selection against PyTorch."""

import pytest
import torch

from gogooku_kedro.model import vsn_cpu, vsn_kernels, vsn_numba
from gogooku_kedro.model.loops import shared_out
from gogooku_kedro.model.vsn import VariableSelectionNetwork, _mix

NAMES = ("output", "x", "weights", "projection", "vectors", "GLU")


def random_inputs(tokens, features, channels, size=1.0):
    torch.manual_seed(0)
    return [
        size * torch.randn(tokens, features),
        torch.randn(tokens, features).softmax(dim=1),
        torch.randn(features * channels, 5) / (features * channels) ** 0.5,
        torch.randn(features, 6, channels),
        torch.randn(features, channels, 2 * channels) / channels**0.5,
    ]


def by_pytorch(x, weights, projection, vectors, glu_weight):
    embedding, bias, slope, intercept, of_value, of_gate = vectors.unsqueeze(3).unbind(1)
    networks = embedding, bias, slope, intercept, glu_weight.transpose(1, 2), torch.cat([of_value, of_gate], dim=1)
    return _mix(x, weights, projection, *networks)


def outcome(mix, inputs):
    leaves = [each.detach().clone().requires_grad_() for each in inputs]
    output = mix(*leaves)
    output.mul(torch.linspace(-1, 1, output.numel()).reshape(output.shape)).sum().backward()
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def error(found, right):
    return ((found.double() - right).norm() / right.norm()).item()


SIZES = [(1, 1, 4), (7, 3, 2), (256, 2, 4), (300, 5, 16), (513, 4, 6), (1500, 3, 8), (40, 2, 33)]


@pytest.mark.parametrize("size", [0.1, 1.0, 1000.0])
@pytest.mark.parametrize("sizes", SIZES)
def test_values_and_gradients_are_those_of_pytorch(sizes, size):
    """Rounded no worse, also of values beyond the range of the exponential function."""
    inputs = random_inputs(*sizes, size)
    right = outcome(by_pytorch, [each.double() for each in inputs])
    assert all(each.isfinite().all() for each in right)
    rows = zip(NAMES, outcome(vsn_cpu.mix, inputs), outcome(by_pytorch, inputs), right, strict=True)
    for name, found, theirs, exact in rows:
        assert found.dtype == torch.float32
        assert error(found, exact) < max(1e-5, 5 * error(theirs, exact)), name


def test_the_exponential_function_is_within_three_units_of_the_last_place():
    steps = torch.linspace(-86, 86, 4 * vsn_numba.STRIP)
    for values in steps.split(vsn_numba.STRIP):
        found = values.numpy().copy()
        vsn_numba._exponential(found, vsn_numba._bits(), len(found))
        torch.testing.assert_close(torch.from_numpy(found).double(), values.double().exp(), rtol=3e-7, atol=0)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_threads_changes_no_bit(threads, monkeypatch):
    x, weights, _, vectors, glu = random_inputs(700, 7, 4)
    columns, results = (x.t().contiguous(), weights.t().contiguous()), []
    for number in (1, threads):
        monkeypatch.setattr(torch, "get_num_threads", lambda number=number: number)
        parts, dparts = torch.empty(7, 4, 700), torch.linspace(-1, 1, 19600).reshape(7, 4, 700)
        gradients = torch.empty(7, 700), torch.empty(7, 700), torch.zeros_like(vectors), torch.zeros_like(glu)
        with vsn_cpu._workers() as workers:
            assert (workers is not None) == (number > 1)
            loop = vsn_numba.backward
            shared_out(loop, (*columns, vectors, glu, parts, dparts, *gradients), True, workers=workers)
        results.append((parts, dparts, *gradients))
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def selection_network():
    torch.manual_seed(0)
    layer = VariableSelectionNetwork(3, 4, 6, dropout=0.0)
    for bias in (layer.hidden_bias, layer.glu_bias, layer.norm_bias, layer.projection_bias):
        torch.nn.init.normal_(bias)
    return layer


@pytest.mark.parametrize("with_gradient", [True, False])
def test_the_layer_is_the_same_with_them(with_gradient, monkeypatch):
    layer, values = selection_network(), torch.randn(3, 600).t()  # not in the order of its rows
    results, calls, mix = [], [], vsn_cpu.mix
    monkeypatch.setattr(vsn_cpu, "mix", lambda *inputs: calls.append(1) or mix(*inputs))
    for there in (True, False):
        monkeypatch.setattr(vsn_cpu, "available", lambda *_, there=there: there)
        layer.zero_grad()
        x = values.clone().requires_grad_(with_gradient)
        output, weights = layer(x)
        (output.square().sum() + weights.square().sum()).backward()
        leaves = [*layer.parameters(), *([x] if with_gradient else [])]
        results.append([output, weights, *(each.grad.clone() for each in leaves)])
    assert calls == [1]
    for one, other in zip(*results, strict=True):
        assert error(one, other.double()) < 1e-5


def test_a_feature_that_is_not_a_number_is_seen():
    inputs = random_inputs(5, 2, 4)
    inputs[0][1, 0] = torch.nan
    output = vsn_cpu.mix(*inputs)
    assert output[1].isnan().all()
    assert output[[0, 2, 3, 4]].isfinite().all()


def test_features_without_a_gradient_cost_none(monkeypatch):
    inputs, asked = random_inputs(10, 2, 4), []
    loop = vsn_numba.backward
    monkeypatch.setattr(vsn_numba, "backward", lambda *a: asked.append(a[10]) or loop(*a))
    leaves = [inputs[0], *(each.requires_grad_() for each in inputs[1:])]
    vsn_cpu.mix(*leaves).sum().backward()
    outcome(vsn_cpu.mix, inputs)
    assert asked == [False, True]
    assert inputs[0].grad is None


def test_where_the_loops_run():
    assert vsn_cpu.available("cpu", torch.float32)
    assert not vsn_cpu.available("cpu", torch.bfloat16)
    assert not vsn_cpu.available("cpu", torch.float64)
    assert not vsn_cpu.available("cuda", torch.float32)
    assert pytest.approx(vsn_kernels.EPSILON) == vsn_numba.EPSILON


def test_several_models_in_one_are_each_as_alone():
    inputs = [random_inputs(30, 3, 4), random_inputs(30, 3, 4, 2.0)]
    x, shared = inputs[0][0], inputs[0][2]
    alone = [
        outcome(lambda *leaves: vsn_cpu.mix(x, leaves[0], shared, *leaves[1:]), [w, *own]) for _, w, _, *own in inputs
    ]
    leaves = [torch.stack(pair).requires_grad_() for pair in zip(*([w, *own] for _, w, _, *own in inputs), strict=True)]
    output = torch.vmap(lambda w, *own: vsn_cpu.mix(x, w, shared, *own))(*leaves)
    output.mul(torch.linspace(-1, 1, output[0].numel()).reshape(output[0].shape)).sum().backward()
    for found, *right in zip([output.detach(), *(leaf.grad for leaf in leaves)], *alone, strict=True):
        assert torch.equal(found, torch.stack(right))


def test_other_types_and_the_compiler_are_left_to_pytorch(monkeypatch):
    def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(vsn_cpu, "mix", refuse)
    layer, x = selection_network(), torch.randn(20, 3)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x)
    torch._dynamo.reset()
    torch.compile(layer, backend="eager", fullgraph=True)(x)
    layer.double()(x.double())
