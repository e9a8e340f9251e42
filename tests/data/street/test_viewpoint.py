import numpy as np
import pytest

from limbeck.data.mask_config import CameraConfig
from limbeck.data.street.viewpoint import Viewpoint

CAMERA = CameraConfig(fx=60.0, fy=50.0, cx=47.5, cy=30.0)
SIZE = (96, 64)


def viewpoint(**pose):
    return Viewpoint(CAMERA, SIZE, (0.5, -1.5, 2.0), **pose)


@pytest.mark.parametrize("pose", [{}, {"yaw": 0.2, "pitch": -0.1, "roll": 0.05}])
def test_a_point_on_the_ray_of_a_pixel_is_seen_in_that_pixel_at_its_depth(pose):
    view = viewpoint(**pose)
    rays, depth = view.rays(), np.random.default_rng(0).uniform(1, 50, SIZE[::-1])
    points = (rays * depth).reshape(3, -1).T + view.position
    columns, rows = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    expected = np.stack([columns.ravel(), rows.ravel(), depth.ravel()], axis=1)
    assert np.abs(view.project(points) - expected).max() < 1e-9


def test_the_signs_of_the_angles_are_what_they_are_said_to_be():
    ahead = np.array([[0.5, -1.5, 12.0]])
    assert viewpoint(yaw=0.1).project(ahead)[0, 0] < CAMERA.cx, "who looks right sees what was ahead on the left"
    assert viewpoint(pitch=0.1).project(ahead)[0, 1] > CAMERA.cy, "who looks up sees it further down"
    right = np.array([[3.5, -1.5, 12.0]])
    assert viewpoint(roll=0.1).project(right)[0, 1] < CAMERA.cy, "who leans right sees the right side rise"


def box(low, high):
    """Corners (8,3), the first axis changing last."""
    return np.array([[(low, high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])


def test_a_rectangle_holds_the_pixels_of_the_box_and_no_more():
    boxes = np.stack([box((-1, -2, 6), (1, 0, 8)), box((20, -2, 6), (22, 0, 8)), box((-1, -2, -9), (1, 0, -8))])
    view = viewpoint()
    first, beside, behind = view.rectangles(boxes)
    left, top, _ = view.project(boxes[0]).min(axis=0)
    right, bottom, _ = view.project(boxes[0]).max(axis=0)
    assert first.tolist() == [np.ceil(left), np.floor(right) + 1, np.ceil(top), np.floor(bottom) + 1]
    assert beside[0] >= beside[1], "beside the image"
    assert behind[0] >= behind[1] or behind[2] >= behind[3], "behind the camera"


def test_a_box_that_reaches_behind_the_camera_is_cut():
    road = box((-4, 0, -50), (4, 1, 100))
    left, right, top, bottom = viewpoint().rectangles(road[None])[0]
    assert (left, right, bottom) == (0, SIZE[0], SIZE[1])
    assert CAMERA.cy <= top <= CAMERA.cy + 2, "up to near the horizon"
