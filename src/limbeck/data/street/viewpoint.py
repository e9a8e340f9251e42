"""Where the camera is: the rays through its pixels, and the rectangle of pixels that something can be seen in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.mask_config import CameraConfig
from limbeck.data.shapes import Floats, Vector

NEAR_M = 0.05
EDGES = np.array([(corner, corner | bit) for bit in (1, 2, 4) for corner in range(8) if not corner & bit])
"""The twelve edges of a box whose corners are numbered as `limbeck.data.street.solids.Solid.corners` does."""


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """A camera in the world.

    Attributes:
        camera: Its intrinsics.
        size_wh: Width and height of the image in pixels.
        position: Where it is, in metres.
        yaw: How far it looks to the right, in radians.
        pitch: How far it looks up, in radians.
        roll: How far it is turned clockwise, in radians.
    """

    camera: CameraConfig
    size_wh: tuple[int, int]
    position: Vector
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def rotation(self) -> Floats:
        """Return the matrix (3,3) that turns a direction of the camera into one of the world."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        around_y = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
        cosine, sine = math.cos(self.pitch), math.sin(self.pitch)
        around_x = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        cosine, sine = math.cos(self.roll), math.sin(self.roll)
        around_z = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
        return np.asarray(around_y @ around_x @ around_z)

    def rays(self) -> Floats:
        """Return the directions (3,H,W) of the pixels in the world; a parameter along them is the depth in metres."""
        width, height = self.size_wh
        u = (np.arange(width) - self.camera.cx) / self.camera.fx
        v = (np.arange(height) - self.camera.cy) / self.camera.fy
        columns, rows = np.meshgrid(u, v)
        return np.asarray(np.tensordot(self.rotation(), np.stack([columns, rows, np.ones_like(rows)]), axes=1))

    def project(self, points: Floats) -> Floats:
        """Return column, row and depth, (N,3), of points (N,3) of the world; see `rays`."""
        x, y, z = self._seen(points).T
        return np.stack([self.camera.fx * x / z + self.camera.cx, self.camera.fy * y / z + self.camera.cy, z], axis=1)

    def rectangles(self, corners: Floats) -> NDArray[np.int64]:
        """Return the pixels that each of some boxes can be seen in: first and end of columns and rows, (N,4).

        The boxes are cut off in front of the camera. What cannot be seen gets a rectangle without pixels.

        Args:
            corners: (N,8,3), numbered as `EDGES` says.
        """
        seen = self._seen(corners)
        one, other = seen[:, EDGES[:, 0]], seen[:, EDGES[:, 1]]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (NEAR_M - one[..., 2:]) / (other[..., 2:] - one[..., 2:])
            cut = np.where((part > 0) & (part < 1), one + part * (other - one), np.nan)
        points = np.concatenate([np.where(seen[..., 2:] >= NEAR_M, seen, np.nan), cut], axis=1)
        columns = self.camera.fx * points[..., 0] / points[..., 2] + self.camera.cx
        rows = self.camera.fy * points[..., 1] / points[..., 2] + self.camera.cy
        bounds = []
        for reach, side in zip((columns, rows), self.size_wh, strict=True):
            first = np.fmin.reduce(reach, axis=1, initial=side)
            last = np.fmax.reduce(reach, axis=1, initial=-1)
            bounds += [np.ceil(first.clip(0, side)), np.floor(last.clip(-1, side - 1)) + 1]
        return np.stack(bounds, axis=1).astype(np.int64)

    def _seen(self, points: Floats) -> Floats:
        return np.asarray((points - self.position) @ self.rotation())
