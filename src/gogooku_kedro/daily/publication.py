"""Published rankings on disk: files that are there whole or not at all, and a pointer that is swapped last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from gogooku_kedro.artifacts import atomic_file, file_hash, remove_leftovers
from gogooku_kedro.schemas import Ranking

LATEST = "latest.json"
"""Names the newest published session and its files; written when all of them are there."""

KINDS = ("parquet", "csv", "html")
REASONS = ("reason_1", "reason_2", "reason_3")
NUMBERS_PRINTED = "%.6g"  # in the CSV; the Parquet file has every bit


class Publications:
    """The rankings of a folder, `ranking_YYYY-MM-DD` as `.parquet`, `.csv`, `.html`, and `.json` with their facts.

    The facts are written after the three files they have the hashes of; a ranking without facts is unfinished and
    counts as not there.

    Args:
        folder: Made when something is published.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, session: pd.Timestamp, kind: str) -> Path:
        """Return where a file of a session lies, or would; kinds are parquet, csv, html and json."""
        return self.folder / f"ranking_{session:%Y-%m-%d}.{kind}"

    def sessions(self) -> list[pd.Timestamp]:
        """Return the published sessions, the oldest first."""
        facts = sorted(self.folder.glob("ranking_????-??-??.json"))
        return [pd.Timestamp(path.stem.removeprefix("ranking_")) for path in facts]

    def facts(self, session: pd.Timestamp) -> dict[str, Any] | None:
        """Return what was written beside a ranking, None where it was not published.

        Raises:
            ValueError: The file cannot be read.
        """
        path = self.path(session, "json")
        if not path.exists():
            return None
        try:
            found: dict[str, Any] = json.loads(path.read_text())
            if not {"files", "date"} <= found.keys():
                raise ValueError("it does not name its files")
        except (OSError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); remove it, and `kedro daily` of that morning writes it"
            ) from error
        return found

    def ranking(self, session: pd.Timestamp) -> pd.DataFrame:
        """Return a published ranking, as `schemas.Ranking` describes it.

        Raises:
            ValueError: It was not published, or its file is not the one that was.
        """
        facts, path = self.facts(session), self.path(session, "parquet")
        if facts is None:
            raise ValueError(f"{path} was not published; the published sessions are those of {self.folder}/*.json")
        if not path.exists() or file_hash(path) != facts["files"]["parquet"]:
            raise ValueError(f"{path} is missing or is not the file that was published; restore it")
        return pd.read_parquet(path)

    def before(self, session: pd.Timestamp) -> pd.Timestamp | None:
        """Return the last published session before a session."""
        earlier = [each for each in self.sessions() if each < session]
        return earlier[-1] if earlier else None

    def latest(self) -> pd.Timestamp | None:
        """Return the session that the pointer names, None before the first publication."""
        path = self.folder / LATEST
        return pd.Timestamp(json.loads(path.read_text())["date"]) if path.exists() else None

    def publish(self, ranking: pd.DataFrame, page: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the files of a ranking, then their facts; return these.

        Args:
            ranking: As `schemas.Ranking` describes it.
            page: The HTML page.
            facts: JSON types; the hashes of the files join them under `files`.
        """
        table = Ranking.validate(ranking)
        session = table["date"].iloc[0]
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder)
        self.path(session, "json").unlink(missing_ok=True)
        with atomic_file(self.path(session, "parquet")) as unfinished:
            table.to_parquet(unfinished, index=False, write_page_checksum=True)
        with atomic_file(self.path(session, "csv")) as unfinished:
            table.to_csv(unfinished, index=False, float_format=NUMBERS_PRINTED)
        with atomic_file(self.path(session, "html")) as unfinished:
            unfinished.write_text(page, encoding="utf-8")
        files = {kind: file_hash(self.path(session, kind)) for kind in KINDS}
        written = {**facts, "date": f"{session:%Y-%m-%d}", "rows": len(table), "files": files}
        with atomic_file(self.path(session, "json")) as unfinished:
            unfinished.write_text(json.dumps(written, indent=2))
        return written

    def point(self, session: pd.Timestamp) -> None:
        """Let the pointer name a published session, unless it names a later one."""
        now = self.latest()
        if now is not None and now >= session:
            return
        names = {kind: self.path(session, kind).name for kind in (*KINDS, "json")}
        with atomic_file(self.folder / LATEST) as unfinished:
            unfinished.write_text(json.dumps({"date": f"{session:%Y-%m-%d}", "files": names}, indent=2))
