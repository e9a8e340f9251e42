"""The main job, top to bottom: doctor, teacher, control, student, evaluation, export, report.

Every step writes into the run folder and is skipped when its result is there, so that an interrupted run goes on where
it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from limbeck.config import RunConfig, TrainConfig
from limbeck.core.method import MethodConfig
from limbeck.core.model import ModelConfig
from limbeck.deploy.benchmark import count_parameters, multiply_adds, onnx_latency, torch_latency, weights_bytes
from limbeck.deploy.bundle import Licences, amend_bundle, write_bundle
from limbeck.deploy.parity import pass_parity_gate
from limbeck.deploy.runtime.manifest import MODEL_NAME
from limbeck.errors import DoctorError
from limbeck.inference import predict_all
from limbeck.metrics.bootstrap import average_precision, bootstrap_interval, gap_closed, paired_bootstrap
from limbeck.metrics.matching import Matches, match
from limbeck.report.page import write_report
from limbeck.run_folder import RunFolder, write_json
from limbeck.tasks import Detection2DTask
from limbeck.training.doctor import examine
from limbeck.training.fit import BEST, build_methods, fit, seeded_model
from limbeck.training.teacher import FrozenTeacher
from limbeck.version import VERSION
from limbeck.weights import WeightsInfo, load_weights, read_info

Role = Literal["teacher", "control", "student"]
Say = Callable[[str], None]


def _silent(text: str) -> None:
    """Say nothing."""


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


def distill(config: RunConfig, say: Say = _silent) -> Outcome:
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
        run.step("teacher", run.train_teacher)
    run.step("control", run.train_control)
    run.step("student", run.train_student)
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
        DataError: The data is missing or broken.
        RunFolderError: The run folder cannot be used.
    """

    def __init__(self, config: RunConfig, say: Say = _silent) -> None:
        self.config = config
        self.say = say
        self.task = Detection2DTask.load(config.data)
        for sentence in self.task.skipped:
            say(f"left out: {sentence}")
        self.folder = RunFolder(config)
        self.folder.describe(self.task)
        self.device = best_device()

    @property
    def roles(self) -> list[Role]:
        """The models of this run."""
        return ["teacher", "control", "student"] if self.config.uses_teacher else ["control", "student"]

    def step(self, name: str, work: Callable[[], None]) -> None:
        """Do a step unless it was done before, and say so."""
        self.say(f"[{name}]")
        if not self.folder.step(name, work):
            self.say("  done before")

    def examine(self) -> None:
        """Look at everything that can be looked at in seconds; fail rather than train in vain."""
        diagnose(self.config, self.task, self.device, self.say)

    def train_teacher(self) -> None:
        """Train the teacher, or take the checkpoint that the config gives."""
        assert self.config.teacher is not None
        if self.config.teacher_checkpoint is not None:
            self.say(f"  taken from {self.config.teacher_checkpoint}")
            return
        plan = self.config.teacher_train or self.config.train
        self._train("teacher", self.config.teacher, (), plan)

    def train_control(self) -> None:
        """Train the student's model with the same budget and without distillation."""
        self._train("control", self.config.student, (), self.config.train)

    def train_student(self) -> None:
        """Train the student by the methods of the run."""
        self._train("student", self.config.student, self.config.methods, self.config.train)

    def _train(self, role: Role, model: ModelConfig, methods: tuple[MethodConfig, ...], plan: TrainConfig) -> None:
        student = seeded_model(model, self.task.classes, self.config.seed)
        teacher = load_weights(self.weights_of("teacher"))[0] if methods and self.config.uses_teacher else None
        built = build_methods(methods, student.spec, teacher.spec if teacher is not None else None)
        fit(
            student,
            built,
            FrozenTeacher(teacher) if teacher is not None else None,
            self.task,
            plan,
            self._info(model, methods),
            folder=self.folder.path / role,
            seed=self.config.seed,
        )
        self._say_score(role)

    def _info(self, model: ModelConfig, methods: tuple[MethodConfig, ...]) -> WeightsInfo:
        return WeightsInfo(
            model=model.model_dump(mode="json"),
            classes=self.task.classes,
            size=self.config.data.size,
            resize=self.config.data.resize,
            methods=tuple(method.name for method in methods),
            licence=self.config.licence,
            data_licence=self.config.data.licence,
            limbeck=VERSION,
        )

    def _say_score(self, role: Role) -> None:
        metric = self.task.main_metric
        self.say(
            f"  best epoch on the validation images: {metric} {read_info(self.weights_of(role)).metrics[metric]:.3f}"
        )

    def weights_of(self, role: Role) -> Path:
        """Return the weight file of a model of this run."""
        if role == "teacher" and self.config.teacher_checkpoint is not None:
            return self.config.teacher_checkpoint
        return self.folder.path / role / BEST

    def evaluate(self) -> None:
        """Measure all models on the same validation images in float32, with intervals, size and speed."""
        write_json(self.folder.path / "truth.json", self.task.truth.to_json())
        matches = {role: self._evaluate(role) for role in self.roles}
        paired = paired_bootstrap(
            matches["student"], matches["control"], self.config.bootstrap_samples, self.config.seed
        )
        score = {role: average_precision(found)[self.task.main_metric] for role, found in matches.items()}
        closed = gap_closed(score["teacher"], score["control"], score["student"]) if "teacher" in score else None
        write_json(
            self.folder.path / "comparison.json",
            {"gap_closed": closed, "student_minus_control": {name: asdict(value) for name, value in paired.items()}},
        )

    def _evaluate(self, role: Role) -> Matches:
        """Measure one model and write ``predictions.json`` and ``evaluation.json`` into its folder."""
        folder = self.folder.path / role
        folder.mkdir(exist_ok=True)
        model, info = load_weights(self.weights_of(role))
        results = predict_all(model, self.task, device=self.device)
        metrics, matches = self.task.evaluate(results), match(self.task.truth, results)
        threads = torch.get_num_threads()
        write_json(folder / "predictions.json", results)
        write_json(
            folder / "evaluation.json",
            {
                "role": role,
                "model": info.model["model"],
                "backbone": info.model.get("backbone"),
                "parameters": count_parameters(model),
                "multiply_adds": multiply_adds(model, info.size),
                "weights_bytes": weights_bytes(model),
                "latency_ms": {**asdict(torch_latency(model, info.size, threads)), "threads": threads},
                "train_seconds": info.train_seconds,
                "epochs": info.epochs,
                "metrics": metrics.metrics,
                "intervals": bootstrap_interval(matches, self.config.bootstrap_samples, self.config.seed),
                "per_class": metrics.per_class,
                "pr_curves": metrics.pr_curves,
            },
        )
        self.say(f"  {role}: AP {metrics.metrics['AP']:.3f}, AP50 {metrics.metrics['AP50']:.3f}")
        return matches

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


def diagnose(config: RunConfig, task: Detection2DTask, device: torch.device, say: Say = _silent) -> None:
    """Examine a run and say what was found.

    Raises:
        DoctorError: Something must not go into a training.
    """
    failures = []
    for finding in examine(config, task, device):
        say(f"  {finding.status:4}  {finding.check}: {finding.text}")
        if finding.status == "fail":
            failures.append(f"{finding.check}: {finding.text}")
    if failures:
        raise DoctorError("The doctor advises against this run:", failures)


def best_device() -> torch.device:
    """Return the GPU if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def export_weights(weights: Path, task: Detection2DTask, config: RunConfig, to: Path, say: Say = _silent) -> Path:
    """Export a weight file as a bundle, check that it answers as trained, and time it.

    Raises:
        CheckpointError: The weights cannot be loaded.
        ExportError: The export failed, or the exported model answers differently.
    """
    model, info = load_weights(weights)
    write_bundle(
        model,
        to,
        canvas_wh=info.size,
        resize=info.resize,
        licences=Licences(info.licence, info.data_licence),
        metrics=info.metrics,
    )
    verdict = pass_parity_gate(model, to, task.val_loader(), task.truth, config.export)
    say(f"  parity on {verdict.images} images: AP {verdict.ap_torch:.4f} in PyTorch, {verdict.ap_onnx:.4f} exported")
    threads = torch.get_num_threads()
    timing = onnx_latency(to / MODEL_NAME, threads)
    amend_bundle(to, latency_ms={**asdict(timing), "threads": threads})
    say(f"  ONNX Runtime: {timing.p50:.1f} ms per image with {threads} threads")
    return to
