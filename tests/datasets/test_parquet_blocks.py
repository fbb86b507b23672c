"""A long table that a node yields in blocks: one Parquet file, read a block at a time."""

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError

from gogooku_kedro.datasets import ParquetBlocksDataset
from gogooku_kedro.market.blocks import table_blocks

FRAMES = [
    pd.DataFrame(
        {"model": name, "date": pd.bdate_range("2024-01-04", periods=4).as_unit("ns"), "score": np.arange(4.0) + k}
    )
    for k, name in enumerate(("ridge", "lstm", "oracle"))
]


def store(path, frames=FRAMES) -> ParquetBlocksDataset:
    dataset = ParquetBlocksDataset(filepath=str(path))
    for block in table_blocks(frames):
        dataset.save(block)
    return dataset


def test_blocks_come_back_one_by_one_and_as_one_table(tmp_path):
    blocks = store(tmp_path / "new" / "scores.parquet").load()
    for _ in range(2):  # any number of times
        for frame, block in zip(FRAMES, blocks, strict=True):
            pd.testing.assert_frame_equal(block, frame)
    whole = pd.read_parquet(tmp_path / "new" / "scores.parquet")
    pd.testing.assert_frame_equal(whole, pd.concat(FRAMES, ignore_index=True))


def test_a_reader_meets_the_old_file_until_the_last_block(tmp_path):
    path = tmp_path / "scores.parquet"
    dataset = store(path, FRAMES[:1])
    first, second = table_blocks(FRAMES[1:])
    assert (first.last, second.last) == (False, True)
    dataset.save(first)
    assert [block["model"][0] for block in dataset.load()] == ["ridge"]
    dataset.save(second)
    assert [block["model"][0] for block in dataset.load()] == ["lstm", "oracle"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [".scores.parquet.seal.json", "scores.parquet"]


def test_a_missing_and_a_damaged_file_are_refused_in_one_sentence(tmp_path):
    path = tmp_path / "model_predictions.parquet"
    with pytest.raises(DatasetError, match="does not exist"):
        ParquetBlocksDataset(filepath=str(path)).load()
    dataset = store(path)
    bytes_ = bytearray(path.read_bytes())
    bytes_[bytes_.index(b"ridge") + 1] ^= 1
    path.write_bytes(bytes_)
    with pytest.raises(DatasetError, match="is damaged"):
        list(dataset.load())
    path.write_bytes(bytes_[: len(bytes_) // 2])
    with pytest.raises(DatasetError, match="is damaged"):
        list(dataset.load())
