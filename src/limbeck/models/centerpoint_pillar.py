"""CenterPoint on pillars (arXiv 2006.11275): point clouds to boxes by a network over the map seen from above."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from limbeck.core.centre import HEAT_MAP, CentreRaw, CentreSpec
from limbeck.core.centre_targets import Peaks
from limbeck.core.detection3d import CentreDetector, Postprocess3D
from limbeck.core.model import ModelConfig
from limbeck.core.samples import Batch, Boxes3D
from limbeck.errors import ConfigError, nearest
from limbeck.nn.bev_neck import BevNeck
from limbeck.nn.center_head import CenterHead
from limbeck.nn.pillar_net import PillarNet
from limbeck.ops.pillars import PillarGrid, Pillars, scatter

BOX_BRANCHES = {"reg": 2, "height": 1, "dim": 3}
INTENSITY = 3
"""Where the intensity stands among the values of a point."""
Width = Annotated[int, Field(ge=1)]


class CenterpointPillar(CentreDetector):
    """CenterPoint with a pillar encoder.

    Args:
        config: Settings.
        classes: Class names.

    Raises:
        ConfigError: The range is no whole number of pillars or cells, or the groups are not those of the classes.
    """

    class Config(ModelConfig):
        """Settings; the defaults are those of the released network for the Waymo Open Dataset."""

        model: Literal["centerpoint_pillar"] = "centerpoint_pillar"
        range: tuple[float, float, float, float, float, float] = (-74.88, -74.88, -2.0, 74.88, 74.88, 4.0)
        pillar: tuple[float, float] = (0.32, 0.32)
        point_features: int = Field(4, ge=3)
        intensity: Literal["raw", "tanh", "byte"] = "raw"
        max_points: int = Field(20, ge=1)
        pillar_channels: Width = 64
        strides: tuple[Annotated[int, Field(ge=1, le=4)], ...] = (1, 2, 2)
        depths: tuple[Annotated[int, Field(ge=0)], ...] = (3, 5, 5)
        channels: tuple[Width, ...] = (64, 128, 256)
        up_strides: tuple[Annotated[float, Field(gt=0)], ...] = (1, 2, 4)
        up_channels: tuple[Width, ...] = (128, 128, 128)
        width: float = Field(1.0, gt=0, le=4)
        shared_channels: Width = 64
        head_channels: Width = 64
        norm_momentum: float = Field(0.01, gt=0, le=1)
        groups: tuple[tuple[str, ...], ...] | None = None
        velocity: bool = False
        box_weight: float = Field(2.0, gt=0)
        velocity_weight: float = Field(0.2, ge=0)
        peaks: Peaks = Peaks()
        postprocess: Postprocess3D = Postprocess3D()

        @model_validator(mode="after")
        def _blocks_meet(self) -> CenterpointPillar.Config:
            blocks = {name: len(getattr(self, name)) for name in ("depths", "channels", "up_strides", "up_channels")}
            if wrong := [f"{name} has {count}" for name, count in blocks.items() if count != len(self.strides)]:
                raise ValueError(f"each list has an entry per block; strides has {len(self.strides)}, {wrong[0]}")
            if len(set(self.cell_strides)) > 1:
                raise ValueError(
                    f"the ways up end at different resolutions, at {list(self.cell_strides)} pillars per cell: strides "
                    "multiplied up to a block, divided by its up_stride, must be equal"
                )
            if any(1 / factor != round(1 / factor) for factor in (min(up, 1 / up) for up in self.up_strides)):
                raise ValueError(f"up_strides are whole numbers or 1 over a whole number, not {list(self.up_strides)}")
            return self

        @property
        def cell_strides(self) -> tuple[float, ...]:
            """Pillars per cell where the way up from each block ends."""
            found, stride = [], 1
            for step, up in zip(self.strides, self.up_strides, strict=True):
                stride *= step
                found.append(stride / up)
            return tuple(found)

    def __init__(self, config: Config, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.config = config
        self.peaks, self.postprocess, self.box_weight = config.peaks, config.postprocess, config.box_weight
        self.spec = _spec(config, classes)
        codes = {"vel": config.velocity_weight}
        sizes = self.spec.groups[0].items()
        self.code_weights = tuple(codes.get(name, 1.0) for name, size in sizes if name != HEAT_MAP for _ in range(size))
        filters = config.pillar_channels, config.pillar_channels
        momentum = config.norm_momentum
        self.pillars = PillarNet(config.point_features, self.spec.grid, config.max_points, filters, momentum)
        widths, up_widths = _widened(config.channels, config.width), _widened(config.up_channels, config.width)
        self.neck = BevNeck(filters[1], config.depths, config.strides, widths, config.up_strides, up_widths, momentum)
        self.centre_head = CenterHead(sum(up_widths), self.spec.groups, config.shared_channels, config.head_channels)

    def map_view(self, pillars: Pillars, batch_size: int) -> Tensor:
        """Return the map seen from above, (B,C,H,W), of points that are sorted into pillars."""
        pillars = replace(pillars, points=self._normalise(pillars.points))
        canvas = scatter(self.pillars(pillars), pillars.cells, batch_size, self.spec.grid.size_xy)
        found: Tensor = self.neck(canvas)
        return found

    def _normalise(self, points: Tensor) -> Tensor:
        """Return the points with an intensity of about 0 to 1."""
        if self.config.intensity == "raw" or points.shape[1] <= INTENSITY:
            return points
        values = points[:, INTENSITY : INTENSITY + 1]
        values = values.tanh() if self.config.intensity == "tanh" else values / 255
        return torch.cat([points[:, :INTENSITY], values, points[:, INTENSITY + 1 :]], dim=1)

    def head(self, features: list[Tensor], batch: Batch[Boxes3D]) -> CentreRaw:
        """Return the maps of the head."""
        return CentreRaw(features, self.centre_head(features[0]))


def _widened(channels: tuple[int, ...], width: float) -> list[int]:
    return [max(1, round(count * width)) for count in channels]


def _spec(config: CenterpointPillar.Config, classes: tuple[str, ...]) -> CentreSpec:
    grid, stride = PillarGrid(config.range, config.pillar), config.cell_strides[0]
    if any((cells / stride) % 1 for cells in grid.size_xy):
        raise ConfigError(
            "The grid does not fit the network:",
            [f"range: {grid.size_xy[0]} x {grid.size_xy[1]} pillars are no whole number of cells of {stride:g}"],
        )
    named = config.groups or (classes,)
    rotation = {"vel": 2, "rot": 2} if config.velocity else {"rot": 2}
    return CentreSpec(
        task="detection3d",
        classes=classes,
        inputs=("points",),
        channels=(sum(_widened(config.up_channels, config.width)),),
        strides=(round(stride),),
        mean=(),
        std=(),
        grid=grid,
        point_features=config.point_features,
        max_points=config.max_points,
        stride=stride,
        groups=tuple({HEAT_MAP: len(names), **BOX_BRANCHES, **rotation} for names in named),
        class_groups=_class_groups(named, classes),
        max_objects=config.peaks.max_objects,
    )


def _class_groups(groups: tuple[tuple[str, ...], ...], classes: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
    """Return the groups as indices into the classes.

    Raises:
        ConfigError: A class is in no group or in two, or a group has a name that is no class.
    """
    given = [name for names in groups for name in names]
    problems = [f"groups: '{name}' is no class{nearest(name, classes)}" for name in given if name not in classes]
    problems += [f"groups: the class '{name}' is in none" for name in classes if name not in given]
    problems += [f"groups: the class '{name}' is there twice" for name in sorted(set(given)) if given.count(name) > 1]
    if problems:
        raise ConfigError("The groups of the head are not those of the classes:", problems)
    return tuple(tuple(classes.index(name) for name in names) for names in groups)
