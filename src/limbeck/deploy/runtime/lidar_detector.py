"""Runs a bundle's LiDAR detector on point clouds with numpy and ONNX Runtime only: no torch, no training code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.deploy.runtime.choice import Candidates, Choice, choose
from limbeck.deploy.runtime.clouds import CloudLike, open_cloud
from limbeck.deploy.runtime.manifest import MODEL_NAME, described, open_bundle
from limbeck.deploy.runtime.pillars import Grid, Pillars, group_points
from limbeck.deploy.runtime.session import open_session
from limbeck.point_files.point_format import PointFormat


@dataclass(frozen=True, slots=True, eq=False)
class CloudDetections:
    """The detections of one point cloud, best first, in the frame of the LiDAR.

    Attributes:
        boxes: (D,7): x, y, z of the centre (z in the middle of the height), length along the heading, width, height in
            metres, and the yaw in radians, counter-clockwise about z from the x axis.
        scores: (D,) in [0, 1].
        labels: (D,) index into the bundle's classes.
        names: The class name of every detection.
        velocities: (D,2) metres per second along x and y; None where the network does not say.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    velocities: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)


class LidarDetector:
    """A LiDAR detector loaded from a bundle.

    Args:
        folder: The bundle, as `limbeck export` writes it.
        threads: Processor threads that one cloud may use; None for all cores.

    Raises:
        BundleError: The bundle is missing, incomplete, altered, of another task, or did not pass its parity check.

    Example:
        >>> detector = LidarDetector("runs/street/bundle")  # doctest: +SKIP
        >>> detector.detect("000042.bin").boxes  # doctest: +SKIP
    """

    task: ClassVar[Literal["detection3d"]] = "detection3d"

    def __init__(self, folder: Path | str, threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.manifest = open_bundle(self.folder, self.task)
        with described(self.folder):
            self.grid, self._choice = Grid.of(self.manifest.settings), Choice.of(self.manifest.settings)
        self._session = open_session(self.folder / MODEL_NAME, threads)

    @property
    def form(self) -> PointFormat:
        """What the points of a cloud consist of."""
        return self.manifest.points

    def detect(self, cloud: CloudLike) -> CloudDetections:
        """Return the detections of one point cloud; none where there is no point.

        Args:
            cloud: A npy, bin, ply or pcd file, or an array (P,F) of floats with the values that the network reads, x, y
                and z in metres first.

        Raises:
            DataError: The cloud cannot be read, has other values, or has points that are not finite.
        """
        points = open_cloud(cloud, self.form)
        found = self.answer(group_points(points, self.grid))
        left = found.take(choose(found, self._choice) if len(points) else np.zeros(0, np.int64))
        names = tuple(self.manifest.classes[label] for label in left.labels)
        return CloudDetections(left.boxes, left.scores, left.labels, names, left.velocities)

    def answer(self, pillars: Pillars) -> Candidates:
        """Return the boxes among which is chosen, of points that are sorted into pillars."""
        inputs = {name: getattr(pillars, name) for name in ("points", "pillar", "counts", "cells")}
        return Candidates(*self._session.run(None, inputs))
