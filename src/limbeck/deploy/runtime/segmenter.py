"""Runs a bundle's segmenter on images with numpy, pillow and ONNX Runtime only: no torch, no training code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from limbeck.deploy.runtime.class_map import Answer, ClassMap, Maps, Tiles, check_maps, map_image
from limbeck.deploy.runtime.manifest import MODEL_NAME, open_bundle
from limbeck.deploy.runtime.pictures import ImageLike, open_image
from limbeck.deploy.runtime.session import open_session


class Segmenter:
    """A segmenter loaded from a bundle.

    Args:
        folder: The bundle, as `limbeck export` writes it.
        threads: Processor threads that one image may use; None for all cores.

    Raises:
        BundleError: The bundle is missing, incomplete, altered, of another task, or did not pass its parity check.

    Example:
        >>> segmenter = Segmenter("runs/road/bundle")  # doctest: +SKIP
        >>> segmenter.segment("road.jpg").shares  # doctest: +SKIP
        {'road': 0.96, 'pothole': 0.04}
    """

    task: ClassVar[Literal["segmentation"]] = "segmentation"

    def __init__(self, folder: Path | str, threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.manifest = open_bundle(self.folder, self.task)
        self._session = open_session(self.folder / MODEL_NAME, threads)

    @property
    def maps(self) -> dict[str, int]:
        """Channels of each input beside the image, by name; empty for a network that reads RGB alone."""
        return {entry.name: entry.shape[1] for entry in self._session.get_inputs() if entry.name != "image"}

    def segment(self, image: ImageLike, maps: Maps | None = None, tiles: Tiles | None = None) -> ClassMap:
        """Return the class of every pixel of one image.

        Args:
            image: A path, a pillow image (its EXIF rotation is applied) or an (H,W,3) uint8 RGB array.
            maps: Further inputs by name, for a network that has any: (C,H,W) float32 on the network's canvas and in the
                unit of the training.
            tiles: Look at a large image in tiles at its own scale; None fits it onto the network's input.

        Raises:
            DataError: The image cannot be read or is no image, or the maps are not those of the network.
        """
        given = check_maps(maps, self.maps)
        answer = map_image(self.answer, open_image(image), given, *self.manifest.canvas, tiles)
        return ClassMap(*answer, self.manifest.classes)

    def answer(self, inputs: Mapping[str, NDArray[Any]]) -> Answer:
        """Return class and confidence, (B,H,W) each, of canvases: ``image`` (B,3,H,W) uint8 and any maps."""
        labels, confidence = self._session.run(["labels", "confidence"], dict(inputs))
        return labels, confidence
