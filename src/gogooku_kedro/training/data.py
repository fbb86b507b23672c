"""Feed a Trainer with chunks of consecutive sessions that already lie in the device's memory."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from gogooku_kedro.training.tensors import DayChunk, MarketTensors, Place


class DayChunks(Dataset[DayChunk]):
    """Chunks of a part of a market, all of one shape.

    Args:
        market: The market.
        cuts: First session and number of sessions of each chunk; a short one is filled up with empty sessions.
        days: Sessions of a chunk `D`.
        window: Sessions of a window `L`.
        part: First and last-plus-one session of the part; the longest list of edges on one of them is the
            length of all. A part does not depend on the edges of another, not even in its padding.
    """

    def __init__(
        self, market: MarketTensors, cuts: Sequence[tuple[int, int]], days: int, window: int, part: tuple[int, int]
    ) -> None:
        self.market, self.cuts, self.days, self.window = market, list(cuts), days, window
        self.edges = market.graph.most_edges(*part)

    def __len__(self) -> int:
        return len(self.cuts)

    def __getitem__(self, index: int) -> DayChunk:
        return self.on(index, None)

    def on(self, index: int, device: torch.device | None) -> DayChunk:
        """Return a chunk in the memory of `device`, None for that of the market."""
        first_day, counted = self.cuts[index]
        return self.market.chunk(first_day, self.days, self.window, counted, self.edges, device)

    def place(self, index: int) -> Place:
        """Return where a chunk lies."""
        first_day, counted = self.cuts[index]
        labelled = self.market.labels_of(first_day, counted)
        return Place(self.market, first_day, counted, labelled, (self.days, self.window, self.edges))


class ChunkPlaces(Dataset[Place]):
    """Where chunks lie, for those who cut them on the device.

    Args:
        chunks: The chunks.
    """

    def __init__(self, chunks: DayChunks) -> None:
        self.chunks = chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> Place:
        return self.chunks.place(index)


class DayChunkDataModule(pl.LightningDataModule):
    """Training and validation chunks of a market.

    Every epoch cuts the training sessions anew, with a first cut and an order that depend on
    `(seed, epoch)` only: an interrupted run meets the same chunks when it goes on. Chunks are dealt to
    the processes in turn, so that `R` processes which accumulate `A` chunks see in each optimiser step
    the same `R·A` chunks as one process which accumulates `R·A`; the last step of an epoch is filled
    up with the epoch's first chunks. Every process validates the whole validation part.

    Args:
        market: The market; moved to the trainer's device once.
        train: First and last-plus-one session of the training part.
        valid: The same of the validation part.
        chunk_days: Sessions of a chunk `D`.
        window: Sessions of the model's window `L`.
        seed: Seed of the cuts.
        accumulate: Chunks of one optimiser step in one process `A`.
        max_batches: Chunks of an epoch, and of a validation, at most.
        places: Give where the chunks lie, in place of them.
    """

    def __init__(
        self,
        market: MarketTensors,
        train: tuple[int, int],
        valid: tuple[int, int],
        chunk_days: int,
        window: int,
        seed: int,
        accumulate: int = 1,
        max_batches: int | None = None,
        places: bool = False,
    ) -> None:
        super().__init__()
        self.market, self.train, self.valid = market, train, valid
        self.chunk_days, self.window, self.seed = chunk_days, window, seed
        self.accumulate, self.max_batches, self.places = accumulate, max_batches, places

    def setup(self, stage: str) -> None:
        """Move the whole market into the memory of the trainer's device."""
        if self.trainer is not None:
            self.market = self.market.to(self.trainer.strategy.root_device)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Leave a chunk that is still to be cut where it is."""
        return batch if isinstance(batch, Place) else super().transfer_batch_to_device(batch, device, dataloader_idx)

    def train_dataloader(self) -> DataLoader[Any]:
        """Chunks of this epoch for this process, in random order."""
        if self.trainer is None:
            return self._loader(self.epoch_cuts(0), self.train)
        rank, processes = self.trainer.global_rank, self.trainer.world_size
        return self._loader(self.epoch_cuts(self.trainer.current_epoch, rank, processes), self.train)

    def epoch_cuts(self, epoch: int, rank: int = 0, processes: int = 1) -> list[tuple[int, int]]:
        """First session and number of sessions of the chunks of one process in an epoch.

        Args:
            epoch: The epoch, counted from 0.
            rank: The process, counted from 0.
            processes: Number of processes.
        """
        rng = np.random.default_rng((self.seed, epoch))
        cuts = cut_days(*self.train, self.chunk_days, shift=int(rng.integers(self.chunk_days)))
        order = rng.permutation(len(cuts))[: self.max_batches]
        group = processes * self.accumulate
        filled = np.resize(order, math.ceil(len(order) / group) * group)
        return [cuts[i] for i in filled[rank::processes]]

    def val_dataloader(self) -> DataLoader[Any]:
        """Chunks of the validation part, in order of time."""
        return self._loader(cut_days(*self.valid, self.chunk_days, shift=0)[: self.max_batches], self.valid)

    def _loader(self, cuts: Sequence[tuple[int, int]], part: tuple[int, int]) -> DataLoader[Any]:
        chunks = self._chunks(cuts, part)
        return DataLoader(ChunkPlaces(chunks) if self.places else chunks, batch_size=None)

    def _chunks(self, cuts: Sequence[tuple[int, int]], part: tuple[int, int]) -> DayChunks:
        return DayChunks(self.market, cuts, self.chunk_days, self.window, part)


def cut_days(start: int, stop: int, days: int, shift: int) -> list[tuple[int, int]]:
    """Cut `start` to `stop - 1` into chunks, each session into exactly one.

    Args:
        start: First session.
        stop: Last session plus one.
        days: Sessions of a chunk; the first and the last chunk may be shorter.
        shift: Sessions of the first chunk, 0 for a whole one.

    Returns:
        First session and number of sessions of each chunk, in order of time.
    """
    borders = [start, *range(start + (shift or days), stop, days), stop]
    return [(a, b - a) for a, b in pairwise(borders)]


def steps_per_epoch(start: int, stop: int, days: int, group: int = 1, max_batches: int | None = None) -> int:
    """Largest number of optimiser steps that the sessions `start` to `stop - 1` make in an epoch.

    Args:
        start: First session.
        stop: Last session plus one.
        days: Sessions of a chunk.
        group: Chunks of one optimiser step, all processes together.
        max_batches: Chunks of an epoch at most.
    """
    chunks = len(cut_days(start, stop, days, shift=min(1, days - 1))[:max_batches])
    return math.ceil(chunks / group)
