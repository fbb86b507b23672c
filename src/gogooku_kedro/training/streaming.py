"""A market that stays in the host's memory: the next chunk is copied to the device while this one computes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from torch.cuda import Event, Stream

from gogooku_kedro.training.data import DayChunkDataModule, DayChunks
from gogooku_kedro.training.tensors import DayChunk, MarketTensors


class StreamedChunks:
    """Chunks of a market in the host's memory, each on the device when it is asked for.

    A thread cuts the next chunk; on CUDA it copies on a stream of its own, so that the copy and the computation
    of the chunk before run at a time. What the thread copies is what a market on the device would be cut into.

    Args:
        chunks: What is cut.
        device: Where the chunks go.
    """

    def __init__(self, chunks: DayChunks, device: torch.device) -> None:
        self.chunks, self.device = chunks, device

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, position: int) -> DayChunk:
        """Return one chunk."""
        return self.chunks.on(position, self.device)

    @property
    def dataset(self) -> "StreamedChunks":
        """What a `DataLoader` has its chunks of."""
        return self

    def __iter__(self) -> Iterator[DayChunk]:
        """Yield the chunks in order."""
        stream = Stream(self.device) if self.device.type == "cuda" else None
        with ThreadPoolExecutor(1, "next chunk") as thread:
            ahead = [thread.submit(self._cut, position, stream) for position in range(min(1, len(self)))]
            for position in range(len(self)):
                chunk, copied = ahead.pop().result()
                if position + 1 < len(self):
                    ahead.append(thread.submit(self._cut, position + 1, stream))
                if copied is not None:
                    computing = torch.cuda.current_stream(self.device)
                    computing.wait_event(copied)
                    for tensor in chunk:
                        if isinstance(tensor, Tensor):
                            tensor.record_stream(computing)  # its memory is not given away before
                yield chunk

    def _cut(self, position: int, stream: Stream | None) -> tuple[DayChunk, Event | None]:
        if stream is None:
            return self[position], None
        with torch.cuda.stream(stream):
            return self[position], stream.record_event()


class StreamedDataModule(DayChunkDataModule):
    """Training and validation chunks of a market that stays where it is, see `DayChunkDataModule`."""

    device = torch.device("cpu")

    def setup(self, stage: str) -> None:
        """Note where the chunks go."""
        if self.trainer is not None:
            self.device = self.trainer.strategy.root_device

    def _loader(self, *arguments: Any) -> Any:
        return StreamedChunks(self._chunks(*arguments), self.device)


def market_bytes(market: MarketTensors) -> int:
    """Bytes of a market's tensors, those of its graphs among them."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(market))


@contextmanager
def page_locked(market: MarketTensors, device: str) -> Iterator[int]:
    """Lock the pages of a market while the context is open, so that CUDA copies from them beside its work.

    They are locked where they lie, without a copy. Pages that cannot be locked, as those of a mapped file, are
    copied too, but slower.

    Yields:
        Number of the tensors that are locked, 0 without CUDA.
    """
    runtime: Any = torch.cuda.cudart() if device == "cuda" else None
    locked = []
    for tensor in _tensors(market) if runtime is not None else []:
        size = tensor.numel() * tensor.element_size()
        if size and int(runtime.cudaHostRegister(tensor.data_ptr(), size, 0)) == 0:
            locked.append(tensor)
    try:
        yield len(locked)
    finally:
        if locked:
            torch.cuda.synchronize()
        for tensor in locked:
            runtime.cudaHostUnregister(tensor.data_ptr())


def _tensors(market: MarketTensors) -> list[Tensor]:
    values = [getattr(part, field.name) for part in (market, market.graph) for field in fields(part)]
    return [value for value in values if isinstance(value, Tensor)]
