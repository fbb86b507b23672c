"""Every price file of the table gives the returns of the market or one sentence, and the documentation shows it."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.datasets import OhlcvFileDataset
from gogooku_kedro.market import build_panel, standardise_bars
from gogooku_kedro.refusals import sentence_of

from .input_cases import CASES, PAGE, page
from .made_up import DAYS


def test_the_table_is_long_and_has_no_case_twice():
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def market_of(case, folder):
    raw = OhlcvFileDataset(filepath=str(case.write(folder)), **case.options).load()
    daily, report = standardise_bars(raw, **case.settings)
    return build_panel(daily), report


@pytest.mark.parametrize("case", [case for case in CASES if not case.refused], ids=lambda case: case.name)
def test_a_file_is_read(case, tmp_path):
    panel, report = market_of(case, tmp_path)
    assert panel["code"].values.tolist() == list(case.codes)
    assert panel.indexes["date"].equals(pd.DatetimeIndex(DAYS, name="date").as_unit("ns"))
    close = np.array(case.close or [1000.0 * (i + 1) for i in range(len(case.codes))])
    np.testing.assert_allclose(panel["close"].values[0], close, rtol=1e-6)
    # a stock gains 10 yen a session, or half of it where its prices are halves
    first = np.where(close < 1000, 2 * close, close)
    closes = first + 10.0 * np.arange(len(DAYS))[:, None]
    expected = np.vstack([np.full(len(first), np.nan), closes[1:] / closes[:-1] - 1])
    for code, session in case.missing:
        expected[session, case.codes.index(code)] = np.nan
    np.testing.assert_allclose(panel["ret_1d"].values, expected, rtol=2e-5)
    assert any(case.said in note for note in report["notes"]), report["notes"]
    assert {name: report["issues"][name]["rows"] for name in case.issues} == dict(case.issues)
    jumps = sum(issue["rows"] for name, issue in report["issues"].items() if name.startswith("jump_"))
    assert int(panel["invalid_jump"].sum()) == jumps
    assert np.nanmedian(panel["volume"].values) == 1000
    if not case.issues and not case.missing:
        assert (panel["volume"].values == 1000).all()
        assert {name: issue["rows"] for name, issue in report["issues"].items() if issue["rows"]} == {}


@pytest.mark.parametrize("case", [case for case in CASES if case.refused], ids=lambda case: case.name)
def test_a_file_is_refused_with_one_sentence(case, tmp_path):
    with pytest.raises(Exception, match=r".") as refusal:
        market_of(case, tmp_path)
    sentence = sentence_of(refusal.value)
    assert sentence is not None, "a fault in the code, not a refusal"
    assert case.refused in sentence
    assert "\n" not in sentence
    assert any(name in sentence for name in case.files) or str(tmp_path) in sentence


def test_the_page_shows_the_table():
    written = PAGE.read_text(encoding="utf-8")
    assert written == page(), f"{PAGE.name} is out of date: run `python -m tests.market.cases.input_cases`"
