"""One training from start to end: a student, its methods, its folder."""

from __future__ import annotations

import logging
import math
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, Timer
from lightning.pytorch.loggers import TensorBoardLogger

from limbeck.config import TrainConfig
from limbeck.core.method import Method, MethodConfig
from limbeck.core.model import Model, ModelConfig, ModelSpec
from limbeck.errors import CheckpointError
from limbeck.lookup import build_model, find_method
from limbeck.tasks import Detection2DTask
from limbeck.training.callbacks import StopOnSignal, Validation
from limbeck.training.ema import Ema
from limbeck.training.logs import JsonLines
from limbeck.training.module import Distillation
from limbeck.training.precision import resolve_precision
from limbeck.training.teacher import FrozenTeacher
from limbeck.weights import WeightsInfo, read_info, write_info

BEST = "best.safetensors"
LAST = "last.ckpt"


def seeded_model(config: ModelConfig, classes: tuple[str, ...], seed: int) -> Model[Any, Any, Any, Any]:
    """Build a model whose random weights depend on the seed alone; control and student thus start equal."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(config, classes)


def build_methods(
    configs: Sequence[MethodConfig], student: ModelSpec, teacher: ModelSpec | None
) -> list[Method[Any, Any, Any]]:
    """Build the methods of a run.

    Raises:
        IncompatibleError: Teacher and student do not fit a method.
    """
    return [find_method(config.name)(config, student=student, teacher=teacher) for config in configs]


def fit(
    model: Model[Any, Any, Any, Any],
    methods: Sequence[Method[Any, Any, Any]],
    teacher: FrozenTeacher | None,
    task: Detection2DTask,
    config: TrainConfig,
    info: WeightsInfo,
    *,
    folder: Path,
    seed: int,
) -> Path:
    """Train a model and return the path of its best weights. A folder with a ``last.ckpt`` is gone on with.

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
    rank, world_size = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))
    loader = task.train_loader(config.batch_size, seed=seed, workers=config.workers, rank=rank, world_size=world_size)
    steps_per_epoch = math.ceil(len(loader) / config.accumulate)
    module = Distillation(model, methods, teacher, config, seed=seed, total_steps=steps_per_epoch * config.epochs)
    resume = folder / LAST if (folder / LAST).exists() else None
    ema = Ema(config.ema)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    validation = Validation(task, ema, info, folder / BEST, every=config.eval_every, autocast=dtype)
    timer = Timer()
    trainer = _trainer(config, precision, folder, [timer, ema, validation], from_step=_step_of(resume))
    _run(trainer, module, loader, resume)
    if trainer.is_global_zero:
        best = folder / BEST
        write_info(best, replace(read_info(best), epochs=config.epochs, train_seconds=timer.time_elapsed("train")))
    return folder / BEST


def _trainer(
    config: TrainConfig, precision: Literal["fp32", "bf16"], folder: Path, callbacks: list[Callback], from_step: int
) -> lightning.Trainer:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    interactive = sys.stderr.isatty()
    checkpoint = ModelCheckpoint(
        folder, filename=Path(LAST).stem, save_on_train_epoch_end=True, enable_version_counter=False
    )
    return lightning.Trainer(
        max_epochs=config.epochs,
        accelerator="auto",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        accumulate_grad_batches=config.accumulate,
        logger=[
            JsonLines(folder / "metrics.jsonl", from_step),
            TensorBoardLogger(folder, name="", version="tensorboard"),
        ],
        callbacks=[*callbacks, StopOnSignal(folder / LAST), checkpoint, *([RichProgressBar()] if interactive else [])],
        log_every_n_steps=1,
        enable_progress_bar=interactive,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


def _run(trainer: lightning.Trainer, module: Distillation, loader: Any, resume: Path | None) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer.fit(module, train_dataloaders=loader, ckpt_path=resume, weights_only=True)


def _step_of(checkpoint: Path | None) -> int:
    if checkpoint is None:
        return 0
    try:
        return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
    except Exception as error:
        raise CheckpointError(
            f"The checkpoint {checkpoint} is broken: {error}", hint="delete it to train this model again from the start"
        ) from error
