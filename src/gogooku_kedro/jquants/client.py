"""The official J-Quants client, with a rate limit, retries and errors that say what to do."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import requests
import yaml
from jquantsapi import ClientV2, __version__
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.util import Retry

from gogooku_kedro.jquants.plans import Limiter, Plan

BASE_URL = "https://api.jquants.com/v2"
CLIENT_VERSION = str(__version__)
KEY_VARIABLE = "JQUANTS_API_KEY"
KEY_FILE = "conf/local/credentials.yml"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_TIMEOUT = (10, 60)  # seconds to connect, seconds between two bytes
_WAITS_RATE = (60.0, 90.0, 120.0)
_WAITS_FAILURE = (2.0, 4.0, 8.0, 16.0, 32.0)
_RESTARTS = 3  # of a paginated answer whose key was refused
_OWN_LIMITS = {"/fins/summary": 60}  # calls a minute on every plan, beside the plan's
_TRANSPORT = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.ChunkedEncodingError,
    Urllib3Error,
)


class JQuantsError(RuntimeError):
    """A request that did not bring what was asked for; the text says what to do. It never holds the key."""


class KeyRejected(JQuantsError):
    """There is no key, or the service does not take it."""


class NotSubscribed(JQuantsError):
    """The plan does not have this table."""


class OutsideSubscription(JQuantsError):
    """The plan does not have these dates; `first` and `last` are the ones it has, None where not said."""

    def __init__(self, message: str, first: pd.Timestamp | None, last: pd.Timestamp | None) -> None:
        super().__init__(message)
        self.first, self.last = first, last


class RequestRefused(JQuantsError):
    """The service finds a request wrong: an error of this program."""


class _PlaceLost(RequestRefused):
    """The service refuses a pagination key that it gave."""


class _NoAnswer(Exception):
    """An answer that cannot be read; another attempt may bring a good one."""


class ServiceUnavailable(JQuantsError):
    """The service did not answer as it should, again and again; a later run goes on from here."""


class RateExceeded(ServiceUnavailable):
    """The service said 429 again and again."""


def api_key(project: Path) -> str:
    """Return the API key of the environment variable JQUANTS_API_KEY, else of conf/local/credentials.yml.

    Raises:
        KeyRejected: Neither has one; the text names both places.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    file = project / KEY_FILE
    if not key and file.is_file():
        try:
            written = yaml.safe_load(file.read_text(encoding="utf-8"))
            key = str(written["jquants"]["api_key"] or "").strip()
        except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
            raise KeyRejected(
                f"{file} has no key for J-Quants; write two lines: `jquants:` and, indented, `api_key: YOUR_KEY`"
            ) from None
    if not key:
        raise KeyRejected(
            f"no J-Quants API key: set the environment variable {KEY_VARIABLE}, or write `jquants: {{api_key: "
            f"YOUR_KEY}}` into {KEY_FILE}; the key is in the dashboard of https://jpx-jquants.com"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise KeyRejected(f"the J-Quants API key has characters that no key has; copy it again into {KEY_VARIABLE}")
    return key


class JQuantsClient(ClientV2):  # type: ignore[misc]
    """A `ClientV2` that waits instead of being refused.

    Every method of the official client works and keeps to the limit of the plan. 429 is waited out three
    times (60, 90, 120 seconds); server errors, broken connections and answers that are no JSON are tried again
    after 2, 4, 8, 16 and 32 seconds; everything else ends at once with an error of this module.

    Args:
        key: API key; it travels in the header of requests to `base_url` and nowhere else.
        plan: Subscription, for the rate.
        base_url: HTTPS, or HTTP on this machine.
        clock: Seconds since 1970.
        sleep: Waits for a number of seconds.

    Raises:
        ValueError: `base_url` would send the key in the clear.
    """

    def __init__(
        self,
        key: str,
        plan: Plan,
        base_url: str = BASE_URL,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        address = urlsplit(base_url)
        if address.scheme != "https" and not (address.scheme == "http" and address.hostname in _LOOPBACK):
            raise ValueError(
                f"jquants.base_url: {base_url!r} would send the API key unencrypted; write an https:// address"
            )
        super().__init__(api_key=key)
        self.JQUANTS_API_BASE = base_url.rstrip("/")
        self.plan, self.clock, self.calls = plan, clock, 0
        self._sleep = sleep
        self._http = requests.Session()
        for scheme in ("https://", "http://"):
            self._http.mount(scheme, HTTPAdapter(max_retries=Retry(0, read=False)))
        self._limiter = Limiter(plan.calls_per_minute, clock, sleep)
        self._own_limiters = {path: Limiter(rate, clock, sleep) for path, rate in _OWN_LIMITS.items()}

    def __repr__(self) -> str:
        """Return the plan and the address; never the key."""
        return f"JQuantsClient({self.plan.name}, {self.JQUANTS_API_BASE})"

    def count_earlier(self, latest: float) -> None:
        """See `Limiter.count_earlier`."""
        for limiter in (self._limiter, *self._own_limiters.values()):
            limiter.count_earlier(latest)

    def seconds_per_call(self, path: str) -> float:
        """Return the mean distance of two calls of a path at the full rate."""
        return max(limiter.seconds_per_call for limiter in self._limiters(path))

    def rows(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        """Return all pages of a table; from the first one again when the service loses its place in them.

        Raises:
            JQuantsError: See the classes of this module.
        """
        for _ in range(_RESTARTS):
            try:
                found: list[dict[str, Any]] = self._get_paginated(path, query)
            except _PlaceLost:
                continue
            return found
        raise ServiceUnavailable(
            f"{path} with {query}: the service refused its own pagination key {_RESTARTS} times; run again later, "
            "what was fetched is kept"
        )

    def download(self, key: str) -> bytes:
        """Return a bulk file; its address is asked for with the key, and read without it.

        Raises:
            JQuantsError: See the classes of this module.
        """
        answer = self._get(f"{self.JQUANTS_API_BASE}/bulk/get", {"key": key}).json()
        address = str(answer.get("url", ""))
        if urlsplit(address).scheme != "https" and urlsplit(address).hostname not in _LOOPBACK:
            raise RequestRefused(f"/bulk/get for {key}: the service gave no https address")
        return self._tried(lambda: self._sent(address, None, {}), f"bulk file {key}").content

    def _load_config(self) -> dict[str, Any]:
        """Nothing: the key is given, and no file of the official client is looked for."""
        return {}

    def _request_session(self, *_: Any, **__: Any) -> requests.Session:
        return self._http

    def _limiters(self, path: str) -> list[Limiter]:
        own = self._own_limiters.get(path)
        return [self._limiter, own] if own else [self._limiter]

    def _get(self, url: str, params: dict[str, Any] | None = None) -> requests.Response:
        path = url.removeprefix(self.JQUANTS_API_BASE)
        asked = {name: value for name, value in (params or {}).items() if name != "pagination_key"}

        def attempt() -> requests.Response:
            first, *others = self._limiters(path)
            first.acquire(*others)
            response = self._sent(url, dict(params or {}), self._base_headers())
            if response.ok:
                _check_json(response)
            return response

        try:
            return self._tried(attempt, f"{path} with {asked}")
        except RequestRefused as error:
            if asked != (params or {}):
                raise _PlaceLost(str(error)) from None
            raise

    def _sent(self, url: str, params: dict[str, Any] | None, headers: dict[str, str]) -> requests.Response:
        self.calls += 1
        return self._http.get(url, params=params, headers=headers, timeout=_TIMEOUT, allow_redirects=False)

    def _tried(self, attempt: Callable[[], requests.Response], what: str) -> requests.Response:
        """Make an attempt until it succeeds or nothing is gained by another."""
        waits_rate, waits_failure = list(_WAITS_RATE), list(_WAITS_FAILURE)
        while True:
            reason = ""
            try:
                response = attempt()
                if response.status_code == 429:
                    if not waits_rate:
                        raise RateExceeded(
                            f"{what}: too many requests, even after waiting {len(_WAITS_RATE)} times; is the key used "
                            f"elsewhere, and is jquants.plan ({self.plan.name}) yours? Run again in ten minutes, what "
                            "was fetched is kept"
                        )
                    self._sleep(waits_rate.pop(0))
                    continue
                if response.ok and not response.is_redirect:
                    return response
                reason = f"status {response.status_code}"
                if response.status_code < 500:
                    raise refusal(response.status_code, _message(response), what)
            except _TRANSPORT as error:
                reason = type(error).__name__
            except _NoAnswer as error:
                reason = str(error)
            if not waits_failure:
                raise ServiceUnavailable(
                    f"{what}: {reason}, {len(_WAITS_FAILURE) + 1} times; run again later, what was fetched is kept"
                ) from None
            self._sleep(waits_failure.pop(0))


def refusal(status: int, message: str, what: str) -> JQuantsError:
    """Return the error for an answer that another attempt would not change.

    Args:
        status: HTTP status, 300 to 499.
        message: Text of the service.
        what: What was asked for.
    """
    said = message.lower()
    if status == 400 and "subscription covers" in said:
        found = pd.Series([message]).str.findall(r"\d{4}-\d{2}-\d{2}").iloc[0]
        days = [pd.Timestamp(day) for day in found] + [None, None]
        return OutsideSubscription(f"{what}: {message}", days[0], days[1])
    if status == 403 and "not available on your subscription" in said:
        return NotSubscribed(f"{what}: {message}")
    if status == 413:
        return RequestRefused(f"{what}: the answer would be too large ({message})")
    if status == 401 or (status == 403 and ("api key" in said or "no active subscription" in said)):
        return KeyRejected(
            f"{what}: the service does not take the API key ({message or status}); check {KEY_VARIABLE} or "
            f"{KEY_FILE} against the dashboard of https://jpx-jquants.com and run again, what was fetched is kept"
        )
    return RequestRefused(f"{what}: status {status}, {message or 'without a message'}")


def _message(response: requests.Response) -> str:
    try:
        body = response.json()
        return str(body.get("message", ""))[:500] if isinstance(body, dict) else ""
    except ValueError:
        return ""


def _check_json(response: requests.Response) -> None:
    kind = response.headers.get("Content-Type", "")
    if "json" not in kind.lower():
        raise _NoAnswer(f"content type {kind!r} instead of JSON")
    try:
        body = response.json()
    except ValueError:
        raise _NoAnswer("an answer that is no JSON") from None
    if not isinstance(body, dict) or not (isinstance(body.get("data"), list) or "url" in body):
        raise _NoAnswer("JSON without a list of data")
