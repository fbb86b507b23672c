"""The kernels of the variable selection against PyTorch: on a card, and on a CPU in Triton's interpreter."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from gogooku_kedro.model import vsn_kernels
from gogooku_kedro.model.dropout import own_generators
from gogooku_kedro.model.vsn import VariableSelectionNetwork, _mix

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1" and vsn_kernels.vsn_triton is not None
CARD = torch.cuda.is_available() and not INTERPRETED
CPU = pytest.param("cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="runs with TRITON_INTERPRET=1, see below"))
CUDA = pytest.param(
    "cuda", marks=[pytest.mark.cuda, pytest.mark.skipif(not CARD, reason="needs a CUDA device, no interpreter")]
)
devices = pytest.mark.parametrize("device", [CPU, CUDA])

NAMES = ("x", "weights", "projection", "embedding", "embedding bias", "slope", "intercept", "GLU", "GLU bias")


@pytest.mark.skipif(INTERPRETED or CARD, reason="the tests run here themselves")
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton: pip install triton")
def test_the_kernels_in_the_interpreter():
    """In a process of its own: the interpreter is chosen when triton is imported."""
    command = [sys.executable, "-m", "pytest", __file__, "-p", "no:cacheprovider", "-p", "no:cov"]
    env = os.environ | {"TRITON_INTERPRET": "1"}
    found = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert " passed" in found.stdout


@pytest.fixture(autouse=True)
def _products_of_bfloat16(monkeypatch):
    """The interpreter holds bfloat16 as whole numbers and forgets to turn them back before a product."""
    if not INTERPRETED:
        return
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    plain = InterpreterBuilder.create_dot

    def widened(x):
        if x.dtype.scalar != tl.bfloat16:
            return x
        return TensorHandle((x.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    monkeypatch.setattr(
        InterpreterBuilder, "create_dot", lambda self, a, b, *c: plain(self, widened(a), widened(b), *c)
    )


def random_inputs(tokens, features, channels, device="cpu"):
    """In the order of NAMES, and the gradient of the output."""
    torch.manual_seed(0)
    c, width = channels, 8
    vectors = [torch.randn(features, 1, c) for _ in range(4)]
    inputs = [
        torch.randn(tokens, features),
        torch.randn(tokens, features).softmax(dim=1),
        torch.randn(features * c, width) / (features * c) ** 0.5,
        *vectors,
        torch.randn(features, c, 2 * c) / c**0.5,
        torch.randn(features, 1, 2 * c),
    ]
    return [each.to(device) for each in inputs], torch.randn(tokens, width).to(device)


def by_pytorch(x, weights, projection, *networks):
    return _mix(x, weights, projection, *(each.transpose(1, 2) for each in networks))


def by_kernels(kind):
    def mix(x, weights, projection, *networks):
        *vectors, glu_weight, glu_bias = networks
        together = torch.cat([*vectors, *glu_bias.chunk(2, dim=-1)], dim=1)
        return vsn_kernels.weighted_parts(x, weights, together, glu_weight, kind) @ projection.to(kind)

    return mix


def outcome(mix, inputs, gradient):
    """The output and the gradients of all inputs."""
    leaves = [each.detach().clone().requires_grad_() for each in inputs]
    output = mix(*leaves)
    output.backward(gradient.to(output.dtype))
    return [output.detach(), *(leaf.grad for leaf in leaves)]


def error(found, right):
    return ((found.double() - right).norm() / right.norm()).item()


SMALL = [(7, 1, 4), (300, 5, 16), (130, 3, 8), (33, 2, 32), (40, 3, 6)]
LARGE = [(1, 1, 16), (5003, 137, 8), (2048, 12, 16), (9999, 5, 4), (700, 7, 32), (700, 7, 3)]


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize(
    ("device", "sizes"),
    [
        pytest.param(*case.values, sizes, marks=case.marks)
        for case, all_ in ((CPU, SMALL), (CUDA, LARGE))
        for sizes in all_
    ],
)
def test_values_and_gradients_are_those_of_pytorch(device, sizes, kind, tolerance):
    inputs, gradient = random_inputs(*sizes, device)
    right = outcome(by_pytorch, [each.double() for each in inputs], gradient.double())
    found = outcome(by_kernels(kind), inputs, gradient)
    for name, one, other in zip(("output", *NAMES), found, right, strict=True):
        assert error(one, other) < tolerance, name


@devices
def test_all_of_it_is_written_and_the_same_each_time(device):
    """Memory that is not set is NaN here, as in a run with deterministic algorithms."""
    (x, weights, _, *vectors, glu_weight, glu_bias), _ = random_inputs(300, 3, 16, device)
    together = torch.cat([*vectors, *glu_bias.chunk(2, dim=-1)], dim=1)
    gradient = torch.randn(300, 48, device=device)
    results = []
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.empty(3, device=device).isnan().all()
        for _ in range(2):
            parts = vsn_kernels._forward_op(x, weights, together, glu_weight, torch.float32)
            results.append([parts, *vsn_kernels._backward_op(gradient, x, weights, together, glu_weight, True)])
    finally:
        torch.use_deterministic_algorithms(False)
    for one, other in zip(*results, strict=True):
        assert one.isfinite().all()
        assert torch.equal(one, other)


def selection_network(device):
    torch.manual_seed(0)
    layer = VariableSelectionNetwork(3, 4, 6, dropout=0.0).to(device)
    for bias in (layer.hidden_bias, layer.glu_bias, layer.norm_bias, layer.projection_bias):
        torch.nn.init.normal_(bias)
    return layer


def of_layer(layer, x):
    layer.zero_grad()
    output, weights = layer(x)
    (output.square().sum() + weights.square().sum()).backward()
    return [output.detach(), weights.detach(), *(each.grad.clone() for each in layer.parameters())]


@devices
@pytest.mark.parametrize("way", ["plain", "autocast", "compiled", "compiled under autocast"])
def test_the_layer_is_the_same_with_kernels(device, way, monkeypatch):
    layer, x = selection_network(device), torch.randn(3, 200, device=device).t()  # not in the order of its rows
    if "compiled" in way:
        torch._dynamo.reset()
    results = []
    for there in (True, False):
        monkeypatch.setattr(vsn_kernels, "available", lambda *_, there=there: there)
        run = layer
        if there and "compiled" in way:
            run = torch.compile(layer, backend="aot_eager", fullgraph=True)
        with torch.autocast(device, torch.bfloat16, enabled="autocast" in way):
            results.append(of_layer(run, x))
    for one, other in zip(*results, strict=True):
        assert error(one, other.double()) < (2e-2 if "autocast" in way else 1e-5)


@devices
def test_one_wide_tensor_is_kept_for_the_backward_pass(device, monkeypatch):
    monkeypatch.setattr(vsn_kernels, "available", lambda *_: True)
    kept, tokens = [], 200
    layer, x = selection_network(device), torch.randn(tokens, 3, device=device)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(x)
    assert sum(t.numel() >= tokens * 3 * 4 for t in kept) == 1
    assert layer.kept_bytes(tokens, torch.float32) == 4 * tokens * 3 * 4
    with torch.no_grad():
        output, _ = layer(x)
    torch.testing.assert_close(output, layer(x)[0].detach())
    assert not output.requires_grad


@devices
def test_features_without_a_gradient_cost_none(device):
    inputs, gradient = random_inputs(100, 2, 4, device)
    _, of_x, *right = outcome(by_kernels(torch.float32), inputs, gradient)
    assert of_x.any()
    inputs[0] = inputs[0].requires_grad_()
    fixed = inputs[0].detach()
    _, *found = outcome(lambda *leaves: by_kernels(torch.float32)(fixed, *leaves), inputs[1:], gradient)
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one, other)


@devices
def test_pytorch_accepts_the_operators(device):
    (x, weights, _, *vectors, glu_weight, glu_bias), _ = random_inputs(40, 2, 4, device)
    inputs = [x, weights, torch.cat([*vectors, *glu_bias.chunk(2, dim=-1)], dim=1), glu_weight]
    leaves = [each.clone().requires_grad_() for each in inputs]
    torch.library.opcheck(vsn_kernels._forward_op, (*leaves, torch.float32))
    torch.library.opcheck(vsn_kernels._backward_op, (torch.randn(40, 8, device=device), *inputs, True))


def test_where_the_kernels_run(monkeypatch):
    monkeypatch.setattr(vsn_kernels, "vsn_triton", "there")
    monkeypatch.setattr(vsn_kernels, "triton_works", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    assert vsn_kernels.available("cuda", torch.bfloat16, 32)
    assert vsn_kernels.available("cuda", torch.float32, 3)
    assert not vsn_kernels.available("cpu", torch.float32, 4)
    assert not vsn_kernels.available("cuda", torch.float16, 4)
    assert not vsn_kernels.available("cuda", torch.float64, 4)
    assert not vsn_kernels.available("cuda", torch.float32, 33)
    layer = selection_network("cpu")
    assert layer.in_kernels("cuda", torch.bfloat16)
    with own_generators([torch.Generator()]):  # several models in one
        assert not layer.in_kernels("cuda", torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert not layer.in_kernels("cuda", torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(vsn_kernels, "triton_works", lambda: False)
    assert not layer.in_kernels("cuda", torch.bfloat16)
    monkeypatch.setattr(vsn_kernels, "triton_works", lambda: True)
    monkeypatch.setattr(vsn_kernels, "vsn_triton", None)
    assert not layer.in_kernels("cuda", torch.bfloat16)


def test_the_compiler_asks_the_card_once(monkeypatch):
    monkeypatch.setattr(vsn_kernels, "vsn_triton", "there")
    monkeypatch.setattr(vsn_kernels, "triton_works", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    torch._dynamo.reset()

    @torch.compile(backend="eager", fullgraph=True)
    def one_more(x):
        return x + vsn_kernels.available("cuda", torch.bfloat16, 4)

    assert one_more(torch.zeros(1)).item() == 1


@pytest.mark.cuda
@pytest.mark.skipif(not CARD, reason="needs a CUDA device, no interpreter")
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_cuda_graph_replays_forward_and_backward(kind):
    inputs, gradient = random_inputs(3001, 11, 16, "cuda")
    leaves = [each.clone().requires_grad_() for each in inputs]
    mix, graph, side = by_kernels(kind), torch.cuda.CUDAGraph(), torch.cuda.Stream()

    def step():
        output = mix(*leaves)
        return [output.detach(), *torch.autograd.grad(output, leaves, gradient.to(kind))]

    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(graph):
        replayed = step()
    with torch.no_grad():
        for leaf, each in zip(leaves, inputs, strict=True):
            leaf.copy_(each.mul_(0.5))
    graph.replay()
    for one, other in zip(replayed, outcome(mix, inputs, gradient), strict=True):
        assert torch.equal(one, other)
