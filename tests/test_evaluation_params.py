"""Settings of the portfolios: what is possible, and what the message says."""

import pytest

from gogooku_kedro.validation import configuration_problems
from tests.conftest import settings_of


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"decile_share": 0.6},
            "decile_share: 0.6 of the stocks in either leg is not possible; write a fraction",
        ),
        (
            {"costs_bps": [0, 10, 5]},
            "costs_bps: [0.0, 10.0, 5.0] must be basis points of 0 or more in increasing",
        ),
        ({"costs_bps": [-5, 10]}, "costs_bps: [-5.0, 10.0] must be basis points of 0 or more"),
        ({"hysteresis": 0.1}, "hysteresis: 0.1 must be wider than evaluation.portfolio.decile_share (0.1)"),
        (
            {"hysteresis": 0.7},
            "hysteresis: 0.7 must be wider than evaluation.portfolio.decile_share (0.1) and at",
        ),
        ({"sector_cap": 30}, "sector_cap: 30 is not a fraction; write a number above 0 and up to 1, or null"),
        (
            {"turnover_cap": 0},
            "turnover_cap: 0 is not a fraction; write a number above 0 and up to 1, or null",
        ),
        ({"participation": 5}, "participation: 5 is not a fraction; write a number above 0 and up to 1"),
        ({"loanable": "some"}, "loanable: 'some' is not possible: Input should be 'all' or 'none'"),
        ({"costs": [10]}, "costs: unknown key; did you mean 'costs_bps'?"),
        ({"top_k": ...}, "top_k: missing; write it in conf/base/parameters*.yml"),
    ],
)
def test_a_wrong_rule_of_the_portfolios_is_named_with_its_path_and_the_fix(changes: dict, message: str) -> None:
    paths = {f"evaluation__portfolio__{key}": value for key, value in changes.items()}
    (problem,) = configuration_problems(settings_of(**paths))
    assert problem.startswith(f"evaluation.portfolio.{message}")
