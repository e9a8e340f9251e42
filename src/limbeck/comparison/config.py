"""The comparison file: a run, the seeds, which methods make which row of the table, and on which students."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from limbeck.config import (
    NAME_PATTERN,
    Key,
    MethodSettings,
    ModelSettings,
    RunConfig,
    parse_config,
    parse_settings,
    taught,
)
from limbeck.core.method import MethodConfig
from limbeck.core.model import ModelConfig
from limbeck.errors import ConfigError, LimbeckError
from limbeck.lookup import model_config
from limbeck.run_file import apply_overrides, read_settings, spell_out

CONTROL = "control"
"""The row that every other one is held against: the student without distillation."""
TITLE = "The comparison is not valid:"


def _not_taken(row: str) -> str:
    if row.casefold() in (CONTROL, "teacher"):  # the file system may know no upper case
        raise ValueError(f"'{row}' is in every comparison; give the row another name")
    return row


RowName = Annotated[str, Field(pattern=NAME_PATTERN), AfterValidator(_not_taken)]
Seed = Annotated[int, Field(ge=0)]
MethodList = Annotated[tuple[MethodSettings, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """What is trained with every seed.

    Attributes:
        student: The model.
        methods: What distils it; none for a control.
        control: Name of the row that it is held against.
    """

    student: ModelConfig
    methods: tuple[MethodConfig, ...]
    control: str


class ComparisonConfig(BaseModel):
    """Methods against one another and against no distillation: one data set, one or more students, several seeds.

    Attributes:
        name: Name of the comparison; its folder lies in the ``runs_dir`` of the run.
        run: Data, teacher, student and training. Its ``seed`` is the teacher's; its ``methods`` are not used.
        seeds: Every row is trained once with each of them.
        methods: The methods of each row, by its name; may be empty if there are ``students``.
        students: Further students by name. Each is trained as a control of its own and by the methods of all rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN)
    run: RunConfig
    seeds: tuple[Seed, ...] = Field(min_length=1)
    methods: dict[RowName, MethodList] = Field(default_factory=dict)
    students: dict[RowName, ModelSettings] = Field(default_factory=dict)

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if twice := [seed for seed, count in Counter(seeds).items() if count > 1]:
            raise ValueError(f"the seed {twice[0]} stands twice")
        return seeds

    @field_validator("methods", "students")
    @classmethod
    def _names_differ(cls, named: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Refuse names that would share a folder where the file system knows no upper case."""
        if twice := [name for name, count in Counter(name.casefold() for name in named).items() if count > 1]:
            kind = "rows" if info.field_name == "methods" else "students"
            raise ValueError(f"two {kind} are called '{twice[0]}', but for upper and lower case")
        return named

    @model_validator(mode="after")
    def _fits_its_run(self) -> ComparisonConfig:
        problems = [
            f"the row '{row}' needs a teacher for '{needing[0]}': give the section 'teacher' in the run"
            for row, methods in self.methods.items()
            if self.run.teacher is None and (needing := taught(methods))
        ]
        if not self.methods and not self.students:
            problems.append("there is nothing to compare: give rows in 'methods', or 'students'")
        if self.name == self.run.name:
            problems.append(f"the run is called '{self.name}' too; each needs a folder of its own")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def run_dir(self) -> Path:
        """The folder of this comparison."""
        return self.run.runs_dir / self.name

    def rows(self) -> dict[str, PlannedRow]:
        """Return all rows by name, those of one student after the other, its control first.

        The rows of the run's own student are called like their methods, those of another one like ``hsd@thin``.
        """
        every = {CONTROL: (), **self.methods}
        students = {"": self.run.student} | {f"@{name}": student for name, student in self.students.items()}
        return {
            f"{row}{suffix}": PlannedRow(student, methods, f"{CONTROL}{suffix}")
            for suffix, student in students.items()
            for row, methods in every.items()
        }

    @property
    def uses_teacher(self) -> bool:
        """Whether any row needs a teacher."""
        return any(taught(methods) for methods in self.methods.values())


def load_comparison(path: Path, overrides: Sequence[str] = ()) -> ComparisonConfig:
    """Read and check a comparison file.

    Args:
        path: The YAML file. Its ``run`` is the path of a run file, relative to this one, or the settings themselves.
        overrides: ``key.sub=value`` each. A key of the comparison file is changed there, any other one in the run.

    Raises:
        ConfigError: All problems of both files and of the overrides, one line each.
    """
    settings = read_settings(path)
    if "student" in settings:
        raise ConfigError(TITLE, [f"{path}: is a run file; a comparison names it as its 'run'"])
    own = [override for override in overrides if re.split("[.=]", override)[0] in ComparisonConfig.model_fields]
    problems = apply_overrides(settings, own)
    broken: list[Key] = []
    student: Any = None
    if "run" in settings:
        try:
            run, source, wrong = _read_run(settings["run"], path, [other for other in overrides if other not in own])
            student = run.get("student")
            settings["run"] = parse_config(run, source, wrong)
        except ConfigError as error:
            problems += error.problems
            settings["run"] = None
            broken.append(("run",))
    broken += _fill_in_students(settings, student)
    return parse_settings(ComparisonConfig, settings, str(path), problems, broken, TITLE)


def _fill_in_students(settings: dict[str, Any], student: Any) -> list[Key]:
    """Complete, in place, the students that name no model by the settings of the run's student.

    Returns:
        The keys of those that cannot be judged, since the run's student is not valid; the run says what is wrong.
    """
    students = settings.get("students")
    if not isinstance(students, Mapping):
        return []
    parts = {name: part for name, part in students.items() if isinstance(part, Mapping) and "model" not in part}
    try:
        own = model_config(student).model_dump(mode="json")
    except (LimbeckError, ValidationError, KeyError, TypeError):  # the last two: no section, or one without a model
        return [("students", name) for name in parts]
    settings["students"] = {**students, **{name: _laid_over(own, part) for name, part in parts.items()}}
    return []


def _laid_over(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those of the base where they say nothing, section by section."""
    return {**base, **settings} | {
        key: _laid_over(base[key], value)
        for key, value in settings.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }


def _read_run(run: Any, path: Path, overrides: Sequence[str]) -> tuple[dict[str, Any], str, list[str]]:
    """Return the settings of the run, where they stand, and what is wrong with the overrides."""
    if not isinstance(run, str | Mapping):
        raise ConfigError(TITLE, [f"{path}: run: must be the path of a run file, was given {run!r}"])
    source = str(path.parent / run) if isinstance(run, str) else f"{path}: run"
    settings = read_settings(path.parent / run) if isinstance(run, str) else dict(run)
    problems = apply_overrides(settings, overrides)
    spell_out(settings)
    return settings, source, problems
