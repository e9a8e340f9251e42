"""The description of a bundle, and the check that the bundle is whole and unaltered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limbeck.errors import BundleError
from limbeck.imaging import ResizeMode
from limbeck.point_files.point_format import PointFormat

FORMAT = 1
"""Version of the bundle's format; a runtime refuses any other."""
MANIFEST_NAME = "bundle.json"
MODEL_NAME = "model.onnx"
LABELS_NAME = "labels.txt"
RuntimeTask = Literal["detection2d", "segmentation", "detection3d"]
RUNTIMES: Mapping[RuntimeTask, str] = {
    "detection2d": "Detector",
    "segmentation": "Segmenter",
    "detection3d": "LidarDetector",
}
"""The class that runs the bundles of each task."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the runtime needs to know of a bundle.

    Attributes:
        task: The task of the model.
        classes: Class names in the order of the labels.
        size: Width and height of the network's input in pixels, or the number of points of a typical point cloud.
        resize: How an image is fitted onto the canvas; None for point clouds.
        form: What the points of a cloud consist of; None for images.
        settings: What the task needs beside, see the graphs in `limbeck.deploy.graphs`.
        sha256: The hash of every other file, by its name.
        passed_parity: Whether the model answered as the trained one did; None if that was not checked.
    """

    task: RuntimeTask
    classes: tuple[str, ...]
    size: tuple[int, ...]
    resize: ResizeMode | None
    form: PointFormat | None
    settings: Mapping[str, Any]
    sha256: Mapping[str, str]
    passed_parity: bool | None

    @property
    def canvas(self) -> tuple[tuple[int, int], ResizeMode]:
        """Width and height of the canvas in pixels, and how an image is fitted onto it.

        Raises:
            BundleError: The model reads no images.
        """
        if self.resize is None:
            raise BundleError("The bundle has no canvas: its model reads no images.")
        return (self.size[0], self.size[1]), self.resize

    @property
    def points(self) -> PointFormat:
        """What the points of a cloud consist of.

        Raises:
            BundleError: The model reads no point clouds.
        """
        if self.form is None:
            raise BundleError("The bundle says nothing of points: its model reads no point clouds.")
        return self.form


def open_bundle(folder: Path, task: RuntimeTask) -> Manifest:
    """Read the description of a bundle and check that it may be run.

    Raises:
        BundleError: There is no bundle, it is not whole or altered, of another task, or failed its parity check.
    """
    manifest = read_manifest(folder)
    if manifest.task != task:
        raise BundleError(
            f"{folder}: the bundle is for {manifest.task}, not for {task}; limbeck.{RUNTIMES[manifest.task]} runs it."
        )
    if manifest.passed_parity is False:
        raise BundleError(f"{folder}: the bundle failed its parity check and must not be used.")
    verify_files(folder, manifest.sha256)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the description of a bundle.

    Raises:
        BundleError: There is none, it is broken, or a newer or older limbeck wrote it.
    """
    content = load_manifest(folder)
    if content.get("format") != FORMAT:
        raise BundleError(
            f"{folder / MANIFEST_NAME}: the bundle has format {content.get('format')!r}, this limbeck reads {FORMAT}."
        )
    with described(folder):
        if content["task"] not in RUNTIMES:
            raise ValueError(f"the task {content['task']!r} is unknown")
        size, resize, form = _input(content)
        return Manifest(
            task=content["task"],
            classes=tuple(content["classes"]),
            size=size,
            resize=resize,
            form=form,
            settings=dict(content["settings"]),
            sha256=dict(content["files"]),
            passed_parity=None if content["parity"] is None else bool(content["parity"]["passed"]),
        )


def _input(content: Mapping[str, Any]) -> tuple[tuple[int, ...], ResizeMode | None, PointFormat | None]:
    """Return the size of the network's input, how images are fitted onto it, and what points consist of."""
    if (canvas := content["canvas"]) is not None:
        width, height = canvas["wh"]
        return (int(width), int(height)), canvas["resize"], None
    cloud = content["cloud"]
    form = PointFormat(tuple(cloud["columns"]), tuple(cloud["features"]), bool(cloud["drop_invalid"]))
    return (int(cloud["points"]),), None, form


@contextmanager
def described(folder: Path) -> Iterator[None]:
    """Say in one sentence what is wrong with the description of a bundle, where reading it raises something.

    Raises:
        BundleError: An entry is missing, or is not what it should be.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(
            f"{folder / MANIFEST_NAME}: not a complete bundle description ({_problem(error)})."
        ) from error


def load_manifest(folder: Path) -> dict[str, Any]:
    """Return the whole content of a bundle's description.

    Raises:
        BundleError: There is none, or it is not json.
    """
    path = folder / MANIFEST_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{folder}: not a bundle; there is no {MANIFEST_NAME} in it.") from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}).") from error
    if not isinstance(content, dict):
        raise BundleError(f"{path}: not a bundle description; it holds a {type(content).__name__}.")
    return content


def verify_files(folder: Path, sha256: Mapping[str, str]) -> None:
    """Recompute the hash of every file of a bundle.

    Raises:
        BundleError: A file is missing or differs; all of them are named.
    """
    problems = [problem for name, known in sha256.items() if (problem := _file_problem(folder / name, known))]
    if problems:
        raise BundleError(f"{folder}: the bundle is not as it was written: {'; '.join(problems)}.")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _file_problem(path: Path, known: str) -> str | None:
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"
    return None if found == known else f"{path.name} has another content (sha256 {found[:12]}, not {known[:12]})"


def _problem(error: Exception) -> str:
    return f"the entry {error} is missing" if isinstance(error, KeyError) else str(error)
