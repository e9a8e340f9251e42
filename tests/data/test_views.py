"""The batches depend on seed and epoch only, and an interrupted epoch goes on where it stopped."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import astuple
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from torch import Tensor
from torch.utils.data import Dataset

from limbeck.data.coco import read_coco
from limbeck.data.config import AugmentConfig
from limbeck.data.detection2d import DetectionViews, collate
from limbeck.data.views import Draw, ViewLoader, earlier_equals
from limbeck.errors import DataError

CANVASES = ((64, 32), (96, 64), (128, 64))
FEATURES = {"repeats": np.array([1, 1, 2.5, 1, 3.5, 1, 1, 1, 1, 1]), "canvases": CANVASES}
"""Everything that changes the plan of an epoch of ten images; it is 14 long."""


class Draws(Dataset[Draw]):
    """Gives back what it is asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, draw: Draw) -> Draw:
        return draw


class Threads(Dataset[tuple[int, int]]):
    """Gives the number of torch threads and the process that loads."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, draw: Draw) -> tuple[int, int]:
        return torch.get_num_threads(), os.getpid()


def loader(size: int = 10, batch_size: int = 4, **options: Any) -> ViewLoader[Draw, list[Draw]]:
    return ViewLoader(Draws(size), batch_size, list, **{"shuffle": True, **options})


def epoch(view_loader: ViewLoader[Draw, list[Draw]], number: int) -> list[list[Draw]]:
    view_loader.set_epoch(number)
    return list(view_loader)


def flat(batches: list[list[Draw]]) -> list[Draw]:
    return [draw for batch in batches for draw in batch]


def test_an_epoch_holds_every_sample_once_in_an_order_of_its_own() -> None:
    batches = [epoch(loader(), number) for number in range(3)]
    for number, epoch_batches in enumerate(batches):
        assert set(flat(epoch_batches)) == {Draw(number, index) for index in range(10)}
        assert [len(batch) for batch in epoch_batches] == [4, 4, 2]
    orders = [[draw.index for draw in flat(epoch_batches)] for epoch_batches in batches]
    assert orders[0] != orders[1] != orders[2]
    assert epoch(loader(), 1) == batches[1]
    assert epoch(loader(seed=1), 1) != batches[1]


def test_without_shuffle_the_order_is_that_of_the_data_set() -> None:
    batches = list(loader(5, 2, shuffle=False))
    assert batches == [[Draw(0, 0), Draw(0, 1)], [Draw(0, 2), Draw(0, 3)], [Draw(0, 4)]]


def test_fixed_views_come_round() -> None:
    view_loader = loader(views=3)
    assert [epoch(view_loader, number)[0][0].view for number in (0, 2, 3, 7)] == [0, 2, 0, 1]


@pytest.mark.parametrize(
    ("size", "drop_last", "lengths"),
    [(10, False, [4, 4, 2]), (10, True, [4, 4]), (8, True, [4, 4]), (3, True, [3]), (3, False, [3])],
)
def test_drop_last_leaves_at_least_one_batch(size: int, drop_last: bool, lengths: list[int]) -> None:
    view_loader = loader(size, drop_last=drop_last)
    assert [len(batch) for batch in view_loader] == lengths
    assert len(view_loader) == len(lengths)


def test_a_rare_image_is_shown_more_often_and_in_other_views() -> None:
    view_loader = loader(**FEATURES)
    counts: Counter[int] = Counter()
    for number in range(40):
        draws = flat(epoch(view_loader, number))
        assert len(draws) == len(set(draws)) == 14
        assert {draw.view for draw in draws} == {number}
        found = Counter(draw.index for draw in draws)
        assert set(found) == set(range(10))
        for index, count in found.items():
            repeats = [draw.repeat for draw in draws if draw.index == index]
            assert repeats == list(range(count))
        counts += found
    assert [counts[index] / 40 for index in (2, 4)] == pytest.approx([2.5, 3.5], abs=0.3)
    assert [counts[index] for index in (0, 1, 3, 5, 9)] == [40] * 5


@pytest.mark.parametrize(("drop_last", "batches"), [(True, 3), (False, 4)])
def test_every_epoch_has_equally_many_batches_with_repeats(drop_last: bool, batches: int) -> None:
    view_loader = loader(**FEATURES, drop_last=drop_last)
    assert len(view_loader) == batches
    assert {len(epoch(view_loader, number)) for number in range(30)} == {batches}


@given(arrays(np.int64, st.integers(0, 30), elements=st.integers(0, 5)))
def test_earlier_equals_counts_as_a_loop_does(values: np.ndarray) -> None:
    expected = [int((values[:place] == value).sum()) for place, value in enumerate(values)]
    assert earlier_equals(values).tolist() == expected


def test_a_batch_has_one_canvas_and_all_canvases_come() -> None:
    batches = [batch for number in range(10) for batch in epoch(loader(canvases=CANVASES), number)]
    drawn = [{draw.canvas_wh for draw in batch} for batch in batches]
    assert all(len(canvases) == 1 for canvases in drawn)
    assert set.union(*drawn) == set(CANVASES)
    assert len({tuple(canvases) for canvases in drawn[:3]} | {tuple(canvases) for canvases in drawn[3:6]}) > 1
    assert {draw.canvas_wh for draw in flat(list(loader()))} == {None}


def test_canvases_do_not_change_which_images_come() -> None:
    def images(**options: Any) -> list[tuple[int, int]]:
        return [(draw.index, draw.repeat) for draw in flat(epoch(loader(**options), 3))]

    assert images() == images(canvases=CANVASES)
    assert images(**FEATURES) == images(repeats=FEATURES["repeats"])


@pytest.mark.parametrize("size", [7, 8, 10])
def test_processes_share_one_order_and_the_canvases(size: int) -> None:
    repeats = np.linspace(1, 3, size)
    options = {"repeats": repeats, "canvases": CANVASES}
    alone = flat(epoch(loader(size, 1, **options), 2))
    first, second = (epoch(loader(size, 2, rank=rank, world_size=2, **options), 2) for rank in range(2))
    together = [draw for pair in zip(flat(first), flat(second), strict=True) for draw in pair]
    padded = [*alone, *alone[: len(alone) % 2]]
    assert [draw.index for draw in together] == [draw.index for draw in padded]
    assert len(set(together)) == len(together)
    assert [a[0].canvas_wh for a in first] == [b[0].canvas_wh for b in second]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("features", [False, True])
def test_batches_do_not_depend_on_the_number_of_workers(coco: Any, workers: int, features: bool) -> None:
    augment = AugmentConfig(mosaic=0.5 * features)
    weights = np.array([1, 2], np.float32) if features else None
    records = read_coco(coco.split).records
    dataset = DetectionViews(records, (64, 64), "letterbox", augment, seed=5, class_weights=weights)
    options: dict[str, Any] = {"repeats": np.array([1, 2.5, 1, 1]), "canvases": CANVASES} if features else {}
    here = ViewLoader(dataset, 3, collate, shuffle=True, **options)
    there = ViewLoader(dataset, 3, collate, shuffle=True, workers=workers, **options)
    for number in range(3):
        here.set_epoch(number)
        there.set_epoch(number)
        for a, b in zip(here, there, strict=True):
            assert torch.equal(a.images, b.images)
            assert a.frames == b.frames
            assert [t.boxes_xyxy.tolist() for t in a.targets] == [t.boxes_xyxy.tolist() for t in b.targets]
            if features:
                assert [t.weights.tolist() for t in a.targets] == [t.weights.tolist() for t in b.targets]


def test_workers_use_one_thread_each() -> None:
    batches = list(ViewLoader(Threads(), 1, list, workers=2))
    assert {threads for batch in batches for threads, _ in batch} == {1}
    assert os.getpid() not in {process for batch in batches for _, process in batch}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_generator_is_left_alone(workers: int) -> None:
    state = torch.random.get_rng_state()
    list(loader(workers=workers, **FEATURES))
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("size", [1, 7, 8, 9])
@pytest.mark.parametrize("drop_last", [False, True])
def test_training_gives_all_processes_equally_much(size: int, drop_last: bool) -> None:
    ranks = [loader(size, 2, rank=rank, world_size=3, drop_last=drop_last) for rank in range(3)]
    assert len({len(rank) for rank in ranks}) == 1
    assert len({tuple(len(batch) for batch in rank) for rank in ranks}) == 1
    if not drop_last:
        assert {draw.index for rank in ranks for draw in flat(list(rank))} == set(range(size))


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_evaluation_sees_every_sample_exactly_once(size: int) -> None:
    ranks = [loader(size, 2, rank=rank, world_size=3, shuffle=False) for rank in range(3)]
    assert Counter(draw.index for rank in ranks for draw in flat(list(rank))) == Counter(range(size))
    assert [len(rank) for rank in ranks] == [len(list(rank)) for rank in ranks]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("used", [0, 1, 2, 3])
@pytest.mark.parametrize(("options", "length"), [({}, 3), (FEATURES, 4)], ids=["plain", "features"])
def test_a_state_goes_on_with_the_next_batch(workers: int, used: int, options: Any, length: int) -> None:
    whole = epoch(loader(**options), 4)
    stopped = loader(workers=workers, **options)
    stopped.set_epoch(4)
    batches = iter(stopped)
    for _ in range(used):
        next(batches)
    resumed = loader(workers=workers, **options)
    resumed.load_state_dict(stopped.state_dict())
    assert len(resumed) == length
    resumed.set_epoch(4)
    assert list(resumed) == whole[used:]
    assert epoch(resumed, 5) == epoch(loader(**options), 5)


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


def as_tuples(draws: list[Draw]) -> list[tuple[Any, ...]]:
    """Make a batch that Lightning can take apart, as it does with every batch."""
    return [astuple(draw) for draw in draws]


class Recorder(pl.LightningModule):
    """Writes down the batches it is trained on; its one weight depends on all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, list[tuple[Any, ...]]]] = []

    def training_step(self, batch: list[tuple[Any, ...]], batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, [tuple(draw) for draw in batch]))
        return (self.weight - sum(index for _, index, *_ in batch)).square().sum()

    def validation_step(self, batch: list[tuple[Any, ...]], batch_idx: int) -> None:
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


def fit(
    folder: Path, options: dict[str, Any], callback: pl.Callback | None = None, resume: Path | None = None
) -> Recorder:
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
    training = ViewLoader(Draws(10), collate=as_tuples, shuffle=True, **options)
    validation = ViewLoader(Draws(5), 2, as_tuples)
    trainer.fit(module, training, validation, ckpt_path=resume, weights_only=False)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options",
    [{"batch_size": 4}, {"batch_size": 4, "workers": 2}, {"batch_size": 5, **FEATURES}],
    ids=["here", "workers", "features"],
)
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
    tmp_path: Path, step: int, hook: str, options: dict[str, Any]
) -> None:
    whole = fit(tmp_path, options)
    assert len(whole.seen) == 9
    stopped = fit(tmp_path, options, SaveAt(step, hook, tmp_path / "stop.ckpt"))
    resumed = fit(tmp_path, options, resume=tmp_path / "stop.ckpt")
    assert len(stopped.seen) == step
    assert stopped.seen + resumed.seen == whole.seen
    assert torch.equal(resumed.weight, whole.weight)
