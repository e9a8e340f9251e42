"""A tiny run whose parts have no image in common, and its findings."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
LIGHT = {"backbone": "test_resnet", "channels": 16, "tower_depth": 1, "strides": (8, 16, 32)}


@pytest.fixture(scope="session")
def part():
    """Return a function that gives a task the records named."""
    from limbeck.metrics.coco import CocoTruth

    def give(task, train, val):
        truth = CocoTruth.from_records(val, task.classes, task.val.category_ids)
        return replace(
            task,
            train=replace(task.train, records=tuple(train)),
            val=replace(task.val, records=tuple(val)),
            truth=truth,
        )

    return give


@pytest.fixture(scope="session")
def task(task, part):
    """The task of eight images: five to train on, three to evaluate on, the last of them negative."""
    return part(task, task.train.records[:5], task.val.records[5:])


@pytest.fixture
def run_config(task):
    """Return a function that makes the config of a run by the methods given."""
    from limbeck.config import RunConfig, TrainConfig
    from limbeck.lookup import method_config, model_config

    def settings(method):
        if isinstance(method, dict):
            return method
        return {"name": method if method[0].islower() else f"toy_methods:{method}"}

    def make(*methods, teacher=None, checkpoint=None, student=None, **train):
        return RunConfig(
            name="toy",
            data=task.config,
            teacher=model_config({"model": "gfl"} | LIGHT | (teacher or {})),
            teacher_checkpoint=checkpoint,
            student=model_config({"model": "gfl"} | LIGHT | (student or {})),
            methods=tuple(method_config(settings(method)) for method in methods),
            train=TrainConfig(**{"batch_size": 4, "workers": 0, "precision": "fp32"} | train),
        )

    return make


@pytest.fixture
def save_teacher(make_detector, info, tmp_path):
    """Return a function that writes the weights of an untrained teacher of the classes given."""
    from limbeck.weights import save_weights

    def save(*classes):
        model = make_detector(classes=classes, seed=1)
        path = tmp_path / "teacher.safetensors"
        described = replace(info, model=model.config.model_dump(mode="json"), classes=classes)
        save_weights(path, model.state_dict(), described)
        return path

    return save


@pytest.fixture
def findings(task):
    """Return a function that gives the texts of the findings of one status, by check."""
    from limbeck.training.doctor.examination import examine

    def find(config, status, of=task):
        return {finding.check: finding.text for finding in examine(config, of) if finding.status == status}

    return find
