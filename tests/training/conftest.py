"""A task of a few tiny images on disk, and what the tests of a training need of it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
SIDE = 64


@pytest.fixture(autouse=True)
def one_thread():
    """Use one thread: on tensors this small several only wait for one another."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_images(root: Path, count: int) -> None:
    """Write ``count`` noise images with a bright square each, all but the last of them labelled."""
    (root / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    images, boxes = [], []
    for number in range(count):
        pixels = generator.integers(0, 100, (SIDE, SIDE, 3), dtype=np.uint8)
        left, top = (int(corner) for corner in generator.integers(0, SIDE // 2, 2))
        pixels[top : top + 28, left : left + 28] += 120
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE})
        if number < count - 1:
            box = {"id": number + 1, "image_id": number, "category_id": number % 2 + 1, "bbox": [left, top, 28, 28]}
            boxes.append({**box, "iscrowd": 0, "area": 784})
    categories = [{"id": 1, "name": "wagon"}, {"id": 2, "name": "number"}]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (root / "boxes.json").write_text(json.dumps(content))


@pytest.fixture(scope="session")
def load_task():
    """Return a function that reads the images in a folder as a task."""
    from limbeck.data.config import DataConfig, SplitConfig
    from limbeck.tasks.detection2d import Detection2DTask

    def load(root: Path) -> Detection2DTask:
        split = SplitConfig(images=root / "images", annotations=root / "boxes.json")
        return Detection2DTask.load(DataConfig(train=split, val=split, size=(SIDE, SIDE)))

    return load


@pytest.fixture(scope="session")
def task(tmp_path_factory, load_task):
    """A task of eight images, one of them negative; training and validation are the same."""
    root = tmp_path_factory.mktemp("data") / "squares"
    write_images(root, 8)
    return load_task(root)


@pytest.fixture(scope="session")
def info():
    """What is written beside the weights."""
    from limbeck.weights import WeightsInfo

    return WeightsInfo(model={"model": "gfl"}, classes=("wagon", "number"), size=(SIDE, SIDE), resize="letterbox")


@pytest.fixture(scope="session")
def toy(make_batch):
    """Return a function that builds methods: ``toy(student, teacher, "Adapter", ("Freeze", 3), {"name": "bckd"})``.

    A name stands for a method of toy_methods.py, with its number; settings for any method.
    """
    from limbeck.lookup import method_config
    from limbeck.training.fit import build_methods

    def settings(method):
        if isinstance(method, dict):
            return method
        name, step = (method, 0) if isinstance(method, str) else method
        return {"name": f"toy_methods:{name}", "step": step}

    def build(student, teacher, *methods):
        configs = [method_config(settings(method)) for method in methods]
        batch = make_batch(1)
        return build_methods(configs, student, teacher, [batch], (batch.images.shape[3], batch.images.shape[2]))

    return build


@pytest.fixture
def training(task, info, make_detector, toy):
    """Return a function that trains a detector with dropout, by the methods named, beside a frozen teacher."""
    from torch import nn

    from limbeck.config import TrainConfig
    from limbeck.training.fit import fit
    from limbeck.training.teacher import FrozenTeacher

    def train(folder: Path, *methods, **settings):
        student, teacher = make_detector(), make_detector(seed=1)
        student.dense_head.class_tower.append(nn.Dropout(0.3))
        built = toy(student, teacher, *methods)
        config = TrainConfig(**{"epochs": 3, "batch_size": 2, "workers": 0, "precision": "fp32"} | settings)
        return fit(student, built, FrozenTeacher(teacher), task, config, info, folder=folder, seed=3)

    return train
