"""A run is known by its commit, settings and data."""

import subprocess

from gogooku_kedro.report import provenance
from gogooku_kedro.report.results import RunFacts, parse
from tests.report.report_run import RUN


def test_an_artefact_that_does_not_say_of_what_data_it_is_counts_as_of_other_data() -> None:
    run, unknown = parse(RunFacts, RUN), RunFacts()
    assert provenance.origin(None, run) == provenance.ABSENT
    assert provenance.origin(unknown, run) == provenance.OTHER_DATA
    assert provenance.origin(run, unknown) == provenance.OTHER_DATA
    assert provenance.origin(run, run) == provenance.HERE
    assert provenance.command("ablation", RunFacts(environment="ohlcv")).endswith("ablation --env ohlcv")
    large = RunFacts(environment="ohlcv", preset="production")
    assert provenance.command("ablation", large).endswith("ablation --env ohlcv --params preset=production")


def test_the_commit_is_unknown_outside_a_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert provenance.git_sha() == "unknown"


def test_the_commit_is_unknown_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance.git_sha() == "unknown"


def test_a_changed_working_tree_is_marked(tmp_path, monkeypatch):
    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "file").write_text("one")
    git("init")
    git("add", "file")
    git("commit", "-m", "first")
    monkeypatch.chdir(tmp_path)
    clean = provenance.git_sha()
    (tmp_path / "file").write_text("two")
    assert len(clean) == 12
    assert provenance.git_sha() == f"{clean}+"
