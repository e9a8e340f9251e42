"""Tiny detectors with lively heads, a few real image files and clouds, and two bundles for all tests of this folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.config import ExportConfig
from limbeck.core.samples import Batch, Boxes2D, Frame
from limbeck.deploy.bundle import Licences, write_bundle
from limbeck.imaging import fit_image, read_image
from limbeck.metrics.coco import CocoTruth, TruthBox, TruthImage
from limbeck.models.atss import ATSS
from limbeck.models.faster_rcnn import FasterRCNN
from limbeck.models.fcos import FCOS
from limbeck.models.gfl import GFL
from limbeck.models.retinanet import RetinaNet
from limbeck.point_files.point_format import PointFormat

CANVAS_WH = (96, 64)
CLASSES = ("hose", "coupling")
ROTATED = 6  # EXIF: turn by 90 degrees
TINY = {"backbone": "test_resnet", "strides": (8, 16, 32), "channels": 16, "tower_depth": 1, "depthwise": True}


def make_detector(name: str, classes: tuple[str, ...] = CLASSES, *, blind: bool = False, **settings):
    """A detector whose random head answers with many boxes of different scores, or with none."""
    torch.manual_seed(0)
    if name == "faster_rcnn":
        return make_two_stage(classes, blind=blind)
    family = {"gfl": GFL, "retinanet": RetinaNet, "fcos": FCOS, "atss": ATSS}[name]
    if name == "gfl":
        settings = {"reg_max": 4, **settings}
    model = family(family.Config(**TINY, **settings), classes)
    out = model.dense_head.class_out
    torch.nn.init.normal_(out.weight, std=0.0 if blind else 2.0 if name == "retinanet" else 0.5)
    torch.nn.init.normal_(model.dense_head.box_out.weight, std=0.05 if name == "retinanet" else 0.2)
    if model.dense_head.centerness_out is not None:
        torch.nn.init.normal_(model.dense_head.centerness_out.weight, std=0.5)
    torch.nn.init.constant_(out.bias, -8.0 if blind else -1.0)
    return model.eval()


def make_two_stage(classes: tuple[str, ...], *, blind: bool):
    """A small Faster R-CNN with a lively head in both stages."""
    settings = {
        "backbone": "test_resnet",
        "channels": 16,
        "rpn": {"proposals": 60, "test_pre_nms": 80},
        "roi": {"hidden": 32, "pooled_size": 3},
    }
    model = FasterRCNN(FasterRCNN.Config(**settings), classes)
    torch.nn.init.normal_(model.rpn.cls_logits.weight, std=1.0)
    torch.nn.init.normal_(model.rpn.bbox_pred.weight, std=0.2)
    torch.nn.init.normal_(model.roi_head.class_out.weight, std=0.0 if blind else 0.3)
    torch.nn.init.normal_(model.roi_head.box_out.weight, std=0.3)
    if blind:
        model.roi_head.class_out.bias.data[-1] = 9.0
    return model.eval()


@pytest.fixture(scope="session")
def detector_of():
    """Makes a detector from a model's name, see `make_detector`."""
    return make_detector


@pytest.fixture(scope="session")
def model():
    """The detector in the bundle."""
    return make_detector("gfl")


@pytest.fixture(scope="session")
def canvases():
    """Three canvases as (3,3,H,W) uint8: a smooth one, a noisy one, a dark one."""
    random = np.random.default_rng(0)
    smooth = np.linspace(0, 255, 3 * CANVAS_WH[1] * CANVAS_WH[0]).reshape(3, CANVAS_WH[1], CANVAS_WH[0])
    noisy = random.integers(0, 256, smooth.shape)
    return torch.from_numpy(np.stack([smooth, noisy, noisy // 8]).astype(np.uint8))


@pytest.fixture(scope="session")
def image_files(tmp_path_factory) -> list[Path]:
    """Image files that are wide, high, grey and rotated, none of the size of the canvas."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(1)
    paths = []
    for index, (width, height) in enumerate([(200, 80), (90, 160), (133, 101), (64, 64)]):
        coarse = random.integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize((width, height))
        exif = Image.Exif()
        exif[0x0112] = ROTATED if index == 0 else 1
        paths.append(folder / f"{index}.jpg")
        (image.convert("L") if index == 2 else image).save(paths[-1], exif=exif)
    return paths


@pytest.fixture(scope="session")
def batches(image_files) -> list[Batch[Boxes2D]]:
    """The image files as a validation loader gives them, two to a batch."""
    return [_batch(image_files[start : start + 2], start) for start in range(0, len(image_files), 2)]


def _batch(paths: list[Path], first_id: int) -> Batch[Boxes2D]:
    fitted = [fit_image(read_image(path), CANVAS_WH, "letterbox") for path in paths]
    nothing = Boxes2D(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))
    return Batch(
        {"image": torch.stack([torch.from_numpy(canvas).permute(2, 0, 1) for canvas, _ in fitted])},
        [nothing] * len(paths),
        [Frame(first_id + i, path, fit) for i, (path, (_, fit)) in enumerate(zip(paths, fitted, strict=True))],
    )


@pytest.fixture(scope="session")
def truth(model, batches) -> CocoTruth:
    """The model's own best boxes as objects, so that its AP is neither 0 nor 1."""
    boxes, images = [], []
    with torch.no_grad():
        found = [
            pair for batch in batches for pair in zip(batch.frames, model.predict(model(batch), batch), strict=True)
        ]
    for frame, detections in found:
        images.append(TruthImage(frame.id, frame.path.name, frame.fit.image_wh))
        for (x1, y1, x2, y2), label in zip(detections.boxes_xyxy[:9:2].tolist(), detections.labels[:9:2], strict=True):
            size = x2 - x1, y2 - y1
            boxes.append(TruthBox(frame.id, int(label) + 1, (x1, y1, *size), size[0] * size[1], crowd=False))
    return CocoTruth(tuple(images), tuple(enumerate(CLASSES, start=1)), tuple(boxes))


@pytest.fixture
def limits() -> ExportConfig:
    """The limits that a user has by default."""
    return ExportConfig()


@pytest.fixture(scope="session")
def finished_bundle(model, tmp_path_factory) -> Path:
    """The bundle; not to be changed."""
    return write_bundle(
        model,
        tmp_path_factory.mktemp("run") / "bundle",
        size=CANVAS_WH,
        resize="letterbox",
        licences=Licences(weights="Apache-2.0", data="CC BY 4.0"),
        metrics={"AP": 0.5},
    )


@pytest.fixture
def bundle(finished_bundle, tmp_path) -> Path:
    """A copy of the bundle that a test may change."""
    return Path(shutil.copytree(finished_bundle, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def lidar_model(make_lidar_detector):
    """A LiDAR detector with two groups and velocities whose random heads answer with many boxes of different scores."""
    model = make_lidar_detector(
        ("car", "pedestrian", "cyclist"),
        range=[-16.0, -16.0, -3.0, 16.0, 16.0, 3.0],
        pillar=[1.0, 1.0],
        groups=[["car"], ["pedestrian", "cyclist"]],
        velocity=True,
        postprocess={"nms_iou": 0.2, "pre_nms": 200},
    )
    torch.manual_seed(0)
    for group in model.centre_head.groups:
        for name, std, bias in (("hm", 3.0, -2.0), ("dim", 1.0, 1.3), ("rot", 5.0, 0.0), ("vel", 5.0, 0.0)):
            torch.nn.init.normal_(group[name][-1].weight, std=std)
            torch.nn.init.constant_(group[name][-1].bias, bias)
    return model.eval()


@pytest.fixture(scope="session")
def cloud_task(make_cloud_run, tmp_path_factory):
    """A few simulated clouds with the classes of the LiDAR detector."""
    from limbeck.config import load_config
    from limbeck.tasks.load import load_task

    return load_task(load_config(make_cloud_run(tmp_path_factory.mktemp("clouds") / "data")))


@pytest.fixture(scope="session")
def finished_cloud_bundle(lidar_model, tmp_path_factory) -> Path:
    """The bundle of the LiDAR detector; not to be changed."""
    values = ("x", "y", "z", "intensity")
    return write_bundle(
        lidar_model,
        tmp_path_factory.mktemp("run") / "bundle",
        size=(2000,),
        resize=None,
        licences=Licences(weights="Apache-2.0", data="CC BY 4.0"),
        metrics={"mAP": 0.5},
        form=PointFormat(values, values),
    )


@pytest.fixture
def cloud_bundle(finished_cloud_bundle, tmp_path) -> Path:
    """A copy of the bundle of the LiDAR detector that a test may change."""
    return Path(shutil.copytree(finished_cloud_bundle, tmp_path / "bundle"))
