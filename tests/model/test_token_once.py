"""A token is encoded once for all windows it stands in: the result is that of one window at a time."""

import pytest
import torch

from gogooku_kedro.model.atft_gat_fan import ModelOutput
from tests.model.conftest import STOCKS, WINDOW, Chunk, build, random_chunk
from tests.model.test_information_flow import variants

DAYS = 5


def one_day(chunk: Chunk, day: int) -> Chunk:
    """The window of one day and that day's graph, nothing else."""
    window = slice(day, day + WINDOW)
    per_day = chunk.edge_index.size(1) // DAYS
    edges = slice(day * per_day, (day + 1) * per_day)
    return Chunk(
        chunk.x[window],
        chunk.present[window],
        chunk.levels[window],
        chunk.context[window],
        chunk.edge_index[:, edges] - day * STOCKS,
        chunk.edge_attr[edges],
    )


def windowed(model: torch.nn.Module, chunk: Chunk) -> list[ModelOutput]:
    return [model(*one_day(chunk, day)) for day in range(DAYS)]


@pytest.mark.parametrize("seed", range(4))
@variants
def test_token_once_encoding_equals_one_window_at_a_time(changes, seed):
    chunk = random_chunk(DAYS, seed=seed, absent=0.3 if seed else 0.0)
    model = build(seed, **changes)
    together, alone = model(*chunk), windowed(model, chunk)
    for name in ("score", "quantiles"):
        one_at_a_time = torch.cat([getattr(output, name) for output in alone])
        assert (getattr(together, name) - one_at_a_time).abs().max() < 1e-5


def test_attention_and_forecasts_equal_those_of_one_window_at_a_time():
    chunk = random_chunk(DAYS, seed=1, absent=0.3)
    model = build()
    together, alone = model(*chunk), windowed(model, chunk)
    for day, output in enumerate(alone):
        attention = torch.zeros(STOCKS, DAYS + WINDOW - 1)
        attention[:, day : day + WINDOW] = output.temporal_attention[:, 0]
        torch.testing.assert_close(together.temporal_attention[:, day], attention, rtol=0, atol=1e-5)
        of_day = slice(day * STOCKS, (day + 1) * STOCKS)
        for whole, part in zip(together.forecast, output.forecast, strict=True):
            torch.testing.assert_close(whole[of_day], part, rtol=0, atol=1e-5, equal_nan=True)
