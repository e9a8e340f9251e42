"""Batches in an order that depends on nothing but seed and epoch, and that can be taken up again in mid-epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from limbeck.errors import DataError

SampleT = TypeVar("SampleT")
BatchT = TypeVar("BatchT")


class ViewSampler(Sampler[list[tuple[int, int]]]):
    """Draws the batches of (view, index) of one epoch; see `ViewLoader` for the arguments.

    Attributes:
        epoch: The epoch whose batches come next.
        start: How many of its batches are left out next time, because they were used before an interruption.
        consumed: How many of its batches were handed out.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        drop_last: bool,
        views: int | None,
        rank: int,
        world_size: int,
    ) -> None:
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.views = views
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0
        self.consumed = 0

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; nothing happens if it is the current one. Lightning calls this."""
        if epoch != self.epoch:
            self.epoch = epoch
            self.start = 0
            self.consumed = 0

    @property
    def batches_per_epoch(self) -> int:
        """Batches of a whole epoch; with ``drop_last`` a short batch is left out unless it is the only one."""
        items = len(range(self.rank, self._padded_size, self.world_size))
        full, rest = divmod(items, self.batch_size)
        return full + (rest > 0 and (full == 0 or not self.drop_last))

    @property
    def _padded_size(self) -> int:
        return self.size + (-self.size % self.world_size if self.shuffle else 0)

    def _indices(self) -> list[int]:
        order = np.arange(self.size)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.size)
        padded = np.resize(order, self._padded_size)
        return [int(index) for index in padded[self.rank :: self.world_size]]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        view = self.epoch if self.views is None else self.epoch % self.views
        items = [(view, index) for index in self._indices()]
        starts = range(self.start * self.batch_size, self.batches_per_epoch * self.batch_size, self.batch_size)
        return iter([items[start : start + self.batch_size] for start in starts])


class _Failure(NamedTuple):
    """A user's mistake found in a worker; torch would turn the exception into a RuntimeError with a traceback."""

    problems: tuple[str, ...]


class _Batches(Dataset[Any]):
    """Gives a whole batch for a list of (view, index)."""

    def __init__(self, dataset: Dataset[Any], collate: Callable[[list[Any]], Any]) -> None:
        self.dataset = dataset
        self.collate = collate

    def __getitem__(self, items: list[tuple[int, int]]) -> Any:
        try:
            return self.collate([self.dataset[item] for item in items])
        except DataError as error:
            return _Failure(error.problems)


class ViewLoader(Generic[SampleT, BatchT]):
    """Batches of views, loaded by worker processes that live for one epoch.

    Workers that outlive their epoch (torch's ``persistent_workers``) end when Python's garbage collector finds them,
    which takes many seconds where a later loader has forked in the meantime.

    Every epoch has its own order, drawn from (seed, epoch), and its own view, so the batches do not depend on the
    number of workers. `state_dict` counts the batches handed out, not those a worker has prepared: a loader that loads
    it goes on with the very next batch. Lightning saves and restores it with its checkpoints, calls
    ``sampler.set_epoch``, and takes an iterator before both, which is why the iterator looks at them only when the
    first batch is asked for.

    Args:
        dataset: Gives a sample for a pair (view, index).
        batch_size: Samples per batch and process.
        collate: Makes a batch of samples.
        seed: Seed of the order.
        shuffle: Draw an order for every epoch, and repeat a few samples so that all processes have equally many, as
            training needs. Else every sample comes once, in the order of the data set.
        drop_last: Leave out the last batch of an epoch if it is short and not the only one.
        workers: Worker processes; 0 loads in this process.
        views: Number of fixed views per sample, ``view = epoch mod views``; None for a new view in every epoch.
        rank: Number of this process.
        world_size: Number of processes; each takes every ``world_size``-th sample of the common order.
    """

    def __init__(
        self,
        dataset: Dataset[SampleT],
        batch_size: int,
        collate: Callable[[list[SampleT]], BatchT],
        *,
        seed: int = 0,
        shuffle: bool = False,
        drop_last: bool = False,
        workers: int = 0,
        views: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.dataset = dataset
        self.sampler = ViewSampler(
            len(dataset),  # type: ignore[arg-type]
            batch_size,
            seed=seed,
            shuffle=shuffle,
            drop_last=drop_last,
            views=views,
            rank=rank,
            world_size=world_size,
        )
        self.batch_sampler = self.sampler
        self._loader: DataLoader[BatchT | _Failure] = DataLoader(
            _Batches(dataset, collate),
            batch_size=None,
            sampler=self.sampler,
            collate_fn=_unchanged,
            num_workers=workers,
            generator=torch.Generator(),  # else every epoch would draw from the global generator
        )

    def __len__(self) -> int:
        return self.sampler.batches_per_epoch

    def __iter__(self) -> Iterator[BatchT]:
        batches = iter(self._loader)
        self.sampler.consumed, self.sampler.start = self.sampler.start, 0
        for batch in batches:
            if isinstance(batch, _Failure):
                raise DataError("A sample cannot be loaded:", batch.problems)
            self.sampler.consumed += 1
            yield batch

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch; nothing happens if it is the current one."""
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the data: the epoch and the number of its batches that were handed out."""
        return {"epoch": self.sampler.epoch, "consumed": self.sampler.consumed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the last batch that was handed out when the state was saved."""
        self.sampler.epoch = state_dict["epoch"]
        self.sampler.start = self.sampler.consumed = state_dict["consumed"]


def _unchanged(batch: BatchT) -> BatchT:
    return batch
