"""The colours of classes, and how they lie over an image."""

import numpy as np
import pytest

from limbeck.palette import BRIGHTENED, NO_CLASS, OKABE_ITO, STRENGTH, class_colours, overlay, paint


def rgb(colour):
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def seen_by(colour, vision):
    """Simulate a kind of colour vision on linear RGB, then go to Oklab, one colour at a time."""
    linear = [part / 3294.6 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in rgb(colour)]
    r, g, b = (min(max(sum(w * v for w, v in zip(row, linear, strict=True)), 0), 1) for row in vision)
    cones = (
        (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3),
        (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3),
        (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3),
    )
    rows = ((0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099))
    rows += ((0.0259040371, 0.7827717662, -0.8086757660),)
    return [sum(w * v for w, v in zip(row, cones, strict=True)) for row in rows]


NORMAL = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))


@pytest.mark.parametrize("vision", [NORMAL, DEUTERANOPIA])
@pytest.mark.parametrize("count", [12, 20])
def test_the_further_colours_are_about_as_far_apart_as_the_first(count, vision):
    def smallest(colours):
        seen = np.array([seen_by(colour, vision) for colour in colours])
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        return distance[~np.eye(len(seen), dtype=bool)].min()

    limit = {NORMAL: 0.07, DEUTERANOPIA: 0.06}[vision]
    assert smallest(class_colours(count)) > limit
    assert smallest([*class_colours(count), NO_CLASS, "#000000", "#FFFFFF"]) > limit / 2
    evenly = [f"#{round(255 * n / count):02X}8080" for n in range(count)]
    assert smallest(evenly) < limit


def test_the_first_are_okabe_and_itos_and_more_classes_change_none():
    assert class_colours(7) == OKABE_ITO
    assert class_colours(3) == OKABE_ITO[:3]
    assert class_colours(0) == ()
    many = class_colours(255)
    assert many[:40] == class_colours(40)
    assert len(set(many)) == 255


def test_labels_are_painted_and_what_is_no_class_is_grey():
    painted = paint(np.array([[0, 1], [2, 255]], np.uint8), 2)
    assert painted.dtype == np.uint8
    assert [tuple(painted[at].tolist()) for at in ((0, 0), (0, 1), (1, 0), (1, 1))] == [
        rgb(OKABE_ITO[0]),
        rgb(OKABE_ITO[1]),
        rgb(NO_CLASS),
        rgb(NO_CLASS),
    ]


def test_an_overlay_has_the_hue_of_the_class_and_the_lightness_of_the_image():
    labels = np.zeros((1, 3), np.uint8)
    drawn = overlay(np.array([[[0, 0, 0], [200, 200, 200], [255, 0, 0]]], np.uint8), labels, 1)
    for column, lightness in enumerate((0, 200, 0.299 * 255)):
        grey = (1 - BRIGHTENED) * lightness + BRIGHTENED * 255
        expected = [STRENGTH * part + (1 - STRENGTH) * grey for part in rgb(OKABE_ITO[0])]
        assert drawn[0, column].tolist() == pytest.approx(expected, abs=0.5)
