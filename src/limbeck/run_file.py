"""The run file as YAML: reading, overriding and writing settings, without knowing what they mean."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import yaml

from limbeck.errors import ConfigError, LimbeckError


class _Loader(yaml.SafeLoader):
    """YAML 1.1 with two mends: ``1e-4`` is a number, and a key given twice is an error instead of a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        mapping = super().construct_mapping(node, deep)
        seen: set[Any] = set()
        for key_node in own:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands twice", key_node.start_mark
                )
            seen.add(key)
        return mapping


class _Dumper(yaml.SafeDumper):
    """Puts text that `_Loader` would read as a number into quotes."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)$"),
        list("-+.0123456789"),
    )


def read_settings(path: Path) -> dict[str, Any]:
    """Read a run file without looking at what its keys mean.

    Raises:
        ConfigError: It cannot be read, is no YAML, or holds no keys.
    """
    title = "The run file cannot be read:"
    try:
        settings = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(title, [f"{path}: {(error.strerror or str(error)).lower()}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(title, [f"{path}: is not text in UTF-8"]) from error
    except yaml.YAMLError as error:
        raise ConfigError("The run file is not valid YAML:", [f"{path}: {_yaml_problem(error)}"]) from error
    if not isinstance(settings, dict):
        raise ConfigError("The run file is not valid:", [f"{path}: must hold keys and values"])
    return settings


def write_settings(settings: Mapping[str, Any]) -> str:
    """Return settings as YAML that `read_settings` reads back as they are."""
    return yaml.dump(settings, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _yaml_problem(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


def spell_out(settings: dict[str, Any]) -> None:
    """Turn names that stand for a section, as in ``methods: [bckd]``, into sections, in place."""
    for key in ("teacher", "student"):
        if isinstance(settings.get(key), str):
            settings[key] = {"model": settings[key]}
    if isinstance(students := settings.get("students"), Mapping):
        named = {name: {"model": given} if isinstance(given, str) else given for name, given in students.items()}
        settings["students"] = named
    methods = settings.get("methods")
    if isinstance(methods, Mapping):  # a comparison has a list per row
        settings["methods"] = {row: _spelled_out(listed) for row, listed in methods.items()}
    elif methods is not None:
        settings["methods"] = _spelled_out(methods)


def _spelled_out(methods: Any) -> Any:
    if not isinstance(methods, list | tuple):
        return methods
    return [{"name": method} if isinstance(method, str) else method for method in methods]


def apply_overrides(settings: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """Apply overrides, ``key.sub=value`` each, in place; returns the problems."""
    return [problem for override in overrides if (problem := _apply(settings, override))]


def _apply(settings: dict[str, Any], override: str) -> str | None:
    key, equals, text = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        return f"'{override}': must look like key.sub=value"
    spell_out(settings)
    try:
        _set(settings, parts, yaml.load(text, _Loader))
    except yaml.YAMLError as error:
        return f"'{override}': the value is not valid YAML ({_yaml_problem(error)})"
    except LimbeckError as error:
        return f"'{override}': {error.message}"
    return None


def _set(here: Any, parts: Sequence[str], value: Any) -> None:
    """Set a value in place; what lies on the way is made if absent, and copied as YAML anchors may share it."""
    key: Any = parts[0]
    if isinstance(here, list):
        if not parts[0].isdecimal() or int(parts[0]) >= len(here):
            raise LimbeckError(f"there is no entry '{parts[0]}', the list has {len(here)}")
        key = int(parts[0])
    elif not isinstance(here, dict):
        raise LimbeckError(f"'{parts[0]}' cannot be set in {here!r}, which is no section")
    if len(parts) > 1:
        child = here[key] if isinstance(here, list) else here.get(key)
        here[key] = {} if child is None else copy(child)
        _set(here[key], parts[1:], value)
    else:
        here[key] = value
