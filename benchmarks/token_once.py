"""One training step: every token encoded once against one window per day, with the same weights."""

from typing import Any

import torch

from benchmarks.measure import in_turn, write
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams

CHANNELS = 5
CASES = (
    {"stocks": 200, "days": 16, "window": 20, "features": 76, "hidden": 32},
    {"stocks": 500, "days": 16, "window": 20, "features": 76, "hidden": 32},
    {"stocks": 200, "days": 32, "window": 60, "features": 76, "hidden": 32},
)


def model_params(hidden: int, window: int) -> ModelParams:
    """Settings of ``conf/base`` at another width and window."""
    attributes = ["correlation", "abs_correlation", "same_sector", "is_self"]
    penalties = {"enabled": True, "edge_weight_penalty": 0.01, "attention_entropy_penalty": 0.001}
    return ModelParams.model_validate(
        {
            "hidden_size": hidden,
            "window": window,
            "dropout": 0.0,
            "quantiles": [0.05, 0.25, 0.5, 0.75, 0.95],
            "vsn": {"enabled": True, "feature_size": 4},
            "temporal": {"heads": 4},
            "fan": {"enabled": True, "top_k": 3, "predictor_size": 32},
            "san": {"enabled": True, "slices": 4, "predictor_size": 32},
            "gat": {
                "enabled": True,
                "conv": "gatv2",
                "heads": 4,
                "edge_attributes": attributes,
                "edge_dropout": 0.0,
                "neutralise_scores": True,
                "use_in_training": True,
                "regularization": penalties,
            },
        }
    )


def compare(stocks: int, days: int, window: int, features: int, hidden: int) -> dict[str, Any]:
    """Forward and backward of a chunk, both ways."""
    torch.manual_seed(0)
    model = ATFTGATFAN(model_params(hidden, window), features, CHANNELS)
    steps = days + window - 1
    x = torch.randn(steps, stocks, features)
    present = torch.ones(steps, stocks, dtype=torch.bool)
    levels = torch.randn(steps, stocks, CHANNELS).cumsum(0)
    source, target = torch.randint(0, stocks, (2, 10 * stocks))
    edges = torch.stack([source, target])
    offsets = (torch.arange(days) * stocks).repeat_interleave(edges.size(1))
    chunk_edges = edges.repeat(1, days) + offsets
    attr = torch.rand(edges.size(1), 4)

    def token_once() -> None:
        output = model(x, present, levels, chunk_edges, attr.repeat(days, 1))
        output.score.square().mean().backward()

    def windowed() -> None:
        for day in range(days):
            part = slice(day, day + window)
            output = model(x[part], present[part], levels[part], edges, attr)
            (output.score.square().mean() / days).backward()

    case = {"stocks": stocks, "days": days, "window": window, "features": features, "hidden": hidden}
    return case | in_turn(token_once, windowed, repeats=3)


def main() -> None:
    """Measure every case."""
    write("token_once", [compare(**case) for case in CASES])


if __name__ == "__main__":
    main()
