"""Settings of data with a class for every pixel: images, masks, and any number of aligned X maps."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from limbeck.data.config import AnyDataConfig, PartConfig, PartName

MaskFormat = Literal["folders", "kitti_road", "kitti_semantics", "cityscapes", "vkitti2", "nyuv2"]
Quantity = Literal["depth", "disparity", "normals", "thermal", "other"]
UNITS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "m/256": 1 / 256, "px": 1.0, "px/256": 1 / 256, "raw": 1.0}
"""What one stored level is worth, by the name of the unit: metres, pixels of disparity, or as it is."""


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
        unit: What one stored level is worth: a name of `UNITS`, or a number.
        offset: Stored level that means 0; a value is (level - offset) x unit.
        invalid: Stored levels that mean "not measured". NaN and infinity always do.
        gives: ``value`` hands the quantity on as one channel; ``normals`` turns depth or disparity into surface normals
            of three channels, before any augmentation.
        normals: How normals are computed, see `limbeck.ops.normals`.
        camera: The camera, where ``gives`` is ``normals`` and the format has none of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    holds: Quantity
    unit: str | float = "raw"
    offset: float = 0.0
    invalid: tuple[float, ...] = (0.0,)
    gives: Literal["value", "normals"] = "value"
    normals: Literal["inverse_depth", "sne"] = "inverse_depth"
    camera: CameraConfig | None = None


class MaskPartConfig(PartConfig):
    """One part of a data set with masks.

    Attributes:
        images: Folder of the images.
        masks: Folder of the masks.
        x: Folder of each X modality, by the name it has in the section ``x`` of the data.
        cameras: Folder or file of the calibration, in the formats that have one.
        list: As in `PartConfig`.
    """

    masks: Path
    x: dict[str, Path] = Field(default_factory=dict)
    cameras: Path | None = None


class MaskDataConfig(AnyDataConfig):
    """The data of a run for semantic segmentation.

    Attributes:
        format: How images, masks and X maps of one frame find each other, and how a mask says its classes.
        class_map: The levels of a mask that stand for each class; None where level k is class k.
        ignore: Levels of a mask that do not count.
        x: The X modalities by name; the name is that of the network's input.
    """

    format: MaskFormat = "folders"
    train: MaskPartConfig
    val: MaskPartConfig
    test: MaskPartConfig | None = None
    class_map: dict[str, tuple[int, ...]] | None = None
    ignore: tuple[int, ...] = (255,)
    x: dict[str, XConfig] = Field(default_factory=dict)

    @property
    def parts(self) -> dict[PartName, MaskPartConfig]:
        """The parts that there are, by name."""
        splits: dict[PartName, MaskPartConfig | None] = {"train": self.train, "val": self.val, "test": self.test}
        return {part: split for part, split in splits.items() if split is not None}
