"""The bundle: one folder with all that a device needs to run a model, and the proof that it is the right one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limbeck.core.model import InputSize, Model
from limbeck.deploy.export import export_onnx
from limbeck.deploy.graphs import export_graph
from limbeck.deploy.runtime.manifest import FORMAT, LABELS_NAME, MANIFEST_NAME, MODEL_NAME, load_manifest, sha256_of
from limbeck.files import write_text
from limbeck.imaging import PAD_VALUE, ResizeMode
from limbeck.point_files.point_format import PointFormat
from limbeck.version import VERSION


@dataclass(frozen=True, slots=True)
class Licences:
    """Under which terms a model may be used; they go wherever the model goes.

    Attributes:
        weights: Licence of the weights that the training started from and of the teacher's, or ``unknown``.
        data: Licence of the training data, or ``unknown``.
    """

    weights: str
    data: str


def write_bundle(
    model: Model[Any, Any, Any, Any],
    folder: Path,
    *,
    size: InputSize,
    resize: ResizeMode | None,
    licences: Licences,
    metrics: Mapping[str, float],
    form: PointFormat | None = None,
) -> Path:
    """Export a model into a bundle. The parity verdict and the latency are added later by `amend_bundle`.

    The description is written last, so that a bundle that has one is complete.

    Args:
        model: The trained model.
        folder: Where to write; files of an earlier bundle are replaced.
        size: Size of its input, see `limbeck.core.model.InputSize`.
        resize: How an image is fitted onto it; None for point clouds.
        licences: Terms of weights and data.
        metrics: What the model reached on the validation data.
        form: What the points of a cloud consist of; None for images.

    Returns:
        ``folder``.

    Raises:
        ExportError: The model cannot be exported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    export_onnx(model, size, folder / MODEL_NAME)
    (folder / LABELS_NAME).write_text("".join(f"{name}\n" for name in model.spec.classes), encoding="utf-8")
    graph = export_graph(model)
    _write_manifest(
        folder,
        {
            "format": FORMAT,
            "limbeck": VERSION,
            "task": model.spec.task,
            "classes": model.spec.classes,
            "canvas": _canvas(size, resize),
            "cloud": None if form is None else {"points": size[0], **asdict(form)},
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            "settings": graph.settings(),
            "metrics": dict(metrics),
            "licences": asdict(licences),
            "parity": None,
            "latency_ms": None,
            "files": {name: sha256_of(folder / name) for name in (MODEL_NAME, LABELS_NAME)},
        },
    )
    return folder


def _canvas(size: InputSize, resize: ResizeMode | None) -> dict[str, Any] | None:
    """Return what an image is fitted onto, and how; None for point clouds."""
    if resize is None:
        return None
    return {"wh": size, "resize": resize, "pad_value": PAD_VALUE, "interpolation": "bilinear"}


def amend_bundle(folder: Path, **entries: Any) -> None:
    """Set entries of a bundle's description, such as ``parity`` or ``latency_ms``.

    Raises:
        BundleError: There is no bundle.
    """
    _write_manifest(folder, {**load_manifest(folder), **entries})


def _write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the description in one piece, so that a stop in between leaves the old one."""
    write_text(folder / MANIFEST_NAME, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
