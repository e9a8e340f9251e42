"""Runs a bundle's detector on images with numpy, pillow and ONNX Runtime only: no torch, no training code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from limbeck.deploy.runtime.manifest import MODEL_NAME, read_manifest, verify_files
from limbeck.errors import BundleError, DataError
from limbeck.imaging import IMAGE_ERRORS, Fit, fit_image, read_image, unreadable_reason, upright_rgb

ImageLike = str | Path | Image.Image | NDArray[np.uint8]
_ERRORS_ONLY = 3


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
        BundleError: The bundle is missing, incomplete, altered, or did not pass its parity check.

    Example:
        >>> detector = Detector("runs/wagons/bundle")  # doctest: +SKIP
        >>> detector.detect("wagon.jpg").names  # doctest: +SKIP
        ('coupling', 'hose')
    """

    def __init__(self, folder: Path | str, threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        if self.manifest.passed_parity is False:
            raise BundleError(f"{self.folder}: the bundle failed its parity check and must not be used.")
        verify_files(self.folder, self.manifest.sha256)
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
        fitted = [fit_image(_open(image), self.manifest.canvas_wh, self.manifest.resize) for image in images]
        canvases = np.stack([canvas.transpose(2, 0, 1) for canvas, _ in fitted])
        for boxes, scores, labels, (_, fit) in zip(*self.answer(canvases), fitted, strict=True):
            yield self._detections(boxes[scores > 0], scores[scores > 0], labels[scores > 0], fit)

    def _detections(
        self, boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64], fit: Fit
    ) -> Detections:
        return Detections(fit.to_image(boxes), scores, labels, tuple(self.manifest.classes[label] for label in labels))


def open_session(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """Open an ONNX file on the CPU.

    Args:
        path: The file.
        threads: Threads of one operator; None for all cores.

    Raises:
        BundleError: ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a dozen exceptions without a common base
        raise BundleError(f"{path}: ONNX Runtime cannot load the model ({error}).") from error


def _open(image: ImageLike) -> Image.Image:
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        try:
            return upright_rgb(image)
        except IMAGE_ERRORS as error:
            raise DataError("An image cannot be read:", [unreadable_reason(error)]) from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        given = f"{image.dtype} of shape {image.shape}"
        raise DataError("An image cannot be used:", [f"an array must be (H,W,3) uint8 RGB, was given {given}"])
    return Image.fromarray(image)
