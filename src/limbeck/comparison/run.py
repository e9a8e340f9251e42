"""The comparison of methods over seeds, top to bottom: doctor, teacher, then all rows of one seed after the other."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial
from statistics import fmean
from typing import Any

import yaml
from pydantic import BaseModel

from limbeck.comparison.config import ComparisonConfig
from limbeck.config import TrainConfig, taught
from limbeck.core.model import noun_of
from limbeck.data.config import AnyDataConfig
from limbeck.errors import DoctorError, LimbeckError, RunFolderError
from limbeck.files import sha256_of, write_text
from limbeck.lookup import method_config, model_config
from limbeck.metrics.bootstrap import ImageCounts
from limbeck.metrics.seeds import Row, compare_rows
from limbeck.report.collect import Evaluation
from limbeck.report.comparison import ComparisonOutcome, write_comparison
from limbeck.report.evaluations import read_evaluation
from limbeck.report.formats import duration
from limbeck.roles import Role
from limbeck.run_file import write_settings
from limbeck.run_folder import FIRST_PROCESS, RunFolder, difference
from limbeck.training.doctor.examination import Known
from limbeck.training.fit import LAST
from limbeck.workshop import TEACHER, Say, Training, Workshop, diagnose, silent, teacher_training

EVALUATION = "evaluation.json"
SETTINGS = "settings.yaml"


def compare(config: ComparisonConfig, say: Say = silent) -> ComparisonOutcome:
    """Train every row with every seed, and compare the rows with the control of the same seed.

    What is done already is not done again: a comparison that was stopped goes on where it stopped, and one that was
    given more rows or seeds trains these.

    Args:
        config: The comparison.
        say: Called with one line of text whenever a training begins or there is something to tell.

    Raises:
        LimbeckError: Something the user can mend, or a failure of a training; calling again goes on there.
    """
    comparison = Comparison(config, say)
    comparison.examine()
    comparison.train()
    return comparison.conclude()


class Comparison:
    """The steps of one comparison; `compare` calls them in order.

    Args:
        config: The comparison.
        say: Called with one line of text whenever a training begins or there is something to tell.

    Raises:
        CheckpointError: The checkpoint of the teacher is missing, broken or of another model.
        DataError: The data is missing or broken.
        RunFolderError: The folder cannot be used, or trainings in it were begun with other settings.
    """

    def __init__(self, config: ComparisonConfig, say: Say = silent) -> None:
        self.config = config
        self.rows = config.rows()
        self.workshop = Workshop(config.run, config.run_dir, say)
        self.say, self.task = self.workshop.say, self.workshop.task
        self.folder = RunFolder(
            config.run_dir, config.model_dump(mode="json"), free=("run", "seeds", "methods", "students")
        )
        self._refuse_other_settings()
        self.folder.describe(config.run, self.task)

    def trainings(self) -> Iterator[Training]:
        """Yield the teacher, then for each seed the control and the other rows."""
        run = self.config.run
        if self._has_teacher:
            yield teacher_training(run)
        for seed in self.config.seeds:
            for name, row in self.rows.items():
                yield Training(_name(name, seed), row.student, run.train, seed, row.methods)

    @property
    def _results(self) -> tuple[str, str]:
        """What a training has left in its folder when it is done."""
        return self.task.answers, EVALUATION

    @property
    def _has_teacher(self) -> bool:
        return self.config.uses_teacher and self.workshop.measures_teacher

    def _refuse_other_settings(self) -> None:
        """Compare the settings of the trainings that were begun with those they would have now.

        Raises:
            RunFolderError: They are not the same.
        """
        for training in self.trainings():
            folder = self.folder.path / training.name
            if not any((folder / file).exists() for file in (LAST, *self._results)):
                continue
            kept = folder / SETTINGS
            there = _completed(kept.read_text(encoding="utf-8"), self.config.run.data) if kept.exists() else ""
            if differs := difference(there, write_settings(self._settings(training))):
                raise RunFolderError(
                    f"{folder} was trained with other settings; {differs}.",
                    hint="give the row or the comparison another name, or delete this folder to train it again",
                )

    def _settings(self, training: Training) -> dict[str, Any]:
        """Return all that decides how a training ends. The number of workers does not, nor does the test part."""
        if training.name == TEACHER and self.config.run.teacher_checkpoint is not None:
            return {"sha256": self._teacher_sha256}
        settings: dict[str, Any] = {
            "data": self.config.run.data.model_dump(mode="json", exclude={"test"}),
            "model": training.model.model_dump(mode="json"),
            "train": training.plan.model_dump(mode="json", exclude={"workers"}),
            "seed": training.seed,
            "methods": [method.model_dump(mode="json") for method in training.methods],
        }
        if taught(training.methods):
            settings["teacher"] = self._settings(teacher_training(self.config.run))
        return settings

    @cached_property
    def _teacher_sha256(self) -> str:
        return sha256_of(self.workshop.weights_of(TEACHER))

    def examine(self) -> None:
        """Let the doctor look at every row that is not trained yet, before any is. What is known is not said again.

        Raises:
            DoctorError: What stands against the rows, all at once.
        """
        if not FIRST_PROCESS:
            return
        problems: list[str] = []
        said: set[str] = set()

        def say_if_new(line: str) -> None:
            if line not in said:
                self.say(line)
            said.add(line)

        untrained = {
            name: row
            for name, row in self.rows.items()
            # a control is looked at only where no other row of its student shows what there is to see
            if (row.methods or not self.config.methods)
            and not all(self._is_done(_name(name, seed)) for seed in self.config.seeds)
        }
        known: Known = {}
        for name, row in untrained.items():
            self.say(f"[doctor: {name}]")
            try:
                config = self.config.run.model_copy(update={"student": row.student, "methods": row.methods})
                diagnose(config, self.task, self.workshop.device, say_if_new, known)
            except DoctorError as error:
                problems += [f"{name}: {problem}" for problem in error.problems]
        if problems:
            raise DoctorError("The doctor advises against these rows:", problems)

    def train(self) -> None:
        """Train and measure all models that are not there yet."""
        trainings = list(self.trainings())
        for number, training in enumerate(trainings, start=1):
            done = self._is_done(training.name)
            left = "" if self._is_trained(training.name) else self._time_left(trainings)
            self.say(f"[{training.name}] training {number} of {len(trainings)}{left}")
            work = partial(self._train, training)
            if not self.folder.step(training.name, work, everywhere=True, again=not done):
                self.say("  done before")

    def _is_done(self, name: str) -> bool:
        """Whether a model is trained and measured, also on the test part that there is now."""
        if not self._is_trained(name):
            return False
        if (part := self.config.run.data.test) is None:
            return True
        test = self._evaluation(name).test
        return test is not None and test.data == part.model_dump(mode="json")

    def _is_trained(self, name: str) -> bool:
        return all((self.folder.path / name / file).exists() for file in self._results)

    def _evaluation(self, name: str) -> Evaluation:
        return read_evaluation(self.config.run.task, self.folder.path / name)

    def _time_left(self, trainings: list[Training]) -> str:
        """Say how long the students that are left will take, if those that are done took as long on average."""
        students = [training.name for training in trainings if training.name != TEACHER]
        done = [name for name in students if self._is_trained(name)]
        seconds = [self._evaluation(name).train_seconds or 0 for name in done]
        return f", about {duration((len(students) - len(done)) * fmean(seconds))} left" if done else ""

    def _train(self, training: Training) -> None:
        folder = self.folder.path / training.name
        if FIRST_PROCESS:
            folder.mkdir(exist_ok=True)
            write_text(folder / SETTINGS, write_settings(self._settings(training)))
        if training.name == TEACHER:
            self.workshop.train_teacher()
        else:
            self.workshop.train(training)
        if FIRST_PROCESS:
            self.workshop.measure(training.name, _role(training))

    def conclude(self) -> ComparisonOutcome:
        """Compare all rows with the control, and write the numbers, the table and the picture."""
        read = {row: [self._read(_name(row, seed)) for seed in self.config.seeds] for row in self.rows}
        teacher, teacher_counts = self._read(TEACHER) if self._has_teacher else (None, None)
        counts = {row: [found for _, found in models] for row, models in read.items()}
        rows: list[Row] = []
        first, *_ = controls = list(dict.fromkeys(row.control for row in self.rows.values()))
        for control in controls:
            rows += compare_rows(
                {name: counts[name] for name, row in self.rows.items() if row.control == control},
                teacher_counts,
                self.task.main_metric,
                samples=self.config.run.bootstrap_samples,
                seed=self.config.run.seed,
                first=() if control == first else counts[first],
            )
        outcome = ComparisonOutcome(
            folder=self.folder.path,
            metrics=self.task.shown_metrics,
            seeds=self.config.seeds,
            rows=tuple(rows),
            students={name: row.student.model_dump(mode="json") for name, row in self.rows.items()},
            models={row: [evaluation for evaluation, _ in models] for row, models in read.items()},
            teacher=teacher,
            samples=self.config.run.bootstrap_samples,
            val_images=len(self.task.frames["val"]),
            noun=noun_of(self.config.run.task),
        )
        if FIRST_PROCESS:
            self.task.write_truth(self.folder.path)
            write_comparison(outcome)
        return outcome

    def _read(self, name: str) -> tuple[Evaluation, ImageCounts]:
        """Return what is known of a model, and what the bootstrap resamples of its answers."""
        return self._evaluation(name), self.task.read_counts(self.folder.path / name)


def _completed(text: str, data: AnyDataConfig) -> str:
    """Return the settings of a kept training with the defaults of those that limbeck did not have then.

    What is broken or no longer valid is returned as it is, and will differ.
    """
    try:
        return write_settings(_with_defaults(yaml.safe_load(text), data))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, LimbeckError):
        return text


def _with_defaults(kept: dict[str, Any], data: AnyDataConfig) -> dict[str, Any]:
    if "model" not in kept:  # a given teacher is known by its hash
        return kept
    plain = partial(BaseModel.model_dump, mode="json")
    filled = kept | {
        "data": plain(type(data).model_validate(kept["data"]), exclude={"test"}),
        "model": plain(model_config(kept["model"])),
        "train": plain(TrainConfig.model_validate(kept["train"]), exclude={"workers"}),
        "methods": [plain(method_config(method)) for method in kept["methods"]],
    }
    return filled | {"teacher": _with_defaults(kept["teacher"], data)} if "teacher" in kept else filled


def _name(row: str, seed: int) -> str:
    return f"{row}-seed{seed}"


def _role(training: Training) -> Role:
    if training.name == TEACHER:
        return "teacher"
    return "student" if training.methods else "control"
