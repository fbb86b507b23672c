"""Months of a table as CSV files, which Light and larger plans have for the first load."""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable

from gogooku_kedro.jquants.client import JQuantsClient, ServiceUnavailable
from gogooku_kedro.jquants.endpoints import Endpoint, SchemaChanged, as_day

TABLES = ("bars", "statements")
"""Tables with a partition a session, where a file a month saves most calls."""

_MONTHLY = re.compile(r"/historical/.*_(\d{4})(\d{2})\.csv\.gz$")


def whole_months(missing: Iterable[str], held: Iterable[str]) -> list[str]:
    """Return the months, as YYYY-MM, of which sessions are missing and none is held."""
    return sorted({unit[:7] for unit in missing} - {unit[:7] for unit in held})


def monthly_files(client: JQuantsClient, endpoint: Endpoint) -> dict[str, str]:
    """Return the key of the file of each month, as YYYY-MM."""
    listed = client.rows("/bulk/list", {"endpoint": endpoint.path})
    found = {str(item["Key"]): _MONTHLY.search(str(item["Key"])) for item in listed}
    return {f"{match[1]}-{match[2]}": key for key, match in found.items() if match}


def read_file(client: JQuantsClient, endpoint: Endpoint, key: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of a file by day, as text, "" where missing.

    Raises:
        ServiceUnavailable: It is not a gzip file of CSV.
        SchemaChanged: It has no column with the date.
    """
    try:
        lines = csv.DictReader(io.StringIO(gzip.decompress(client.download(key)).decode("utf-8-sig")))
        rows = list(lines)
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise ServiceUnavailable(
            f"bulk file {key}: cannot be read ({error}); run again, or with jquants.bulk=false; what was fetched is "
            "kept"
        ) from None
    if endpoint.day not in (lines.fieldnames or []):
        raise SchemaChanged(f"bulk file {key}: no column {endpoint.day}, only {', '.join(lines.fieldnames or [])}")
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        found.setdefault(as_day(row[endpoint.day]), []).append(row)
    return found
