"""Is a price file still what a panel was made of? Its size, time and content, written down and compared."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TypedDict

from gogooku_kedro.artifacts import file_hash
from gogooku_kedro.market.price_files import price_files


class SourceState(TypedDict):
    """What price files were when they were read.

    Attributes:
        path: File, folder or glob, absolute.
        bytes: Of all files.
        modified: Nanoseconds since 1970 of the newest file.
        sha256: Over names and contents.
    """

    path: str
    bytes: int
    modified: int
    sha256: str


def source_state(path: Path) -> SourceState:
    """Return the state of price files; each is read once.

    Args:
        path: File, folder or glob, as of `price_files`.
    """
    size, modified = _size_and_time(path)
    return SourceState(path=str(path.resolve()), bytes=size, modified=modified, sha256=_content(path))


def source_change(before: Mapping[str, object], path: Path | None) -> str | None:
    """Say how price files differ from their state before, None where their content is the same.

    Files of the same size and time are taken for unchanged and not read.

    Args:
        before: A `SourceState`.
        path: What would be read now; None takes the path of before.
    """
    then = Path(str(before["path"]))
    now = then if path is None else path.resolve()
    if not any(file.is_file() for file in price_files(now)):
        return f"{now} is not there any more"
    size, modified = _size_and_time(now)
    same = now == then and (size, modified) == (before["bytes"], before["modified"])
    if same or _content(now) == before["sha256"]:
        return None
    if now != then:
        return f"the panel was made of {then}, not of {now}"
    was = f"{before['bytes']:,} bytes of {_day(before['modified'])}"
    return f"{now} has changed since the panel was made of it (then {was}, now {size:,} bytes of {_day(modified)})"


def _size_and_time(path: Path) -> tuple[int, int]:
    facts = [file.stat() for file in price_files(path)]
    return sum(fact.st_size for fact in facts), max(fact.st_mtime_ns for fact in facts)


def _content(path: Path) -> str:
    files = price_files(path)
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name if len(files) > 1 else ''} {file_hash(file)};".encode())
    return whole.hexdigest()


def _day(nanoseconds: object) -> str:
    return f"{datetime.fromtimestamp(int(str(nanoseconds)) / 1e9):%Y-%m-%d %H:%M:%S}"
