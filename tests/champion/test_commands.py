"""`kedro compare`, `promote`, `rollback` and a morning of the champion, on what a run has left."""

import json
import re
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from gogooku_kedro.champion.comparison import Verdict
from gogooku_kedro.champion.registry import Registry
from gogooku_kedro.cli import cli
from gogooku_kedro.daily import checks
from gogooku_kedro.training import Ensemble
from tests.champion.conftest import drawn, enrol, tracked_in
from tests.conftest import ROOT

pytestmark = pytest.mark.pipeline
FIRST_TEST_SESSION = "2020-11-04"


@pytest.fixture(scope="module")
def root(finished_run, tmp_path_factory) -> Path:
    """A copy of a finished run whose registry has a challenger with drawn weights beside the champion."""
    root = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("champion") / "data"))
    trained = Ensemble.load(root / "06_models/atft_gat_fan").seed_models[0]
    sizes = (trained.n_features, trained.n_channels, trained.n_context)
    uri = f"sqlite:///{root / 'mlflow.db'}"
    challenger = drawn(1, trained.params, trained.feature_hash, sizes)
    with tracked_in(uri, root / "two"):
        enrol(Registry(uri, "atft_gat_fan"), challenger, "2020-11-16")
    return root


@pytest.fixture
def call(root, monkeypatch):
    """Run a command in this process."""
    monkeypatch.chdir(ROOT)

    def run(command: str, *arguments: str, more: str = "") -> tuple[int, str]:
        done = CliRunner().invoke(cli, [command, *arguments, "--env", "test", "--params", f"data_root={root}{more}"])
        return done.exit_code, done.output

    with tracked_in(f"sqlite:///{root / 'mlflow.db'}", root / "two"):
        yield run


def test_a_run_registers_what_it_trains_as_the_champion(finished_process, root):
    assert "\nregistered: version 1 of atft_gat_fan, champion (sample market, " in finished_process.output
    registry = Registry(f"sqlite:///{root / 'mlflow.db'}", "atft_gat_fan")
    version = registry.find("champion")
    split = json.loads((root / "04_feature/split.json").read_text())
    assert version.facts["unseen_from"] == split["test"][0] == FIRST_TEST_SESSION
    folder = registry._client.get_model_version_download_uri("atft_gat_fan", "1")
    (block,) = re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / "docs/how_to/champion.md").read_text())
    here = {
        '"sqlite:///mlflow.db"': repr(registry.uri),
        '"models:/atft_gat_fan@champion"': repr(folder),  # which leaves no file in the folder of another test
        '["data"]': f"[{str(root)!r}]",
        "2022-12-30": "2021-02-01",
    }
    for written, value in here.items():
        assert written in block
        block = block.replace(written, value)
    names: dict = {}
    with tracked_in(registry.uri, root / "two"):
        exec(compile(block, "docs/how_to/champion.md", "exec"), names)
    asked = pd.DataFrame({"data_root": str(root), "date": pd.to_datetime(["2021-02-01", "2021-02-02"])})
    predictions = pd.read_parquet(root / "07_model_output/predictions.parquet")
    expected = predictions[predictions["date"].isin(asked["date"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(names["model"].predict(asked), expected, check_exact=True, check_dtype=False)


def test_both_models_are_compared_on_the_days_that_neither_has_seen(root, call):
    code, said = call("compare", more=",daily.champion.horizon=20")
    assert code == 0, said
    labels = xr.open_zarr(root / "04_feature/labels.zarr")["ret"].sel(date=slice("2020-11-16", None))
    days = {h: int(np.isfinite(labels.sel(horizon=h).values).any(axis=1).sum()) for h in (1, 5, 10, 20)}
    rows = {
        line.split()[0]: line.split() for line in said.splitlines() if line.split()[0] in {"1d", "5d", "10d", "20d"}
    }
    assert {int(name[:-1]): int(row[-1]) for name, row in rows.items()} == days
    daily = pd.read_parquet(root / "08_reporting/daily_metrics.parquet").query("model == 'model' and horizon == '1d'")
    mine = daily[daily["date"] >= "2020-11-16"]["rank_ic"].mean()
    assert rows["1d"][1] == f"{mine:+.4f}".replace("-", "\N{MINUS SIGN}")
    assert "days that neither has seen: from 2020-11-16 on" in said
    assert f"on {days[20]} matured days since 2020-11-16, and an interval needs 100: " in said
    assert f"{100 - days[20]} matured days are lacking" in said


def test_the_alias_moves_only_when_the_days_allow_and_back_with_one_command(root, call, monkeypatch):
    registry = Registry(f"sqlite:///{root / 'mlflow.db'}", "atft_gat_fan")
    before = registry.aliases()
    code, said = call("promote", more=",daily.champion.horizon=20")
    assert (code, registry.aliases()) == (3, before)
    assert "version 1 stays champion: rank IC 20d of version 2 less version 1" in said
    assert call("promote", "1") == (
        1,
        "Error: version 1 of atft_gat_fan is the champion itself; name another version\n",
    )
    verdict = Verdict(True, None, "it is ahead")
    monkeypatch.setattr("gogooku_kedro.champion.comparison.decide", lambda *arguments: verdict)
    code, said = call("promote")
    assert (code, registry.aliases()) == (0, {"champion": "2", "previous": "1"})
    assert "version 2 of atft_gat_fan is the champion: it is ahead" in said
    assert call("rollback") == (0, "version 1 of atft_gat_fan is the champion again; version 2 is the one before\n")
    assert registry.aliases()["champion"] == "1"


def test_a_morning_of_the_champion_says_so_and_is_monitored(root, call, monkeypatch):
    monkeypatch.setattr(checks, "check_session", lambda *arguments: None)  # the market ends in 2021
    code, said = call("daily", more=",daily.model=champion")
    assert code == 0, said
    assert "ranking of 2021-03-31: published, " in said
    assert mlflow.active_run() is None  # a second run of the same process would be logged to it
    folder = root / "07_model_output/rankings"
    facts = json.loads((folder / "ranking_2021-03-31.json").read_text())
    assert facts["scored_by"] == "version 1 of atft_gat_fan, champion"
    assert facts["scored_by"] in (folder / "ranking_2021-03-31.html").read_text()
    found = json.loads((root / "08_reporting/monitoring.json").read_text())
    assert (found["morning"], found["days"][0]["date"]) == ("2021-03-31", "2021-03-31")
    assert {row["family"] for row in found["drift"]} >= {"oscillators", "volume"}
    (root / "08_reporting/monitoring.html").unlink()
    (root / "08_reporting/daily_metrics.parquet").unlink()
    code, said = call("daily", more=",daily.model=champion")
    assert code == 0, said
    assert "monitoring: not written: no daily_metrics yet" in said
    assert (folder / "ranking_2021-03-31.json").exists()
