"""Sketches and the close comparison, on thumbnails that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.data.likeness import SIDE, SKETCH_SIDE, likeness, sketches


def clouds(count: int, seed: int = 0) -> np.ndarray:
    """Grey pictures (count,S,S) with details of many sizes, as photographs have."""
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)) + 1 / SIDE
    spectrum = np.fft.fft2(generator.normal(size=(count, SIDE, SIDE))) / frequency**1.5
    pictures = np.fft.ifft2(spectrum).real
    return (128 + 40 * pictures / pictures.std(axis=(1, 2), keepdims=True)).clip(0, 255).astype(np.uint8)


def test_sketches_are_unit_vectors_of_which_only_the_same_picture_agrees() -> None:
    found = sketches(clouds(40))
    assert found.shape == (40, SKETCH_SIDE**2)
    products = found @ found.T
    np.testing.assert_allclose(np.diag(products), 1, rtol=1e-5)
    assert (products - np.eye(40)).max() < 0.5


def test_a_sketch_does_not_depend_on_brightness_and_contrast_or_on_its_neighbours() -> None:
    pictures = clouds(3)
    darker = (20 + 0.6 * pictures).astype(np.uint8)
    assert ((sketches(pictures) * sketches(darker)).sum(axis=1) > 0.98).all()
    np.testing.assert_allclose(sketches(pictures)[1:2], sketches(pictures[1:2]), atol=1e-6)
    many = np.repeat(pictures, 500, axis=0)  # more than one block
    np.testing.assert_allclose(sketches(many)[[0, 700, 1499]], sketches(pictures), atol=1e-6)


def test_a_flat_picture_is_like_nothing() -> None:
    flat = np.full((1, SIDE, SIDE), 90, np.uint8)
    assert not sketches(flat).any()
    assert likeness(flat.astype(np.float32), flat.astype(np.float32)).tolist() == [0]
    assert sketches(flat[:0]).shape == (0, SKETCH_SIDE**2)


def test_the_same_picture_is_alike_and_another_is_not() -> None:
    pictures = clouds(12).astype(np.float32)
    np.testing.assert_allclose(likeness(pictures, pictures), 1, rtol=1e-4)
    assert likeness(pictures, np.roll(pictures, 1, axis=0)).max() < 0.4


@pytest.mark.parametrize("shift", [(0, 3), (-4, 0), (2, -2)])
def test_a_shifted_picture_is_laid_over_the_other(shift: tuple[int, int]) -> None:
    pictures = clouds(4).astype(np.float32)
    moved = np.roll(pictures, shift, axis=(1, 2))
    assert likeness(pictures, moved).min() > 0.95
    far = np.roll(pictures, (SIDE // 4, SIDE // 4), axis=(1, 2))  # beyond what is laid over
    assert likeness(pictures, far).max() < 0.5
