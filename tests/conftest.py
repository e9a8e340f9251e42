"""Shared by all tests: no network, here and in every process that a test starts, and the same examples in every run."""

import importlib.util
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

OFFLINE = Path(__file__).parent / "offline"
REPO = Path(__file__).parent.parent


def _forbid_network(log: Path) -> None:
    """Patch this process and hand the guard down to its children; attempts are written to ``log``."""
    os.environ["LIMBECK_TEST_NETWORK_LOG"] = str(log)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(OFFLINE))]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(OFFLINE), *paths])
    spec = importlib.util.spec_from_file_location("limbeck_offline", OFFLINE / "sitecustomize.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


# A shell starts what it runs in the background deaf to Ctrl-C; the tests about it need an ear.
signal.signal(signal.SIGINT, signal.default_int_handler)

# What passes here passes there, on a slow machine too. For new examples: pytest --hypothesis-profile default
settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fixed")

LOG_FOLDER = tempfile.TemporaryDirectory(prefix="limbeck-test-")
NETWORK_LOG = Path(LOG_FOLDER.name) / "network.log"
_forbid_network(NETWORK_LOG)


class NetworkLog:
    """The hosts that were asked for since the last look, in this process and in the processes it started."""

    def take(self) -> list[str]:
        hosts = NETWORK_LOG.read_text(encoding="utf-8").split() if NETWORK_LOG.exists() else []
        NETWORK_LOG.unlink(missing_ok=True)
        return hosts


@pytest.fixture(autouse=True)
def no_network() -> Iterator[NetworkLog]:
    """Fail a test that asked for the network, also where the error was swallowed; processes it starts inherit this.

    A process started with an environment of its own needs ``PYTHONPATH`` and ``LIMBECK_TEST_NETWORK_LOG`` from
    ``os.environ`` in it.
    """
    log = NetworkLog()
    yield log
    hosts = log.take()
    assert not hosts, f"the test asked for the network: {', '.join(hosts)}"


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope="session")
def make_batch():
    """Return a function that makes a batch of noise images with a few boxes; image 1 is negative if there are two."""
    import torch

    from limbeck.core.samples import Batch, Boxes2D, Frame
    from limbeck.imaging import Fit

    def make(images: int = 2, side: int = 64, num_classes: int = 2, seed: int = 0) -> Batch[Boxes2D]:
        generator = torch.Generator().manual_seed(seed)
        targets = []
        for index in range(images):
            count = 0 if index == 1 else 3
            corner = torch.rand(count, 2, generator=generator) * side * 0.5
            size = side * (0.2 + 0.3 * torch.rand(count, 2, generator=generator))
            labels = torch.randint(0, num_classes, (count,), generator=generator)
            targets.append(Boxes2D(torch.cat([corner, corner + size], 1), labels, torch.zeros(count, dtype=torch.bool)))
        pixels = torch.randint(0, 256, (images, 3, side, side), generator=generator, dtype=torch.uint8)
        fit = Fit.of((2 * side, side), (side, side), "stretch")
        return Batch({"image": pixels}, targets, [Frame(i, Path(f"{i}.jpg"), fit) for i in range(images)])

    return make


@pytest.fixture(scope="session")
def make_detector():
    """Return a function that builds a very small detector: ``make_detector("gfl", classes=..., channels=...)``."""
    import torch

    from limbeck.lookup import build_model, model_config

    def make(model: str = "gfl", classes: tuple[str, ...] = ("wagon", "number"), seed: int = 0, **settings):
        light = {"backbone": "test_resnet", "channels": 16, "tower_depth": 1, "strides": (8, 16, 32)}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_model(model_config({"model": model} | light | settings), classes)

    return make


@pytest.fixture(scope="session")
def make_faster_rcnn():
    """Return a function that builds a very small Faster R-CNN: ``make_faster_rcnn(rpn={...}, roi={...}, ...)``."""
    import torch

    from limbeck.lookup import build_model, model_config

    def make(classes: tuple[str, ...] = ("wagon", "number"), rpn=None, roi=None, **settings):
        light = {"model": "faster_rcnn", "backbone": "test_resnet", "channels": 16}
        rpn = {"samples": 64, "train_pre_nms": 200, "test_pre_nms": 100, "proposals": 60} | (rpn or {})
        roi = {"hidden": 32, "samples": 32, "pooled_size": 3} | (roi or {})
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return build_model(model_config(light | {"rpn": rpn, "roi": roi} | settings), classes)

    return make


@pytest.fixture(scope="session")
def make_run():
    """Return a function that writes a tiny data set and its run file: ``make_run(folder, epochs=..., ...)``.

    The images show one bright square on dark noise, which the teacher learns well enough to teach. With
    ``test_images`` there is a test part, whose last image shows nothing.
    """
    import json

    import numpy as np
    import yaml
    from PIL import Image

    light = {"model": "gfl", "backbone": "test_resnet", "channels": 16, "tower_depth": 1, "strides": [8, 16, 32]}

    def write_part(folder: Path, part: str, count: int) -> dict[str, str]:
        generator = np.random.default_rng(count)
        images, annotations = [], []
        for index in range(count):
            pixels = generator.integers(0, 60, (64, 64, 3), dtype=np.uint8)
            x, y = generator.integers(0, 32, 2)
            side = min(generator.integers(16, 48), 64 - max(x, y))
            pixels[y : y + side, x : x + side] = (250, 240, 20)
            name = f"{part}-{index}.png"
            Image.fromarray(pixels).save(folder / "images" / name)
            images.append({"id": index, "file_name": name, "width": 64, "height": 64})
            box = {"bbox": [int(x), int(y), int(side), int(side)], "category_id": 1}
            annotations.append({"id": index + 1, "image_id": index, "iscrowd": 0, **box})
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "square"}]}
        (folder / f"{part}.json").write_text(json.dumps(content))
        return {"images": str(folder / "images"), "annotations": str(folder / f"{part}.json")}

    def make(folder: Path, *, train_images: int = 8, test_images: int = 0, **changes) -> Path:
        (folder / "images").mkdir(parents=True)
        settings = {
            "name": "tiny",
            "runs_dir": str(folder / "runs"),
            "data": {
                "train": write_part(folder, "train", train_images),
                "val": write_part(folder, "val", 4),
                "size": [64, 64],
                "resize": "stretch",
            },
            "teacher": {**light, "channels": 24},
            "student": dict(light),
            "methods": [{"name": "bckd"}],
            "train": {
                "epochs": 6,
                "batch_size": 4,
                "lr": 1e-2,
                "warmup_steps": 2,
                "ema": None,
                "eval_every": 6,
                "workers": 0,
            },
            "bootstrap_samples": 100,
        }
        if test_images:
            settings["data"]["test"] = write_part(folder, "test", test_images)
            annotations = folder / "test.json"
            content = json.loads(annotations.read_text())
            del content["annotations"][-1]
            annotations.write_text(json.dumps(content))
        path = folder / "run.yaml"
        path.write_text(yaml.safe_dump(settings | changes, sort_keys=False))
        return path

    return make


@pytest.fixture(scope="session")
def finished_run(make_run, tmp_path_factory):
    """A tiny run that went through all steps; tests read its folder and must not change it."""
    from types import SimpleNamespace

    from limbeck.config import load_config
    from limbeck.pipeline import distill

    run_file = make_run(tmp_path_factory.mktemp("finished") / "data")
    config, said = load_config(run_file), []
    outcome = distill(config, said.append)
    return SimpleNamespace(run_file=run_file, config=config, outcome=outcome, said=said, folder=outcome.folder)


@pytest.fixture(scope="session")
def make_mask_run():
    """Return a function that writes tiny frames with masks and depth, and their run file: ``make_mask_run(folder)``.

    A square is nearer than the ground. Its colour tells it from the ground, too, but less clearly. With ``test_images``
    there is a test part.
    """
    import numpy as np
    import yaml
    from PIL import Image

    def write_part(folder: Path, part: str, count: int) -> dict[str, object]:
        generator = np.random.default_rng(count)
        for name in ("images", "masks", "depth"):
            (folder / part / name).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(60, 140, (48, 64, 3), dtype=np.uint8)
            depth = np.full((48, 64), 5000, np.uint16)
            mask = np.zeros((48, 64), np.uint8)
            x, y = generator.integers(0, 40), generator.integers(0, 28)
            square = slice(y, y + 20), slice(x, x + 24)
            pixels[square] += 60
            depth[square], mask[square] = 2000, 1
            depth[:2], mask[:, 62:] = 0, 255
            for name, values in (("images", pixels), ("masks", mask), ("depth", depth)):
                Image.fromarray(values).save(folder / part / name / f"{index}.png")
        place = folder / part
        return {"images": str(place / "images"), "masks": str(place / "masks"), "x": {"depth": str(place / "depth")}}

    def make(folder: Path, *, train_images: int = 8, test_images: int = 0, **changes) -> Path:
        settings = {
            "name": "tiny-masks",
            "runs_dir": str(folder / "runs"),
            "task": "segmentation",
            "data": {
                "train": write_part(folder, "train", train_images),
                "val": write_part(folder, "val", 3),
                "classes": ["ground", "square"],
                "x": {"depth": {"holds": "depth", "unit": "mm"}},
                "size": [64, 64],
            },
            "teacher": {
                "model": "sne_roadseg",
                "backbone": "test_resnet",
                "x": "depth",
                "x_channels": 1,
                "decoder_width": 0.5,
            },
            "student": {"model": "lraspp", "backbone": "lean_pico", "head_width": 8},
            "methods": [{"name": "lix"}],
            "train": {
                "epochs": 6,
                "batch_size": 4,
                "lr": 1e-2,
                "warmup_steps": 2,
                "ema": None,
                "eval_every": 6,
                "workers": 0,
            },
            "bootstrap_samples": 100,
        }
        if test_images:
            settings["data"]["test"] = write_part(folder, "test", test_images)
        path = folder / "run.yaml"
        path.write_text(yaml.safe_dump(settings | changes, sort_keys=False))
        return path

    return make


@pytest.fixture(scope="session")
def finished_mask_run(make_mask_run, tmp_path_factory):
    """A tiny run of segmentation that went through all steps; tests read its folder and must not change it."""
    from types import SimpleNamespace

    from limbeck.config import load_config
    from limbeck.pipeline import distill

    run_file = make_mask_run(tmp_path_factory.mktemp("masks") / "data", test_images=2)
    config, said = load_config(run_file), []
    outcome = distill(config, said.append)
    return SimpleNamespace(run_file=run_file, config=config, outcome=outcome, said=said, folder=outcome.folder)


@pytest.fixture(scope="session")
def make_clouds():
    """Return a function that makes a batch of clouds in which each object is a dense block of points."""
    import torch

    from limbeck.core.samples import Batch, Boxes3D, Frame

    def make(clouds: int = 2, seed: int = 0, velocities: bool = False) -> Batch[Boxes3D]:
        generator = torch.Generator().manual_seed(seed)

        def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
            return low + (high - low) * torch.rand(shape, generator=generator)

        parts, targets = [], []
        for _ in range(clouds):
            sizes = torch.tensor([[3.6, 1.8, 1.5], [0.8, 0.8, 1.7]])
            spots = torch.tensor([[-4.0, -4.0, -0.5], [4.0, 4.0, -0.5]]) + uniform(-1.5, 1.5, 2, 3) * 0.6
            yaw = uniform(-3.0, 3.0, 2)
            boxes = torch.cat([spots, sizes, yaw[:, None]], dim=1)
            inside = uniform(-0.5, 0.5, 2, 60, 3) * sizes[:, None]
            cos, sin = yaw.cos()[:, None], yaw.sin()[:, None]
            x, y = cos * inside[..., 0] - sin * inside[..., 1], sin * inside[..., 0] + cos * inside[..., 1]
            objects = torch.stack([x, y, inside[..., 2]], dim=2) + spots[:, None]
            ground = torch.cat([uniform(-8.0, 8.0, 400, 2), uniform(-1.5, -1.4, 400, 1)], dim=1)
            points = torch.cat([objects.flatten(0, 1), ground])
            parts.append(torch.cat([points, uniform(0.0, 1.0, len(points), 1)], dim=1))
            speed = uniform(-5.0, 5.0, 2, 2) if velocities else None
            targets.append(Boxes3D(boxes, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.bool), speed))
        inputs = {"points": torch.cat(parts), "counts": torch.tensor([len(part) for part in parts])}
        return Batch(inputs, targets, [Frame(str(n), Path(f"{n}.npy")) for n in range(clouds)])

    return make


TINY_CENTERPOINT = {
    "model": "centerpoint_pillar",
    "range": [-8.0, -8.0, -3.0, 8.0, 8.0, 3.0],
    "pillar": [0.5, 0.5],
    "pillar_channels": 8,
    "strides": [1, 2],
    "depths": [1, 1],
    "channels": [16, 24],
    "up_strides": [0.5, 1],
    "up_channels": [16, 16],
    "shared_channels": 16,
    "head_channels": 16,
    "norm_momentum": 0.1,
}


@pytest.fixture(scope="session")
def make_lidar_detector():
    """Return a function that builds a very small CenterPoint for the clouds of `make_clouds`."""
    import torch

    from limbeck.lookup import build_model, model_config

    def make(classes: tuple[str, ...] = ("car", "pedestrian"), seed: int = 0, **settings):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_model(model_config(TINY_CENTERPOINT | settings), classes)

    return make


@pytest.fixture(scope="session")
def make_cloud_run():
    """Return a function that writes simulated clouds and their run file: ``make_cloud_run(folder)``."""
    import yaml

    from limbeck.data.lidar.config import LidarSceneConfig
    from limbeck.data.lidar.writing import write_lidar_scenes

    def make(folder: Path, *, test_clouds: int = 0, **changes) -> Path:
        scenes = LidarSceneConfig(rings=16, azimuth_step=2.0, max_range=20.0, cars=(3, 5))
        counts = {"train": 8, "val": 3} | ({"test": test_clouds} if test_clouds else {})
        data = write_lidar_scenes(folder / "clouds", counts, 0, scenes)
        student = TINY_CENTERPOINT | {"range": [-16.0, -16.0, -3.0, 16.0, 16.0, 3.0], "pillar": [1.0, 1.0]}
        settings = {
            "name": "tiny-clouds",
            "runs_dir": str(folder / "runs"),
            "task": "detection3d",
            "data": {**data, "max_range": 16.0, "min_points": 2},
            "teacher": student | {"width": 2.0},
            "student": student,
            "methods": [{"name": "itkd", "code": 4, "hidden": [8]}],
            "train": {"epochs": 4, "batch_size": 4, "lr": 1e-2, "warmup_steps": 2, "ema": None, "eval_every": 4},
            "bootstrap_samples": 100,
        }
        settings["train"]["workers"] = 0
        path = folder / "run.yaml"
        path.write_text(yaml.safe_dump(settings | changes, sort_keys=False))
        return path

    return make


@pytest.fixture(scope="session")
def finished_cloud_run(make_cloud_run, tmp_path_factory):
    """A tiny run of LiDAR detection that went through all steps; tests read its folder and must not change it."""
    from types import SimpleNamespace

    from limbeck.config import load_config
    from limbeck.pipeline import distill

    run_file = make_cloud_run(tmp_path_factory.mktemp("clouds") / "data", test_clouds=2)
    config, said = load_config(run_file), []
    outcome = distill(config, said.append)
    return SimpleNamespace(run_file=run_file, config=config, outcome=outcome, said=said, folder=outcome.folder)


def _leave_timing_out(patch: pytest.MonkeyPatch) -> None:
    from limbeck.deploy.runtime.latency import Latency

    patch.setattr("limbeck.evaluation.torch_latency", lambda *args: Latency(p50=1.0, p95=2.0, p99=3.0, runs=1))
    patch.setattr("limbeck.evaluation.answering_memory", lambda *args: 200_000_000)


@pytest.fixture
def no_timing(monkeypatch):
    """Leave out the timing of models and the process that memory is measured in, which take as long as a training."""
    _leave_timing_out(monkeypatch)


@pytest.fixture(scope="session")
def finished_comparison(make_run, tmp_path_factory):
    """A tiny comparison of two rows with two seeds that was run; tests read its folder and must not change it."""
    from types import SimpleNamespace

    import yaml

    from limbeck.comparison.config import load_comparison
    from limbeck.comparison.run import compare

    folder = tmp_path_factory.mktemp("compared") / "data"
    run_file = make_run(folder)
    settings = {"name": "methods", "run": run_file.name, "seeds": [0, 1], "methods": {"bckd": ["bckd"], "ld": ["ld"]}}
    path = folder / "comparison.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    config, said = load_comparison(path, ["train.epochs=2", "train.eval_every=1"]), []
    with pytest.MonkeyPatch.context() as patch:
        _leave_timing_out(patch)
        outcome = compare(config, said.append)
    return SimpleNamespace(file=path, config=config, outcome=outcome, said=said, folder=outcome.folder)
