"""From a name in a run file to a class: a file in ``limbeck/models`` or ``limbeck/methods``, or a dotted path.

There is no registry: a new method is one new file. ``package.module:Class`` finds a class outside limbeck. The name of
a model may also be that of a preset, a file of model settings in ``limbeck/presets``.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from limbeck.core.method import Method, MethodConfig
from limbeck.core.model import Model, ModelConfig
from limbeck.errors import LimbeckError, nearest
from limbeck.run_file import read_settings

Kind = Literal["model", "method"]
ClassT = TypeVar("ClassT")
ConfigT = TypeVar("ConfigT", bound=BaseModel)

PRESETS = Path(__file__).parent / "presets"

_PACKAGES = {"model": "limbeck.models", "method": "limbeck.methods"}


def names(kind: Kind) -> list[str]:
    """Return the names of all built-in models or methods."""
    package = import_module(_PACKAGES[kind])
    return sorted(info.name for info in pkgutil.iter_modules(package.__path__))


def presets() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def preset(name: str) -> dict[str, Any]:
    """Return the model settings that a preset stands for."""
    return read_settings(PRESETS / f"{name}.yaml")


def find_model(name: str) -> type[Model[Any, Any, Any, Any]]:
    """Return the model class of a name or of a preset.

    Raises:
        LimbeckError: There is none.
    """
    return _find("model", preset(name)["model"] if name in presets() else name, Model)


def find_method(name: str) -> type[Method[Any, Any, Any]]:
    """Return the method class of a name.

    Raises:
        LimbeckError: There is none.
    """
    return _find("method", name, Method)


def build_model(config: ModelConfig, classes: tuple[str, ...]) -> Model[Any, Any, Any, Any]:
    """Build the model that a config names, for the classes given."""
    return find_model(config.model)(config, classes)


def model_config(settings: Mapping[str, Any]) -> ModelConfig:
    """Validate the settings of a model with the model's own ``Config``.

    Where ``model`` names a preset, its settings are filled in; those given win.
    """
    if settings["model"] in presets():
        filled = preset(settings["model"])
        settings = filled | dict(settings) | {"model": filled["model"]}
    return _validated(find_model(settings["model"]).Config, settings)


def method_config(settings: Mapping[str, Any]) -> MethodConfig:
    """Validate the settings of a method with the method's own ``Config``."""
    return _validated(find_method(settings["name"]).Config, settings)


def _validated(config: type[ConfigT], settings: Mapping[str, Any]) -> ConfigT:
    return config.model_validate(dict(settings))


def _find(kind: Kind, name: str, base: type[ClassT]) -> type[ClassT]:
    if ":" in name:
        return _imported(kind, name, base)
    if name not in names(kind):
        known = names(kind) + (presets() if kind == "model" else [])
        raise LimbeckError(f"there is no {kind} '{name}'{nearest(name, known)}; there are {known}")
    return _only_class(import_module(f"{_PACKAGES[kind]}.{name}"), base)


def _only_class(module: ModuleType, base: type[ClassT]) -> type[ClassT]:
    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise LimbeckError(f"{module.__name__} must define one {base.__name__}, it defines {len(found)}")
    return found[0]


def _imported(kind: Kind, path: str, base: type[ClassT]) -> type[ClassT]:
    module_name, _, class_name = path.partition(":")
    try:
        found = getattr(import_module(module_name), class_name)
    except (ImportError, TypeError, ValueError) as error:  # the last two: no module name, or a relative one
        raise LimbeckError(f"the {kind} '{path}' cannot be imported: {error} (is its folder on PYTHONPATH?)") from error
    except AttributeError:
        raise LimbeckError(f"the module '{module_name}' has no class '{class_name}'") from None
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise LimbeckError(f"'{path}' is not a {base.__name__}, see docs/concepts/contracts.md")
    return found
