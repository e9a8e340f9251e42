"""Settings of the data: where it is, how it is fitted onto the network's input and how it is augmented."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from limbeck.imaging import ResizeMode

SIZE_STEP = 32
"""Every side of the network's input is a multiple of this: the coarsest stride that every backbone has."""

OnBroken = Literal["error", "skip"]
Probability = Annotated[float, Field(ge=0, le=1)]
Strength = Annotated[float, Field(ge=0, le=1)]


class SplitConfig(BaseModel):
    """One part of a data set.

    Attributes:
        images: Folder that the file names of the annotations are relative to.
        annotations: The COCO json file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Path
    annotations: Path


class AugmentConfig(BaseModel):
    """Strengths of the training augmentation; 0 switches a part off.

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


class DataConfig(BaseModel):
    """The data of a run.

    Attributes:
        format: Format of the annotations.
        train: Data to train on.
        val: Data to evaluate on.
        classes: Names of the classes to learn, in the order of the model's logits; None for all, in order of their ids.
        size: Width and height of the network's input in pixels.
        resize: ``letterbox`` keeps the aspect ratio and pads, ``stretch`` fills the canvas.
        augment: Training augmentation.
        on_broken: What to do with a broken image or annotation: stop, or leave it out and say so.
        views: Number of fixed augmented views per image; None for a new view in every epoch.
        licence: Terms of the data; they go into the weight file and the bundle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["coco"] = "coco"
    train: SplitConfig
    val: SplitConfig
    classes: tuple[str, ...] | None = None
    size: tuple[int, int]
    resize: ResizeMode = "letterbox"
    augment: AugmentConfig = AugmentConfig()
    on_broken: OnBroken = "error"
    views: Annotated[int, Field(ge=1)] | None = None
    licence: str = "unknown"

    @field_validator("size")
    @classmethod
    def _size_fits_the_strides(cls, size: tuple[int, int]) -> tuple[int, int]:
        if any(side < SIZE_STEP or side % SIZE_STEP for side in size):
            raise ValueError(f"width and height must be positive multiples of {SIZE_STEP}, not {size[0]} x {size[1]}")
        return size

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
