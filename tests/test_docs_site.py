"""The built documentation opens as files: links lead to files, nothing is fetched, and the search answers."""

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.test_makefile import make

pytestmark = pytest.mark.pipeline
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The documentation as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    process = make("docs", f"ARGS=--quiet --site-dir {folder}")
    said, _ = process.communicate(timeout=280)
    assert process.returncode == 0, said
    return folder


def test_every_link_of_every_page_leads_to_a_file(site):
    pages = [page for page in site.rglob("*.html") if page.name != "404.html"]
    assert len(pages) > 20
    missing = {}
    for page in pages:
        links = re.findall(r'(?:href|src)="([^"#?]+)', page.read_text(encoding="utf-8"))
        local = {unquote(link) for link in links if "://" not in link and not link.startswith(("mailto:", "data:"))}
        missing[page.name] = [link for link in local if not (page.parent / link).is_file()]
    assert {page: links for page, links in missing.items() if links} == {}


def test_no_page_fetches_anything(site):
    for page in site.rglob("*.html"):
        fetched = re.findall(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert fetched == [], page.name


def found_by(site: Path, page: str, asked: str, profile: Path) -> list[str]:
    """Pages that the search of a page opened as a file finds, the best first."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=8000", f"--user-data-dir={profile}"]
    command = [BROWSER, *flags, "--dump-dom", f"file://{site}/{page}?q={asked}"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return re.findall(r'<a href="file://[^"]*/(\w+)\.html[^"]*" class="md-search-result__link"', shown)


@pytest.mark.skipif(BROWSER is None, reason="no chromium")
@pytest.mark.parametrize("page", ["index.html", "api/market.html"])
def test_the_search_of_a_page_that_is_opened_as_a_file_finds_something(site, page, tmp_path):
    assert "walk_forward" in found_by(site, page, "embargo", tmp_path)


@pytest.mark.skipif(BROWSER is None, reason="no chromium")
def test_the_search_for_a_task_finds_its_tutorial_first(site, tmp_path):
    assert found_by(site, "index.html", "add%20a%20feature", tmp_path)[0] == "add_a_feature"
