"""From the key to a model on the command line; the key is nowhere afterwards."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import yaml

from gogooku_kedro.sample_market import SampleMarketSettings, generate_sample_market
from tests.conftest import ROOT, kedro, listing
from tests.jquants.fake_server import KEY, FakeServer, ServedMarket, WallClock, serving

pytestmark = pytest.mark.pipeline


class Project(NamedTuple):
    """A copy of the project whose key lies in conf/local, the server, and what the runs printed."""

    folder: Path
    server: FakeServer
    params: str
    output: list[str]

    @property
    def store(self) -> Path:
        return self.folder / "data/01_raw/jquants"

    def kedro(self, *arguments: str, more: str = "", code: int = 0) -> str:
        params = ",".join(part for part in (self.params, more) if part)
        run = kedro(*arguments, "--params", params, cwd=self.folder, expect=(code,))
        self.output.append(run.stdout)
        return run.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "local"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "conf/local").mkdir()
    small = yaml.safe_load((ROOT / "conf/test/parameters.yml").read_text())
    small["graph"]["checks"]["isolates_max"] = 0.5
    (folder / "conf/jquants/parameters.yml").write_text(yaml.safe_dump(small))
    settings = SampleMarketSettings(n_codes=40, start="2019-01-04", end="2020-12-30", seed=3, replicates=2)
    market = ServedMarket(generate_sample_market(settings))
    with serving(FakeServer(market, WallClock())) as server:
        params = (
            f"jquants.base_url={server.url},jquants.plan=premium,jquants.start=2019-01-04,jquants.end=2020-12-30,"
            "jquants.events_start=2019-01-04"
        )
        yield Project(folder, server, params, [])


@pytest.fixture(scope="module")
def fetched(project: Project) -> Project:
    missing = project.kedro("run", "--env", "jquants", "--pipelines=jquants", code=1)
    assert "no J-Quants API key: set the environment variable JQUANTS_API_KEY" in " ".join(missing.split())
    assert "Traceback" not in missing
    assert project.server.requests == []
    (project.folder / "conf/local/credentials.yml").write_text(f"jquants:\n  api_key: {KEY}\n")
    project.kedro("run", "--env", "jquants", "--pipelines=jquants")
    return project


def test_a_run_makes_panel_features_and_model_of_what_was_fetched(fetched: Project):
    assert "J-Quants: complete" in fetched.output[-1]
    fetched.kedro("run", "--env", "jquants", "--pipelines=data")
    fetched.kedro("run", "--env", "jquants", "--pipelines=training")
    data = fetched.folder / "data"
    assert (data / "05_model_input/features.zarr").exists()
    predictions = pd.read_parquet(data / "07_model_output/predictions.parquet")
    assert predictions["date"].max() == pd.Timestamp("2020-12-30")
    assert predictions["code"].nunique() > 30


def test_a_morning_is_refused_when_prices_are_old_replayed_and_exported(fetched: Project):
    old = fetched.kedro("daily", "--env", "jquants", code=3)
    assert "no ranking: the newest prices are of 2020-12-30" in " ".join(old.split())
    fetched.kedro("daily", "--env", "jquants", "--as-of", "2020-12-30")
    (ranking,) = (fetched.folder / "data").rglob("ranking_2020-12-30.parquet")
    assert pd.read_parquet(ranking)["code"].nunique() > 30
    for library, path in (("qlib", "exports/qlib"), ("alphalens", "exports/factor.parquet")):
        fetched.kedro("export", "--env", "jquants", "--to", library, path)
        assert (fetched.folder / path).exists()


def test_the_audit_finds_and_repairs_and_a_probe_asks_the_service(fetched: Project):
    assert "every partition that the plan has is there and whole" in fetched.kedro("jquants-audit", "--probe", "2")
    file = sorted((fetched.store / "bars").iterdir())[10]
    file.write_bytes(b"half")
    found = fetched.kedro("jquants-audit", code=1)
    assert f"bars {file.name[:10]}: damaged" in found
    refused = fetched.kedro("run", "--env", "jquants", "--pipelines=ingestion", code=1)
    assert "run `kedro jquants-audit --repair`" in " ".join(refused.split())
    before = len(fetched.server.requests)
    assert "fetched again; 0 left" in fetched.kedro("jquants-audit", "--repair")
    asked = [query["date"] for _, path, query in fetched.server.requests[before:]]
    assert asked == [file.name[:10]]


def test_a_key_that_is_not_taken_is_said_without_it(fetched: Project):
    fetched.server.key = "another"
    refused = fetched.kedro("jquants-audit", "--probe", "1", code=1)
    fetched.server.key = KEY
    assert "does not take the API key" in refused
    assert "Traceback" not in refused


def test_an_address_that_would_send_the_key_in_the_clear_is_refused(fetched: Project):
    refused = fetched.kedro(
        "run", "--env", "jquants", "--pipelines=jquants", more="jquants.base_url=http://api.example.com/v2", code=1
    )
    assert "would send the API key unencrypted" in " ".join(refused.split())


def test_the_key_is_nowhere_after_a_run(fetched: Project):
    files = [path for path in listing(fetched.folder) if path.name != "credentials.yml"]
    assert any(path.name == "mlflow.db" for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert all(KEY not in output for output in fetched.output)


def test_no_price_row_is_in_mlflow(fetched: Project):
    close = pd.read_parquet(sorted((fetched.store / "bars").iterdir())[50])["C"].dropna()
    texts = {f"{value:.1f}".encode() for value in close if value > 1_000 and value != round(value, -1)}
    tracked = [*fetched.folder.glob("mlflow.db"), *listing(fetched.folder / "mlartifacts")]
    artifacts = [path for path in tracked if path.suffix in {".parquet", ".csv", ".zarr"}]
    assert artifacts == []
    content = b"".join(path.read_bytes() for path in tracked)
    assert sum(text in content for text in texts) < len(texts) / 2


def test_purging_deletes_what_was_fetched_and_asks_first(fetched: Project):
    kept = subprocess.run(
        [sys.executable, "-m", "kedro", "jquants-purge"],
        cwd=fetched.folder, input="n\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert kept.returncode == 1
    assert fetched.store.exists()
    assert "deleted" in fetched.kedro("jquants-purge", "--yes")
    assert not fetched.store.exists()
    again = fetched.kedro("run", "--env", "jquants", "--pipelines=ingestion", code=1)
    assert "no J-Quants prices" in " ".join(again.split())
