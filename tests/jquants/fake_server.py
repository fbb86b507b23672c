"""J-Quants V2 on this machine: pages, keys, plans, limits and faults, over the tables of the sample market.

Written from the documentation of the service; it was never compared with the service itself.
"""

import csv
import gzip
import io
import json
import secrets
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pandas as pd

from gogooku_kedro.exchange.calendar import OUTAGES
from gogooku_kedro.jquants.endpoints import ENDPOINTS, OFFICIAL
from gogooku_kedro.jquants.plans import PLANS, SMALLEST_PLAN

Row = dict[str, Any]
KEY = "marker-key-0123456789abcdef"
_HOURS = {"bars": 16.5, "listed_issues": 8.0, "statements": 18.0, "investor_flows": 18.0}
_PREMIUM_COLUMNS = [name for name in OFFICIAL["bars"] if name[0] in "MA" and not name.startswith("Adj")]


class VirtualClock:
    """A clock that only sleeping moves."""

    def __init__(self, tokyo: str) -> None:
        self._now = pd.Timestamp(tokyo, tz="Asia/Tokyo").timestamp()
        self.slept: list[float] = []

    def time(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds

    def set(self, tokyo: str) -> None:
        self._now = pd.Timestamp(tokyo, tz="Asia/Tokyo").timestamp()


class WallClock:
    """The clock of this machine."""

    def time(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ServedMarket:
    """The tables of a sample market as J-Quants answers them, with the rows that it would have beside stocks."""

    def __init__(self, tables: dict[str, pd.DataFrame], *, outage_is_open: bool = True) -> None:
        self.tables = tables
        bars = tables["bars"].merge(_adjusted(tables["bars"]), left_index=True, right_index=True)
        self.sessions = [day for day in sorted(bars["Date"].unique()) if day not in OUTAGES]
        self._all_days = sorted(bars["Date"].unique())
        self.rows: dict[str, dict[str, list[Row]]] = {
            "bars": _by_day(bars, "Date", OFFICIAL["bars"]),
            "statements": _by_day(tables["statements"], "DiscDate", OFFICIAL["statements"], blank=""),
            "market_index": _by_day(tables["market_index"], "Date", OFFICIAL["market_index"]),
            "investor_flows": _by_day(tables["investor_flows"], "PubDate", OFFICIAL["investor_flows"]),
            "margin_balances": _by_day(tables["margin_balances"], "Date", OFFICIAL["margin_balances"]),
            "calendar": self._calendar(outage_is_open),
            "sector_indices": {},
            "short_ratio": {},
        }
        for day in self.sessions:
            text = f"{day:%Y-%m-%d}"
            self.rows["sector_indices"][text] = [{"Date": text, "Code": "0040", "O": 1.0, "H": 2.0, "L": 1.0, "C": 2.0}]
            ratio = {"Date": text, "S33": "0050", "SellExShortVa": 5.0, "ShrtWithResVa": 3.0, "ShrtNoResVa": 1.0}
            self.rows["short_ratio"][text] = [ratio]
        self.rows["listed_issues"] = {f"{day:%Y-%m-%d}": self._master(day) for day in self._all_days}

    def _calendar(self, outage_is_open: bool) -> dict[str, list[Row]]:
        first, last = f"{self.sessions[0].year - 6}-01-01", f"{self.sessions[-1].year + 1}-12-31"
        from gogooku_kedro.exchange.calendar import sessions

        open_days = set(sessions(first, last)) | (set(OUTAGES) if outage_is_open else set())
        days = pd.date_range(first, last)
        return {f"{d:%Y-%m-%d}": [{"Date": f"{d:%Y-%m-%d}", "HolDiv": str(int(d in open_days))}] for d in days}

    def _master(self, day: pd.Timestamp) -> list[Row]:
        if not hasattr(self, "_listed"):
            self._listed = dict(list(self.tables["bars"].groupby("Date")["Code"]))
        codes = set(self._listed[day])
        known = self.tables["listed_issues"]
        state = known[known["Date"] <= day].drop_duplicates("Code", keep="last")
        state = state[state["Code"].isin(codes)].assign(Date=day)
        rows = _records(state, OFFICIAL["listed_issues"], blank="")
        return [row | {"ProdCat": "011", "Mrgn": "2", "MrgnNm": "貸借"} for row in rows]


@dataclass
class Fault:
    """What goes wrong: `kind` for the next `times` requests of a path, after `after` good ones."""

    kind: str
    path: str = ""
    times: int = 1
    after: int = 0
    column: str = ""


@dataclass
class FakeServer:
    """State of a running server; `requests` are (seconds, path, query) without the key.

    Attributes:
        market: What is served.
        clock: Time of the service.
        plan: Plan of the key.
        page_bytes: Size at which an answer is cut.
        limited: Whether the rate is held.
    """

    market: ServedMarket
    clock: VirtualClock | WallClock
    plan: str = "premium"
    page_bytes: int = 5_000_000
    limited: bool = True
    key: str = KEY
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[float, str, dict[str, str]]] = field(default_factory=list)
    pages: dict[tuple[str, str], int] = field(default_factory=dict)
    refused: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._tokens: dict[str, tuple[str, str, int]] = {}
        self._files: dict[str, tuple[float, str]] = {}
        self._times: dict[str, deque[float]] = {"": deque(), "/fins/summary": deque()}
        self._lock = threading.Lock()

    def calls(self, path: str = "") -> list[dict[str, str]]:
        """Queries so far, further pages left out."""
        return [q for _, p, q in self.requests if p.startswith(path) and "pagination_key" not in q]

    def over_limit(self, path: str) -> bool:
        if not self.limited:
            return False
        now, over = self.clock.time(), False
        for name, limit in (("", PLANS[self.plan].calls_per_minute), ("/fins/summary", 60)):
            if name not in ("", path):
                continue
            times = self._times[name]
            while times and now - times[0] >= 60:
                times.popleft()
            over |= len(times) >= limit
            times.append(now)
        self.refused += over
        return over

    def fault(self, path: str) -> Fault | None:
        for fault in self.faults:
            if not path.startswith(fault.path) or fault.times <= 0:
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.times -= 1
            return fault
        return None

    def answer(self, path: str, query: dict[str, str], key: str) -> tuple[int, dict[str, Any]]:  # noqa: PLR0911
        """Status and body for a request."""
        if not key:
            return 403, {"message": "The api key is required"}
        if key != self.key:
            return 403, {"message": "The incoming api key is invalid or expired."}
        names = {endpoint.path: name for name, endpoint in ENDPOINTS.items()}
        if path.startswith("/bulk/"):
            return self._bulk(path, query, names)
        if path not in names:
            return 403, {"message": "The requested endpoint does not exist. Please check the URL, HTTP method"}
        name = names[path]
        if not PLANS[self.plan].includes(SMALLEST_PLAN[name]):
            return 403, {"message": "This API is not available on your subscription. See https://jpx-jquants.com/"}
        if name in ("bars", "statements", "margin_balances", "short_ratio", "sector_indices") and not (
            {"date", "code", "s33"} & set(query)
        ):
            return 400, {"message": "This API requires at least 1 parameter as follows; date, code"}
        first, last = PLANS[self.plan].window(self._now())
        asked = [query[part] for part in ("date", "from", "to") if part in query]
        outside = [day for day in asked if not f"{first:%Y-%m-%d}" <= day <= f"{last:%Y-%m-%d}"]
        if outside and name != "calendar":
            until = f"{last:%Y-%m-%d}" if PLANS[self.plan].delay_weeks else ""
            covered = f"Your subscription covers the following dates: {first:%Y-%m-%d} ~ {until}. "
            return 400, {
                "message": covered + "If you want more data, please check other plans: https://jpx-jquants.com/"
            }
        return self._page(path, query, [self._shaped(name, row) for row in self._rows(name, query, first, last)])

    def _rows(self, name: str, query: dict[str, str], first: pd.Timestamp, last: pd.Timestamp) -> list[Row]:
        by_day = self.market.rows[name]
        day = query.get("date", "")
        if name == "listed_issues" and day and day not in by_day:
            day = next((later for later in by_day if later > day), "")
        low, high = day or query.get("from", f"{first:%Y-%m-%d}"), day or query.get("to", f"{last:%Y-%m-%d}")
        chosen = [day] if day in by_day else [d for d in by_day if low <= d <= high]
        rows = [row for d in chosen if self._is_out(name, d) for row in by_day[d]]
        code = query.get("code", "")
        return [row for row in rows if row["Code"] == (code if len(code) == 5 else code + "0")] if code else rows

    def _is_out(self, name: str, day: str) -> bool:
        if name == "calendar":
            return True
        date = pd.Timestamp(day)
        if name == "margin_balances":
            date = next((d for d in self.market.sessions if d > date + pd.Timedelta(days=1)), date)
        return date + pd.Timedelta(hours=_HOURS.get(name, 16.5)) <= self._now()

    def _shaped(self, name: str, row: Row) -> Row:
        if name == "bars" and self.plan != "premium":
            return {column: value for column, value in row.items() if column not in _PREMIUM_COLUMNS}
        return row

    def _page(self, path: str, query: dict[str, str], rows: list[Row]) -> tuple[int, dict[str, Any]]:
        asked = json.dumps([path, {k: v for k, v in sorted(query.items()) if k != "pagination_key"}])
        start = 0
        if "pagination_key" in query:
            known = self._tokens.pop(query["pagination_key"], None)
            if known is None or known[0] != asked:
                return 400, {"message": "The pagination_key is invalid."}
            start = known[2]
        size, stop = 0, start
        while stop < len(rows) and (size == 0 or size < self.page_bytes):
            size += len(json.dumps(rows[stop]))
            stop += 1
        self.pages[path, asked] = self.pages.get((path, asked), 0) + 1
        body: dict[str, Any] = {"data": rows[start:stop]}
        if stop < len(rows):
            token = secrets.token_urlsafe(12)
            self._tokens[token] = (asked, path, stop)
            body["pagination_key"] = token
        return 200, body

    def _bulk(self, path: str, query: dict[str, str], names: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if not PLANS[self.plan].bulk:
            return 403, {"message": "This API is not available on your subscription."}
        if path == "/bulk/get":
            token = secrets.token_urlsafe(8)
            self._files[token] = (self.clock.time() + 300, query["key"])
            return 200, {"url": f"{self.url.removesuffix('/v2')}/files/{token}"}
        name = names[query["endpoint"]]
        first, last = PLANS[self.plan].window(self._now())
        days = [d for d in self.market.rows[name] if f"{first:%Y-%m-%d}" <= d <= f"{last:%Y-%m-%d}"]
        now_month = f"{self._now():%Y-%m}"
        months = sorted({day[:7] for day in days if self._is_out(name, day)} - {now_month})
        items = [f"historical/{m[:4]}/{name}_{m.replace('-', '')}.csv.gz" for m in months]
        return 200, {"data": [{"Key": f"x/{key}", "LastModified": f"{self._now()}", "Size": 1} for key in items]}

    def file(self, token: str) -> bytes | None:
        """CSV of a bulk file, None when its address has expired."""
        expires, key = self._files.get(token, (0.0, ""))
        if self.clock.time() > expires:
            return None
        name, month = key.rpartition("/")[2].removesuffix(".csv.gz").rsplit("_", 1)
        month = f"{month[:4]}-{month[4:]}"
        text = io.StringIO()
        columns = [c for c in OFFICIAL[name] if self.plan == "premium" or c not in _PREMIUM_COLUMNS]
        writer = csv.DictWriter(text, columns, extrasaction="ignore")
        writer.writeheader()
        for day, rows in self.market.rows[name].items():
            if day.startswith(month) and self._is_out(name, day):
                writer.writerows([{k: "" if v is None else v for k, v in row.items()} for row in rows])
        return gzip.compress(text.getvalue().encode())

    def _now(self) -> pd.Timestamp:
        return pd.Timestamp(self.clock.time(), unit="s", tz="Asia/Tokyo").tz_localize(None)


@contextmanager
def serving(server: FakeServer) -> Iterator[FakeServer]:
    """Run a server on a free port of this machine."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}/v2"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _handler(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = dict(parse_qsl(address.query))
            if address.path.startswith("/files/"):
                assert "x-api-key" not in self.headers
                content = server.file(address.path.removeprefix("/files/"))
                self._send(
                    *((403, b"expired", "text/plain") if content is None else (200, content, "application/gzip"))
                )
                return
            path = address.path.removeprefix("/v2")
            with server._lock:
                server.requests.append((server.clock.time(), path, query))
                if server.over_limit(path):
                    status, body, fault = 429, {"message": "Rate limit exceeded."}, None
                else:
                    fault = server.fault(path)
                    status, body = server.answer(path, query, self.headers.get("x-api-key", ""))
            if fault is None:
                self._send_json(status, body)
            else:
                FAULTS[fault.kind](self, server, fault, body)

        def _send_json(self, status: int, body: Any, kind: str = "application/json") -> None:
            content = json.dumps(body).encode()
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                self._send(status, gzip.compress(content, 1), kind, encoding="gzip")
            else:
                self._send(status, content, kind)

        def _send(self, status: int, content: bytes, kind: str, encoding: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            if encoding:
                self.send_header("Content-Encoding", encoding)
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _reset(handler: Any, *_: Any) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def _timeout(handler: Any, *_: Any) -> None:
    time.sleep(0.6)  # tests set the client's timeout below it
    handler.close_connection = True


def _truncated(handler: Any, _: Any, __: Any, body: Any) -> None:
    content = gzip.compress(json.dumps(body).encode())
    handler._send(200, content[: len(content) // 2], "application/json", encoding="gzip")


def _revoked(handler: Any, server: FakeServer, *_: Any) -> None:
    server.key = "another"
    handler._send_json(403, {"message": "The incoming api key is invalid or expired."})


def _status(status: int) -> Callable[..., None]:
    def send(handler: Any, *_: Any) -> None:
        handler._send_json(status, {"message": "Unexpected error. Please try again later."})

    return send


def _columns(change: Callable[[Row, str], Row]) -> Callable[..., None]:
    def send(handler: Any, _: Any, fault: Fault, body: Any) -> None:
        handler._send_json(200, body | {"data": [change(dict(row), fault.column) for row in body["data"]]})

    return send


FAULTS: dict[str, Callable[..., None]] = {
    **{str(status): _status(status) for status in (429, 500, 503)},
    "reset": _reset,
    "timeout": _timeout,
    "truncated gzip": _truncated,
    "invalid JSON": lambda handler, *_: handler._send(200, b'{"data": [', "application/json"),
    "wrong content type": lambda handler, *_: handler._send(200, b"<html>maintenance</html>", "text/html"),
    "missing column": _columns(lambda row, name: {k: v for k, v in row.items() if k != name}),
    "extra column": _columns(lambda row, name: row | {name: 1}),
    "not a number": _columns(lambda row, name: row | {name: "n/a"}),
    "empty": lambda handler, *_: handler._send_json(200, {"data": []}),
    "short": lambda handler, _, __, body: handler._send_json(200, {"data": body["data"][: len(body["data"]) // 2]}),
    "stale pagination key": lambda handler, *_: handler._send_json(400, {"message": "The pagination_key is invalid."}),
    "revoked": _revoked,
    "not subscribed": lambda handler, *_: handler._send_json(
        403, {"message": "This API is not available on your subscription. See the plans."}
    ),
}
"""What a fault does instead of the answer."""


def _adjusted(bars: pd.DataFrame) -> pd.DataFrame:
    """Prices times the factors of later ex-dates, with one decimal, as the service restates them."""
    ordered = bars.sort_values(["Code", "Date"], ascending=[True, False])
    product = ordered.groupby("Code")["AdjFactor"].cumprod() / ordered["AdjFactor"]
    product = product.reindex(bars.index)
    adjusted = {f"Adj{name}": (bars[name] * product).round(1) for name in ("O", "H", "L", "C")}
    return pd.DataFrame(adjusted | {"AdjVo": bars["Vo"] / product})


def _records(frame: pd.DataFrame, columns: tuple[str, ...], blank: str | None = None) -> list[Row]:
    frame = frame.reindex(columns=list(columns))
    for name in frame:
        if pd.api.types.is_datetime64_any_dtype(frame[name].dtype):
            frame[name] = frame[name].dt.strftime("%Y-%m-%d")
    values = frame.astype(object).where(frame.notna(), blank)
    return values.to_dict("records")  # type: ignore[return-value]


def _by_day(frame: pd.DataFrame, day: str, columns: tuple[str, ...], blank: str | None = None) -> dict[str, list[Row]]:
    rows = _records(frame, columns, blank)
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[day], []).append(row)
    return dict(sorted(found.items()))


def split_of(tables: dict[str, pd.DataFrame], after: str) -> tuple[str, str]:
    """Date and code of the first split of a market after a date."""
    bars = tables["bars"][tables["bars"]["Date"] > after]
    events = bars[~np.isclose(bars["AdjFactor"], 1.0)]
    return f"{events['Date'].iloc[0]:%Y-%m-%d}", str(events["Code"].iloc[0])
