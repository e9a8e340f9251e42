"""What is done with one model: it is examined, trained and measured. `distill` and `compare` are made of this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from limbeck.config import RunConfig, TrainConfig, taught
from limbeck.core.method import MethodConfig
from limbeck.core.model import ModelConfig, inputs_of, noun_of
from limbeck.errors import CheckpointError, ConfigError, DoctorError
from limbeck.evaluation import Measured, measure
from limbeck.files import write_json
from limbeck.roles import Role
from limbeck.run_folder import FIRST_PROCESS
from limbeck.tasks.base import AnyTask
from limbeck.tasks.load import load_task
from limbeck.training.doctor.examination import Known, examine
from limbeck.training.doctor.findings import Finding, verdict
from limbeck.training.doctor.teacher import score_findings
from limbeck.training.fit import BEST, build_methods, fit, seeded_model
from limbeck.training.teacher import FrozenTeacher, inherit_weights, inheritance
from limbeck.version import VERSION
from limbeck.weights import WeightsInfo, load_weights, read_info, read_model

Say = Callable[[str], None]
TEACHER = "teacher"
"""Name of the teacher and of its folder."""


def silent(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Training:
    """One model to train.

    Attributes:
        name: Its name and that of its folder.
        model: What is trained.
        plan: How long and how fast.
        seed: Seed of the weights, of the order of the data and of the augmentation.
        methods: What distils it; none for a teacher and for a control.
    """

    name: str
    model: ModelConfig
    plan: TrainConfig
    seed: int
    methods: tuple[MethodConfig, ...] = ()


def teacher_training(config: RunConfig) -> Training:
    """Return how the teacher of a run is trained.

    Raises:
        ConfigError: The run describes no teacher.
    """
    if config.teacher is None:
        raise ConfigError("The run has no teacher to train:", ["teacher: is missing"])
    return Training(TEACHER, config.teacher, config.teacher_train or config.train, config.seed)


class Workshop:
    """Trains and measures the models of one run folder, each in a folder of its own.

    Args:
        config: Data, models and how to train.
        folder: The run folder.
        say: Called with one line of text whenever there is something to tell.

    Raises:
        CheckpointError: The checkpoint of the teacher is missing, broken or of another model.
        DataError: The data is missing or broken.
    """

    def __init__(self, config: RunConfig, folder: Path, say: Say = silent) -> None:
        self.config = config
        self.folder = folder
        self.say = say if FIRST_PROCESS else silent
        check_teacher_checkpoint(config)
        self.task = load_task(config)
        for sentence in self.task.skipped:
            self.say(f"left out: {sentence}")
        self.device = best_device()

    def weights_of(self, name: str) -> Path:
        """Return the weight file of a model."""
        if name == TEACHER and self.config.teacher_checkpoint is not None:
            return self.config.teacher_checkpoint
        return self.folder / name / BEST

    @property
    def measures_teacher(self) -> bool:
        """Whether there is a teacher that answers in the classes of the data; one for its features alone need not."""
        checkpoint = self.config.teacher_checkpoint
        known = checkpoint is None or read_info(checkpoint).classes == self.task.classes
        return self.config.teacher is not None and known

    def train_teacher(self) -> None:
        """Train the teacher, or take the checkpoint that the config gives.

        Raises:
            ConfigError: The config describes no teacher.
        """
        training = teacher_training(self.config)
        if self.config.teacher_checkpoint is not None:
            self.say(f"  taken from {self.config.teacher_checkpoint}")
            return
        self.train(training)
        if FIRST_PROCESS:  # the doctor, who came before, could look at a stand-in only
            teacher = load_weights(self.weights_of(TEACHER))[0]
            for finding in score_findings(teacher, self.task, self.device):
                if finding.status != "ok":
                    self.say(f"  warn  {finding.check}: {finding.text}")

    def train(self, training: Training) -> None:
        """Train a model; one that was stopped goes on."""
        student = seeded_model(training.model, self.task.classes, training.seed)
        teacher = load_weights(self.weights_of(TEACHER))[0] if taught(training.methods) else None
        inputs = inputs_of(student.spec, teacher.spec if teacher is not None else None)
        methods = build_methods(
            training.methods, student, teacher, self.task.val_loader(1, inputs), self.task.canvas_wh, training.seed
        )
        if teacher is not None and (kind := inheritance(training.methods)) is not None:
            self.say(f"  {inherit_weights(student, teacher, kind)}")
        for sentence in (sentence for method in methods for sentence in method.describe()):
            self.say(f"  {sentence}")
        fit(
            student,
            methods,
            FrozenTeacher(teacher) if teacher is not None else None,
            self.task,
            training.plan,
            self._info(training),
            folder=self.folder / training.name,
            seed=training.seed,
        )
        score, metric = read_info(self.weights_of(training.name)).metrics, self.task.main_metric
        self.say(f"  best epoch on the validation {noun_of(self.config.task)}s: {metric} {score[metric]:.3f}")

    def _info(self, training: Training) -> WeightsInfo:
        return WeightsInfo(
            model=training.model.model_dump(mode="json"),
            classes=self.task.classes,
            size=self.task.size,
            resize=self.task.resize,
            points=self.task.form,
            methods=tuple(method.name for method in training.methods),
            licence=self.config.licence,
            data_licence=self.config.data.licence,
            limbeck=VERSION,
        )

    def measure(self, name: str, role: Role) -> Measured:
        """Measure a model in float32 and write its answers and ``evaluation.json`` into its folder."""
        folder = self.folder / name
        measured = measure(
            self.weights_of(name),
            self.task,
            self.task.size,
            device=self.device,
            samples=self.config.bootstrap_samples,
            seed=self.config.seed,
        )
        folder.mkdir(exist_ok=True)
        measured.tally.write(folder)
        write_json(folder / "evaluation.json", {"role": role, **measured.evaluation})
        metrics = measured.evaluation["metrics"]
        self.say(f"  {name}: {', '.join(f'{key} {metrics[key]:.3f}' for key in self.task.shown_metrics)}")
        return measured


def diagnose(
    config: RunConfig,
    task: AnyTask,
    device: torch.device,
    say: Say = silent,
    known: Known | None = None,
) -> None:
    """Examine a run, say what was found, and what it means; ``known`` as in `examine`.

    Raises:
        DoctorError: Something must not go into a training.
    """
    findings: list[Finding] = []
    for finding in examine(config, task, device, known):
        say(f"  {finding.status:4}  {finding.check}: {finding.text}")
        findings.append(finding)
    say(f"  {verdict(findings)}")
    if failed := [f"{finding.check}: {finding.text}" for finding in findings if finding.status == "fail"]:
        raise DoctorError("The doctor advises against this run:", failed)


def check_teacher_checkpoint(config: RunConfig) -> None:
    """Compare the teacher's checkpoint with the teacher that the run file describes.

    Raises:
        CheckpointError: The checkpoint is missing, broken or of another model.
    """
    if config.teacher is None or config.teacher_checkpoint is None:
        return
    kept = read_model(config.teacher_checkpoint).model_dump(mode="json")
    described = config.teacher.model_dump(mode="json", exclude={"pretrained", "postprocess"})
    for key, value in described.items():
        if kept.get(key) != value:
            raise CheckpointError(
                f"The teacher in {config.teacher_checkpoint} has {key} {kept.get(key)!r}, "
                f"but the run file says teacher.{key}: {value!r}."
            )


def best_device() -> torch.device:
    """Return the GPU if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
