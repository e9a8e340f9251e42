import json
import os
import signal
import threading
from types import SimpleNamespace

import pytest
import torch

from limbeck.errors import Interrupted
from limbeck.tasks.detection2d import BoxTally
from limbeck.training import callbacks
from limbeck.training.callbacks import Checkpoints, Memory, StepLog, Validation
from limbeck.weights import read_info

NEVER = 10**6


class FakeTrainer:
    """As much of a trainer as a callback looks at; 4 batches per epoch."""

    def __init__(self, accumulate=1):
        self.accumulate_grad_batches = accumulate
        self.num_training_batches = 4
        self.global_step = 0
        self.current_epoch = 0
        self.is_global_zero = True
        self.strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)
        self.saved = 0
        self.logged = []
        self.loggers = [SimpleNamespace(log_metrics=lambda values, step: self.logged.append((step, values)))]

    def save_checkpoint(self, path):
        self.saved += 1
        path.write_text(f"step {self.global_step}")

    def batch(self, callback, batch_idx, **values):
        if (batch_idx + 1) % self.accumulate_grad_batches == 0 or batch_idx == 3:
            self.global_step += 1
        tensors = {name: torch.tensor(float(value)) for name, value in values.items()}
        callback.on_train_batch_end(self, None, {"values": tensors}, None, batch_idx)


@pytest.fixture
def checkpoints(tmp_path):
    """The callback with its hands on the signals."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    callback = Checkpoints(tmp_path / "last.ckpt")
    callback.on_train_start(None, None)
    yield callback
    callback.on_exception(None, None, Interrupted(""))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step(number, checkpoints, tmp_path):
    trainer = FakeTrainer()
    trainer.batch(checkpoints, 0)
    assert trainer.saved == 0
    os.kill(os.getpid(), number)
    with pytest.raises(Interrupted, match="Stopped after step 2") as caught:
        trainer.batch(checkpoints, 1)
    assert caught.value.exit_code == 130
    assert "same command again" in str(caught.value)
    assert (tmp_path / "last.ckpt").read_text() == "step 2"
    assert not (tmp_path / "last.part").exists()


def test_an_accumulation_is_finished_first(checkpoints):
    trainer = FakeTrainer(accumulate=3)
    os.kill(os.getpid(), signal.SIGINT)
    trainer.batch(checkpoints, 0)
    trainer.batch(checkpoints, 1)
    with pytest.raises(Interrupted, match="after step 1"):
        trainer.batch(checkpoints, 2)


def test_a_signal_in_the_last_step_of_an_epoch_waits_for_its_end(checkpoints):
    trainer = FakeTrainer()
    os.kill(os.getpid(), signal.SIGINT)
    trainer.batch(checkpoints, 3)
    assert trainer.saved == 0
    with pytest.raises(Interrupted):
        checkpoints.on_train_epoch_end(trainer, None)
    assert trainer.saved == 1


def test_all_processes_stop_together(checkpoints):
    trainer = FakeTrainer()
    trainer.strategy.reduce_boolean_decision = lambda decision, all: True  # the signal came to another process
    with pytest.raises(Interrupted):
        trainer.batch(checkpoints, 0)


def test_only_the_first_process_puts_the_file_in_place(checkpoints, tmp_path):
    trainer = FakeTrainer()
    trainer.is_global_zero = False
    checkpoints.on_train_epoch_end(trainer, None)
    assert not (tmp_path / "last.ckpt").exists()


def test_a_second_signal_stops_at_once(checkpoints):
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_signals_are_given_back_at_the_end(checkpoints):
    checkpoints.on_train_end(None, None)
    with pytest.raises(KeyboardInterrupt):  # Python's own answer
        os.kill(os.getpid(), signal.SIGINT)


def test_a_thread_beside_the_main_one_may_train(tmp_path):
    failed = []

    def run():
        try:
            Checkpoints(tmp_path / "last.ckpt").on_train_start(None, None)
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == []


def test_one_line_per_optimizer_step():
    trainer = FakeTrainer(accumulate=3)
    log = StepLog()
    for batch_idx in range(4):
        trainer.batch(log, batch_idx, loss=batch_idx)
    assert trainer.logged == [(0, {"train/loss": 2.0, "epoch": 0}), (1, {"train/loss": 3.0, "epoch": 0})]
    assert isinstance(trainer.logged[0][1]["train/loss"], float)


def scores(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["val/AP"] for line in lines if "val/AP" in line}


def test_the_best_epoch_is_kept_and_the_last_is_always_evaluated(training, task, tmp_path, monkeypatch):
    given = iter([0.2, 0.5, 0.3])
    monkeypatch.setattr(BoxTally, "metrics", lambda self: {"AP": next(given), "AP50": 0.0})
    best = training(tmp_path, ("Signal", NEVER), epochs=5, eval_every=2)
    assert scores(tmp_path) == {7: 0.2, 15: 0.5, 19: 0.3}
    assert read_info(best).metrics == {"AP": 0.5, "AP50": 0.0}
    assert read_info(best).epochs == 5


def test_the_averaged_weights_are_those_evaluated_and_saved(training, tmp_path):
    from safetensors.torch import load_file

    best = training(tmp_path, ("Signal", NEVER), epochs=1, ema=0.9)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    saved, average = load_file(best), state["callbacks"]["Ema"]["average"]
    assert saved.keys() == average.keys()
    assert all(torch.equal(value, average[name]) for name, value in saved.items())
    name = "dense_head.class_out.weight"
    assert not torch.equal(saved[name], state["state_dict"][f"student.{name}"])


def test_an_evaluation_leaves_the_training_student_alone(task, info, make_detector, tmp_path):
    from copy import deepcopy

    from limbeck.training.ema import Ema

    student = make_detector().train()
    before = deepcopy(student.state_dict())
    trainer = FakeTrainer()
    trainer.global_step = 1
    module = SimpleNamespace(student=student, device=torch.device("cpu"))
    validation = Validation(
        task, Ema(None), deepcopy(student), info, tmp_path / "best.safetensors", every=1, precision="fp32"
    )
    validation._evaluate(trainer, module)
    assert student.training
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
    assert trainer.logged[0][0] == 0
    assert trainer.logged[0][1].keys() >= {"val/AP", "val/AP50"}


@pytest.fixture
def peaks(monkeypatch):
    """A system whose peak is the last number in the list; a start puts a 1 there."""
    peaks = [500]
    monkeypatch.setattr(callbacks, "start_peak", lambda device: peaks.append(1) or True)
    monkeypatch.setattr(callbacks, "peak_bytes", lambda device: peaks[-1])
    return peaks


def started(watch):
    watch.on_train_start(SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu"))), None)


def test_what_came_before_the_training_does_not_count(peaks):
    watch = Memory()
    assert watch.peak is None, "nothing was trained"
    started(watch)
    assert watch.peak == 1
    peaks.append(70)
    assert watch.state_dict() == {"peak": 70}


def test_a_resumed_training_has_the_highest_peak_of_its_parts(peaks):
    watch = Memory()
    watch.load_state_dict({"peak": 70})
    assert watch.peak == 70
    started(watch)
    assert watch.peak == 70
    peaks.append(90)
    assert watch.peak == 90


def test_a_peak_that_cannot_be_forgotten_is_not_that_of_the_training(monkeypatch):
    monkeypatch.setattr(callbacks, "start_peak", lambda device: False)
    watch = Memory()
    started(watch)
    assert watch.peak is None
