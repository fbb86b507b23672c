"""Compiled or not, a model scores and learns the same."""

import torch

from tests.model.conftest import build
from tests.model.test_information_flow import task_loss


def test_a_compiled_model_has_the_same_scores_and_gradients(chunk):
    """Traced and differentiated ahead of time, without the code generation, which would take minutes."""
    model = build().train()
    results = []
    for run in (model, torch.compile(model, backend="aot_eager")):
        model.zero_grad()
        output = run(*chunk)
        task_loss(output).backward()
        grads = [p.grad.clone() for p in model.parameters()]
        results.append([output.score, output.quantiles, output.temporal_attention, *grads])
    for eager, compiled in zip(*results, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-4, atol=1e-5)
