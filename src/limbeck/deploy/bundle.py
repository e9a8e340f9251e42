"""The bundle: one folder with all that a device needs to run a model, and the proof that it is the right one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limbeck.core.model import Model
from limbeck.deploy.export import export_onnx
from limbeck.deploy.graphs import export_graph
from limbeck.deploy.runtime.manifest import FORMAT, LABELS_NAME, MANIFEST_NAME, MODEL_NAME, load_manifest, sha256_of
from limbeck.files import write_text
from limbeck.imaging import PAD_VALUE, ResizeMode
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
    canvas_wh: tuple[int, int],
    resize: ResizeMode,
    licences: Licences,
    metrics: Mapping[str, float],
) -> Path:
    """Export a model into a bundle. The parity verdict and the latency are added later by `amend_bundle`.

    The description is written last, so that a bundle that has one is complete.

    Args:
        model: The trained model.
        folder: Where to write; files of an earlier bundle are replaced.
        canvas_wh: Width and height of the network's input in pixels.
        resize: How an image is fitted onto it.
        licences: Terms of weights and data.
        metrics: What the model reached on the validation data.

    Returns:
        ``folder``.

    Raises:
        ExportError: The model cannot be exported.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    export_onnx(model, canvas_wh, folder / MODEL_NAME)
    (folder / LABELS_NAME).write_text("".join(f"{name}\n" for name in model.spec.classes), encoding="utf-8")
    graph = export_graph(model)
    _write_manifest(
        folder,
        {
            "format": FORMAT,
            "limbeck": VERSION,
            "task": model.spec.task,
            "classes": model.spec.classes,
            "canvas": {"wh": canvas_wh, "resize": resize, "pad_value": PAD_VALUE, "interpolation": "bilinear"},
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


def amend_bundle(folder: Path, **entries: Any) -> None:
    """Set entries of a bundle's description, such as ``parity`` or ``latency_ms``.

    Raises:
        BundleError: There is no bundle.
    """
    _write_manifest(folder, {**load_manifest(folder), **entries})


def _write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the description in one piece, so that a stop in between leaves the old one."""
    write_text(folder / MANIFEST_NAME, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
