"""Results are the same after a file."""

import json

from gogooku_kedro.report.results import GatEffect, KeyResults, parse, plain
from tests.report.report_run import effect, evidence_of


def test_key_results_come_back_from_their_file(daily) -> None:
    found = evidence_of(daily, effect()).key_results
    assert parse(KeyResults, json.loads(json.dumps(plain(found)))) == parse(KeyResults, plain(found))
    assert plain(parse(KeyResults, plain(found))) == plain(found)


def test_the_kinds_of_scores_of_an_ablation_are_told_apart() -> None:
    neutral = {name: cells for name, cells in effect().items() if name in ("1d", "controls")}
    found = GatEffect.of(effect() | {"neutral": neutral})
    assert list(found.kinds) == ["raw", "neutral"]
    assert list(found.raw.horizons) == ["1d", "5d", "10d", "20d"]
    assert list(found.kinds["neutral"].horizons) == ["1d"]
    assert found.raw.horizons["1d"]["rank_ic"].goal == 0.05
    assert found.run.data_hash == "da7a"
