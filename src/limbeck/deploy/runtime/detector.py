"""Runs a bundle's detector on images with numpy, pillow and ONNX Runtime only: no torch, no training code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.deploy.runtime.manifest import MODEL_NAME, open_bundle
from limbeck.deploy.runtime.pictures import ImageLike, open_image
from limbeck.deploy.runtime.session import open_session
from limbeck.imaging import Fit, fit_image


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The detections of one image, best first.

    Attributes:
        boxes_xyxy: (D,4) in pixels of the original image, upright.
        scores: (D,) in [0, 1].
        labels: (D,) index into the bundle's classes.
        names: The class name of every detection.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)


class Detector:
    """A detector loaded from a bundle.

    Args:
        folder: The bundle, as `limbeck export` writes it.
        threads: Processor threads that one image may use; None for all cores.

    Raises:
        BundleError: The bundle is missing, incomplete, altered, of another task, or did not pass its parity check.

    Example:
        >>> detector = Detector("runs/wagons/bundle")  # doctest: +SKIP
        >>> detector.detect("wagon.jpg").names  # doctest: +SKIP
        ('coupling', 'hose')
    """

    task: ClassVar[Literal["detection2d"]] = "detection2d"

    def __init__(self, folder: Path | str, threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.manifest = open_bundle(self.folder, self.task)
        self._session = open_session(self.folder / MODEL_NAME, threads)

    def detect(self, image: ImageLike) -> Detections:
        """Return the detections of one image.

        Args:
            image: A path, a pillow image (its EXIF rotation is applied) or an (H,W,3) uint8 RGB array.

        Raises:
            DataError: The image cannot be read or is no image.
        """
        return self.detect_many([image])[0]

    def detect_many(self, images: Sequence[ImageLike], batch_size: int = 8) -> list[Detections]:
        """Return the detections of several images, ``batch_size`` of them through the network at a time.

        Raises:
            DataError: An image cannot be read or is no image.
        """
        starts = range(0, len(images), batch_size)
        return [found for start in starts for found in self._detect_batch(images[start : start + batch_size])]

    def answer(self, canvases: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """Return boxes (B,D,4) in canvas pixels, scores (B,D) and labels (B,D) of canvases (B,3,H,W) uint8.

        Unused places have score 0.
        """
        outputs: list[NDArray[Any]] = self._session.run(["boxes", "scores", "labels"], {"image": canvases})
        return outputs

    def _detect_batch(self, images: Sequence[ImageLike]) -> Iterator[Detections]:
        fitted = [fit_image(open_image(image), *self.manifest.canvas) for image in images]
        canvases = np.stack([canvas.transpose(2, 0, 1) for canvas, _ in fitted])
        for boxes, scores, labels, (_, fit) in zip(*self.answer(canvases), fitted, strict=True):
            yield self._detections(boxes[scores > 0], scores[scores > 0], labels[scores > 0], fit)

    def _detections(
        self, boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64], fit: Fit
    ) -> Detections:
        return Detections(fit.to_image(boxes), scores, labels, tuple(self.manifest.classes[label] for label in labels))
