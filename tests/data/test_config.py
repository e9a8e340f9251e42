"""The settings refuse what cannot work, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.data.config import AugmentConfig, DataConfig


def settings(**changes: Any) -> dict[str, Any]:
    split = {"images": "images", "annotations": "boxes.json"}
    return {"train": split, "val": split, "size": (320, 256), **changes}


def test_defaults() -> None:
    config = DataConfig.model_validate(settings())
    assert config.resize == "letterbox"
    assert config.views is None
    assert config.on_broken == "error"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": (320, 250)}, "width and height must be positive multiples of 32, not 320 x 250"),
        ({"size": (0, 64)}, "width and height must be positive multiples of 32, not 0 x 64"),
        ({"classes": ()}, "the list of classes is empty"),
        ({"classes": ("a", "b", "a")}, "classes are listed twice: a"),
        ({"augment": {"scale": (1.2, 0.8)}}, "smallest <= largest"),
        ({"augment": {"flip": 1.5}}, "less than or equal to 1"),
        ({"views": 0}, "greater than or equal to 1"),
        ({"sise": 3}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        DataConfig.model_validate(settings(**change))


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AugmentConfig().flip = 1.0  # type: ignore[misc]
