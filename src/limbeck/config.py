"""The run file: one flat YAML per run, checked as a whole before anything starts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator
from pydantic_core import ErrorDetails

from limbeck.core.method import MethodConfig
from limbeck.core.model import ModelConfig, Task
from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.config import AnyDataConfig, DataConfig
from limbeck.data.mask_config import MaskDataConfig
from limbeck.errors import ConfigError, LimbeckError, nearest
from limbeck.lookup import Kind, find_method, find_model, method_config, model_config, names
from limbeck.run_file import apply_overrides, read_settings, spell_out, write_settings

Share = Annotated[float, Field(gt=0, lt=1)]
Key = tuple[str | int, ...]
"""Where a setting stands, from the outermost section inwards."""
SettingsT = TypeVar("SettingsT", bound=BaseModel)
DEFAULT_TASK: Task = "detection2d"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What may be the name of a folder."""


class TrainConfig(BaseModel):
    """How a model is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(12, ge=1)
    batch_size: int = Field(16, ge=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[Share, ...] = (0.667, 0.917)
    warmup_steps: int = Field(50, ge=0)
    clip_norm: float | None = Field(10.0, gt=0)
    accumulate: int = Field(1, ge=1)
    ema: float | None = Field(0.999, gt=0, lt=1)
    eval_every: int = Field(1, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    workers: int = Field(2, ge=0)


class AnyExportConfig(BaseModel):
    """How closely an exported student must answer. Abstract; the limits are those of its task."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExportConfig(AnyExportConfig):
    """How closely an exported 2D detector must answer.

    Attributes:
        max_box_difference: Largest difference of a coordinate in canvas pixels.
        max_score_difference: Largest difference of a score.
        max_ap_difference: Largest difference of AP on the validation images.
    """

    max_box_difference: float = Field(0.5, gt=0)
    max_score_difference: float = Field(1e-3, gt=0)
    max_ap_difference: float = Field(1e-3, gt=0)


class MaskExportConfig(AnyExportConfig):
    """How closely an exported segmenter must answer.

    Attributes:
        max_confidence_difference: Largest difference of a pixel's confidence where the class is the same.
        max_label_share: Largest share of pixels with another class though PyTorch was sure of it, by more than
            ``max_confidence_difference``.
        max_miou_difference: Largest difference of mIoU on the validation images.
    """

    max_confidence_difference: float = Field(1e-2, gt=0)
    max_label_share: float = Field(0.0, ge=0, lt=1)
    max_miou_difference: float = Field(1e-3, gt=0)


class CloudExportConfig(AnyExportConfig):
    """How closely an exported LiDAR detector must answer.

    Attributes:
        max_box_difference: Largest difference of a coordinate or size in metres, of a heading in radians, and of a
            velocity in metres per second.
        max_score_difference: Largest difference of a score.
        max_map_difference: Largest difference of mAP on the validation clouds.
    """

    max_box_difference: float = Field(0.02, gt=0)
    max_score_difference: float = Field(1e-3, gt=0)
    max_map_difference: float = Field(1e-3, gt=0)


OF_THE_TASK: Mapping[str, Mapping[Task, type[BaseModel]]] = {
    "data": {"detection2d": DataConfig, "segmentation": MaskDataConfig, "detection3d": CloudDataConfig},
    "export": {"detection2d": ExportConfig, "segmentation": MaskExportConfig, "detection3d": CloudExportConfig},
}
"""Sections of a run file whose keys depend on the task, and what they are for each."""


def _named(key: str) -> BeforeValidator:
    resolve = {"model": model_config, "name": method_config}[key]

    def validate(value: Any) -> Any:
        settings = {key: value} if isinstance(value, str) else value
        named = isinstance(settings, Mapping) and isinstance(settings.get(key), str)
        return resolve(settings) if named else settings

    return BeforeValidator(validate)


ModelSettings = Annotated[SerializeAsAny[ModelConfig], _named("model")]
MethodSettings = Annotated[SerializeAsAny[MethodConfig], _named("name")]


class RunConfig(BaseModel):
    """A whole run: data, teacher, student, methods and how to train, evaluate and export."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN)
    runs_dir: Path = Path("runs")
    task: Task = DEFAULT_TASK
    seed: int = Field(0, ge=0)
    data: SerializeAsAny[AnyDataConfig]
    teacher: ModelSettings | None = None
    teacher_checkpoint: Path | None = None
    teacher_train: TrainConfig | None = None
    student: ModelSettings
    methods: tuple[MethodSettings, ...] = Field(min_length=1)
    train: TrainConfig = TrainConfig()
    export: SerializeAsAny[AnyExportConfig] = ExportConfig()
    bootstrap_samples: int = Field(1000, ge=100)
    licence: str = "unknown"

    @model_validator(mode="before")
    @classmethod
    def _sections_are_those_of_the_task(cls, settings: Any) -> Any:
        """Read the sections whose keys depend on the task, where they are not read yet."""
        task = _task_of(settings) if isinstance(settings, Mapping) else None
        if task is None:
            return settings
        read = {"export": {}, **settings}
        for name, kinds in OF_THE_TASK.items():
            if isinstance(read.get(name), Mapping):
                read[name] = kinds[task].model_validate(read[name])
        return read

    @model_validator(mode="after")
    def _sections_fit_the_task(self) -> RunConfig:
        for name, kinds in OF_THE_TASK.items():
            given, kind = getattr(self, name), kinds[self.task]
            if not isinstance(given, kind):
                raise ValueError(f"'{name}' is a {type(given).__name__}; the task {self.task} needs a {kind.__name__}")
        return self

    @model_validator(mode="after")
    def _teacher_where_needed(self) -> RunConfig:
        if self.teacher is None and (needing := taught(self.methods)):
            raise ValueError(f"the method '{needing[0]}' needs a teacher: give the section 'teacher'")
        return self

    @property
    def run_dir(self) -> Path:
        """The folder of this run."""
        return self.runs_dir / self.name

    @property
    def uses_teacher(self) -> bool:
        """Whether any method needs a teacher."""
        return bool(taught(self.methods))


def taught(methods: Iterable[MethodConfig]) -> list[str]:
    """Return the names of those methods that need a teacher."""
    return [method.name for method in methods if find_method(method.name).uses_teacher]


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read and check a run file.

    Args:
        path: The YAML file.
        overrides: ``key.sub=value`` each; the value is read as YAML.

    Raises:
        ConfigError: All problems of the file and of the overrides, one line each.
    """
    settings = read_settings(path)
    return parse_config(settings, str(path), apply_overrides(settings, overrides))


def parse_config(settings: Mapping[str, Any], source: str = "config", problems: Sequence[str] = ()) -> RunConfig:
    """Check the settings of a run given as a mapping; see `parse_settings`.

    Raises:
        ConfigError: All problems.
    """
    return parse_settings(RunConfig, settings, source, problems)


def parse_settings(
    kind: type[SettingsT],
    settings: Mapping[str, Any],
    source: str,
    problems: Sequence[str] = (),
    broken: Collection[Key] = (),
    title: str = "The run file is not valid:",
) -> SettingsT:
    """Check settings given as a mapping.

    Args:
        kind: What they are settings of.
        settings: The content of a file.
        source: Where they come from; every problem begins with it.
        problems: Problems that are already known and are reported together with those found here.
        broken: Keys whose values were taken out because of such problems.
        title: What stands above the problems.

    Raises:
        ConfigError: All problems, one line each: source, dotted key, what is wrong, what was given, the nearest name.
    """
    resolved = dict(settings)
    spell_out(resolved)
    found, taken_out = _resolve_sections(resolved, source, broken)
    found = [*problems, *found]
    try:
        config = kind.model_validate(resolved)
    except ValidationError as error:
        found += [_sentence(source, (), detail, kind) for detail in _of_their_own(error, {*broken, *taken_out})]
    if found:
        raise ConfigError(title, found)
    return config


def _resolve_sections(settings: dict[str, Any], source: str, broken: Collection[Key]) -> tuple[list[str], list[Key]]:
    """Put the settings of models, methods and a task into their own classes, in place, but for those that are broken.

    Returns:
        Their problems, and the keys of the sections that were taken out because of them.
    """
    problems: list[str] = []
    taken_out: list[Key] = []
    task = _task_of(settings)
    for key, value in _sections(settings):
        if key in broken:
            continue
        resolved = None
        try:
            resolved = _resolve_section(key[0], value, task)
        except ValidationError as error:
            kind = _section_config(key[0], value, task)
            problems += [_sentence(source, key, detail, kind) for detail in error.errors()]
        except LimbeckError as error:
            problems.append(f"{source}: {_dotted(key)}: {error.message}")
        if resolved is None:
            taken_out.append(key)
        _replace(settings, key, resolved)
    return problems, taken_out


def _of_their_own(error: ValidationError, taken_out: Collection[Key]) -> list[ErrorDetails]:
    """Return the problems that do not follow from others.

    Those do that lie in or around a section that was taken out, and a list is not too short whose entries are wrong:
    pydantic counts the sound ones only.
    """
    details = [
        detail
        for detail in error.errors()
        if not any(all(a == b for a, b in zip(detail["loc"], key, strict=False)) for key in taken_out)
    ]
    with_wrong_entries = {detail["loc"][:-1] for detail in details}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in with_wrong_entries]


def _sections(settings: Mapping[str, Any]) -> list[tuple[Key, Any]]:
    """Return key and value of each section whose class is looked up by name."""
    found: list[tuple[Key, Any]] = [
        ((key,), settings[key]) for key in ("teacher", "student") if settings.get(key) is not None
    ]
    found += [((key,), settings[key]) for key in OF_THE_TASK if settings.get(key) is not None]
    methods = settings.get("methods")
    lists: dict[Key, Any] = {("methods",): methods}
    if isinstance(methods, Mapping):  # a comparison has a list per row
        lists = {("methods", row): listed for row, listed in methods.items()}
    for key, listed in lists.items():
        if isinstance(listed, list):
            found += [((*key, index), value) for index, value in enumerate(listed)]
    if isinstance(students := settings.get("students"), Mapping):  # of a comparison
        found += [(("students", name), value) for name, value in students.items()]
    return found


def _task_of(settings: Mapping[str, Any]) -> Task | None:
    """Return the task that settings name, the default one where they name none; None where there is no such task."""
    given = settings.get("task", DEFAULT_TASK)
    return next((task for task in OF_THE_TASK["data"] if task == given), None)


def _resolve_section(section: str | int, value: Any, task: Task | None) -> Any:
    if section in OF_THE_TASK:
        return None if task is None else _section_config(section, value, task).model_validate(value)
    key = "name" if section == "methods" else "model"
    if isinstance(value, Mapping) and isinstance(value.get(key), str):
        return method_config(value) if key == "name" else model_config(value)
    if not isinstance(value, Mapping):
        raise LimbeckError(f"must be a name or a section with '{key}', was given {value!r}")
    if key in value:
        raise LimbeckError(f"the key '{key}' must be a name, was given {value[key]!r}")
    near = [f", '{given}' is no key{hint}" for given in value if (hint := nearest(str(given), [key]))]
    raise LimbeckError(f"the key '{key}' is missing{''.join(near)}")


def _section_config(section: str | int, value: Any, task: Task | None) -> type[BaseModel]:
    if section in OF_THE_TASK and task is not None:
        return OF_THE_TASK[str(section)][task]
    return find_method(value["name"]).Config if section == "methods" else find_model(value["model"]).Config


def _replace(settings: dict[str, Any], key: Key, value: Any) -> None:
    section: Any = settings
    for part in key[:-1]:
        section = section[part]
    section[key[-1]] = value


_PLAIN = {
    "dict_type": "must be a section with keys",
    "invalid_key": "is no key, keys are text",
    "model_type": "must be a section with keys",
    "path_type": "must be a path",
    "string_pattern_mismatch": "must be letters, digits, '.', '_' and '-', the first of them a letter or a digit",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "tuple_type": "must be a list",
}
"""Our words for some of pydantic's kinds of error."""


def _sentence(source: str, section: Key, detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Return the line for one problem in a section that ``model`` describes."""
    location = (*section, *detail["loc"])
    where = f"{source}: {_dotted(location)}" if location else source
    if detail["type"] == "extra_forbidden":
        known = _known_names(model, detail["loc"][:-1])
        return f"{where}: unknown key{nearest(str(location[-1]), known)}; known are {sorted(known)}"
    if detail["type"] == "missing":
        return f"{where}: is missing"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if plain := _PLAIN.get(detail["type"]):
        message = plain.format(**detail.get("ctx", {}))
    entries = detail["input"] if isinstance(detail["input"], list) else [detail["input"]]
    sections = any(isinstance(entry, (dict, BaseModel)) for entry in entries)
    return f"{where}: {message}" + ("" if sections else f", was given {detail['input']!r}")


def _known_names(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the field names at a location inside a model."""
    parts = iter(location)
    for part in parts:
        annotation = model.model_fields[str(part)].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        model = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
        if getattr(annotation, "__origin__", None) is dict:
            next(parts)  # the name of an entry, which is the user's
    return list(model.model_fields)


def _dotted(location: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in location if part != "[key]")  # pydantic's mark behind a key that is wrong


def dump_config(config: RunConfig) -> str:
    """Return the resolved run as YAML, all defaults filled in; reading it gives the same run."""
    return write_settings(config.model_dump(mode="json"))


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of run files, with the settings of every built-in model and method."""
    schema = RunConfig.model_json_schema()
    for base, classes in (("AnyDataConfig", OF_THE_TASK["data"]), ("AnyExportConfig", OF_THE_TASK["export"])):
        for task, of_task in classes.items():
            settings = of_task.model_json_schema()
            schema["$defs"] |= settings.pop("$defs", {}) | {f"{base}:{task}": settings}
        schema["$defs"][base] = {"anyOf": [{"$ref": f"#/$defs/{base}:{task}"} for task in classes]}
    kinds: tuple[Kind, Kind] = ("model", "method")
    for kind in kinds:
        for name in names(kind):
            found = find_model(name) if kind == "model" else find_method(name)
            settings = found.Config.model_json_schema()
            schema["$defs"] |= settings.pop("$defs", {}) | {f"{kind}:{name}": settings}
        options = [{"type": "string"}, *({"$ref": f"#/$defs/{kind}:{name}"} for name in names(kind))]
        schema["$defs"][f"{kind.capitalize()}Config"] = {"anyOf": options}
    return schema
