"""`kedro run` prints a refusal as one sentence, and a fault in the code with its traceback."""

import errno
import logging
import os
import shutil

import click
import numpy as np
import pytest
from kedro.io import DataCatalog, DatasetError

from gogooku_kedro.datasets import OhlcvFileDataset
from gogooku_kedro.market import build_panel, standardise_bars
from gogooku_kedro.market.adjustment import chain_link
from gogooku_kedro.refusals import refusals_alone, sentence_of
from tests.conftest import ROOT, kedro
from tests.market.cases.made_up import bars

NO_NUMBER = "column 'close' has 1 values that are not numbers: row 3: 'x1030'"


def run(tmp_path, *arguments, expect=1):
    root = f"data_root={tmp_path / 'data'}"
    table = tmp_path / "bars.csv"
    command = ["run", "--env", "ohlcv", "--pipelines", "ingestion", "--params", f"ohlcv_path={table},{root}"]
    return kedro(*command, *arguments, expect=[expect]).stdout


@pytest.mark.pipeline
class TestRun:
    def test_a_file_that_cannot_be_read(self, tmp_path):
        (tmp_path / "bars.csv").write_text("Price,Close\n1,2\n")
        begun, line = run(tmp_path).splitlines()
        assert "run begins" in begun
        assert line.startswith(f"Error: raw_bars: {tmp_path / 'bars.csv'}: no column for date, code, open, high, low,")
        assert line.endswith("columns: {'THEIR_NAME': date}")

    def test_a_value_that_a_node_refuses(self, tmp_path):
        table = bars().astype({"Close": object})
        table.loc[3, "Close"] = "x1030"
        table.to_csv(tmp_path / "bars.csv", index=False)
        begun, line = run(tmp_path).splitlines()
        assert "run begins" in begun
        assert line.startswith(f"Error: {tmp_path / 'bars.csv'}: {NO_NUMBER}")
        told = run(tmp_path, "--verbose")
        assert "Traceback" in told
        assert "parse_numbers" in told

    def test_a_fault_in_the_code_keeps_its_traceback_and_its_node(self, tmp_path):
        conf = shutil.copytree(ROOT / "conf", tmp_path / "conf")
        catalog = conf / "ohlcv/catalog_raw.yml"
        text = catalog.read_text().replace("raw_bars:", "raw_bars: {type: kedro.io.MemoryDataset, data: 5}\nunused:")
        catalog.write_text(text)
        told = run(tmp_path, "--conf-source", str(conf))
        assert "Traceback" in told
        assert "AttributeError: 'int' object has no attribute 'attrs'" in told
        assert "standardise_bars" in told.split("Traceback")[0]  # Kedro's line about the node

    def test_a_pipeline_that_is_not_there(self, tmp_path):
        told = run(tmp_path, "--pipelines", "ingestoin")
        assert told.startswith("Error: Failed to find the pipeline named 'ingestoin'.")
        assert "Traceback" not in told


def error_of(function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except Exception as error:
        return error
    raise AssertionError("no error")


class TestSentence:
    def test_what_the_package_raises_is_a_sentence(self):
        table = bars().assign(Close="x1030")
        error = error_of(standardise_bars, table)
        assert sentence_of(error) == str(error)
        assert sentence_of(error_of(build_panel, bars())) is not None

    def test_what_numpy_raises_in_the_package_is_a_fault(self):
        error = error_of(chain_link, np.ones((3, 2)), 0.5, invalid=np.ones((2, 2), dtype=bool))
        assert isinstance(error, ValueError)  # shapes that do not fit
        assert sentence_of(error) is None

    def test_what_another_program_raises_is_a_fault(self):
        def stranger():
            raise ValueError("no sentence of ours")

        assert sentence_of(error_of(stranger)) is None

    def test_an_error_of_the_catalog_is_what_caused_it(self, tmp_path, monkeypatch):
        catalog = DataCatalog({"raw_bars": OhlcvFileDataset(filepath=str(tmp_path / "no.csv"))})
        assert "no.csv does not exist" in sentence_of(error_of(catalog.load, "raw_bars"))
        (tmp_path / "no.csv").write_text(bars().to_csv(index=False))
        monkeypatch.setattr("gogooku_kedro.datasets.ohlcv_file.read_price_files", lambda *_: {}["gone"])
        assert sentence_of(error_of(catalog.load, "raw_bars")) is None

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EFBIG, errno.EACCES])
    def test_a_disk_that_cannot_be_written_is_no_fault_of_the_code_however_deep_it_lies(self, number):
        full = DatasetError("Failed while saving data to dataset\n[Errno]")
        full.__cause__ = OSError(number, os.strerror(number), "data/panel.zarr")
        assert sentence_of(full).startswith(f"data/panel.zarr: {os.strerror(number)}; mend that, or give another")
        assert sentence_of(FileNotFoundError(errno.ENOENT, "no such file", "x")) is None


def test_at_debug_every_line_stays(caplog):
    error = error_of(standardise_bars, bars().assign(Close="x"))
    with pytest.raises(click.ClickException), refusals_alone():
        raise error
    caplog.set_level("DEBUG", logger="gogooku_kedro")
    with pytest.raises(ValueError, match="not numbers"), refusals_alone():
        raise error


def failing_node(error):
    with refusals_alone():
        logging.getLogger("kedro.pipeline.node").error("Node failed: %s", error)
        raise error


def test_what_kedro_says_of_the_node_is_shown_of_faults_alone(caplog):
    with pytest.raises(click.ClickException):
        failing_node(error_of(standardise_bars, bars().assign(Close="x")))
    assert not caplog.records
    with pytest.raises(KeyError):
        failing_node(KeyError("gone"))
    assert [record.getMessage() for record in caplog.records] == ["Node failed: 'gone'"]
