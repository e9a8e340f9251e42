"""One training from start to end: a student, its methods, its folder."""

from __future__ import annotations

import logging
import math
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, Timer
from lightning.pytorch.loggers import TensorBoardLogger

from limbeck.config import TrainConfig
from limbeck.core.method import Method, MethodConfig, TapPaths
from limbeck.core.model import Model, ModelConfig, ModelSpec, inputs_of
from limbeck.core.samples import Batch
from limbeck.errors import CheckpointError, ConfigError, IncompatibleError
from limbeck.lookup import build_model, find_method
from limbeck.memory import keep_freed_memory
from limbeck.taps import tap_shapes, unknown_taps
from limbeck.tasks.base import AnyTask
from limbeck.training.callbacks import Checkpoints, Memory, StepLog, Validation
from limbeck.training.ema import Ema
from limbeck.training.logs import JsonLines, drop_lines_from
from limbeck.training.module import Distillation
from limbeck.training.precision import Resolved, resolve_precision
from limbeck.training.progress import ProgressBar
from limbeck.training.teacher import FrozenTeacher
from limbeck.weights import WeightsInfo, read_info, write_info

BEST = "best.safetensors"
LAST = "last.ckpt"
LOG = "metrics.jsonl"


def seeded_model(config: ModelConfig, classes: tuple[str, ...], seed: int) -> Model[Any, Any, Any, Any]:
    """Build a model whose random weights depend on the seed alone; control and student thus start equal."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_model(config, classes)


def build_methods(
    configs: Sequence[MethodConfig],
    student: Model[Any, Any, Any, Any],
    teacher: Model[Any, Any, Any, Any] | None,
    samples: Iterable[Batch[Any]],
    canvas_wh: tuple[int, int] | None = None,
    seed: int = 0,
) -> list[Method[Any, Any, Any]]:
    """Build the methods of a run; the random weights of their adapters depend on the seed alone.

    Args:
        configs: Settings of the methods.
        student: The model to train.
        teacher: The frozen teacher, if a method needs one.
        samples: Batches of the size of the run; the first one shows the shapes of the taps. Without taps none is read.
        canvas_wh: Width and height of the run's input in pixels, for methods that are made for one size.
        seed: Seed of the random weights.

    Raises:
        ConfigError: A tap leads nowhere.
        IncompatibleError: A method is for another task, or teacher and student do not fit it.
    """
    for config in configs:
        tasks = find_method(config.name).tasks
        if tasks is not None and student.spec.task not in tasks:
            raise IncompatibleError(f"The method '{config.name}' works for {list(tasks)}, not for {student.spec.task}.")
    taps = TapPaths.union(config.taps() for config in configs)
    unknown = unknown_taps(student, taps.student, "student")
    if teacher is not None:
        unknown += unknown_taps(teacher, taps.teacher, "teacher")
    if unknown:
        raise ConfigError("There are taps that lead nowhere:", unknown)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student_spec = _run_spec(student, taps.student, samples, canvas_wh, "student")
        teacher_spec = _run_spec(teacher, taps.teacher, samples, canvas_wh, "teacher") if teacher is not None else None
        return [find_method(config.name)(config, student=student_spec, teacher=teacher_spec) for config in configs]


def _run_spec(
    model: Model[Any, Any, Any, Any],
    taps: Sequence[str],
    samples: Iterable[Batch[Any]],
    canvas_wh: tuple[int, int] | None,
    owner: str,
) -> ModelSpec:
    """Return the spec of a model with what only the run knows: the size of the input and the shapes of the taps."""
    spec = model.spec if canvas_wh is None else replace(model.spec, canvas_hw=canvas_wh[::-1])
    if not taps:
        return spec
    return replace(spec, taps=tap_shapes(model, taps, next(iter(samples)), owner))


def fit(
    model: Model[Any, Any, Any, Any],
    methods: Sequence[Method[Any, Any, Any]],
    teacher: FrozenTeacher | None,
    task: AnyTask,
    config: TrainConfig,
    info: WeightsInfo,
    *,
    folder: Path,
    seed: int,
) -> Path:
    """Train a model and return the path of its best weights. A folder with a ``last.ckpt`` is gone on with.

    Under torchrun every process calls it; Lightning then runs them as DDP, and only the first one writes files.

    Args:
        model: The model to train, randomly or otherwise initialised.
        methods: What adds to its loss.
        teacher: The frozen teacher, if a method needs one.
        task: Data and metric.
        config: How to train.
        info: What is written beside the weights.
        folder: Where checkpoints and logs go.
        seed: Seed of data order, augmentation and random layers.

    Raises:
        Interrupted: The user stopped the training; calling again goes on.
        TrainingError: A loss is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    precision = resolve_precision(config.precision)
    resume = folder / LAST if (folder / LAST).exists() else None
    from_step = _step_of(resume)
    ema, timer, memory = Ema(config.ema), Timer(), Memory()
    best = folder / BEST
    averaged = deepcopy(model).to(memory_format=torch.channels_last)
    validation = Validation(task, ema, averaged, info, best, every=config.eval_every, precision=precision)
    callbacks = [timer, memory, ema, StepLog(), validation, Checkpoints(folder / LAST)]
    trainer = _trainer(config, precision, folder, callbacks, from_step)
    loader = task.train_loader(
        config.batch_size,
        seed=seed,
        workers=config.workers,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
        inputs=inputs_of(model.spec, teacher.spec if teacher is not None else None),
    )
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    total_steps = math.ceil(len(loader) / config.accumulate) * config.epochs
    module = Distillation(model, methods, teacher, config, seed=seed, total_steps=total_steps)
    if trainer.is_global_zero:
        drop_lines_from(folder / LOG, from_step)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(module, train_dataloaders=loader, ckpt_path=resume, weights_only=True)
    if trainer.is_global_zero:
        info = replace(read_info(best), epochs=config.epochs)
        write_info(best, replace(info, train_seconds=timer.time_elapsed(), train_memory_bytes=memory.peak))
    return best


def _trainer(
    config: TrainConfig, precision: Resolved, folder: Path, callbacks: list[Callback], from_step: int
) -> lightning.Trainer:
    """Return Lightning's trainer. Under torchrun it takes its place among the processes from the environment."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    interactive = sys.stderr.isatty()
    return lightning.Trainer(
        max_epochs=config.epochs,
        accelerator="auto",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        accumulate_grad_batches=config.accumulate,
        logger=[
            JsonLines(folder / LOG),
            TensorBoardLogger(folder, name="", version="tensorboard", purge_step=from_step),
        ],
        callbacks=[*callbacks, *([ProgressBar(folder.name)] if interactive else [])],
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


def _step_of(checkpoint: Path | None) -> int:
    if checkpoint is None:
        return 0
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
    except Exception as error:
        raise CheckpointError(
            f"The checkpoint {checkpoint} is broken: {error}", hint="delete it to train this model again from the start"
        ) from error
