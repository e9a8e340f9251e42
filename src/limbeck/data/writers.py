"""Writers of annotations, with as many digits as the readers need to return the same boxes bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
import yaml

from limbeck.data.records import BoxRecord
from limbeck.data.voc import SIDES
from limbeck.files import write_json

Named = Sequence[tuple[str, BoxRecord]]
"""Images with their file names relative to the folder of images."""


def write_coco(path: Path, named: Named, classes: Sequence[str]) -> None:
    """Write a COCO json file; images, annotations and categories are numbered from 1, in their order.

    Ignore regions get ``iscrowd``, which all COCO tools know.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, record in named:
        width, height = record.size_wh
        images.append({"id": len(images) + 1, "file_name": name, "width": width, "height": height})
        for ((left, top, right, bottom), label, ignore), area in zip(_rows(record), record.areas, strict=True):
            box_xywh = (left, top, right - left, bottom - top)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": label + 1,
                    "bbox": box_xywh,
                    "area": float(area),
                    "iscrowd": int(ignore),
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def write_voc(folder: Path, named: Named, classes: Sequence[str]) -> None:
    """Write one Pascal VOC file per image; ignore regions become ``difficult``."""
    for name, record in named:
        root = Element("annotation")
        _add(root, "filename", name)
        size = SubElement(root, "size")
        for tag, value in zip(("width", "height", "depth"), (*record.size_wh, 3), strict=True):
            _add(size, tag, str(value))
        for box_xyxy, label, ignore in _rows(record):
            entry = SubElement(root, "object")
            fields = {"name": classes[label], "pose": "Unspecified", "truncated": "0", "difficult": str(int(ignore))}
            for tag, text in fields.items():
                _add(entry, tag, text)
            corners = SubElement(entry, "bndbox")
            for tag, side in zip(SIDES, box_xyxy, strict=True):
                _add(corners, tag, np.format_float_positional(np.float32(side), trim="-"))
        ElementTree.indent(root)
        path = _path_of(folder, name, ".xml")
        ElementTree.ElementTree(root).write(path, encoding="utf-8")


def write_yolo(folder: Path, named: Named) -> None:
    """Write one YOLO file per image, an empty one for an image without objects. The format has no ignore regions."""
    for name, record in named:
        width, height = record.size_wh
        lines = [
            f"{label} {(left + right) / 2 / width} {(top + bottom) / 2 / height} "
            f"{(right - left) / width} {(bottom - top) / height}\n"
            for (left, top, right, bottom), label, _ in _rows(record)
        ]
        _path_of(folder, name, ".txt").write_text("".join(lines), encoding="utf-8")


def write_names(path: Path, classes: Sequence[str], folders: dict[str, str]) -> None:
    """Write a data.yaml: the class names by their numbers, and the image folder of each part."""
    text = yaml.safe_dump({**folders, "names": dict(enumerate(classes))}, sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def _rows(record: BoxRecord) -> Iterable[tuple[list[float], int, bool]]:
    return zip(record.boxes_xyxy.tolist(), record.labels.tolist(), record.ignore.tolist(), strict=True)


def _add(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = text


def _path_of(folder: Path, name: str, suffix: str) -> Path:
    path = (folder / name).with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
