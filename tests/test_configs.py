"""Every file in configs/ is complete and can be trained, so that none of them rots."""

import re
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import yaml

from limbeck.comparison.config import load_comparison
from limbeck.config import dump_config, load_config, parse_config
from limbeck.core.model import inputs_of
from limbeck.errors import ConfigError
from limbeck.run_file import read_settings
from limbeck.tasks.load import load_task
from limbeck.training.fit import build_methods, seeded_model
from limbeck.training.module import Distillation
from limbeck.training.teacher import FrozenTeacher

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*/*.yaml"))
COMPARISONS = sorted((Path(__file__).parent.parent / "configs").glob("*/compare/*.yaml"))
OWN_NAMES = re.compile(r"data\.((train|val|test)\.)?(x|class_map|augment\.paste|max_range)\.\w+")
"""Keys that the user chooses; the same name stands in several places."""
SMALL = ["train.batch_size=2", "train.workers=0", "train.precision=fp32"]
SMALL_CANVAS = "data.size=[64, 64]"


@pytest.fixture(autouse=True)
def in_the_repository(repo, monkeypatch):
    """The paths in the files are relative to the root of the repository."""
    monkeypatch.chdir(repo)


def keys_of(settings):
    items = settings.items() if isinstance(settings, dict) else enumerate(settings)
    for key, value in items:
        yield str(key)
        if isinstance(value, dict | list):
            yield from (f"{key}.{below}" for below in keys_of(value))


def test_there_are_configs():
    assert len(CONFIGS) >= 4
    assert COMPARISONS


@pytest.mark.parametrize("path", COMPARISONS, ids=lambda path: path.stem)
def test_a_comparison_is_named_after_its_file_and_compares_on_a_config(path):
    config = load_comparison(path)
    assert config.name == path.stem
    assert config.run.task == path.parent.parent.name
    assert config.run.name in {run_file.stem for run_file in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_complete_and_named_after_its_file(path):
    config = load_config(path)
    assert config.name == path.stem
    assert config.task == path.parent.name
    written = set(keys_of(yaml.safe_load(path.read_text())))
    assert written == set(keys_of(yaml.safe_load(dump_config(config))))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_typo_in_any_key_is_met_with_the_key(path):
    settings = read_settings(path)
    for key in keys_of(settings):
        *way, last = key.split(".")
        if last.isdecimal():
            continue
        changed = deepcopy(settings)
        section = changed
        for part in way:
            section = section[int(part) if isinstance(section, list) else part]
        section[last[:1] + last[2:] if len(last) > 2 else last * 2] = section.pop(last)
        meant = "did you mean" if OWN_NAMES.fullmatch(key) else f"did you mean '{last}'|the key '{last}' is missing"
        with pytest.raises(ConfigError, match=meant):
            parse_config(changed)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_can_be_trained(path):
    has_canvas = path.parent.name != "detection3d"
    config = load_config(path, [*SMALL, SMALL_CANVAS] if has_canvas else SMALL)
    if not config.data.train.folder.exists():
        pytest.skip(f"{config.data.train.folder} is not beside this checkout")
    task = load_task(config)
    student = seeded_model(config.student, task.classes, config.seed)
    teacher = seeded_model(config.teacher, task.classes, config.seed + 1) if config.uses_teacher else None
    inputs = inputs_of(student.spec, teacher.spec if teacher else None)
    methods = build_methods(config.methods, student, teacher, task.val_loader(1, inputs), task.canvas_wh)
    holder = FrozenTeacher(teacher) if teacher else None
    module = Distillation(student.train(), methods, holder, config.train, seed=config.seed, total_steps=1)
    batch = next(iter(task.train_loader(config.train.batch_size, seed=0, workers=0, inputs=inputs)))

    terms = module.loss_terms(batch)
    total = torch.stack(list(terms.losses.values())).sum()
    total.backward()

    assert torch.isfinite(total)
    assert all(name in str(terms.losses.keys()) for name in (m.name for m in config.methods if m.name != "plain"))
    gradients = [p.grad for p in student.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
