"""The table of broken settings, and the page of the documentation that shows it.

Write the page anew with `python -m tests.params.broken_settings`.
"""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "settings_errors.md"
HEAD = """# Settings that are refused

After this page you can read each refusal of a setting, and write what it asks for.

Settings are checked before anything runs: `kedro validate-config --env ENV` checks them alone, `kedro run` first of
all. A refusal is one sentence with the path or file, the value, and what to write instead. This page is generated from
`tests/params/broken_settings.yml`, which the tests read.

What only data can tell is checked when they are there: `features.min_history` beyond the number of sessions, dates of
`split` outside the data, edge attributes that an earlier graph does not have.
"""


def table(part: str) -> list[dict[str, Any]]:
    """The entries of `settings` or `files`, read as configuration is."""
    read = OmegaConf.create((ROOT / "tests/params/broken_settings.yml").read_text(encoding="utf-8"))
    entries: list[dict[str, Any]] = OmegaConf.to_container(read, resolve=False)[part]
    return entries


def page() -> str:
    """The page as the table has it."""
    rows = [f"| `{entry['setting']}` | `{_yaml(entry['value'])}` | {_words(entry)} |" for entry in table("settings")]
    files = [f"| `{entry['file']}` | {_lines(entry['text'])} | {_words(entry)} |" for entry in table("files")]
    return (
        "\n".join(
            [
                *(HEAD, "## Values\n", "| setting | value | words of the sentence |", "|---|---|---|", *rows, ""),
                *("## Files\n", "| file in `conf/ENV/` | content | words of the sentence |", "|---|---|---|", *files),
            ]
        ).replace("\n\n\n", "\n\n")
        + "\n"
    )


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False).removesuffix("...\n").strip()


def _lines(text: str) -> str:
    return "<br>".join(f"`{line}`" for line in text.replace("\t", "(tab)").splitlines())


def _words(entry: dict[str, Any]) -> str:
    return entry["words"].strip().replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
