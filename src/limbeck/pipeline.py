"""The main job, top to bottom: doctor, teacher, control, student, evaluation, export, report.

Every step writes into the run folder and is skipped when its result is there, so that an interrupted run goes on where
it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from limbeck.config import RunConfig
from limbeck.core.model import noun_of
from limbeck.deploy.bundle import Licences, amend_bundle, write_bundle
from limbeck.deploy.gate import check_parity
from limbeck.deploy.parity import pass_parity_gate
from limbeck.deploy.runtime.latency import measure_onnx
from limbeck.errors import IncompatibleError, RunFolderError
from limbeck.evaluation import compare
from limbeck.files import write_json
from limbeck.report.formats import counted
from limbeck.report.page import write_report
from limbeck.roles import ROLES, Role
from limbeck.run_folder import RunFolder
from limbeck.tasks.base import AnyTask
from limbeck.weights import load_weights
from limbeck.workshop import Say, Training, Workshop, diagnose, silent


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        folder: The run folder.
        evaluations: What is known of each model, by role; see ``evaluation.json``.
        gap_closed: Share of the way from the control to the teacher that the student has come.
        student_minus_control: Paired bootstrap by metric; see ``comparison.json``.
        report: The page.
        bundle: The exported student.
    """

    folder: Path
    evaluations: dict[Role, dict[str, Any]]
    gap_closed: float | None
    student_minus_control: dict[str, dict[str, float]]
    report: Path
    bundle: Path


def distill(config: RunConfig, say: Say = silent) -> Outcome:
    """Distil a student from a teacher and prove what it brought.

    Args:
        config: The run.
        say: Called with one line of text whenever a step begins or has something to tell.

    Raises:
        LimbeckError: Something the user can mend, or a failure of a step; calling again goes on at that step.
    """
    run = Run(config, say)
    run.step("doctor", run.examine)
    if config.uses_teacher:
        run.step("teacher", run.train_teacher, everywhere=True)
    run.step("control", run.train_control, everywhere=True)
    run.step("student", run.train_student, everywhere=True)
    run.step("evaluation", run.evaluate)
    run.step("export", run.export)
    run.step("report", run.report)
    return run.outcome()


class Run:
    """The steps of one run. Each can be called alone; `distill` calls them in order.

    Args:
        config: The run.
        say: Called with one line of text whenever a step begins or has something to tell.

    Raises:
        CheckpointError: The checkpoint of the teacher is missing, broken or of another model.
        DataError: The data is missing or broken.
        RunFolderError: The run folder cannot be used.
    """

    def __init__(self, config: RunConfig, say: Say = silent) -> None:
        self.config = config
        self.workshop = Workshop(config, config.run_dir, say)
        self.say, self.task = self.workshop.say, self.workshop.task
        self.folder = RunFolder(config.run_dir, config.model_dump(mode="json"))
        self.folder.describe(config, self.task)

    @property
    def roles(self) -> list[Role]:
        """The models of this run that are measured."""
        with_teacher = self.config.uses_teacher and self.workshop.measures_teacher
        return [role for role in ROLES if role != "teacher" or with_teacher]

    def step(self, name: str, work: Callable[[], None], *, everywhere: bool = False) -> None:
        """Do a step unless it was done before, and say so; ``everywhere`` as in `RunFolder.step`."""
        self.say(f"[{name}]")
        if not self.folder.step(name, work, everywhere=everywhere):
            self.say("  done before")

    def examine(self) -> None:
        """Look at everything that can be looked at in seconds; fail rather than train in vain."""
        diagnose(self.config, self.task, self.workshop.device, self.say)

    def train_teacher(self) -> None:
        """Train the teacher, or take the checkpoint that the config gives.

        Raises:
            ConfigError: The config describes no teacher.
        """
        self.workshop.train_teacher()

    def train_control(self) -> None:
        """Train the student's model with the same budget and without distillation."""
        self.workshop.train(Training("control", self.config.student, self.config.train, self.config.seed))

    def train_student(self) -> None:
        """Train the student by the methods of the run."""
        config = self.config
        self.workshop.train(Training("student", config.student, config.train, config.seed, config.methods))

    def weights_of(self, role: Role) -> Path:
        """Return the weight file of a model of this run."""
        return self.workshop.weights_of(role)

    def evaluate(self) -> None:
        """Measure all models on the same validation images in float32, with intervals, size and speed."""
        self.task.write_truth(self.folder.path)
        measured = {role: self.workshop.measure(role, role) for role in self.roles}
        plan = {"samples": self.config.bootstrap_samples, "seed": self.config.seed}
        write_json(self.folder.path / "comparison.json", compare(measured, self.task.main_metric, **plan))

    def export(self) -> None:
        """Write the student's bundle and refuse it if it answers differently on the validation images."""
        export_weights(self.weights_of("student"), self.task, self.config, self.bundle, self.say)

    @property
    def bundle(self) -> Path:
        """The folder of the exported student."""
        return self.folder.path / "bundle"

    def report(self) -> None:
        """Write the page."""
        write_report(self.folder.path)

    def outcome(self) -> Outcome:
        """Return what the run came to, read from its folder."""
        path = self.folder.path
        comparison = json.loads((path / "comparison.json").read_text(encoding="utf-8"))
        return Outcome(
            folder=path,
            evaluations={
                role: json.loads((path / role / "evaluation.json").read_text(encoding="utf-8")) for role in self.roles
            },
            gap_closed=comparison["gap_closed"],
            student_minus_control=comparison["student_minus_control"],
            report=path / "report.html",
            bundle=self.bundle,
        )


def export_weights(weights: Path, task: AnyTask, config: RunConfig, to: Path, say: Say = silent) -> Path:
    """Export a weight file as a bundle, check that it answers as trained, and time it.

    Raises:
        CheckpointError: The weights cannot be loaded.
        IncompatibleError: The model is for another task, or knows other classes than the data.
        RunFolderError: The bundle cannot be written there.
        ExportError: The export failed, or the exported model answers differently.
    """
    model, info = load_weights(weights)
    if model.spec.task != config.task:
        raise IncompatibleError(f"{weights} is for the task {model.spec.task}, and the run file for {config.task}.")
    if info.classes != task.classes:
        raise IncompatibleError(f"{weights} finds {list(info.classes)}, but the data has {list(task.classes)}.")
    if to.exists() and not to.is_dir():
        raise RunFolderError(f"The bundle cannot be written to {to}: it is a file.")
    write_bundle(
        model,
        to,
        size=info.size,
        resize=info.resize,
        licences=Licences(info.licence, info.data_licence),
        metrics=info.metrics,
        form=info.points,
    )
    verdict = pass_parity_gate(to, partial(check_parity, model, to, task, config.export))
    say(f"  parity {verdict.summary()}")
    threads = torch.get_num_threads()
    timing = measure_onnx(to, threads).latency
    amend_bundle(to, latency_ms={**asdict(timing), "threads": threads})
    say(f"  ONNX Runtime: {timing.p50:.1f} ms per {noun_of(config.task)} with {counted(threads, 'thread')}")
    return to
