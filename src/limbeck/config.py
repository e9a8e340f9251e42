"""The run file: one flat YAML per run, checked as a whole before anything starts."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, ValidationError, model_validator
from pydantic_core import ErrorDetails

from limbeck.core.method import MethodConfig
from limbeck.core.model import ModelConfig, Task
from limbeck.data.config import DataConfig
from limbeck.errors import ConfigError, LimbeckError, nearest
from limbeck.lookup import Kind, find_method, find_model, method_config, model_config, names


class TrainConfig(BaseModel):
    """How a model is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(12, ge=1)
    batch_size: int = Field(16, ge=1)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[float, ...] = (0.667, 0.917)
    warmup_steps: int = Field(50, ge=0)
    clip_norm: float | None = Field(10.0, gt=0)
    accumulate: int = Field(1, ge=1)
    ema: float | None = Field(0.999, gt=0, lt=1)
    eval_every: int = Field(1, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    workers: int = Field(1, ge=0)


class ExportConfig(BaseModel):
    """How the student is exported, and how closely the exported file must answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_box_difference: float = Field(0.5, gt=0)
    max_score_difference: float = Field(1e-3, gt=0)
    max_ap_difference: float = Field(1e-3, gt=0)


def _named(key: str) -> BeforeValidator:
    resolve = {"model": model_config, "name": method_config}[key]

    def validate(value: Any) -> Any:
        settings = {key: value} if isinstance(value, str) else value
        return resolve(settings) if isinstance(settings, Mapping) and key in settings else settings

    return BeforeValidator(validate)


ModelSettings = Annotated[SerializeAsAny[ModelConfig], _named("model")]
MethodSettings = Annotated[SerializeAsAny[MethodConfig], _named("name")]


class RunConfig(BaseModel):
    """A whole run: data, teacher, student, methods and how to train, evaluate and export."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    runs_dir: Path = Path("runs")
    task: Task = "detection2d"
    seed: int = Field(0, ge=0)
    data: DataConfig
    teacher: ModelSettings | None = None
    teacher_checkpoint: Path | None = None
    teacher_train: TrainConfig | None = None
    student: ModelSettings
    methods: tuple[MethodSettings, ...] = Field(min_length=1)
    train: TrainConfig = TrainConfig()
    export: ExportConfig = ExportConfig()
    bootstrap_samples: int = Field(1000, ge=100)
    licence: str = "unknown"

    @model_validator(mode="after")
    def _teacher_where_needed(self) -> RunConfig:
        needing = [method.name for method in self.methods if find_method(method.name).uses_teacher]
        if needing and self.teacher is None:
            raise ValueError(f"the method '{needing[0]}' needs a teacher: give the section 'teacher'")
        return self

    @property
    def run_dir(self) -> Path:
        """The folder of this run."""
        return self.runs_dir / self.name

    @property
    def uses_teacher(self) -> bool:
        """Whether any method needs a teacher."""
        return any(find_method(method.name).uses_teacher for method in self.methods)


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with two mends: ``1e-4`` is a number, and a key given twice is an error instead of a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)$"),
    list("-+.0123456789"),
)


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read and check a run file.

    Args:
        path: The YAML file.
        overrides: ``key.sub=value`` each; the value is read as YAML.

    Raises:
        ConfigError: All problems of the file and of the overrides, one line each.
    """
    settings = _read_yaml(path)
    problems = [problem for override in overrides if (problem := _apply_override(settings, override))]
    if problems:
        raise ConfigError("The overrides cannot be used:", problems)
    return parse_config(settings, source=str(path))


def parse_config(settings: Mapping[str, Any], source: str = "config") -> RunConfig:
    """Check settings given as a mapping.

    Raises:
        ConfigError: All problems, one line each: source, dotted key, what is wrong, what was given, the nearest name.
    """
    resolved, problems, broken = dict(settings), list[str](), set[str]()
    for key, value in _sections(resolved):
        try:
            _replace(resolved, key, _resolve_section(key[0], value))
        except ValidationError as error:
            model = _section_config(key[0], value)
            problems += [_sentence(source, (*key, *detail["loc"]), detail, model) for detail in error.errors()]
            _replace(resolved, key, None)
            broken.add(str(key[0]))
        except LimbeckError as error:
            problems.append(f"{source}: {_dotted(key)}: {error.message}")
            _replace(resolved, key, None)
            broken.add(str(key[0]))
    try:
        config = RunConfig.model_validate(resolved)
    except ValidationError as error:
        details = [detail for detail in error.errors() if str(next(iter(detail["loc"]), "")) not in broken]
        problems += [_sentence(source, detail["loc"], detail, RunConfig) for detail in details]
    if problems:
        raise ConfigError("The run file is not valid:", problems)
    return config


def _sections(settings: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], Any]]:
    """Return key and value of each section whose class is looked up by name."""
    found: list[tuple[tuple[str | int, ...], Any]] = [
        ((key,), settings[key]) for key in ("teacher", "student") if settings.get(key) is not None
    ]
    methods = settings.get("methods")
    if isinstance(methods, Sequence) and not isinstance(methods, str):
        found += [(("methods", index), value) for index, value in enumerate(methods)]
    return found


def _resolve_section(section: str | int, value: Any) -> Any:
    key = "name" if section == "methods" else "model"
    settings = {key: value} if isinstance(value, str) else value
    if not isinstance(settings, Mapping) or key not in settings:
        raise LimbeckError(f"must be a name or a section with '{key}', was given {value!r}")
    return method_config(settings) if key == "name" else model_config(settings)


def _section_config(section: str | int, value: Any) -> type[BaseModel]:
    if section == "methods":
        return find_method(value if isinstance(value, str) else value["name"]).Config
    return find_model(value if isinstance(value, str) else value["model"]).Config


def _replace(settings: dict[str, Any], key: tuple[str | int, ...], value: Any) -> None:
    if len(key) == 1:
        settings[cast(str, key[0])] = value
    else:
        items = list(settings[cast(str, key[0])])
        items[cast(int, key[1])] = value
        settings[cast(str, key[0])] = items


def _sentence(source: str, location: tuple[str | int, ...], detail: ErrorDetails, model: type[BaseModel]) -> str:
    dotted = _dotted(location)
    if detail["type"] == "extra_forbidden":
        name = str(location[-1])
        known = _known_names(model, detail["loc"][:-1])
        return f"{source}: {dotted}: unknown key{nearest(name, known)}; known are {sorted(known)}"
    if detail["type"] == "missing":
        return f"{source}: {dotted}: is missing"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    given = "" if isinstance(detail["input"], (dict, BaseModel)) else f", was given {detail['input']!r}"
    return f"{source}: {dotted}: {message}{given}" if dotted else f"{source}: {message}"


def _known_names(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """Return the field names at a location inside a model."""
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        options = [annotation, *getattr(annotation, "__args__", ())]
        inner = [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return list(model.model_fields)


def _dotted(location: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in location)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        settings = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError("The run file cannot be read:", [f"{path}: no such file"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("The run file cannot be read:", [f"{path}: {error}"]) from error
    except yaml.YAMLError as error:
        raise ConfigError("The run file is not valid YAML:", [f"{path}: {' '.join(str(error).split())}"]) from error
    if not isinstance(settings, dict):
        raise ConfigError("The run file is not valid:", [f"{path}: must hold keys and values"])
    return settings


def _apply_override(settings: dict[str, Any], override: str) -> str | None:
    """Apply one override in place; returns the problem, if any."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        return f"'{override}': must look like key.sub=value"
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        return f"'{override}': the value is not valid YAML ({' '.join(str(error).split())})"
    *parents, last = key.split(".")
    here: Any = settings
    for part in parents:
        here = _child(here, part)
        if here is None:
            return f"'{override}': '{part}' is not a section that keys can be set in"
    if isinstance(here, list):
        if not last.isdigit() or int(last) >= len(here):
            return f"'{override}': the list has {len(here)} entries, '{last}' is none of them"
        here[int(last)] = value
    else:
        here[last] = value
    return None


def _child(here: Any, part: str) -> Any:
    """Return the section or list below ``part``, made if absent; None if a plain value stands there."""
    if isinstance(here, list):
        index = int(part) if part.isdigit() and int(part) < len(here) else -1
        if index >= 0 and isinstance(here[index], str):
            here[index] = {"name": here[index]}
        child = here[index] if index >= 0 else None
    else:
        child = here.setdefault(part, {})
        if child is None:
            child = here[part] = {}
    return child if isinstance(child, (dict, list)) else None


def dump_config(config: RunConfig) -> str:
    """Return the resolved run as YAML, all defaults filled in; reading it gives the same run."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of run files, with the settings of every built-in model and method."""
    schema = RunConfig.model_json_schema()
    kinds: tuple[Kind, Kind] = ("model", "method")
    for kind in kinds:
        for name in names(kind):
            found = find_model(name) if kind == "model" else find_method(name)
            settings = found.Config.model_json_schema()
            schema["$defs"] |= settings.pop("$defs", {}) | {f"{kind}:{name}": settings}
        options = [{"type": "string"}, *({"$ref": f"#/$defs/{kind}:{name}"} for name in names(kind))]
        schema["$defs"][f"{kind.capitalize()}Config"] = {"anyOf": options}
    return schema
