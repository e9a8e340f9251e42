import io
from types import SimpleNamespace

import torch
from rich.console import Console

from limbeck.config import TrainConfig
from limbeck.training.module import Distillation
from limbeck.training.progress import ProgressBar


def test_shows_steps_time_left_and_terms_and_goes_away(make_detector):
    console = Console(file=io.StringIO(), force_terminal=True, width=160)
    bar = ProgressBar("student", console)
    module = Distillation(make_detector(), [], None, TrainConfig(), seed=0, total_steps=40)
    trainer = SimpleNamespace(global_step=10, is_global_zero=True)
    bar.on_train_start(trainer, module)
    trainer.global_step = 11
    values = {"values": {"box": torch.tensor(1.2345), "loss": torch.tensor(2.0)}}
    bar.on_train_batch_end(trainer, module, values, None, 0)
    bar._bar.refresh()
    drawn = console.file.getvalue()
    assert "student" in drawn
    assert "11/40" in drawn
    assert "box 1.23 loss 2" in drawn
    bar.teardown(trainer, module, "fit")
    assert bar._bar.finished is False
    assert not bar._bar.live.is_started


def test_draws_nothing_in_the_other_processes(make_detector):
    console = Console(file=io.StringIO(), force_terminal=True)
    bar = ProgressBar("student", console)
    module = Distillation(make_detector(), [], None, TrainConfig(), seed=0, total_steps=40)
    bar.on_train_start(SimpleNamespace(global_step=0, is_global_zero=False), module)
    assert console.file.getvalue() == ""
