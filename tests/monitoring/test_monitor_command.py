"""`kedro monitor` after mornings, on what a run has left."""

import json
import shutil

import pandas as pd
import pytest
from click.testing import CliRunner

from gogooku_kedro.cli import cli
from tests.conftest import ROOT
from tests.monitoring.conftest import publish


@pytest.mark.pipeline
def test_the_rankings_of_a_run_are_monitored(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    root = tmp_path / "data"
    shutil.copytree(finished_run, root)
    call = ["monitor", "--env", "test", "--params", f"data_root={root}"]
    none = CliRunner().invoke(cli, call)
    assert none.exit_code == 1
    assert "no ranking was published yet" in none.output
    predictions = pd.read_parquet(root / "07_model_output/predictions.parquet")
    live = predictions[predictions["date"] >= "2021-01-04"]
    publish(live, root / "07_model_output/rankings")
    done = CliRunner().invoke(cli, [*call, "--as-of", "2021-03-15"])
    assert done.exit_code == 0, done.output
    found = json.loads((root / "08_reporting/monitoring.json").read_text())
    daily = pd.read_parquet(root / "08_reporting/daily_metrics.parquet")
    mine = daily.query("model == 'model' and horizon == '5d'").set_index("date")["rank_ic"]
    shown = {day["date"]: day["rank_ic"] for day in found["days"] if day["horizon"] == "5d"}
    known = {date: value for date, value in shown.items() if value is not None}
    assert max(shown) == "2021-03-15"
    assert "2021-03-05" in known
    assert "2021-03-08" not in known  # its label ends on 03-16
    for date, value in known.items():
        assert value == pytest.approx(mine[date], abs=1e-12)
    assert found["alarm"]["rule"] is None or found["alarm"]["rule"]["reference_days"] < 60
    families = {row["family"] for row in found["drift"]}
    assert families == {"oscillators", "volume", "liquidity", "lead_lag", "neighbours"}
    assert "monitoring.html" in done.output
    assert (root / "08_reporting/monitoring.html").stat().st_size > 1_000_000  # plotly.js is in it
