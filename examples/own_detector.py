"""A detector of your own behind limbeck's contract, complete in one class: here as teacher and, narrower, as student.

python examples/own_detector.py configs/detection2d/wagons-bckd.yaml
PYTHONPATH=examples limbeck distill run.yaml 'student={model: own_detector:TinyDetector, width: 32}'
"""

import sys
from pathlib import Path

from torch import Tensor, nn

from limbeck.config import load_config
from limbeck.core.dense2d import Postprocess, assign_batch
from limbeck.core.dense_heads import raw_output
from limbeck.core.model import DenseSpec2D, Model, ModelConfig
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D, Detections2D
from limbeck.core.samples import Batch, Boxes2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import focal_rows
from limbeck.nn.backbones import IMAGENET_MEAN, IMAGENET_STD, Normalise
from limbeck.ops.assign2d import atss
from limbeck.ops.boxes2d import decode_deltas
from limbeck.ops.pyramid import PriorGrid
from limbeck.pipeline import Outcome, distill

GRID = PriorGrid(strides=(8, 16, 32))  # one square per cell, eight cells wide
OWN = "own_detector:TinyDetector"


def halve(before: int, after: int) -> nn.Module:
    """Return a 3x3 convolution of stride 2."""
    return nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())


def decode(deltas: Tensor, priors_xyxy: Tensor, strides: Tensor) -> Tensor:
    """Return the boxes of offsets from their priors."""
    return decode_deltas(deltas, priors_xyxy)


class TinyDetector(Model[Boxes2D, DenseRaw2D, DenseAssignment2D, Detections2D]):
    """Five convolutions give three levels; one output layer for the classes and one for the boxes."""

    class Config(ModelConfig):
        """Settings; predict and the export read ``postprocess``."""

        model: str = OWN
        width: int = 32
        postprocess: Postprocess = Postprocess()

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.config = config
        width = config.width
        stem = Normalise(), halve(3, width // 2), halve(width // 2, width), halve(width, width)
        self.levels = nn.ModuleList([nn.Sequential(*stem), *(halve(width, width) for _ in GRID.strides[1:])])
        self.class_out, self.box_out = (nn.Conv2d(width, n, 3, padding=1) for n in (len(classes), 4))
        nn.init.constant_(self.class_out.bias, -4.6)  # every score starts at 0.01
        self.spec = DenseSpec2D(
            task="detection2d",
            classes=classes,
            inputs=("image",),
            channels=(width,) * len(GRID.strides),
            strides=GRID.strides,
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
            priors=GRID,
            reg_max=None,
        )

    def features(self, batch: Batch[Boxes2D]) -> list[Tensor]:
        """Return the three levels, (B,width,H/stride,W/stride) each."""
        maps = [batch.images]
        for level in self.levels:
            maps.append(level(maps[-1]))
        return maps[1:]

    def head(self, features: list[Tensor], batch: Batch[Boxes2D]) -> DenseRaw2D:
        """Return logits and boxes of all locations."""
        classes, boxes = ([out(level) for level in features] for out in (self.class_out, self.box_out))
        canvas_hw = (batch.images.shape[2], batch.images.shape[3])
        return raw_output(features, classes, boxes, GRID, canvas_hw, decoder=decode)

    def assign(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> DenseAssignment2D:
        """Assign by ATSS."""
        return assign_batch(raw, batch, lambda r, boxes: atss(r.priors_xyxy, r.level_sizes, boxes))

    def losses(self, raw: DenseRaw2D, assignment: DenseAssignment2D, batch: Batch[Boxes2D]) -> dict[str, Tensor]:
        """Return the focal loss of the classes and the GIoU loss of the boxes."""
        positive = assignment.positive(raw.class_logits.shape[2])
        focal = focal_rows(raw.class_logits, assignment.labels) * assignment.weights
        box = iou_rows(raw.boxes_xyxy[positive], assignment.boxes_xyxy[positive], "giou")
        return {"focal": focal.sum() / assignment.normaliser, "box": box.sum() / assignment.normaliser}

    def predict(self, raw: DenseRaw2D, batch: Batch[Boxes2D]) -> list[Detections2D]:
        """Return the detections of every image, boxes in pixels of the original image."""
        return self.config.postprocess.detections(raw, batch)


def main(run_file: Path, *overrides: str) -> Outcome:
    """Distil a narrow TinyDetector from a wide one on the data of a run file."""
    models = f"teacher={{model: {OWN}, width: 64}}", f"student={{model: {OWN}, width: 16}}"
    return distill(load_config(run_file, ["name=own-detector", *models, "methods=[bckd]", *overrides]), print)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
