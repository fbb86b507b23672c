"""One training step: every token encoded once against one window per day, with the same weights."""

from typing import Any

import torch

from benchmarks.measure import in_turn, write
from benchmarks.network import chunk, model_params, network
from gogooku_kedro.freed_memory import freed_memory_kept

CASES = (
    {"stocks": 1000, "days": 16, "window": 20, "features": 64, "hidden": 64},
    {"stocks": 200, "days": 16, "window": 20, "features": 256, "hidden": 32},
    {"stocks": 200, "days": 32, "window": 60, "features": 64, "hidden": 32},
    {"stocks": 200, "days": 8, "window": 20, "features": 64, "hidden": 32},
)


def compare(stocks: int, days: int, window: int, features: int, hidden: int) -> dict[str, Any]:
    """Forward and backward of a chunk, both ways."""
    model = network(model_params(hidden, window), features)
    data = chunk(stocks, days, window, features)
    per_day = data.edge_index.size(1) // days
    edges, attributes = data.edge_index[:, :per_day], data.edge_attr[:per_day]
    weight = torch.randn(stocks, 4)

    def token_once() -> None:
        output = model(data.x, data.present, data.levels, data.context, data.edge_index, data.edge_attr)
        ((output.score * weight).sum() / days).backward()

    def windowed() -> None:
        for day in range(days):
            part = slice(day, day + window)
            seen = (data.x[part], data.present[part], data.levels[part], data.context[part])
            ((model(*seen, edges, attributes).score * weight).sum() / days).backward()

    _same_gradients(model, token_once, windowed)
    case = {"stocks": stocks, "days": days, "window": window, "features": features, "hidden": hidden}
    return case | in_turn(token_once, windowed, repeats=3)


def _same_gradients(model: torch.nn.Module, *ways: Any) -> None:
    gradients = []
    for way in ways:
        model.zero_grad(set_to_none=True)
        way()
        gradients.append(model.score_head.linear.weight.grad.clone())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3)


def main() -> None:
    """Measure every case."""
    with freed_memory_kept():
        rows = [compare(**case) for case in CASES]
    write("token_once", rows)


if __name__ == "__main__":
    main()
