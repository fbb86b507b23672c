"""Equal content has equal keys, and a file that was cut off is never taken for a finished one."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro import artifacts
from gogooku_kedro.artifacts import ResultFolders, RootLock, atomic_file, digest, key, remove_leftovers
from gogooku_kedro.params import LabelsParams
from tests.conftest import settings_of

DATES = pd.to_datetime(["2024-01-04", "2024-01-05"])
RESULTS = ResultFolders("fold", "walk_forward.folder", "fold.json", ("scores.parquet",))
SCORES = pd.DataFrame({"date": DATES, "score": [0.1, 0.2]})


def market(**changes) -> xr.Dataset:
    given = {"close": (("date", "code"), np.arange(4.0, dtype=np.float32).reshape(2, 2))}
    return xr.Dataset(given, coords={"date": DATES, "code": ["13010", "13020"]}).assign(changes)


def test_a_key_is_a_short_word_that_follows_the_content_and_the_version(monkeypatch):
    one = key(graph={"k": 8})
    assert re.fullmatch(r"[0-9a-f]{32}", one)
    assert one == key(graph={"k": 8}) != key(graph={"k": 9})
    monkeypatch.setattr(artifacts, "__version__", "0.0.0")
    assert one != key(graph={"k": 8})


def test_the_order_of_names_and_how_text_is_stored_do_not_matter():
    assert digest({"a": 1, "b": [2]}) == digest({"b": (2,), "a": 1})
    assert digest(SCORES) == digest(SCORES[["score", "date"]].set_axis([5, 7]))
    texts = np.array(["13010", "13020"])
    assert digest(texts) == digest(texts.astype(object))
    assert digest(market()) == digest(market().transpose("code", "date", ...)[["close"]].transpose("date", "code"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, "1"),
        (None, "null"),
        (True, 1),
        ([1, 2], [12]),
        ([[1], 2], [[1, 2]]),
        ([], {}),
        ({"a": 1}, {"a": 2}),
        ({"a": {"b": 1}}, {"b": {"a": 1}}),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros((0, 2)), np.zeros((0, 3))),
        (np.array(1.0), np.array(np.nextafter(1.0, 2.0))),
        (np.array(["a", "b"]), np.array(["a", "c"], dtype=object)),
        (SCORES, SCORES.rename(columns={"score": "value"})),
        (SCORES, SCORES[["date"]]),
        (SCORES, SCORES.assign(date=SCORES["date"] + pd.Timedelta(days=1))),
        (market(), market(close=market()["close"] + 1)),
        (market(), market().assign_coords(code=["13010", "13030"])),
        (market(), market().rename(close="open")),
        (market()["close"], market()["close"].rename(code="stock")),
        (market()["close"], market()["close"].T),
    ],
)
def test_other_content_has_another_digest(one, other):
    assert digest(one) != digest(other)


def test_settings_are_known_by_their_identity():
    labels = LabelsParams.model_validate(settings_of()["labels"])
    assert digest(labels) == digest(labels.identity())
    assert digest([labels]) != digest([labels.model_copy(update={"entry": "close"})])


def test_what_has_no_bytes_of_its_own_is_refused():
    with pytest.raises(TypeError, match="not JSON serializable"):
        digest({"folder": object()})


def test_a_file_takes_its_name_when_it_is_whole(tmp_path):
    path = tmp_path / "made" / "facts.json"
    with atomic_file(path) as unfinished:
        unfinished.write_text("{}")
        assert unfinished.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "{}"
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "facts.json"
    path.write_text("before")

    def fail():
        with atomic_file(path) as unfinished:
            unfinished.write_text("half of")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal
from pathlib import Path
import pandas as pd
from tests.test_artifacts import RESULTS, SCORES

def killed(self, target):
    if target.name == {name!r}:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.replace(self, target)

Path.replace = killed
RESULTS.save(Path({folder!r}), {{"seconds": 1}}, [SCORES])
"""


@pytest.mark.parametrize("name", ["scores.parquet", "fold.json"])
def test_a_process_that_is_killed_between_write_and_rename_leaves_no_finished_result(tmp_path, name):
    folder = tmp_path / "fold"
    code = KILLED.format(name=name, folder=str(folder))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert not RESULTS.is_finished(folder)
    assert not (folder / name).exists()
    (left,) = folder.glob(".*")
    assert re.fullmatch(rf"\.{name}\.\d+\.tmp", left.name)
    os.utime(left, (time.time() - 7200,) * 2)
    RESULTS.save(folder, {"seconds": 2}, [SCORES])
    assert sorted(path.name for path in folder.iterdir()) == ["fold.json", "scores.parquet"]
    facts, (scores,) = RESULTS.load(folder)
    assert facts == {"seconds": 2}
    pd.testing.assert_frame_equal(scores, SCORES)


def test_a_result_that_is_written_again_is_unfinished_meanwhile(tmp_path, monkeypatch):
    RESULTS.save(tmp_path, {}, [SCORES])

    def cut_off(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_parquet", cut_off)
    with pytest.raises(KeyboardInterrupt):
        RESULTS.save(tmp_path, {}, [SCORES])
    assert not RESULTS.is_finished(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("fold.json", b"{"), ("scores.parquet", b"PAR1"), ("scores.parquet", None)]
)
def test_a_damaged_result_is_named_with_its_folder_and_the_fix(tmp_path, name, content):
    RESULTS.save(tmp_path, {}, [SCORES])
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_bytes(content)
    message = rf"walk_forward\.folder: the finished fold in {tmp_path} cannot be read .*; remove that folder to compute"
    with pytest.raises(ValueError, match=message):
        RESULTS.load(tmp_path)


def test_a_result_of_another_folder_and_one_that_changed_are_refused(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, seconds in ((first, 1.5), (second, 2.5)):
        RESULTS.save(folder, {"seconds": seconds}, [SCORES.assign(score=seconds)])
    table = (first / "scores.parquet").read_bytes()
    (first / "scores.parquet").write_bytes((second / "scores.parquet").read_bytes())
    with pytest.raises(ValueError, match="not as it was written"):
        RESULTS.load(first)
    (first / "scores.parquet").write_bytes(table)
    assert RESULTS.load(first)[0] == {"seconds": 1.5}
    (first / "fold.json").write_text((first / "fold.json").read_text().replace("1.5", "1.6"))
    with pytest.raises(ValueError, match="not as it was written"):
        RESULTS.load(first)
    second.rename(tmp_path / "third")
    with pytest.raises(ValueError, match="written as another"):
        RESULTS.load(tmp_path / "third")


def test_a_temporary_file_that_is_written_at_this_moment_is_no_leftover(tmp_path):
    for name, age in [(".a.json.1.tmp", 10), (".b.json.2.tmp", 7200), ("c.json", 7200)]:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert remove_leftovers(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.json.1.tmp", "c.json"]


HOLDER = """
import sys
from pathlib import Path
from gogooku_kedro.artifacts import RootLock
lock = RootLock(Path(sys.argv[1]))
lock.acquire()
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_second_run_is_refused_and_one_that_was_killed_is_taken_over(tmp_path):
    root = tmp_path / "data"
    command = [sys.executable, "-c", HOLDER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "taken\n"
        message = rf"{root} is written by process {holder.pid}, which started at 20\d\d-.*; wait .* data_root=DIR"
        with pytest.raises(BlockingIOError, match=message):
            RootLock(root).acquire()
        holder.kill()
    (root / "03_primary").mkdir()
    left_over = root / "03_primary" / ".graph_edges.parquet.1.tmp"
    left_over.write_text("half")
    lock = RootLock(root)
    lock.acquire()
    assert not left_over.exists()
    lock.release()
    assert [path.name for path in root.iterdir()] == ["03_primary"]
