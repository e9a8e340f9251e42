"""A street scene seen from a car: image, depth and labels of every pixel, made from a seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.mask_config import CameraConfig
from limbeck.data.street.config import Label, StreetConfig
from limbeck.data.street.layout import draw_street, draw_viewpoint
from limbeck.data.street.render import cast
from limbeck.data.street.sensor import develop, measure_depth
from limbeck.data.street.shading import shade
from limbeck.data.street.weather import draw_weather


@dataclass(frozen=True, slots=True)
class StreetScene:
    """One frame.

    Attributes:
        image: (H,W,3) uint8, red, green and blue.
        depth: (H,W) float32, depth along the axis of the camera in metres; 0 where it is not measured, as in the sky.
        labels: (H,W) uint8, see `Label`.
        camera: The intrinsics.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    labels: NDArray[np.uint8]
    camera: CameraConfig


def render_scene(seed: int | Sequence[int], config: StreetConfig | None = None) -> StreetScene:
    """Make a scene; the same seed and settings give the same bits.

    Layout, weather and sensor are drawn apart, so that one seed shows the same street by day, at night and in fog.

    Args:
        seed: A number, or several, none below 0.
        config: What the scenes look like; None for the defaults.
    """
    config = config or StreetConfig()
    layout, weather, sensor = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(3))
    solids, viewpoint = draw_street(layout, config), draw_viewpoint(layout, config)
    sky = draw_weather(weather, config)
    rays = viewpoint.rays()
    hits = cast(solids, viewpoint, rays)
    labels = np.array([*(solid.label for solid in solids), Label.SKY], np.uint8)[hits.solid]
    depth = measure_depth(sensor, hits.depth, config.holes)
    light = shade(solids, viewpoint, rays, hits, sky)
    return StreetScene(develop(sensor, light, sky.is_night), depth, labels, config.camera)
