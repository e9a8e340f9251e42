"""A stopped training goes on and ends as if it had never been stopped; and what fit() leaves behind."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from limbeck.errors import CheckpointError, ConfigError, Interrupted, TrainingError
from limbeck.training.fit import build_methods, seeded_model
from limbeck.weights import read_info

HERE = Path(__file__).parent
NEVER = 10**6
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def differences(a, b, where=""):
    """All places where two checkpoints are not the same, bit by bit."""
    if type(a) is not type(b):
        return [f"{where}: {a!r} and {b!r}"]
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return [f"{where}: keys {a.keys() ^ b.keys()}"]
        return [line for key in a for line in differences(a[key], b[key], f"{where}.{key}")]
    if isinstance(a, list | tuple):
        return [line for i, pair in enumerate(zip(a, b, strict=True)) for line in differences(*pair, f"{where}.{i}")]
    same = torch.equal(a, b) if isinstance(a, Tensor) else a == b
    return [] if same else [where]


def checkpoint(folder: Path) -> dict:
    content = torch.load(folder / "last.ckpt", weights_only=True)
    for measured in ("Timer", "Memory"):
        content["callbacks"].pop(measured)
    return content


def assert_same_training(a: Path, b: Path) -> None:
    assert differences(checkpoint(a), checkpoint(b)) == []
    for name in ("metrics.jsonl", "best.safetensors"):
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


def steps(folder: Path, kind: str) -> list[int]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if any(name.startswith(kind) for name in line)]


RESUMES = {  # 4 batches per epoch
    "within an epoch": ({}, [5]),
    "in the last step of an epoch": ({}, [7]),
    "in the very last step": ({}, [11]),
    "again and again": ({"optimizer": "sgd", "lr": 0.01, "ema": None, "eval_every": 2}, [0, 4, 10]),
    "with a worker": ({"workers": 1}, [2, 7]),
    "within an accumulation": ({"accumulate": 3}, [2]),
    "after an accumulation that an epoch cuts short": ({"accumulate": 3}, [3]),
    "in bfloat16": ({"precision": "bf16"}, [5, 7]),
}


@pytest.mark.parametrize(("settings", "stops"), RESUMES.values(), ids=RESUMES)
def test_a_stopped_training_ends_as_if_it_had_not_been_stopped(settings, stops, training, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    training(whole, "Adapter", ("Signal", NEVER), **settings)
    handlers = [signal.getsignal(number) for number in SIGNALS]
    for stop in stops:
        with pytest.raises(Interrupted, match=rf"after step {stop + 1}; the state is kept in .*last\.ckpt"):
            training(parts, "Adapter", ("Signal", stop), **settings)
        assert [signal.getsignal(number) for number in SIGNALS] == handlers
    training(parts, "Adapter", ("Signal", NEVER), **settings)
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert_same_training(whole, parts)
    per_epoch = -(-4 // settings.get("accumulate", 1))
    assert steps(parts, "train/") == list(range(3 * per_epoch))
    assert read_info(parts / "best.safetensors").epochs == 3


TAPPED = {
    "name": "fitnet",
    "student_taps": ["trunk.neck#0", "trunk.backbone.body.conv1"],
    "teacher_taps": ["trunk.neck#1", "trunk.backbone.body.conv1"],
    "adapter": "always",
}


@pytest.mark.parametrize("settings", [{}, {"accumulate": 3, "precision": "bf16"}], ids=["plain", "accumulated bf16"])
def test_several_methods_with_taps_and_adapters_are_stopped_and_go_on(settings, training, tmp_path):
    methods = [{"name": "bckd"}, TAPPED, {"name": "kd"}]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    training(whole, *methods, ("Signal", NEVER), epochs=2, **settings)
    with pytest.raises(Interrupted):
        training(parts, *methods, ("Signal", 2 if settings else 5), epochs=2, **settings)
    training(parts, *methods, ("Signal", NEVER), epochs=2, **settings)
    assert_same_training(whole, parts)
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    terms = [line for line in lines if "train/loss" in line]
    assert {"train/bckd_cls", "train/bckd_loc", "train/fitnet", "train/kd"} < terms[0].keys()
    state = checkpoint(whole)["state_dict"]
    adapters = {name for name in state if name.startswith("methods.")}
    assert adapters == {f"methods.1.pairs.adapters.{n}.{p}" for n in (0, 1) for p in ("weight", "bias")}
    assert not any(name.startswith("methods") for name in load_file(whole / "best.safetensors"))


def test_a_killed_training_goes_on_from_the_last_epoch(training, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    training(whole, ("Crash", NEVER))
    with pytest.raises(SystemExit):
        training(parts, ("Crash", 6))
    assert steps(parts, "train/") == [0, 1, 2, 3, 4, 5]
    with (parts / "metrics.jsonl").open("a") as log:
        log.write('{"step": 6, "train/lo')
    training(parts, ("Crash", NEVER))
    assert_same_training(whole, parts)
    assert steps(parts, "val/") == [3, 7, 11]


def test_random_numbers_matter_in_these_tests(training, tmp_path, monkeypatch):
    training(tmp_path / "a", ("Signal", NEVER), epochs=1)
    monkeypatch.setattr("limbeck.training.module.Distillation.on_train_batch_start", lambda *args: torch.manual_seed(7))
    training(tmp_path / "b", ("Signal", NEVER), epochs=1)
    assert differences(checkpoint(tmp_path / "a")["state_dict"], checkpoint(tmp_path / "b")["state_dict"])


def test_a_finished_training_is_not_trained_again(training, tmp_path):
    training(tmp_path, ("Signal", NEVER), epochs=1)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*") if path.suffix != ".json"}
    spent = read_info(tmp_path / "best.safetensors")
    ballast = torch.ones(100_000_000)  # 400 MB that are not the training's
    training(tmp_path, ("Crash", 0), epochs=1)
    del ballast
    assert {path: path.read_bytes() for path in before} == before
    again = read_info(tmp_path / "best.safetensors")
    assert again.train_seconds == pytest.approx(spent.train_seconds, abs=0.5)
    if spent.train_memory_bytes is not None:
        assert again.train_memory_bytes == pytest.approx(spent.train_memory_bytes, abs=50_000_000)
        assert spent.train_memory_bytes > 50_000_000


def test_a_training_from_before_memory_was_measured_goes_on(training, tmp_path):
    with pytest.raises(Interrupted):
        training(tmp_path, ("Signal", 5))
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del state["callbacks"]["Memory"]
    torch.save(state, tmp_path / "last.ckpt")
    training(tmp_path, ("Signal", NEVER))
    assert read_info(tmp_path / "best.safetensors").epochs == 3


@pytest.mark.parametrize("fault", ["NotANumber", "Explode"])
def test_a_fault_leaves_the_last_good_checkpoint(fault, training, tmp_path):
    training(tmp_path, ("Signal", NEVER), epochs=1)
    before = (tmp_path / "last.ckpt").read_bytes()
    text = r"broken = nan\) on the samples .*\d\.png, .*\d\.png" if fault == "NotANumber" else "gradient is not finite"
    with pytest.raises(TrainingError, match=text):
        training(tmp_path, (fault, 6), epochs=3)
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_a_checkpoint_is_written_at_once_or_not_at_all(training, tmp_path, monkeypatch):
    training(tmp_path, ("Signal", NEVER), epochs=1)
    before = (tmp_path / "last.ckpt").read_bytes()

    def half(checkpoint, path, storage_options=None):
        path.write_bytes(before[:100])
        raise OSError("the disk is full")

    monkeypatch.setattr("lightning.fabric.plugins.io.torch_io.TorchCheckpointIO.save_checkpoint", staticmethod(half))
    with pytest.raises(OSError, match="the disk is full"):
        training(tmp_path, ("Signal", NEVER), epochs=2)
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_a_broken_checkpoint_is_named(training, tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"PK nothing")
    with pytest.raises(CheckpointError, match=r"last\.ckpt is broken"):
        training(tmp_path, ("Signal", NEVER))


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def test_a_checkpoint_cannot_run_code(training, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"global_step": 0, "state_dict": Evil()}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="is broken"):
        training(tmp_path, ("Signal", NEVER))
    assert not (tmp_path / "evil").exists()


def test_the_checkpoint_holds_student_and_methods_but_no_teacher(training, make_detector, tmp_path):
    training(tmp_path, "Adapter", epochs=1)
    state = checkpoint(tmp_path)["state_dict"]
    student = {f"student.{name}" for name in make_detector().state_dict()}
    assert state.keys() == student | {"methods.0.adapter.weight", "methods.0.adapter.bias"}


def test_it_is_quiet_where_nobody_watches(training, tmp_path, capfd, caplog):
    for name in ("lightning.pytorch", "lightning.fabric"):
        caplog.set_level(logging.INFO, name)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        training(tmp_path, "Adapter", epochs=1)
    captured = capfd.readouterr()
    assert captured.out + captured.err + caplog.text == ""
    assert [str(warning.message) for warning in warned] == []


def test_weights_depend_on_the_seed_alone(make_detector, toy):
    from limbeck.lookup import method_config, model_config

    config = model_config({"model": "gfl", "backbone": "test_resnet", "channels": 16})
    torch.manual_seed(0)
    a = seeded_model(config, ("wagon",), seed=5)
    before = torch.get_rng_state()
    b = seeded_model(config, ("wagon",), seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert differences(a.state_dict(), b.state_dict()) == []
    assert differences(a.state_dict(), seeded_model(config, ("wagon",), seed=6).state_dict())
    methods = [method_config({"name": "toy_methods:Adapter"})]
    adapters = [build_methods(methods, a, a, [], seed=seed)[0].state_dict() for seed in (5, 5, 6)]
    assert differences(adapters[0], adapters[1]) == []
    assert differences(adapters[0], adapters[2])


@pytest.fixture
def built(make_detector):
    """Return a function that builds methods of settings for a student and a teacher of 24 channels."""
    from limbeck.lookup import method_config

    def build(*settings, samples=()):
        student, teacher = make_detector(), make_detector(seed=1, channels=24)
        return build_methods([method_config(section) for section in settings], student, teacher, samples)

    return build


def test_a_method_is_told_the_shapes_of_its_taps(built, make_batch):
    methods = built({"name": "toy_methods:Tapped", "step": 1}, {"name": "toy_methods:Tapped"}, samples=[make_batch(1)])
    assert methods[0].told == methods[1].told
    of_student, of_teacher = methods[0].told
    assert of_student == {"trunk.neck#1": (16, 4, 4), "trunk.neck#0": (16, 8, 8)}
    assert of_teacher == {"trunk.neck#1": (24, 4, 4), "trunk.neck#0": (24, 8, 8)}


def test_no_sample_is_read_where_nothing_is_tapped(built):
    assert built({"name": "bckd"}, {"name": "fitnet"}, samples=(1 / 0 for _ in "x"))


def test_unknown_taps_of_both_models_are_told_at_once(built):
    with pytest.raises(ConfigError, match="lead nowhere") as caught:
        built(TAPPED | {"student_taps": ["trunk.nekc#0", "x"], "teacher_taps": ["trunk.neck#0", "trunk.backbone.net"]})
    assert caught.value.problems == (
        "the student has no module 'trunk.nekc' (did you mean 'trunk.neck'?); 'trunk' holds: normalise, backbone, neck",
        "the student has no module 'x'; it holds: trunk, dense_head",
        "the teacher has no module 'trunk.backbone.net' (did you mean 'trunk.backbone'?); 'trunk.backbone' holds: body",
    )


def two_processes(data: Path, out: Path) -> list[dict]:
    """Start two processes as torchrun does and return what each wrote down."""
    place = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1", "GROUP_RANK": "0"}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "TORCHELASTIC_RUN_ID": "test"}
    command = [sys.executable, str(HERE / "one_of_two.py"), str(data), str(out)]
    environment = os.environ | place | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(command, env=environment | {"RANK": rank, "LOCAL_RANK": rank}, stderr=subprocess.PIPE)
        for rank in ("0", "1")
    ]
    try:
        for process in started:
            _, err = process.communicate(timeout=300)
            assert process.returncode == 0, err.decode()
    finally:
        for process in started:
            process.kill()
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_two_processes_train_one_model(task, tmp_path):
    first, second = two_processes(task.config.train.annotations.parent, tmp_path)
    (stopped, done), (stopped_too, done_too) = first["runs"], second["runs"]
    assert stopped["end"] == stopped_too["end"]  # the signal came to the second alone
    assert stopped["end"].startswith("Stopped after step 4;")
    assert done["end"] == done_too["end"] == "done"
    assert stopped["adapter at the start"] != stopped_too["adapter at the start"]
    assert stopped["adapter"] == stopped_too["adapter"] != done["adapter"] == done_too["adapter"]
    assert stopped["student"] == stopped_too["student"] != done["student"] == done_too["student"]
    pairs = list(zip(first["steps"], second["steps"], strict=True))
    for mine, other in pairs:
        assert mine["images"] != other["images"]
        assert mine["normaliser"] == other["normaliser"] == (mine["positives"] + other["positives"]) / 2
    assert any(mine["positives"] != other["positives"] for mine, other in pairs)
    assert steps(tmp_path / "run", "train/") == list(range(8))
    assert steps(tmp_path / "run", "val/") == [3, 7]
    assert len(list((tmp_path / "run" / "tensorboard").glob("events*"))) == 2  # one per start
