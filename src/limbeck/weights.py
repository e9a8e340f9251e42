"""Weight files: ``safetensors`` beside a json that says all that is needed to build the model again. No pickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from limbeck.core.model import InputSize, Model, ModelConfig
from limbeck.errors import CheckpointError, LimbeckError, first_detail
from limbeck.files import write_text
from limbeck.imaging import ResizeMode
from limbeck.lookup import build_model, model_config
from limbeck.point_files.point_format import PointFormat

FORMAT = 1


@dataclass(frozen=True, slots=True)
class WeightsInfo:
    """What stands in the json beside a weight file.

    Attributes:
        model: Settings of the model; ``model`` names its class.
        classes: Class names in the order of the logits.
        size: See `limbeck.core.model.InputSize`.
        resize: How an image is fitted onto the canvas; None for point clouds.
        points: What the points of its clouds consist of; None for images.
        metrics: What the model reached on the validation data.
        methods: The methods that trained it; empty for a plain training.
        licence: Terms of the weights, as the run file states them.
        data_licence: Terms of the data they were trained on.
        epochs: Passes over the training data.
        train_seconds: Time the training took.
        train_memory_bytes: Highest memory use during the training, see `limbeck.memory.peak_bytes`; None if unknown.
        limbeck: Version of limbeck that wrote the file.
        format: Version of this file format.
    """

    model: dict[str, Any]
    classes: tuple[str, ...]
    size: InputSize
    resize: ResizeMode | None
    points: PointFormat | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    licence: str = "unknown"
    data_licence: str = "unknown"
    epochs: int | None = None
    train_seconds: float | None = None
    train_memory_bytes: int | None = None
    limbeck: str = ""
    format: int = FORMAT

    def __post_init__(self) -> None:
        if len(self.size) != (1 if self.resize is None else 2):
            raise ValueError(f"size is {list(self.size)}; it has two numbers for images, one for point clouds")

    @property
    def canvas(self) -> tuple[tuple[int, int], ResizeMode]:
        """Width and height of the canvas in pixels, and how an image is fitted onto it.

        Raises:
            CheckpointError: The model reads no images.
        """
        if self.resize is None:
            raise CheckpointError(f"The model {self.model['model']} reads no images.")
        return (self.size[0], self.size[1]), self.resize


def save_weights(path: Path, state: dict[str, Tensor], info: WeightsInfo) -> None:
    """Write ``path`` (safetensors) and the json beside it, each at once or not at all."""
    part = path.with_suffix(".part")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, part)
    os.replace(part, path)
    write_info(path, info)


def write_info(path: Path, info: WeightsInfo) -> None:
    """Write the json beside the weight file ``path``."""
    write_text(path.with_suffix(".json"), json.dumps(asdict(info), indent=2) + "\n")


def load_weights(path: Path) -> tuple[Model[Any, Any, Any, Any], WeightsInfo]:
    """Build the model of a weight file and load its weights; the model is in eval mode and channels last.

    Raises:
        CheckpointError: A file is missing or broken, or the weights are of another model.
    """
    info = read_info(path)
    settings = _model_settings(path, info)
    try:
        model = build_model(settings, info.classes)
    except LimbeckError as error:
        raise CheckpointError(f"The model in {path.with_suffix('.json')} cannot be built: {error}") from error
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The weight file {path} is broken: {error}") from error
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise CheckpointError(
            f"The weights in {path} are of another model than its json: {first[0].strip()}"
        ) from error
    return model.eval().to(memory_format=torch.channels_last), info


def read_model(path: Path) -> ModelConfig:
    """Read the model settings of a weight file; ``pretrained`` is false, and what the file leaves out is default.

    Raises:
        CheckpointError: They are no settings of a model.
    """
    return _model_settings(path, read_info(path))


def _model_settings(path: Path, info: WeightsInfo) -> ModelConfig:
    settings = info.model
    try:
        return model_config({**settings, "pretrained": False} if "pretrained" in settings else settings)
    except (KeyError, ValidationError, LimbeckError) as error:
        what = first_detail(error.errors()) if isinstance(error, ValidationError) else error
        raise CheckpointError(f"The model in {path.with_suffix('.json')} cannot be built: {what}") from error


def read_info(path: Path) -> WeightsInfo:
    """Read the json beside a weight file.

    Raises:
        CheckpointError: One of the two is missing, or the json is broken or was written by a newer limbeck.
    """
    beside = path.with_suffix(".json")
    if not path.is_file():
        raise CheckpointError(f"The weight file {path} does not exist.")
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
        newer = content["format"] > FORMAT
        info = None if newer else TypeAdapter(WeightsInfo).validate_python(content)
    except FileNotFoundError:
        raise CheckpointError(
            f"{beside} does not exist; it must stand beside the weights.",
            hint="use the best.safetensors of a limbeck run together with its best.json",
        ) from None
    except KeyError as error:
        raise CheckpointError(f"{beside} is broken: the entry {error} is missing.") from error
    except ValidationError as error:
        raise CheckpointError(f"{beside} is broken: {first_detail(error.errors())}") from error
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{beside} is broken: {error}") from error
    if info is None:
        raise CheckpointError(f"{path} was written by a newer limbeck; this one reads format {FORMAT}.")
    return info
