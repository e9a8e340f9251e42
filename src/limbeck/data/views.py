"""Batches in an order that depends on nothing but seed and epoch, and that can be taken up again in mid-epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from limbeck.data.sampling import epoch_length, resample
from limbeck.errors import DataError

SampleT = TypeVar("SampleT")
BatchT = TypeVar("BatchT")


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample to be loaded: which view of which image.

    Attributes:
        view: Number of the view: the epoch, or one of the fixed views.
        index: Number of the image.
        repeat: How often the image came before in the same epoch; each time it is another view.
        canvas_wh: Width and height of the batch's canvas; None for that of the data set.
    """

    view: int
    index: int
    repeat: int = 0
    canvas_wh: tuple[int, int] | None = None


class ViewSampler(Sampler[list[Draw]]):
    """Draws the batches of one epoch; see `ViewLoader` for the arguments.

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
        repeats: NDArray[np.float64] | None,
        canvases: Sequence[tuple[int, int]] | None,
    ) -> None:
        self.size = size if repeats is None else epoch_length(repeats)
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.views = views
        self.rank = rank
        self.world_size = world_size
        self.repeats = repeats
        self.canvases = canvases
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

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        indices = np.resize(self._order(generator), self._padded_size)
        mine = slice(self.rank, None, self.world_size)
        samples = list(zip(indices[mine].tolist(), earlier_equals(indices)[mine].tolist(), strict=True))
        view = self.epoch if self.views is None else self.epoch % self.views
        size = self.batch_size
        batches = [
            [Draw(view, index, repeat, canvas_wh) for index, repeat in samples[number * size : (number + 1) * size]]
            for number, canvas_wh in enumerate(self._canvases(generator))
        ]
        return iter(batches[self.start :])

    def _order(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Return the images of the epoch for all processes together."""
        if self.repeats is not None:
            return resample(self.repeats, generator)
        return generator.permutation(self.size) if self.shuffle else np.arange(self.size)

    def _canvases(self, generator: np.random.Generator) -> list[tuple[int, int] | None]:
        """Return the canvas of every batch of the epoch, the same in all processes."""
        if self.canvases is None:
            return [None] * self.batches_per_epoch
        return [self.canvases[n] for n in generator.integers(len(self.canvases), size=self.batches_per_epoch)]


def earlier_equals(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for every value (M,) how many of those before it are equal to it, (M,)."""
    by_value = np.argsort(values, kind="stable")
    ordered = values[by_value]
    count = np.empty_like(by_value)
    count[by_value] = np.arange(len(values)) - np.searchsorted(ordered, ordered)
    return count


class _Failure(NamedTuple):
    """A user's mistake found in a worker; torch would turn the exception into a RuntimeError with a traceback."""

    problems: tuple[str, ...]


class _Batches(Dataset[Any]):
    """Gives a whole batch for a list of draws."""

    def __init__(self, dataset: Dataset[Any], collate: Callable[[list[Any]], Any]) -> None:
        self.dataset = dataset
        self.collate = collate

    def __getitem__(self, draws: list[Draw]) -> Any:
        try:
            return self.collate([self.dataset[draw] for draw in draws])
        except DataError as error:
            return _Failure(error.problems)


class ViewLoader(Generic[SampleT, BatchT]):
    """Batches of views, loaded by worker processes that live for one epoch.

    Workers that outlive their epoch (torch's ``persistent_workers``) end when Python's garbage collector finds them,
    which takes many seconds where a later loader has forked in the meantime.

    Every epoch has its own order and canvases, drawn from (seed, epoch), and its own view, so the batches do not depend
    on the number of workers. `state_dict` counts the batches handed out, not those a worker has prepared: a loader that
    loads it goes on with the very next batch. Lightning saves and restores it with its checkpoints, calls
    ``sampler.set_epoch``, and takes an iterator before both, which is why the iterator looks at them only when the
    first batch is asked for.

    Args:
        dataset: Gives a sample for a `Draw`.
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
        repeats: (I,) how often each image is shown per epoch on average, in random order; None for once.
        canvases: Width and height of the canvases that the batches are drawn from; None for that of the data set.
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
        repeats: NDArray[np.float64] | None = None,
        canvases: Sequence[tuple[int, int]] | None = None,
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
            repeats=repeats,
            canvases=canvases,
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
