"""Every file in methods/ and models/ is complete: one class with its settings, a mirrored test, a page, a config."""

import importlib.util
import inspect
import itertools
import re
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from limbeck.core.method import Method, MethodConfig
from limbeck.core.model import Model, ModelConfig
from limbeck.lookup import find_method, find_model, names

CONTRACTS = {"methods": (Method, MethodConfig), "models": (Model, ModelConfig)}
NAME_KEYS = {"methods": "name", "models": "model"}
FINDERS = {"methods": find_method, "models": find_model}
SETTING_TABLE = re.compile(r"^\| setting.*?(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
SETTING_ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \|", re.MULTILINE)
_counter = itertools.count()


def parts(root: Path, room: str) -> list[Path]:
    return sorted(path for path in (root / "src/limbeck" / room).glob("*.py") if path.stem != "__init__")


def problems(root: Path) -> list[str]:
    """All that is missing in a checkout, one line each."""
    return [problem for room in CONTRACTS for path in parts(root, room) for problem in _part_problems(root, room, path)]


def _part_problems(root: Path, room: str, path: Path) -> Iterator[str]:
    yield from _file_problems(root, room, path.stem)
    base, config_base = CONTRACTS[room]
    found = _concrete_classes(_load(path), base)
    if len(found) != 1:
        yield f"{room}/{path.name}: must define one {base.__name__}, it defines {len(found)}"
        return
    config = vars(found[0]).get("Config")
    if not (inspect.isclass(config) and issubclass(config, config_base)):
        yield f"{room}/{path.name}: {found[0].__name__} has no Config"
        return
    yield from _settings_problems(root / "docs" / room / f"{path.stem}.md", room, path.stem, config)


def _file_problems(root: Path, room: str, name: str) -> Iterator[str]:
    test, page = root / f"tests/{room}/test_{name}.py", root / f"docs/{room}/{name}.md"
    yield from (f"{room}/{name}.py: {path.relative_to(root)} is missing" for path in (test, page) if not path.is_file())
    if name not in _names_in_configs(root, room):
        yield f"{room}/{name}.py: no file in configs/ uses it"


def _names_in_configs(root: Path, room: str) -> set[str]:
    return {name for path in (root / "configs").glob("*/*.yaml") for name in _names_in_config(path, room)}


def _names_in_config(path: Path, room: str) -> set[str]:
    """The methods or models of a run file; each stands there as a plain name or as a section."""
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    sections = settings["methods"] if room == "methods" else [settings.get("teacher"), settings["student"]]
    key = NAME_KEYS[room]
    return {section if isinstance(section, str) else section[key] for section in sections if section is not None}


def _load(path: Path) -> ModuleType:
    """Import a file by its place, under a name of its own, so that copies do not disturb one another."""
    spec = importlib.util.spec_from_file_location(f"planted_{next(_counter)}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _concrete_classes(module: ModuleType, base: type) -> list[type]:
    classes = [value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, base)]
    return [value for value in classes if value.__module__ == module.__name__ and not inspect.isabstract(value)]


def _settings_problems(page: Path, room: str, name: str, config: type[Any]) -> Iterator[str]:
    key, fields = NAME_KEYS[room], config.model_fields
    if key not in fields or fields[key].default != name:
        yield f"{room}/{name}.py: the setting '{key}' must be '{name}' by default"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    yield from (f"{room}/{name}.py: docs/{room}/{name}.md does not name `{f}`" for f in fields if f"`{f}`" not in text)
    for setting, said in (row for table in SETTING_TABLE.findall(text) for row in SETTING_ROW.findall(table)):
        defaults = list(_defaults(config, setting))
        if defaults and not any(_same(_value(said), default) for default in defaults):
            where = f"{room}/{name}.py: docs/{room}/{name}.md"
            yield f"{where} says {said} where the default of `{setting}` is {defaults[0]}"


def _defaults(config: type[BaseModel], setting: str) -> Iterator[Any]:
    """The defaults of all settings of a name, of a config and of the sections in it; sections themselves have none."""
    for name, field in config.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _defaults(type(field.default), setting)
        elif name == setting:
            yield field.get_default(call_default_factory=True)


def _value(said: str) -> Any:
    """What a page's cell says: a number, a fraction, a list, a word, or nothing for a setting without default."""
    text = said.split(";")[0].strip().strip("`")
    return float(Fraction(text)) if re.fullmatch(r"\d+/\d+", text) else yaml.safe_load(text)


def _same(said: Any, default: Any) -> bool:
    if isinstance(default, tuple):
        default = list(default)
    return bool(said == default)


@pytest.fixture
def checkout(repo, tmp_path):
    """A copy of what the contract looks at."""
    for folder in ("src/limbeck/methods", "src/limbeck/models", "tests/methods", "tests/models", "docs", "configs"):
        shutil.copytree(repo / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    return tmp_path


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_every_method_and_model_is_complete(repo):
    assert parts(repo, "methods")
    assert parts(repo, "models")
    assert problems(repo) == []


@pytest.mark.parametrize("room", CONTRACTS)
def test_each_is_found_by_its_file_name(room, repo):
    stems = [path.stem for path in parts(repo, room)]
    assert names("method" if room == "methods" else "model") == stems
    for stem in stems:
        assert FINDERS[room](stem).__module__ == f"limbeck.{room}.{stem}"


@pytest.mark.parametrize(
    "missing",
    ["tests/methods/test_bckd.py", "docs/methods/bckd.md", "tests/models/test_gfl.py", "docs/models/gfl.md"],
)
def test_a_missing_test_or_page_is_found(missing, checkout):
    (checkout / missing).unlink()
    assert any(f"{missing} is missing" in problem for problem in problems(checkout))


@pytest.mark.parametrize(("room", "name"), [("methods", "bckd"), ("methods", "plain"), ("models", "gfl")])
def test_a_missing_config_is_found(room, name, checkout):
    for path in (checkout / "configs").glob("*/*.yaml"):
        if name in _names_in_config(path, room):
            path.unlink()
    assert f"{room}/{name}.py: no file in configs/ uses it" in problems(checkout)


def test_a_second_class_is_found(checkout):
    path = checkout / "src/limbeck/methods/plain.py"
    with path.open("a", encoding="utf-8") as file:
        file.write("\n\nclass Second(Plain):\n    pass\n")
    assert "methods/plain.py: must define one Method, it defines 2" in problems(checkout)


def test_a_file_without_a_class_is_found(checkout):
    (checkout / "src/limbeck/models/helpers.py").write_text('"""No model."""\n', encoding="utf-8")
    found = problems(checkout)
    assert "models/helpers.py: must define one Model, it defines 0" in found
    assert "models/helpers.py: tests/models/test_helpers.py is missing" in found


def test_a_class_without_settings_is_found(checkout):
    replace_in(checkout / "src/limbeck/methods/plain.py", "class Config(", "class Settings(")
    replace_in(checkout / "src/limbeck/methods/plain.py", "config: Config", "config: Settings")
    assert "methods/plain.py: Plain has no Config" in problems(checkout)


def test_a_wrong_name_is_found(checkout):
    replace_in(checkout / "src/limbeck/methods/ld.py", 'Literal["ld"] = "ld"', 'Literal["lld"] = "lld"')
    assert "methods/ld.py: the setting 'name' must be 'ld' by default" in problems(checkout)


def test_a_setting_that_the_page_leaves_out_is_found(checkout):
    replace_in(checkout / "docs/methods/bckd.md", "`alpha_loc`", "alpha")
    assert "methods/bckd.py: docs/methods/bckd.md does not name `alpha_loc`" in problems(checkout)


@pytest.mark.parametrize(
    ("page", "row", "wrong", "said"),
    [
        ("methods/sdd", "| `temperature` | 15.0 |", "| `temperature` | 10.0 |", "10.0 where the default"),
        ("methods/sdd", "| `adapter_only` | 1/6 |", "| `adapter_only` | 1/9 |", "1/9 where the default"),
        ("models/gfl", "| `neck` | `fpn` |", "| `neck` | `hkn` |", "`hkn` where the default of `neck` is fpn"),
        ("models/faster_rcnn", "| `proposals` | 1000 |", "| `proposals` | 999 |", "999 where the default"),
    ],
)
def test_another_default_on_a_page_is_found(page, row, wrong, said, checkout):
    replace_in(checkout / f"docs/{page}.md", row, wrong)
    assert [said in problem for problem in problems(checkout)] == [True]
