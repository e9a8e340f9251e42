"""Settings of data for LiDAR 3D detection: point clouds, boxes in space, and how clouds are augmented."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from limbeck.data.config import AnyDataConfig, AnyPartConfig, PartName, Probability
from limbeck.errors import nearest
from limbeck.point_files.point_format import TIME

CloudFormat = Literal["boxes", "kitti", "nuscenes", "frames"]
XYZ = ("x", "y", "z")
PositiveMetres = Annotated[float, Field(gt=0)]


class CloudPartConfig(AnyPartConfig):
    """One part of a data set of point clouds.

    Attributes:
        clouds: Folder of the point clouds; of nuScenes, the folder that holds ``samples`` and ``sweeps``.
        labels: Folder of the json files (boxes), of ``label_2`` (kitti) or of the tables, such as ``v1.0-mini``
            (nuscenes). Frames hold their boxes themselves. None, in the format boxes, for json files beside the clouds.
        calib: Folder ``calib`` (kitti).
        list: Text file that names the clouds of this part, one in a line, without their ending; of nuScenes the scenes.
    """

    clouds: Path
    labels: Path | None = None
    calib: Path | None = None

    @property
    def folder(self) -> Path:
        """Folder of the point clouds."""
        return self.clouds


class CloudAugment(BaseModel):
    """Strengths of the training augmentation of a point cloud; 0 switches a part off.

    Attributes:
        flip_left_right: Probability that y becomes -y.
        flip_front_back: Probability that x becomes -x.
        rotation: The cloud is turned about z by up to this angle in radians, either way.
        scale: Smallest and largest factor of all lengths.
        paste: How many objects of each class, by its name, a cloud gets from other clouds, where they fit in.
        dropout: Up to this share of the points is left out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    flip_left_right: Probability = 0.5
    flip_front_back: Probability = 0.0
    rotation: float = Field(math.pi / 4, ge=0, le=math.pi)
    scale: tuple[float, float] = (0.95, 1.05)
    paste: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    dropout: float = Field(0.0, ge=0, lt=1)

    @field_validator("scale")
    @classmethod
    def _scale_is_a_range(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0.5 <= scale[0] <= scale[1] <= 2:
            raise ValueError(f"scale must be two numbers, 0.5 <= smallest <= largest <= 2, not {list(scale)}")
        return scale


class CloudDataConfig(AnyDataConfig):
    """The data of a run for LiDAR 3D detection.

    Attributes:
        format: ``boxes``: clouds as npy, bin, ply or pcd with a json file of boxes each; ``kitti``; ``nuscenes``;
            ``frames``: npz or parquet files that hold points and boxes.
        columns: What a point of a bin or npy file consists of, in this order; ply and pcd files name it themselves, and
            frames may. None for x, y, z, intensity, and ring in nuScenes.
        features: The values of a point that the networks get, x, y and z first; None for all columns.
        sweeps: How many sweeps make a cloud (nuscenes): the keyframe and those before it.
        class_map: The names in the label files that stand for each class; None takes them as they are.
        ignore_map: For a class the names in the label files that are near it, such as KITTI's Van for Car: such objects
            are ignored, neither to be found nor background. None for those of the benchmark (kitti), else for none.
        label_frame: The frame that labels of the format kitti are in: ``camera``, as KITTI has it, or ``lidar``, where
            x, y and z are the centre of the box in the LiDAR's own frame and the last number is the yaw.
        max_range: Objects whose centre is farther away than this, in metres along the ground, are ignored; one number,
            or one for each class.
        min_points: Objects with fewer points inside are ignored.
        iou_thresholds: Overlap from which on a detection hits an object, by class, in the metrics of KITTI and Waymo;
            0.7 for cars and other vehicles and 0.5 for the others where none is given.
        drop_invalid: Leave out points that are not finite, such as the missing returns of organised pcd files; else a
            cloud that has one is broken.
        augment: Training augmentation.
    """

    format: CloudFormat = "boxes"
    train: CloudPartConfig
    val: CloudPartConfig
    test: CloudPartConfig | None = None
    columns: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    sweeps: int = Field(1, ge=1)
    class_map: dict[str, tuple[str, ...]] | None = None
    ignore_map: dict[str, tuple[str, ...]] | None = None
    label_frame: Literal["camera", "lidar"] = "camera"
    max_range: PositiveMetres | dict[str, PositiveMetres] | None = None
    min_points: int = Field(1, ge=0)
    iou_thresholds: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    drop_invalid: bool = False
    augment: CloudAugment = CloudAugment()

    @property
    def parts(self) -> dict[PartName, CloudPartConfig]:
        """The parts that there are, by name."""
        splits: dict[PartName, CloudPartConfig | None] = {"train": self.train, "val": self.val, "test": self.test}
        return {part: split for part, split in splits.items() if split is not None}

    @property
    def point_columns(self) -> tuple[str, ...]:
        """What a point of a file consists of, where the file does not say."""
        if self.columns is not None:
            return self.columns
        return (*XYZ, "intensity", "ring") if self.format == "nuscenes" else (*XYZ, "intensity")

    @property
    def point_features(self) -> tuple[str, ...]:
        """The values of a point that the networks get."""
        return self.point_columns if self.features is None else self.features

    @model_validator(mode="after")
    def _settings_fit_the_format(self) -> CloudDataConfig:
        problems = [*self._point_problems(), *self._class_problems(), *self._name_problems(), *self._part_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _point_problems(self) -> Iterator[str]:
        for name in ("columns", "features"):
            given = getattr(self, name)
            if given is not None and (given[:3] != XYZ or len(set(given)) < len(given)):
                yield f"{name} must begin with x, y, z and name each value once, not {list(given)}"
        if self.format in ("kitti", "nuscenes"):  # of the others the files may say more than the settings
            known = (*self.point_columns, *((TIME,) if self.format == "nuscenes" else ()))
            for name in self.features or ():
                if name not in known:
                    yield f"features has '{name}', which columns does not have{nearest(name, known)}"
        if self.sweeps > 1 and self.format != "nuscenes":
            yield f"sweeps is for the format nuscenes, not for {self.format}"

    def _class_problems(self) -> Iterator[str]:
        owner: dict[str, str] = {} if self.class_map else {name: "classes" for name in self.classes or ()}
        for setting in ("class_map", "ignore_map"):
            for name, labels in (getattr(self, setting) or {}).items():
                if not labels:
                    yield f"{setting}.{name} has no name in it"
                for label in labels:
                    if label in owner:
                        yield f"{setting}.{name} has the name '{label}', and so has {owner[label]}"
                    owner[label] = f"{setting}.{name}"
        class_map = self.class_map
        for name in self.classes or ():
            if class_map is not None and name not in class_map:
                yield f"classes has '{name}', which class_map does not have{nearest(name, class_map)}"

    def _name_problems(self) -> Iterator[str]:
        """Yield the names in settings by class that are no class, where the settings say what the classes are."""
        classes = self.classes if self.classes is not None else self.class_map
        by_class: dict[str, Collection[str]] = {
            "augment.paste": self.augment.paste,
            "iou_thresholds": self.iou_thresholds,
            "ignore_map": self.ignore_map or {},
        }
        if isinstance(self.max_range, dict):
            by_class["max_range"] = self.max_range
        for setting, names in by_class.items():
            for name in names:
                if classes is not None and name not in classes:
                    yield f"{setting} has '{name}', which is no class{nearest(name, classes)}"

    def _part_problems(self) -> Iterator[str]:
        camera = self.format == "kitti" and self.label_frame == "camera"
        if self.label_frame == "lidar" and self.format != "kitti":
            yield f"label_frame is for the format kitti, not for {self.format}"
        for part, split in self.parts.items():
            if split.labels is None and self.format in ("kitti", "nuscenes"):
                yield f"{part}.labels is missing: the format {self.format} needs the folder of its labels"
            if split.labels is not None and self.format == "frames":
                yield f"{part}.labels is not for the format frames, whose files hold their boxes"
            if split.calib is None and camera:
                yield (
                    f"{part}.calib is missing: labels of the format kitti are in the frame of the camera; give the "
                    "folder calib, or label_frame: lidar"
                )
            if split.calib is not None and not camera:
                yield f"{part}.calib is for labels in the frame of a camera (format kitti)"
