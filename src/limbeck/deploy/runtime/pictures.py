"""What the runtime takes for an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from limbeck.errors import DataError
from limbeck.imaging import IMAGE_ERRORS, read_image, unreadable_reason, upright_rgb

ImageLike = str | Path | Image.Image | NDArray[np.uint8]


def open_image(image: ImageLike) -> Image.Image:
    """Return a path, a pillow image or an (H,W,3) uint8 RGB array as an upright RGB image.

    Raises:
        DataError: It cannot be read or is no image.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        try:
            return upright_rgb(image)
        except IMAGE_ERRORS as error:
            raise DataError("An image cannot be read:", [unreadable_reason(error)]) from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        given = f"{image.dtype} of shape {image.shape}"
        raise DataError("An image cannot be used:", [f"an array must be (H,W,3) uint8 RGB, was given {given}"])
    return Image.fromarray(image)
