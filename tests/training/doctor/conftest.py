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

    def give(task, train, val):
        return replace(
            task,
            train=replace(task.train, records=tuple(train)),
            val=replace(task.val, records=tuple(val)),
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


def _write_clouds(root, count, first):
    """Write clouds of flat ground with a car and two pedestrians of 12 points each, no two of them alike."""
    import json

    import numpy as np

    generator = np.random.default_rng(first)
    for name in ("clouds", "labels"):
        (root / name).mkdir(parents=True)
    for number in range(first, first + count):
        ground = np.column_stack([generator.uniform(-7, 7, (400, 2)), np.full(400, -1.0)])
        boxes, points = [], [ground]
        for name, centre, size in (
            ("car", (4, 3), (4, 2, 1.6)),
            ("pedestrian", (-3, -3), (0.6, 0.7, 1.8)),
            ("pedestrian", (3, -4), (0.6, 0.7, 1.8)),
        ):
            x, y = np.add(centre, generator.uniform(-1, 1, 2)).tolist()
            boxes.append({"class": name, "centre": [x, y, -1 + size[2] / 2], "size": size, "yaw": 0.3})
            points.append(np.add(boxes[-1]["centre"], generator.uniform(-0.2, 0.2, (12, 3))))
        xyz = np.concatenate(points)
        values = np.column_stack([xyz, generator.uniform(0, 1, len(xyz))]).astype(np.float32)
        np.save(root / "clouds" / f"{number}.npy", values)
        (root / "labels" / f"{number}.json").write_text(json.dumps({"boxes": boxes}))
    return {"clouds": root / "clouds", "labels": root / "labels"}


@pytest.fixture(scope="session")
def cloud_parts(tmp_path_factory):
    """Where six training clouds and four validation clouds are; tests must not change them."""
    root = tmp_path_factory.mktemp("clouds")
    return {part: _write_clouds(root / part, count, first) for part, count, first in (("train", 6, 0), ("val", 4, 6))}


@pytest.fixture
def cloud_run(cloud_parts, tmp_path):
    """Return a function that makes the config of a run on the clouds: ``cloud_run("itkd", student={...}, data={})``."""
    from limbeck.config import parse_config

    light = {
        "model": "centerpoint_pillar",
        "range": [-8, -8, -2, 8, 8, 2],
        "pillar": [0.5, 0.5],
        "pillar_channels": 8,
        "strides": [1],
        "depths": [0],
        "channels": [8],
        "up_strides": [1],
        "up_channels": [8],
        "shared_channels": 8,
        "head_channels": 8,
    }

    def make(*methods, data=None, teacher=None, student=None, checkpoint=None):
        classes = {"classes": ["car", "pedestrian"], "augment": {"paste": {}}}
        settings = {
            "name": "clouds",
            "runs_dir": tmp_path / "runs",
            "task": "detection3d",
            "data": cloud_parts | classes | (data or {}),
            "teacher": light | (teacher or {}),
            "teacher_checkpoint": checkpoint,
            "student": light | (student or {}),
            "methods": list(methods or ["plain"]),
            "train": {"batch_size": 2, "workers": 0, "precision": "fp32"},
        }
        return parse_config(settings)

    return make
