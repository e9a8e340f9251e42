"""Settings of data with a class for every pixel: images, masks, and any number of aligned X maps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from limbeck.data.config import PartConfig, PartName, PictureAugment, PictureDataConfig, Probability
from limbeck.errors import nearest

MaskFormat = Literal["folders", "kitti_road", "kitti_semantics", "cityscapes", "vkitti2", "nyuv2"]
CAMERA_FILES: Mapping[str, str] = {
    "kitti_road": "the folder calib",
    "kitti_semantics": "the folder calib_cam_to_cam",
    "cityscapes": "the folder of the camera's json files",
    "vkitti2": "the folder of the scenes with their intrinsic.txt",
}
"""What ``cameras`` is in each format that has calibration files."""

Quantity = Literal["depth", "disparity", "normals", "thermal", "other"]
UNITS: Mapping[Quantity, Mapping[str, float]] = {
    "depth": {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "m/256": 1 / 256},
    "disparity": {"px": 1.0, "px/256": 1 / 256},
    "normals": {"raw": 1.0},
    "thermal": {"raw": 1.0},
    "other": {"raw": 1.0},
}
"""What one stored level is worth by the name of the unit: in metres, in pixels of disparity, or as it is."""

MAX_CLASSES = 254
"""A label takes a byte, and two of its values mean no class."""
LAST_LEVEL = 65535
"""The largest level of a mask of one channel, which has 8 or 16 bits."""
X_NAME = re.compile(r"[a-z][a-z0-9_]*")

Level = Annotated[int, Field(strict=True)] | str


class CameraConfig(BaseModel):
    """A pinhole camera, in pixels of the X map.

    Attributes:
        fx: Focal length along x.
        fy: Focal length along y.
        cx: Column of the principal point.
        cy: Row of the principal point.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    fx: float = Field(gt=0)
    fy: float = Field(gt=0)
    cx: float
    cy: float


class XConfig(BaseModel):
    """One X modality: what its files hold, and what the networks get of it.

    Attributes:
        holds: The quantity in the files.
        unit: What one stored level is worth: a name of `UNITS`, or a number of metres or pixels. Depth and disparity
            must have one.
        offset: Stored level that means 0; a value is (level - offset) x unit.
        invalid: Stored levels that mean "not measured". NaN and infinity always do, and depth and disparity of 0 or
            less.
        gives: ``value`` hands the quantity on as one channel; ``normals`` turns depth or disparity into surface normals
            of three channels, before any augmentation.
        normals: How normals are computed, see `limbeck.ops.normals`.
        camera: The camera, where ``gives`` is ``normals`` and no calibration files say it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    holds: Quantity
    unit: str | Annotated[float, Field(gt=0)] | None = None
    offset: float = 0.0
    invalid: tuple[float, ...] = (0.0,)
    gives: Literal["value", "normals"] = "value"
    normals: Literal["inverse_depth", "sne"] = "inverse_depth"
    camera: CameraConfig | None = None

    @model_validator(mode="after")
    def _settings_suit_the_quantity(self) -> XConfig:
        if problems := [*self._unit_problems(), *self._normals_problems()]:
            raise ValueError("; ".join(problems))
        return self

    def _unit_problems(self) -> Iterator[str]:
        units, quantity = UNITS[self.holds], self.holds
        allowed = ", ".join(f"'{unit}'" for unit in units)
        if self.unit is None and quantity in ("depth", "disparity"):
            yield f"unit is missing: what one stored level of {quantity} is worth, {allowed} or a number"
        elif isinstance(self.unit, str) and self.unit not in units:
            yield f"unit '{self.unit}' is not one of {quantity}{nearest(self.unit, units)}; there are {allowed}"
        if quantity == "normals" and (isinstance(self.unit, float) or self.offset):
            yield "unit and offset are not for normals, whose vectors have no unit"

    def _normals_problems(self) -> Iterator[str]:
        if self.gives == "normals":
            if self.holds not in ("depth", "disparity"):
                yield f"gives: normals is for depth and disparity, not for {self.holds}"
        elif self.camera is not None:
            yield "camera is used with gives: normals only"

    @property
    def level_value(self) -> float:
        """What one stored level is worth: metres, pixels of disparity, or 1."""
        return self.unit if isinstance(self.unit, float) else UNITS[self.holds][self.unit or "raw"]

    @property
    def is_normals(self) -> bool:
        """Whether the networks get surface normals, from the files or computed."""
        return "normals" in (self.holds, self.gives)

    @property
    def channels(self) -> int:
        """Channels that the networks get."""
        return 3 if self.is_normals else 1


class MaskPartConfig(PartConfig):
    """One part of a data set with masks.

    Attributes:
        images: Folder of the images.
        masks: Folder of the masks.
        x: Folder of each X modality, by the name it has in the section ``x`` of the data.
        cameras: Folder of the calibration files, or one file for all images, in the formats that have them.
        list: As in `PartConfig`.
    """

    masks: Path
    x: dict[str, Path] = Field(default_factory=dict)
    cameras: Path | None = None


class MaskAugment(PictureAugment):
    """Strengths of the training augmentation of a picture with a class for every pixel.

    Attributes:
        shadow: Probability that parts of the picture are darkened, as by shadows, wet ground or dirt; X maps are not.
    """

    shadow: Probability = 0.0


class MaskDataConfig(PictureDataConfig):
    """The data of a run for semantic segmentation.

    Attributes:
        format: How images, masks and X maps of one frame find each other, and how a mask says its classes.
        classes: Names of the classes to learn, in the order of the model's logits; pixels of other classes are
            ignored. None for all that the format or ``class_map`` has.
        class_map: The levels of a mask that stand for each class, as numbers or by the names that the format has for
            them. None for the classes of the format; in the format folders, level k is the k-th of ``classes``.
        ignore: Levels of a mask that do not count, as numbers or names; ``others`` for all that no class has. None for
            those that the format leaves out itself, 255 in the format folders.
        area: What the format kitti_road marks: the ``road``, or the ``lane`` that the car drives on, which is marked
            on the images whose names begin with um_ only.
        x: The X modalities by name; the name is that of the network's input.
    """

    format: MaskFormat = "folders"
    train: MaskPartConfig
    val: MaskPartConfig
    test: MaskPartConfig | None = None
    class_map: dict[str, tuple[Level, ...]] | None = None
    ignore: Literal["others"] | tuple[Level, ...] | None = None
    area: Literal["road", "lane"] = "road"
    x: dict[str, XConfig] = Field(default_factory=dict)
    augment: MaskAugment = MaskAugment()

    @property
    def parts(self) -> dict[PartName, MaskPartConfig]:
        """The parts that there are, by name."""
        splits: dict[PartName, MaskPartConfig | None] = {"train": self.train, "val": self.val, "test": self.test}
        return {part: split for part, split in splits.items() if split is not None}

    @field_validator("x")
    @classmethod
    def _names_can_be_inputs(cls, x: dict[str, XConfig]) -> dict[str, XConfig]:
        for name in x:
            if name == "image":
                raise ValueError("'image' is the name of the colour image; give the X map another one")
            if not X_NAME.fullmatch(name):
                raise ValueError(f"the name '{name}' must be small letters, digits and _, as in surface_normals")
        return x

    @model_validator(mode="after")
    def _parts_and_classes_fit(self) -> MaskDataConfig:
        problems = [problem for part, split in self.parts.items() for problem in self._part_problems(part, split)]
        if problems := [*problems, *self._class_problems()]:
            raise ValueError("; ".join(dict.fromkeys(problems)))  # a missing camera is missing in every part
        return self

    def _part_problems(self, part: PartName, split: MaskPartConfig) -> Iterator[str]:
        for name in self.x:
            if name not in split.x:
                yield f"{part}.x.{name} is missing: the folder of its maps"
        for name in split.x:
            if name not in self.x:
                yield f"{part}.x.{name} is a folder of maps, but x has no '{name}'{nearest(name, self.x)}"
        if split.cameras is not None and self.format not in CAMERA_FILES:
            yield f"{part}.cameras is not for the format {self.format}, which has no calibration files"
        for name, config in self.x.items():
            if config.gives == "normals" and config.camera is None and split.cameras is None:
                files = CAMERA_FILES.get(self.format)
                yield f"x.{name}.camera is missing: normals need fx, fy, cx and cy" + (
                    f", or {part}.cameras, {files}" if files else ""
                )

    def _class_problems(self) -> Iterator[str]:
        if self.area == "lane" and self.format != "kitti_road":
            yield f"area is for the format kitti_road, not for {self.format}"
        names = self.class_map if self.class_map is not None else self.classes
        if names is not None and len(names) > MAX_CLASSES:
            yield f"there are {len(names)} classes; a mask can have {MAX_CLASSES}"
        if self.class_map is None:
            if self.format == "folders" and self.classes is None:
                yield "classes is missing: the names of the levels 0, 1, 2, ...; or class_map, the levels of each class"
            return
        if not self.class_map:
            yield "class_map is empty; leave it out to take the classes of the format"
        for name in self.classes or ():
            if name not in self.class_map:
                yield f"classes has '{name}', which class_map does not have{nearest(name, self.class_map)}"
        yield from self._level_problems(self.class_map)

    def _level_problems(self, class_map: Mapping[str, tuple[Level, ...]]) -> Iterator[str]:
        owner: dict[Level, str] = {}
        for name, levels in class_map.items():
            if not levels:
                yield f"class_map.{name} has no level in it"
            for level in levels:
                if isinstance(level, int) and not 0 <= level <= LAST_LEVEL:
                    yield f"class_map.{name} has the level {level}; levels are from 0 to {LAST_LEVEL}"
                if level in owner:
                    what = "twice" if owner[level] == name else f"and so has class_map.{owner[level]}"
                    yield f"class_map.{name} has the level {level} {what}"
                owner[level] = name
        if isinstance(self.ignore, tuple):
            for level in self.ignore:
                if level in owner:
                    yield f"ignore has the level {level}, which class_map.{owner[level]} has too"
