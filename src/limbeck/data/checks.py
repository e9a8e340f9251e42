"""Checks of files, and the way in which problems of a data set are reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import ExifTags, Image

from limbeck.data.records import ImageRecord
from limbeck.errors import DataError
from limbeck.imaging import IMAGE_ERRORS, read_image, unreadable_reason

TITLE = "The data set cannot be used as it is:"
SHOWN_PROBLEMS = 20
_SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""


def read_text(path: Path) -> str:
    """Return a text file in UTF-8, without a byte order mark.

    Raises:
        DataError: It cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(TITLE, [f"{path}: not a text file"]) from error
    except OSError as error:
        raise DataError(TITLE, [f"{path}: {(error.strerror or str(error)).lower()}"]) from error


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image file in pixels, upright, without decoding it.

    Raises:
        DataError: It cannot be read or is no image.
    """
    try:
        return read_header(path)[0]
    except IMAGE_ERRORS as error:
        raise DataError(TITLE, [f"{path}: {unreadable_reason(error)}"]) from error


def read_header(path: Path) -> tuple[tuple[int, int], bool]:
    """Return width and height after the EXIF rotation, and whether that rotation swapped them.

    Pillow raises `limbeck.imaging.IMAGE_ERRORS` on a broken file.
    """
    with Image.open(path) as image:
        # Pillow decodes a whole png to look for EXIF data behind the pixels; that is not worth the time.
        has_exif = image.format != "PNG" or "exif" in image.info
        sideways = has_exif and image.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
        return ((image.height, image.width) if sideways else image.size), sideways


def check_images(records: Iterable[ImageRecord], verify_pixels: bool = False) -> dict[int | str, str]:
    """Compare the image files with their records.

    Args:
        records: What the annotations say.
        verify_pixels: Decode every image, which also finds truncated files; else only the headers are read.

    Returns:
        One plain sentence for each broken image, by the record's id.
    """
    problems = {record.id: _image_problem(record, verify_pixels) for record in records}
    return {record_id: problem for record_id, problem in problems.items() if problem is not None}


def _image_problem(record: ImageRecord, verify_pixels: bool) -> str | None:
    try:
        size, sideways = read_header(record.path)
        if verify_pixels:
            read_image(record.path)
    except DataError as error:
        return error.problems[0]
    except IMAGE_ERRORS as error:
        return f"{record.path}: {unreadable_reason(error)}"
    if size == record.size_wh:
        return None
    turned = " after its EXIF rotation" if sideways else ""
    return f"{record.path}: the file has {in_pixels(size)}{turned}, but its annotation says {in_pixels(record.size_wh)}"


def in_pixels(size_wh: tuple[int, int]) -> str:
    """Return width and height as a sentence has them."""
    return f"{size_wh[0]} x {size_wh[1]} pixels"


def data_error(title: str, problems: Sequence[str], hint: str | None = None) -> DataError:
    """Return an error whose text shows the first problems and counts the rest; ``data check`` lists them all."""
    return DataError(title, problems, hint, SHOWN_PROBLEMS)
