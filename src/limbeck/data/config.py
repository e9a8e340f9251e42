"""Settings of the data: where it is, how it is fitted onto the network's input and how it is augmented."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from limbeck.imaging import ResizeMode

SIZE_STEP = 32
"""Every side of the network's input is a multiple of this: the coarsest stride that every backbone has."""

MAX_SCALE = 4
ROUNDING = 1e-9
"""A side this near to a multiple of `SIZE_STEP`, in steps, is one: in floating point 2.2 times 800 is not 1760."""

Format = Literal["coco", "voc", "yolo"]
ANNOTATIONS: Mapping[Format, str] = {
    "coco": "the json file with the boxes",
    "voc": "the folder of xml files",
    "yolo": "the folder of txt files",
}
"""What ``annotations`` is in each format."""

PartName = Literal["train", "val", "test"]
PARTS: Mapping[PartName, str] = {"train": "training", "val": "validation", "test": "test"}
"""The parts of a data set, and how they are called in a sentence."""
PAIRS: tuple[tuple[PartName, PartName], ...] = (("train", "val"), ("train", "test"), ("val", "test"))
"""Parts that must have no image in common, the earlier one first."""

OnBroken = Literal["error", "skip"]
Probability = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, le=1)]


class AnyPartConfig(BaseModel):
    """One part of a data set. Abstract.

    Attributes:
        list: Text file that names the samples of this part, one in a line; None for all in the folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    list: Path | None = None

    @property
    def folder(self) -> Path:
        """Folder of the samples."""
        raise NotImplementedError


class PartConfig(AnyPartConfig):
    """One part of a data set of images.

    Attributes:
        images: Folder of the images.
        list: Text file that names the images of this part, one in a line; None for all in the folder.
    """

    images: Path

    @property
    def folder(self) -> Path:
        """Folder of the images."""
        return self.images


class SplitConfig(PartConfig):
    """One part of a data set with boxes.

    Attributes:
        images: Folder that the file names of the annotations are relative to.
        annotations: The json file (coco), the folder of xml files (voc) or the folder of txt files (yolo, where None
            stands for the folder ``labels`` beside ``images``, or ``images`` itself).
        list: As in `PartConfig`, for the formats voc and yolo.
    """

    annotations: Path | None = None


class PictureAugment(BaseModel):
    """Strengths of the training augmentation of a picture; 0 switches a part off.

    Attributes:
        flip: Probability of a left-right flip.
        scale_crop: Probability that the image is zoomed and moved on the canvas.
        scale: Smallest and largest zoom, drawn log-uniformly; below 1 leaves a border, above 1 crops.
        brightness: Grey levels are multiplied by a factor from 1 - brightness to 1 + brightness.
        contrast: Distances from mid-grey are multiplied by a factor from 1 - contrast to 1 + contrast.
        saturation: Distances from grey are multiplied by a factor from 1 - saturation to 1 + saturation.
        hue: Colours are turned by up to this part of the colour circle, at most a half.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: Probability = 0.5
    scale_crop: Probability = 0.5
    scale: tuple[float, float] = (0.6, 1.4)
    brightness: Strength = 0.2
    contrast: Strength = 0.2
    saturation: Strength = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02

    @field_validator("scale")
    @classmethod
    def _scale_is_a_range(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 10:
            raise ValueError(f"scale must be two numbers, 0 < smallest <= largest <= 10, not {list(scale)}")
        return scale


class AugmentConfig(PictureAugment):
    """Strengths of the training augmentation of a picture with boxes.

    Attributes:
        mosaic: Probability that the image is shown together with three others, in place of zoom and shift.
        mosaic_epochs: Epochs with mosaics, from the first on; the later ones go without. None for all.
    """

    mosaic: Probability = 0.0
    mosaic_epochs: Annotated[int, Field(ge=1)] | None = None


class AnyDataConfig(BaseModel):
    """What the data settings of all tasks have in common. Abstract.

    Attributes:
        train: Data to train on.
        val: Data to evaluate on, and to choose epochs and thresholds by.
        test: Data that nothing is chosen by, for the last word on a model; None where there is none.
        classes: Names of the classes to learn, in the order of the model's logits; None for all that the data has.
        on_broken: What to do with a broken sample or annotation: stop, or leave it out and say so.
        views: Number of fixed augmented views per sample; None for a new view in every epoch.
        repeat_threshold: A class that fewer than this share of the training samples show is shown more often (LVIS,
            arXiv 1908.03195); None shows every sample once per epoch.
        licence: Terms of the data; they go into the weight file and the bundle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    train: AnyPartConfig
    val: AnyPartConfig
    test: AnyPartConfig | None = None
    classes: tuple[str, ...] | None = None
    on_broken: OnBroken = "error"
    views: Annotated[int, Field(ge=1)] | None = None
    repeat_threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    licence: str = "unknown"

    @property
    def canvases(self) -> tuple[tuple[int, int], ...] | None:
        """Width and height of the canvases that training batches are drawn from; None where there is no canvas."""
        return None

    @field_validator("classes")
    @classmethod
    def _classes_are_distinct(cls, classes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if classes is None:
            return None
        if not classes:
            raise ValueError("the list of classes is empty; leave it out to learn all classes")
        repeated = sorted({name for name in classes if classes.count(name) > 1})
        if repeated:
            raise ValueError(f"classes are listed twice: {', '.join(repeated)}")
        return classes


class PictureDataConfig(AnyDataConfig):
    """What the data settings of all tasks on images have in common. Abstract.

    Attributes:
        size: Width and height of the network's input in pixels.
        resize: ``letterbox`` keeps the aspect ratio and pads, ``stretch`` fills the canvas.
        augment: Training augmentation.
        class_weights: Weights of the objects in the training by the name of their class, 1 for a class that is not
            named; ``auto`` weighs by the inverse square root of the number of objects. None weighs all alike.
        scales: Least and largest size of a training batch, relative to ``size``; None trains at ``size``.
    """

    train: PartConfig
    val: PartConfig
    test: PartConfig | None = None
    size: tuple[int, int]
    resize: ResizeMode = "letterbox"
    augment: PictureAugment = PictureAugment()
    class_weights: Literal["auto"] | dict[str, float] | None = None
    scales: tuple[float, float] | None = None

    @field_validator("size")
    @classmethod
    def _size_fits_the_strides(cls, size: tuple[int, int]) -> tuple[int, int]:
        if any(side < SIZE_STEP or side % SIZE_STEP for side in size):
            raise ValueError(f"width and height must be positive multiples of {SIZE_STEP}, not {size[0]} x {size[1]}")
        return size

    @field_validator("class_weights", mode="before")
    @classmethod
    def _class_weights_are_numbers(cls, given: Any) -> Any:
        """Say in one sentence what pydantic would say once for each form that is allowed."""
        if given is None or given == "auto":
            return given
        if not isinstance(given, Mapping) or not all(_is_weight(*entry) for entry in given.items()):
            raise ValueError("must be 'auto' or class names with weights above 0, as in {bolt: 2.0}")
        return given

    @model_validator(mode="after")
    def _scales_hold_a_size(self) -> PictureDataConfig:
        if self.scales is None:
            return self
        if not 0 < self.scales[0] <= self.scales[1] <= MAX_SCALE:
            raise ValueError(
                f"scales must be two numbers, 0 < smallest <= largest <= {MAX_SCALE}, not {list(self.scales)}"
            )
        if not self.canvases:
            raise ValueError(
                f"scales leave no size to train at: no multiple of {SIZE_STEP} lies between {self.scales[0]} and "
                f"{self.scales[1]} times {max(self.size)}"
            )
        return self

    @property
    def canvases(self) -> tuple[tuple[int, int], ...]:
        """Width and height of the canvases that training batches are drawn from.

        The longer side runs through the multiples of `SIZE_STEP` within ``scales``; the other follows as closely as
        multiples allow.
        """
        if self.scales is None:
            return (self.size,)
        longer = max(self.size)
        smallest, largest = (scale * longer / SIZE_STEP for scale in self.scales)
        steps = range(math.ceil(smallest - ROUNDING), math.floor(largest + ROUNDING) + 1)
        return tuple((_scaled(self.size[0], n, longer), _scaled(self.size[1], n, longer)) for n in steps if n > 0)


class DataConfig(PictureDataConfig):
    """The data of a run for 2D detection.

    Attributes:
        format: Format of the annotations.
        classes: As in `AnyDataConfig`; None for all: in order of their ids (coco), of the alphabet (voc) or of
            ``names`` (yolo).
        names: The data.yaml or classes.txt with the names that the numbers in the files stand for (yolo); None if
            ``classes`` has them all in this order.
    """

    format: Format = "coco"
    train: SplitConfig
    val: SplitConfig
    test: SplitConfig | None = None
    names: Path | None = None
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _format_has_what_it_needs(self) -> DataConfig:
        parts = {f"{part}.": split for part, split in self.parts.items()}
        if problems := source_problems(self.format, parts, self.classes, self.names):
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _mosaics_end_by_epochs(self) -> DataConfig:
        if self.views is not None and self.augment.mosaic_epochs is not None:
            raise ValueError("augment.mosaic_epochs cannot be used with views: fixed views come again in every epoch")
        return self

    @property
    def parts(self) -> dict[PartName, SplitConfig]:
        """The parts that there are, by name."""
        splits: dict[PartName, SplitConfig | None] = {"train": self.train, "val": self.val, "test": self.test}
        return {part: split for part, split in splits.items() if split is not None}


def source_problems(
    format: Format, parts: Mapping[str, SplitConfig], classes: Sequence[str] | None, names: Path | None
) -> list[str]:
    """Return a sentence for each setting that a format lacks or cannot use; the keys of ``parts`` stand before them."""
    problems = []
    for part, split in parts.items():
        if split.annotations is None and format != "yolo":
            problems.append(f"{part}annotations is missing: the format {format} needs {ANNOTATIONS[format]}")
        if split.list is not None and format == "coco":
            problems.append(f"{part}list is not for the format coco, whose json file lists the images")
    if names is not None and format != "yolo":
        problems.append(f"names is for the format yolo; the annotations of the format {format} have the names in them")
    if names is None and classes is None and format == "yolo":
        problems.append("names is missing: the format yolo needs the data.yaml or classes.txt, or all names in classes")
    return problems


def _is_weight(name: Any, weight: Any) -> bool:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    return isinstance(name, str) and number and 0 < weight < math.inf


def _scaled(side: int, steps: int, longer: int) -> int:
    """Return the multiple of `SIZE_STEP` nearest to a side when the longer side has ``steps`` of them."""
    return SIZE_STEP * max(1, math.floor(side * steps / longer + 0.5))
