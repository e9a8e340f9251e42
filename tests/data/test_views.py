"""The batches depend on seed and epoch only, and an interrupted epoch goes on where it stopped."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data.coco import read_coco
from limbeck.data.config import AugmentConfig
from limbeck.data.detection2d import DetectionViews, collate
from limbeck.data.views import ViewLoader
from limbeck.errors import DataError

Pair = tuple[int, int]


class Pairs(Dataset[Pair]):
    """Gives back what it is asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item: Pair) -> Pair:
        return item


class Threads(Pairs):
    """Gives the number of torch threads and the process that loads."""

    def __getitem__(self, item: Pair) -> Pair:
        return torch.get_num_threads(), os.getpid()


def loader(size: int = 10, batch_size: int = 4, **options: Any) -> ViewLoader[Pair, list[Pair]]:
    return ViewLoader(Pairs(size), batch_size, list, **{"shuffle": True, **options})


def epoch(view_loader: ViewLoader[Pair, list[Pair]], number: int) -> list[list[Pair]]:
    view_loader.set_epoch(number)
    return list(view_loader)


def test_an_epoch_holds_every_sample_once_in_an_order_of_its_own() -> None:
    batches = [epoch(loader(), number) for number in range(3)]
    for number, epoch_batches in enumerate(batches):
        items = [item for batch in epoch_batches for item in batch]
        assert sorted(items) == [(number, index) for index in range(10)]
        assert [len(batch) for batch in epoch_batches] == [4, 4, 2]
    orders = [[index for batch in epoch_batches for _, index in batch] for epoch_batches in batches]
    assert orders[0] != orders[1] != orders[2]
    assert epoch(loader(), 1) == batches[1]
    assert epoch(loader(seed=1), 1) != batches[1]


def test_without_shuffle_the_order_is_that_of_the_data_set() -> None:
    assert list(loader(5, 2, shuffle=False)) == [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]


def test_fixed_views_come_round() -> None:
    view_loader = loader(views=3)
    assert [epoch(view_loader, number)[0][0][0] for number in (0, 2, 3, 7)] == [0, 2, 0, 1]


@pytest.mark.parametrize(
    ("size", "drop_last", "lengths"),
    [(10, False, [4, 4, 2]), (10, True, [4, 4]), (8, True, [4, 4]), (3, True, [3]), (3, False, [3])],
)
def test_drop_last_leaves_at_least_one_batch(size: int, drop_last: bool, lengths: list[int]) -> None:
    view_loader = loader(size, drop_last=drop_last)
    assert [len(batch) for batch in view_loader] == lengths
    assert len(view_loader) == len(lengths)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(coco: Any, workers: int) -> None:
    dataset = DetectionViews(read_coco(coco.split).records, (64, 64), "letterbox", AugmentConfig(), seed=5)
    here = ViewLoader(dataset, 3, collate, shuffle=True)
    there = ViewLoader(dataset, 3, collate, shuffle=True, workers=workers)
    for number in range(3):
        here.set_epoch(number)
        there.set_epoch(number)
        for a, b in zip(here, there, strict=True):
            assert torch.equal(a.images, b.images)
            assert a.frames == b.frames
            assert [t.boxes_xyxy.tolist() for t in a.targets] == [t.boxes_xyxy.tolist() for t in b.targets]


def test_workers_use_one_thread_each() -> None:
    batches = list(ViewLoader(Threads(4), 1, list, workers=2))
    assert {threads for batch in batches for threads, _ in batch} == {1}
    assert os.getpid() not in {process for batch in batches for _, process in batch}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_generator_is_left_alone(workers: int) -> None:
    state = torch.random.get_rng_state()
    list(loader(workers=workers))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("size", [1, 7, 8, 9])
@pytest.mark.parametrize("drop_last", [False, True])
def test_training_gives_all_processes_equally_much(size: int, drop_last: bool) -> None:
    ranks = [loader(size, 2, rank=rank, world_size=3, drop_last=drop_last) for rank in range(3)]
    assert len({len(rank) for rank in ranks}) == 1
    assert len({tuple(len(batch) for batch in rank) for rank in ranks}) == 1
    if not drop_last:
        assert {index for rank in ranks for batch in rank for _, index in batch} == set(range(size))


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_evaluation_sees_every_sample_exactly_once(size: int) -> None:
    ranks = [loader(size, 2, rank=rank, world_size=3, shuffle=False) for rank in range(3)]
    assert Counter(index for rank in ranks for batch in rank for _, index in batch) == Counter(range(size))
    assert [len(rank) for rank in ranks] == [len(list(rank)) for rank in ranks]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("used", [0, 1, 2, 3])
def test_a_state_goes_on_with_the_next_batch(workers: int, used: int) -> None:
    whole = epoch(loader(), 4)
    stopped = loader(workers=workers)
    stopped.set_epoch(4)
    batches = iter(stopped)
    for _ in range(used):
        next(batches)
    resumed = loader(workers=workers)
    resumed.load_state_dict(stopped.state_dict())
    assert len(resumed) == 3
    resumed.set_epoch(4)
    assert list(resumed) == whole[used:]
    assert epoch(resumed, 5) == epoch(loader(), 5)


def test_an_abandoned_epoch_starts_again() -> None:
    view_loader = loader(workers=2)
    next(iter(view_loader))
    assert list(view_loader) == epoch(loader(), 0)


def test_a_new_epoch_starts_at_its_beginning_in_the_state_too() -> None:
    view_loader = loader()
    epoch(view_loader, 2)
    assert view_loader.state_dict() == {"epoch": 2, "consumed": 3}
    view_loader.set_epoch(3)
    assert view_loader.state_dict() == {"epoch": 3, "consumed": 0}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_stops_the_loader_with_a_plain_sentence(coco: Any, workers: int) -> None:
    dataset = DetectionViews(read_coco(coco.split).records, (64, 64), "letterbox")
    coco.image(2).write_bytes(coco.image(2).read_bytes()[:2000])
    with pytest.raises(DataError) as caught:
        list(ViewLoader(dataset, 4, collate, workers=workers))
    assert str(coco.image(2)) in caught.value.problems[0]


class Recorder(pl.LightningModule):
    """Writes down the batches it is trained on; its one weight depends on all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, list[Pair]]] = []

    def training_step(self, batch: list[Pair], batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, [tuple(item) for item in batch]))
        return (self.weight - sum(index for _, index in batch)).square().sum()

    def validation_step(self, batch: list[Pair], batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAt(pl.Callback):
    """Saves a checkpoint after a number of steps, from the hook given, and stops."""

    def __init__(self, step: int, hook: str, path: Path) -> None:
        self.step = step
        self.path = path
        setattr(self, hook, self._save)

    def _save(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step >= self.step and not self.path.exists():
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def fit(folder: Path, workers: int, callback: pl.Callback | None = None, resume: Path | None = None) -> Recorder:
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[callback] if callback else [],
        default_root_dir=folder,
    )
    module = Recorder()
    validation = loader(5, 2, shuffle=False)
    trainer.fit(module, loader(workers=workers), validation, ckpt_path=resume, weights_only=False)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("step", "hook"),
    [
        (1, "on_train_batch_end"),
        (3, "on_train_batch_end"),
        (4, "on_train_batch_end"),
        (5, "on_train_batch_end"),
        (3, "on_validation_end"),
        (6, "on_validation_end"),
        (3, "on_train_epoch_end"),
        (6, "on_train_epoch_end"),
    ],
)
def test_a_stopped_lightning_training_goes_on_with_the_very_next_batch(
    tmp_path: Path, step: int, hook: str, workers: int
) -> None:
    whole = fit(tmp_path, workers)
    assert len(whole.seen) == 9
    stopped = fit(tmp_path, workers, SaveAt(step, hook, tmp_path / "stop.ckpt"))
    resumed = fit(tmp_path, workers, resume=tmp_path / "stop.ckpt")
    assert len(stopped.seen) == step
    assert stopped.seen + resumed.seen == whole.seen
    assert torch.equal(resumed.weight, whole.weight)
