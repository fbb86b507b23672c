"""The table of price files, and the page of the documentation that shows it.

Every file holds the market of `made_up`, as it is or with one thing changed. Write the page anew with
`python -m tests.market.cases.input_cases`.
"""

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .made_up import CODES, DAYS, PRICES, SPLIT_DAY, at, bars, split_bars

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "input_files.md"
TOKYO = tuple(f"{code}0" for code in CODES)
SPLIT_FROM = f"{DAYS[SPLIT_DAY]:%Y-%m-%d}"
Content = str | bytes | pd.DataFrame


@dataclass(frozen=True)
class Case:
    """A file, or a folder of files, and what comes out.

    Attributes:
        name: What is special about it.
        files: Name to content; text, bytes as they are, or a table that is stored as Parquet.
        encoding: Of text.
        options: Of the catalog entry: `columns`, `load_args`.
        settings: Of `standardise_bars`.
        said: Words of the notes of the quality report.
        issues: Counts of the quality report.
        missing: Code and session of the returns that are missing; all others are those of the market.
        codes: Codes of the panel.
        close: Close of each code on the first session; None for that of the market.
        refused: Words of the sentence that refuses the file; it is read when empty.
        shown: Lines of the file that the page shows; None for the header and the first line that is changed.
    """

    name: str
    files: Mapping[str, Content]
    encoding: str = "utf-8"
    options: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""
    issues: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[tuple[str, int], ...] = ()
    codes: tuple[str, ...] = TOKYO
    close: tuple[float, ...] | None = None
    refused: str = ""
    shown: tuple[int, ...] | None = None

    def write(self, folder: Path) -> Path:
        """Store the files and return what to read: the file, or the folder of several."""
        for name, content in self.files.items():
            if isinstance(content, pd.DataFrame):
                content.to_parquet(folder / name)
            else:
                data = content if isinstance(content, bytes) else content.encode(self.encoding)
                (folder / name).write_bytes(data)
        return folder if len(self.files) > 1 else folder / next(iter(self.files))


def text(table: pd.DataFrame | None = None, **options: Any) -> str:
    """A table, or the market, as CSV."""
    written: str = (bars() if table is None else table).to_csv(index=False, **options)
    return written


def csv(name: str, content: Content, *, file: str = "bars.csv", **expected: Any) -> Case:
    return Case(name, {file: content}, **expected)


def dated(form: str | Callable[[pd.Timestamp], str]) -> pd.DataFrame:
    """The market with dates in another form."""
    write = form if callable(form) else (lambda day: day.strftime(form))
    return bars().assign(Date=lambda table: pd.to_datetime(table["Date"]).map(write))


def changed(column: str, session: int, value: Any, code: str = "1412", table: pd.DataFrame | None = None) -> str:
    """The market with one value changed."""
    table = (bars() if table is None else table).astype({column: object})
    table.loc[at(table, code, session), column] = value
    return text(table)


def with_factor(stated: float, session: int) -> str:
    """A split of two for one, with a factor on one row."""
    table = split_bars().assign(AdjustmentFactor=1.0)
    table.loc[at(table, "1412", session), "AdjustmentFactor"] = stated
    return text(table)


def with_level(before: float, after: float, table: pd.DataFrame | None = None) -> str:
    """A split of two for one, with a cumulative factor."""
    table = split_bars() if table is None else table
    late = (table["Code"] == "1412") & (table["Date"] >= SPLIT_FROM)
    return text(table.assign(adj_factor=np.where(late, after, before)))


def with_adjusted_close(name: str) -> str:
    """A split of two for one, with a back-adjusted close."""
    table = split_bars()
    early = (table["Code"] == "1412") & (table["Date"] < SPLIT_FROM)
    table[name] = table["Close"].where(~early, table["Close"] / 2)
    return text(table)


def wide(first: str = "field", tickers: str = ".T") -> pd.DataFrame:
    """The market with columns of field and code, as yfinance returns it."""
    table = bars().assign(Code=lambda t: t["Code"] + tickers).set_index(["Date", "Code"]).unstack("Code")
    table.columns = table.columns.set_names(["Price", "Ticker"])
    return table if first == "field" else table.swaplevel(axis=1).sort_index(axis=1)


def joined(sign: str) -> str:
    """The same with joined names."""
    table = wide()
    table.columns = [sign.join(pair) for pair in table.columns]
    return str(table.to_csv())


def packed(content: str, members: int = 1) -> bytes:
    """A zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(members):
            archive.writestr(f"prices{number}.csv", content)
    return buffer.getvalue()


def per_code(name: str = "{}.T.csv", names: Mapping[str, str] | None = None) -> dict[str, Content]:
    """One file per code, without a column of codes."""
    groups = bars().rename(columns=dict(names or {})).groupby("Code")
    return {name.format(code): text(table.drop(columns="Code")) for code, table in groups}


def per_field() -> dict[str, Content]:
    """One table of dates by codes per field."""
    fields = (*PRICES, "Volume")
    return {f"{name.lower()}.csv": bars().pivot(index="Date", columns="Code", values=name).to_csv() for name in fields}


def repeated(**changes: Any) -> str:
    """The market with its last session stated again, with other values."""
    table = bars()
    again = table[table["Date"] == f"{DAYS[-1]:%Y-%m-%d}"].assign(**changes)
    return text(pd.concat([table, again], ignore_index=True))


JAPANESE = dict(zip(bars().columns, ("日付", "銘柄コード", "始値", "高値", "安値", "終値", "出来高"), strict=True))
JAPANESE_TEXT = text(bars().rename(columns=JAPANESE))
WIDE_DIGITS = str.maketrans("0123456789", "０１２３４５６７８９")
HEADER, FIRST, *_ = text().splitlines()
DECIMALS = "Date;Code;Open;High;Low;Close;Volume\n"
US = {"Code": {code: f"US{code}" for code in CODES}}

DIALECTS = [
    csv("as it is", text()),
    csv("cp932", JAPANESE_TEXT, encoding="cp932"),
    csv("EUC", JAPANESE_TEXT, encoding="euc_jp"),
    csv("UTF-8 with byte order mark", JAPANESE_TEXT, encoding="utf-8-sig"),
    csv("UTF-16", text(), encoding="utf-16"),
    csv("UTF-16 without mark", text(), encoding="utf-16-le", file="bars.txt"),
    csv("semicolons", text(sep=";")),
    csv("tabs", text(sep="\t"), file="bars.tsv"),
    csv("tabs in .txt", text(sep="\t"), file="bars.txt"),
    csv("vertical bars", text(sep="|")),
    csv("lines end in CR LF", text().replace("\n", "\r\n")),
    csv("every field quoted", text(quoting=1)),
    csv("gzip", gzip.compress(text().encode()), file="bars.csv.gz"),
    csv("zip of one file", packed(text()), file="bars.zip"),
    csv("zip of two files", packed(text(), 2), file="bars.zip", refused="holds 2 files ['prices0.csv', 'prices1.csv']"),
    csv("a title above", "Prices of the Tokyo market\n\n" + text(), shown=(0, 2, 3)),
    csv("a total below", text() + "合計,,,,,,60000\n", said="left out below the table: '合計'", shown=(0, 60, 61)),
    csv("a remark below", text() + "Source: made up,,,,,,\n", said="left out below the table", shown=(0, 60, 61)),
    csv(
        "units below the header",
        text().replace("\n", "\n,,円,円,円,円,株\n", 1),
        said="left out below the header: '円 円 円 円'",
        shown=(0, 1, 2),
    ),
    csv(
        "units and forms below the header",
        text().replace("\n", "\n(yyyy-mm-dd),(4桁),JPY,JPY,JPY,JPY,shares\n", 1),
        said="left out below the header: '(yyyy-mm-dd) JPY JPY JPY JPY'",
        shown=(0, 1, 2),
    ),
    csv(
        "the header again between the rows",
        "\n".join([*text().splitlines()[:31], HEADER, *text().splitlines()[31:]]),
        said="left out: the header, repeated in 1 rows",
        shown=(0, 30, 31, 32),
    ),
    csv("separators at the end", text().replace("\n", ",\n")),
    csv("separators at the end of rows", text().replace("\n", ",\n").replace(",\n", "\n", 1)),
    csv("spaces after separators", text().replace(",", ", ")),
    csv("an index", str(bars().to_csv())),
    csv("full-width codes", text(bars().assign(Code=lambda t: t["Code"].str.translate(WIDE_DIGITS)))),
    csv(
        "full-width prices",
        text(bars().assign(Close=lambda t: t["Close"].astype("str").str.translate(WIDE_DIGITS))),
    ),
    csv("separators of thousands", text(bars().assign(Close=lambda t: t["Close"].map("{:,.0f}".format)))),
    csv("currency signs", text(bars().assign(Close=lambda t: t["Close"].map("¥{:,.0f}".format)))),
    csv("dollars", text(bars().assign(Close=lambda t: t["Close"].map("${:,.2f}".format)))),
    csv(
        "prices in 円, volume in 株",
        text(bars().assign(Close=lambda t: t["Close"].map("{:,.0f}円".format), Volume="1,000株")),
    ),
    csv("volume as 1.00K", text(bars().assign(Volume="1.00K"))),
    csv("decimal commas", text(sep=";", decimal=",")),
    csv(
        "commas that may be thousands or decimals",
        DECIMALS + "2020-06-01;A;1,234;1,240;1,230;1,236;5\n",
        refused='may be a thousand or a decimal number. Say which in the catalog entry: load_args: {decimal: ","}',
    ),
    csv(
        "decimal commas between commas",
        HEADER + "\n2020-06-01,A,12,5,13,0,12,0,12,5,100\n",
        refused='Name separator and decimal sign in the catalog entry: load_args: {sep: ";", decimal: ","}',
    ),
    csv(
        "columns of spaces",
        "Date Code Open High Low Close Volume\n2020-06-01 A 1 1 1 1 5\n",
        refused='Name its separator in the catalog entry: load_args: {sep: " "}',
    ),
    csv("columns of spaces, named", text(sep=" "), options={"load_args": {"sep": " "}}),
    csv(
        "an unknown encoding",
        text().encode() + b"caf\xe9\xff\xff,\xff\n",
        refused="Name its encoding in the catalog entry: load_args: {encoding: latin-1}",
    ),
    csv("a misspelt argument", text(), options={"load_args": {"encodng": "x"}}, refused="load_args has ['encodng']"),
    csv(
        "an encoding that does not exist",
        text(),
        options={"load_args": {"encoding": "utf9"}},
        refused="load_args has the unknown encoding 'utf9'",
    ),
    csv("half a gzip", gzip.compress(text().encode())[:200], file="bars.csv.gz", refused="bars.csv.gz: "),
    csv("nothing", "", refused="no column for date, code, open, high, low, close, volume"),
    csv("a header alone", HEADER + "\n", refused="no rows. Check the file"),
]

DATES = [
    csv("2020年06月01日", text(dated("%Y年%m月%d日"))),
    csv("令和2年6月1日", text(dated(lambda day: f"令和{day.year - 2018}年{day.month}月{day.day}日"))),
    csv("R2.6.1", text(dated(lambda day: f"R{day.year - 2018}.{day.month}.{day.day}"))),
    csv("2020/06/01(月)", text(dated("%Y/%m/%d(月)"))),
    csv("20200601", text(dated("%Y%m%d"))),
    csv("2020-06-01 00:00:00", text(dated("%Y-%m-%d 00:00:00"))),
    csv(
        "day first, no day beyond the 12th",
        text(dated("%d/%m/%Y")),
        refused="may be day or month first: row 0: '01/06/2020'",
    ),
    csv("day first, said", text(dated("%d/%m/%Y")), options={"load_args": {"dayfirst": True}}),
    csv("month first, said", text(dated("%m/%d/%Y")), options={"load_args": {"dayfirst": False}}),
    csv(
        "two digits of the year",
        text(dated("%y/%m/%d")),
        refused='such as load_args: {date_format: "%d/%m/%y"}',
    ),
    csv("two digits of the year, said", text(dated("%y/%m/%d")), options={"load_args": {"date_format": "%y/%m/%d"}}),
    csv("01-Jun-2020", text(dated("%d-%b-%Y"))),
    csv("Jun 01, 2020", text(dated("%b %d, %Y"))),
    csv("seconds since 1970", text(dated(lambda day: str(int(day.timestamp()))))),
    csv("milliseconds since 1970", text(dated(lambda day: str(1000 * int(day.timestamp()))))),
    csv(
        "numbers of a spreadsheet",
        text(dated(lambda day: str((day - pd.Timestamp("1899-12-30")).days))),
        refused="are not dates",
    ),
    csv("a day that does not exist", changed("Date", 3, "2020-06-31"), refused="row 21: '2020-06-31'"),
    csv("midnight in Tokyo as UTC", text(dated(lambda day: f"{day - pd.Timedelta(hours=9):%Y-%m-%dT%H:%M:%S}Z"))),
    csv("midnight with its offset", text(dated("%Y-%m-%dT00:00:00+09:00"))),
    csv(
        "midnight in Tokyo as UTC, unsaid",
        text(dated(lambda day: f"{day - pd.Timedelta(hours=9):%Y-%m-%d %H:%M:%S}")),
        said="stamps without an offset read as UTC in Asia/Tokyo",
    ),
    csv(
        "midnight in UTC of another market",
        text(bars().replace(US).assign(Date=lambda t: t["Date"] + "T00:00:00Z")),
        settings={"timezone": "America/New_York"},
        codes=tuple(f"US{code}" for code in CODES),
        said="stamps by the date they show",
    ),
    csv(
        "dates a day early",
        text(dated(lambda day: f"{day - pd.Timedelta(days=1):%Y-%m-%d}")),
        refused="fall on Sundays and never on Fridays",
    ),
    csv(
        "three bars a session",
        text(pd.concat([dated(f"%Y-%m-%dT{hour}:00:00+09:00") for hour in ("09", "10", "11")])),
        refused="these are hourly bars, not daily ones: 60 stock-days have several",
    ),
    csv("no date in a row", changed("Date", 3, ""), refused="1 rows have prices but no date: row 21: 4030.0"),
]

CODE_CASES = [
    csv(name, text(bars().assign(Code=lambda t, form=form: t["Code"].map(form))), codes=codes)
    for name, form, codes in (
        ("1301.T", "{}.T".format, TOKYO),
        ("13010", "{}0".format, TOKYO),
        ("1301.0", "{}.0".format, TOKYO),
        ("1301 JP Equity", "{} JP Equity".format, TOKYO),
        ("TYO:1301", "TYO:{}".format, TOKYO),
        ("'1301", "'{}".format, TOKYO),
        ("codes with leading zeros", "0{}".format, tuple(f"0{code}" for code in CODES)),
    )
] + [
    csv(
        "tickers that look like missing values",
        text(bars(("1E5", "NA", "NAN", "NULL", "TRUE"))),
        codes=("1E5", "NA", "NAN", "NULL", "TRUE"),
    ),
    csv("one code for several stocks", text(bars().assign(Code="1301")), refused="share date and code"),
    csv("no code in a row", changed("Code", 3, ""), refused="1 rows have prices but no code"),
]

COLUMNS = [
    csv(name, text(bars().rename(columns=names)))
    for name, names in (
        ("Stooq", {"Date": "<DATE>", "Code": "<TICKER>", **{n: f"<{n.upper()}>" for n in PRICES}, "Volume": "<VOL>"}),
        ("Qlib", {"Date": "datetime", "Code": "instrument"}),
        ("Symbol", {"Code": "Symbol"}),
        (
            "CRSP",
            {"Code": "permno", "Open": "OPENPRC", "High": "ASKHI", "Low": "BIDLO", "Close": "PRC", "Volume": "VOL"},
        ),
        (
            "Compustat",
            {
                "Date": "datadate",
                "Code": "ticker",
                "Open": "prcod",
                "High": "prchd",
                "Low": "prcld",
                "Close": "prccd",
                "Volume": "cshtrd",
            },
        ),
        (
            "Refinitiv",
            {
                "Date": "Exchange Date",
                "Code": "Instrument",
                "Open": "OPEN_PRC",
                "High": "HIGH_1",
                "Low": "LOW_1",
                "Close": "TRDPRC_1",
                "Volume": "ACVOL_UNS",
            },
        ),
        ("Polygon", {"Date": "t", "Code": "ticker", "Open": "o", "High": "h", "Low": "l", "Close": "c", "Volume": "v"}),
        (
            "Alpha Vantage",
            {
                "Date": "timestamp",
                "Code": "symbol",
                "Open": "1. open",
                "High": "2. high",
                "Low": "3. low",
                "Close": "4. close",
                "Volume": "5. volume",
            },
        ),
        (
            "AkShare",
            {
                "Date": "日期",
                "Code": "股票代码",
                "Open": "开盘",
                "High": "最高",
                "Low": "最低",
                "Close": "收盘",
                "Volume": "成交量",
            },
        ),
        ("Investing", {"Close": "Price", "Volume": "Vol."}),
        ("TradingView", {"Date": "time"}),
    )
] + [
    csv(
        "two moving averages of one name",
        text(bars().rename(columns=JAPANESE).assign(a=1, b=2)).replace(",a,b", ",5日平均,5日平均"),
    ),
    csv("Close twice", text().replace("Volume", "Close", 1), refused="the header has ['Close'] more than once"),
    csv("two closes", text(bars().assign(**{"Close Price": 1})), refused="all mean 'close'"),
    csv("no volume", text(bars().drop(columns="Volume")), refused="no column for volume"),
    csv("an unknown name", text(bars().rename(columns={"Close": "Schluss"})), refused="columns: {'THEIR_NAME': close}"),
    csv(
        "an unknown name, mapped",
        text(bars().rename(columns={"Close": "Schluss"})),
        options={"columns": {"Schluss": "close"}},
    ),
    csv(
        "High and Close changed places",
        text(bars().rename(columns={"High": "Close", "Close": "High"})),
        refused="the columns of prices are probably mixed up",
    ),
    csv(
        "High and Low changed places",
        text(bars().rename(columns={"High": "Low", "Low": "High"})),
        refused="the columns of prices are probably mixed up",
    ),
]

SHAPES = [
    csv("yfinance", wide().to_csv(), shown=(0, 1, 2, 3)),
    csv("yfinance by ticker", wide("code").to_csv(), shown=(0, 1, 2, 3)),
    csv("yfinance as Parquet", wide().reset_index(), file="bars.parquet"),
    csv("joined names", joined("_")),
    csv(
        "joined names, code first",
        wide("code").pipe(lambda t: t.set_axis(["|".join(pair) for pair in t.columns], axis=1)).to_csv(),
    ),
    csv(
        "tickers spelt as fields",
        bars(("V", "C", "AAPL", "MSFT", "NKE", "DIS"))
        .set_index(["Date", "Code"])
        .unstack("Code")
        .rename_axis(columns=["Price", "Ticker"])
        .to_csv(),
        codes=("AAPL", "C", "DIS", "MSFT", "NKE", "V"),
        close=(3000, 2000, 6000, 4000, 5000, 1000),
        shown=(0, 1, 2, 3),
    ),
    csv("long Parquet with its keys in the index", bars().set_index(["Date", "Code"]), file="bars.parquet"),
    Case("one file per code", per_code()),
    Case("one file per code, Yahoo Japan", per_code("{}.csv", {k: v for k, v in JAPANESE.items() if k != "Code"})),
    Case("one table per field", per_field()),
    Case(
        "one table per field, one missing",
        {name: content for name, content in per_field().items() if name != "low.csv"},
        refused="but none of ['low']",
    ),
    csv("a table of one field", "日付,1301,1338\n2020-06-01,1000,2000\n", refused="Put one such file per field"),
    csv("no Parquet", b"no parquet", file="bars.parquet", refused="bars.parquet"),
]

VALUES = [
    csv(f"{dash or 'nothing'} for no value", changed("Close", 3, dash), missing=(("14120", 3), ("14120", 4)))
    for dash in ("-", "--", "---", "－", "―", "−", "ー", "N/A", "null", "")
] + [
    csv(
        "a price that is no number",
        changed("Close", 3, "x4030"),
        refused="column 'close' has 1 values that are not numbers: row 21: 'x4030'",
    ),
    csv("a close of 0", changed("Close", 3, 0), issues={"close_not_positive": 1}, missing=(("14120", 3), ("14120", 4))),
    csv(
        "a negative close",
        changed("Close", 3, -4030),
        issues={"close_not_positive": 1},
        missing=(("14120", 3), ("14120", 4)),
    ),
    csv(
        "a close times ten",
        changed("Close", 3, 40300),
        issues={"close_far_outside": 1},
        missing=(("14120", 3), ("14120", 4)),
    ),
    csv("volumes of 0", changed("Volume", 3, 0), issues={"zero_volume_with_range": 1}),
    csv(
        "no volume at all",
        text(bars().assign(Volume=0, Open=lambda t: t["Close"], High=lambda t: t["Close"], Low=lambda t: t["Close"])),
        refused="has a price and a volume above 0",
    ),
    csv(
        "a rate of turnover",
        text(bars().assign(Turnover=lambda t: 0.001 + 0.002 * (t["Close"] % 7))),
        said="a rate and no value",
    ),
    csv(
        "a value in thousands",
        text(bars().assign(Turnover=lambda t: t["Close"] * t["Volume"] / 1000)),
        said="multiplied by 10^3",
    ),
    csv("limit prices", text(bars().assign(limit_up=lambda t: t["Close"] * 1.1)), said="a price in this source"),
    csv("the last session again", repeated(), issues={"exact_duplicate": 6}),
    csv("the last session again, another volume", repeated(Volume=980), issues={"repeated_bar": 6}),
    csv(
        "the last session again, other prices",
        repeated(Close=5.0),
        refused="6 of 6 stocks have rows with different prices",
    ),
    csv(
        "a history restated after a split",
        text(pd.concat([bars(), bars(("1301",)).assign(**{name: bars(("1301",))[name] / 2 for name in PRICES})])),
        issues={"restated_bar": 10},
        close=(500, 2000, 3000, 4000, 5000, 6000),
    ),
    csv(
        "the newest row first",
        text(bars().iloc[::-1]),
    ),
]

SPLITS = [
    csv("a factor on the ex-date", with_factor(0.5, SPLIT_DAY), said="as the source gives it", shown=(0, 34)),
    csv(
        "a factor one row early",
        with_factor(0.5, SPLIT_DAY - 1),
        said="on the row before",
        issues={"adj_factor_shifted": 1},
        shown=(0, 28),
    ),
    csv("new shares per old one", with_factor(2.0, SPLIT_DAY), said="the inverse is taken", shown=(0, 34)),
    csv(
        "new shares per old one, one row early",
        with_factor(2.0, SPLIT_DAY - 1),
        issues={"adj_factor_shifted": 1},
        said="inverted and moved",
        shown=(0, 28),
    ),
    csv(
        "a factor on another row",
        with_factor(0.5, 2),
        refused="adj_factor does not fit the prices at 100% of its events",
        shown=(0, 16),
    ),
    csv("a cumulative factor, Tushare", with_level(51.67, 103.34), said="cumulative", shown=(0, 34)),
    csv("a cumulative factor, CRSP", with_level(2.0, 1.0), said="cumulative", shown=(0, 34)),
    csv(
        "a cumulative factor of adjusted prices",
        with_level(51.67, 103.34, bars()),
        said="adjusted already",
        shown=(0, 34),
    ),
    csv(
        "two for one, no factor",
        text(split_bars()),
        issues={"jump_near_half": 1},
        missing=(("14120", SPLIT_DAY),),
        shown=(0, 28, 34),
    ),
    csv(
        "three for two, no factor",
        text(split_bars(ratio=1.5)),
        issues={"jump_near_part": 1},
        missing=(("14120", SPLIT_DAY),),
        shown=(0, 28, 34),
    ),
    csv(
        "ten for one, no factor",
        text(split_bars(ratio=10)),
        issues={"jump_split_like": 1},
        missing=(("14120", SPLIT_DAY),),
        shown=(0, 28, 34),
    ),
    csv(
        "one for five, no factor",
        text(split_bars(ratio=0.2)),
        issues={"jump_split_like": 1},
        missing=(("14120", SPLIT_DAY),),
        shown=(0, 28, 34),
    ),
] + [
    csv(f"{name}", with_adjusted_close(name), said="1 events derived from steps of adj_close / close", shown=(0, 34))
    for name in (
        "Adj Close",
        "Adj Close*",
        "Adj Close**",
        "AdjC",
        "Adjusted_Close",
        "調整後終値",
        "調整後終値*",
        "終値調整",
        "終値調整値",
        "終値(調整後)",
    )
]

PARTS: dict[str, list[Case]] = {
    "Dialects": DIALECTS,
    "Dates": DATES,
    "Codes": CODE_CASES,
    "Columns": COLUMNS,
    "Shapes": SHAPES,
    "Values and rows": VALUES,
    "Splits": SPLITS,
}
CASES = [case for part in PARTS.values() for case in part]

HEAD = """# Price files: what is read, what is refused

After this page you can say whether a file of prices is read, and what comes out of it.

Each row is a file of six stocks and ten sessions that the tests read (`tests/market/cases/input_cases.py`, from which
this page is generated). *Read* means: every return is that of the market, except those that are said to be missing.
What was done is in the quality report: notes in italics, counts by [name](data_rules.md). A refusal is one sentence;
these are words of it.
"""


def page() -> str:
    """The page as the table has it."""
    parts = [HEAD]
    for title, cases in PARTS.items():
        rows = [f"| {_cell(case.name)} | {_shown(case)} | {_outcome(case)} |" for case in cases]
        parts.append("\n".join([f"## {title}\n", "| file | shown | what comes out |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def _code(words: str) -> str:
    plain = words.replace("|", "¦").replace("\t", "→").replace("`", "'")
    return f"`{plain[:70]}{'…' if len(plain) > 70 else ''}`" if plain.strip() else ""


def _shown(case: Case) -> str:
    name, content = next(iter(case.files.items()))
    options = [_code(f"{key}: {value}") for key, value in {**case.options, **case.settings}.items()]
    if len(case.files) > 1:
        return "<br>".join([f"folder of {_code(', '.join(case.files))}", _code(str(content).splitlines()[0]), *options])
    if not isinstance(content, str):
        return "<br>".join([_code(name), *options])
    lines, plain = content.splitlines(), set(text().splitlines())
    other = next((row for row, line in enumerate(lines) if row and line not in plain), 1)
    return "<br>".join(
        filter(None, [*(_code(lines[row]) for row in case.shown or (0, other) if row < len(lines)), *options])
    )


def _outcome(case: Case) -> str:
    if case.refused:
        return f"refused: {_cell(case.refused)}"
    missing = ", ".join(f"{code} on {DAYS[session]:%m-%d}" for code, session in case.missing)
    counts = [f"`{name}` {rows}" for name, rows in case.issues.items()]
    done = [f"return missing: {missing}" if missing else "", f"*{_cell(case.said)}*" if case.said else "", *counts]
    return "; ".join(["read", *filter(None, done)])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
