"""Reader of Pascal VOC annotations: one xml file per image, under the image's name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from limbeck.data.checks import TITLE, data_error, image_size
from limbeck.data.config import OnBroken, SplitConfig, source_problems
from limbeck.data.image_folder import check_folders, pair_files
from limbeck.data.parsed import BoxEntry, ImageEntry, Key, Parsed, clip_box, finish
from limbeck.data.records import BoxData
from limbeck.errors import BrokenEntryError, DataError, nearest

SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(
    split: SplitConfig,
    classes: Sequence[str] | None = None,
    on_broken: OnBroken = "error",
    *,
    need_objects: bool = False,
    verify_pixels: bool = False,
) -> BoxData:
    """Read boxes in the Pascal VOC format.

    ``bndbox`` holds the corners as they are, in pixels from 0 at the image's edge: what labelling tools write today.
    (The original challenge counted pixels from 1 and included the last; read like this, its boxes begin a pixel late.)
    Objects marked ``difficult`` become ignore regions. An image without objects has an xml file without objects.

    Args:
        split: Where images and annotations are.
        classes: Classes to learn, in the order of the labels; objects of others are left out. None for all names in
            the files, in order of the alphabet.
        on_broken: See `limbeck.data.coco.read_coco`.
        need_objects: Whether a data set without a single object is an error; also a class that has none, if there are
            objects of a class that is not in ``classes``, as one of the two is mostly a slip of the pen.
        verify_pixels: See `limbeck.data.coco.read_coco`.

    Raises:
        DataError: Something is missing, broken or does not fit together; all problems at once.
    """
    folder = split.annotations
    if folder is None:
        raise DataError(TITLE, source_problems("voc", {"": split}, classes, names=None))
    check_folders(split, folder, "voc")
    broken: list[str] = []
    images, boxes = _read_files(split, folder, broken)
    found = sorted({str(box.category_id) for box in boxes})
    chosen = found if classes is None else list(classes)
    if need_objects and (problems := _name_problems(folder, chosen, found)):
        raise data_error(TITLE, [*problems, *broken])
    parsed = Parsed(folder, split.images, images, boxes, {name: name for name in (*found, *chosen)}, broken)
    ids = range(1, len(chosen) + 1)
    return finish(parsed, chosen, ids, on_broken, need_objects=need_objects, verify_pixels=verify_pixels)


def _read_files(
    split: SplitConfig, folder: Path, broken: list[str]
) -> tuple[dict[Key, ImageEntry | None], list[BoxEntry]]:
    images: dict[Key, ImageEntry | None] = {}
    boxes: list[BoxEntry] = []
    for name, file in pair_files(split, folder, ".xml", broken):
        images[name] = None
        if file is None:
            what = f"there is no xml file for it in {folder}; an image without objects has one without objects"
            broken.append(f"{split.images / name}: {what}")
            continue
        try:
            root = _parse(file)
            image = images[name] = _image(root, name, split.images / name)
        except BrokenEntryError as error:
            broken.append(f"{file}: {error}")
        except DataError as error:
            broken += error.problems
        else:
            boxes += _objects(root, image, file, broken)
    return images, boxes


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses the declarations by which a small file can be blown up to any size (entities that name entities)."""

    def doctype(self, *_: object) -> None:
        raise BrokenEntryError("has a DOCTYPE, which annotations do not need; it is not read for safety")


def _parse(file: Path) -> Element:
    try:
        root = ElementTree.parse(file, ElementTree.XMLParser(target=_NoDoctype())).getroot()
    except OSError as error:
        raise BrokenEntryError((error.strerror or str(error)).lower()) from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the last two for an encoding that is unknown
        raise BrokenEntryError(f"not valid xml; {error}") from error
    if root.tag != "annotation":
        raise BrokenEntryError(f"not a VOC file; its outermost element is '{root.tag}', not 'annotation'")
    return root


def _image(root: Element, name: str, path: Path) -> ImageEntry:
    """Return the size that the xml file says, or the image file's own where it says none or 0, as some tools write."""
    size = [_number(root, f"size/{side}") if _text(root, f"size/{side}") else 0.0 for side in ("width", "height")]
    if 0 in size:
        return ImageEntry(name, image_size(path), size_from_file=True)
    if any(side < 1 or side != int(side) for side in size):
        raise BrokenEntryError(f"has the size {size}, which is not two positive integers")
    return ImageEntry(name, (int(size[0]), int(size[1])))


def _objects(root: Element, image: ImageEntry, file: Path, broken: list[str]) -> list[BoxEntry]:
    boxes = []
    for number, element in enumerate(root.findall("object"), start=1):
        try:
            boxes.append(_object(element, image))
        except BrokenEntryError as error:
            broken.append(f"{file}: object {number} {error}")
    return boxes


def _object(element: Element, image: ImageEntry) -> BoxEntry:
    name = _text(element, "name")
    if not name:
        raise BrokenEntryError("has no 'name'")
    difficult = _text(element, "difficult") or "0"
    if difficult not in ("0", "1"):
        raise BrokenEntryError(f"has the difficult '{difficult}', which is neither 0 nor 1")
    left, top, right, bottom = given = [_number(element, f"bndbox/{side}") for side in SIDES]
    return BoxEntry(image.file_name, name, clip_box((left, top, right, bottom), given, image), difficult == "1")


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(element: Element, path: str) -> float:
    text, name = _text(element, path), path.rpartition("/")[2]
    if not text:
        raise BrokenEntryError(f"has no '{name}'")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BrokenEntryError(f"has the {name} '{text}', which is not a number")
    return number


def _name_problems(folder: Path, chosen: Sequence[str], found: Sequence[str]) -> list[str]:
    others = [name for name in found if name not in chosen]
    unused = [name for name in chosen if name not in found]
    return [f"{folder}: no object is called '{name}'{nearest(name, others)}" for name in unused if others]
