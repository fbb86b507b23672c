"""Feed a Trainer with chunks of consecutive days that already lie in the device's memory."""

from collections.abc import Sequence
from itertools import pairwise

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DataLoader, Dataset

from gogooku_kedro.training.market import DayChunk, MarketTensors


class DayChunks(Dataset[DayChunk]):
    """Chunks of a market; ``cuts`` holds the first day and the number of days of each."""

    def __init__(self, market: MarketTensors, cuts: Sequence[tuple[int, int]], window: int) -> None:
        self.market, self.cuts, self.window = market, list(cuts), window

    def __len__(self) -> int:
        return len(self.cuts)

    def __getitem__(self, index: int) -> DayChunk:
        first_day, days = self.cuts[index]
        return self.market.chunk(first_day, days, self.window)


class DayChunkDataModule(pl.LightningDataModule):
    """Training and validation chunks of a market.

    Every epoch cuts the training sessions anew, with a first cut and an order that depend on
    ``(seed, epoch)`` only: an interrupted run meets the same chunks when it goes on.

    Args:
        market: The market; moved to the trainer's device once.
        train: First and last-plus-one day of the training part.
        valid: The same of the validation part.
        chunk_days: Days of a chunk ``D``.
        window: Sessions of the model's window ``L``.
        seed: Seed of the cuts.
    """

    def __init__(
        self,
        market: MarketTensors,
        train: tuple[int, int],
        valid: tuple[int, int],
        chunk_days: int,
        window: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.market, self.train, self.valid = market, train, valid
        self.chunk_days, self.window, self.seed = chunk_days, window, seed

    def setup(self, stage: str) -> None:
        """Move the whole market into the memory of the trainer's device."""
        if self.trainer is not None:
            self.market = self.market.to(self.trainer.strategy.root_device)

    def train_dataloader(self) -> DataLoader[DayChunk]:
        """Chunks of this epoch, in random order."""
        epoch = self.trainer.current_epoch if self.trainer is not None else 0
        rng = np.random.default_rng((self.seed, epoch))
        cuts = cut_days(*self.train, self.chunk_days, shift=int(rng.integers(self.chunk_days)))
        return self._loader([cuts[i] for i in rng.permutation(len(cuts))])

    def val_dataloader(self) -> DataLoader[DayChunk]:
        """Chunks of the validation part, in order of time."""
        return self._loader(cut_days(*self.valid, self.chunk_days, shift=0))

    def _loader(self, cuts: Sequence[tuple[int, int]]) -> DataLoader[DayChunk]:
        return DataLoader(DayChunks(self.market, cuts, self.window), batch_size=None)


def cut_days(start: int, stop: int, days: int, shift: int) -> list[tuple[int, int]]:
    """Cut ``start`` to ``stop - 1`` into chunks, each day into exactly one.

    Args:
        start: First day.
        stop: Last day plus one.
        days: Days of a chunk; the first and the last chunk may be shorter.
        shift: Days of the first chunk, 0 for a whole one.

    Returns:
        First day and number of days of each chunk, in order of time.
    """
    borders = [start, *range(start + (shift or days), stop, days), stop]
    return [(a, b - a) for a, b in pairwise(borders)]


def steps_per_epoch(start: int, stop: int, days: int) -> int:
    """Largest number of chunks that :func:`cut_days` makes of ``start`` to ``stop - 1``."""
    return len(cut_days(start, stop, days, shift=min(1, days - 1)))
