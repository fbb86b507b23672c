"""Numbers as text."""

from gogooku_kedro.report.formats import EN_DASH, format_interval, format_number


def test_formats() -> None:
    assert format_number(None) == format_number(float("nan")) == EN_DASH
    assert format_number(-0.01234) == "\u22120.0123"
    assert format_interval([None, 1.0]) == EN_DASH
    assert format_interval([-1.0, 2.0], "+.1f") == "[\u22121.0,\u00a0+2.0]"
