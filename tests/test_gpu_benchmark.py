"""`benchmarks.gpu` runs every row at a tiny size, on any machine, and says what it left out."""

import pytest
import torch

from benchmarks import gpu, measure


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    return tmp_path


@pytest.mark.training
def test_a_tiny_size_measures_every_row(results, capsys):
    table = gpu.main(["--smoke"])
    rows = {row.pop("what"): row for row in table.rows}
    assert table.left_out == []
    assert rows["ceilings"]["copy_gb_per_s"] > 0
    epochs = [name for name in rows if name.startswith("epoch")]
    assert [name.rsplit(", ", 1)[-1] for name in epochs] == gpu_arms()
    assert all(rows[name]["epoch_s"] > 0 for name in epochs)
    steps = [name for name in rows if name.startswith("step")]
    kinds = {f"{precision} {how}" for precision in ("bf16", "fp32") for how in ("eager", "recorded")}
    assert {name.rsplit(", ", 1)[1] for name in steps} == kinds
    assert {name.split(",")[0] for name in steps} == {"step 24 x 6", "step 24 x 8"}
    assert all(rows[name]["ms"] > 0 for name in steps)
    assert (results / "gpu_smoke.json").exists()
    if not torch.cuda.is_available():
        assert "no CUDA device here" in capsys.readouterr().out


def gpu_arms():
    return ["one model", "market in host memory", "2 models", "one model"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_card_there_is_nothing_to_measure():
    with pytest.raises(SystemExit, match="no CUDA device here"):
        gpu.main([])


def test_a_row_that_would_take_too_long_is_named(capsys):
    table = gpu.Table(seconds=10)
    table.measure("short", 1, lambda: {"ms": 1})
    table.measure("long", 60, lambda: pytest.fail("was measured"))
    assert [row["what"] for row in table.rows] == ["short"]
    assert table.left_out == ["long"]


def test_the_sizes_are_those_of_the_settings():
    assert str(gpu.SMALL) == "1,026 x 125, d 32, D 4, L 8"
    assert str(gpu.LARGE) == "4,000 x 182, d 256, D 8, L 60"


def test_the_random_market_is_one_that_trains():
    market = gpu.random_market(stocks=24, sessions=45, features=3)
    assert market.x.shape == (45, 24, 3)
    assert market.context.shape == (45, gpu.CONTEXT)
    known = ~market.target.isnan()
    assert known.all()
    rank = torch.corrcoef(torch.stack([market.x[..., 0].flatten(), market.target[..., 0].flatten()]))
    assert rank[0, 1] > 0.05
