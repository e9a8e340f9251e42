"""The choice without torch leaves the boxes that PyTorch's choice leaves, in the same order."""

import numpy as np
import pytest
import torch

from limbeck.core.detection3d import Postprocess3D
from limbeck.core.detection3d import choose as choose_in_torch
from limbeck.core.outputs import Detections3D
from limbeck.deploy.runtime.choice import Candidates, Choice, choose

GROUPS = (150, 150)


def candidates(seed=0, velocities=True, spread=15.0):
    """Boxes of two groups, in each best first; many overlap, and some score alike."""
    random = np.random.default_rng(seed)
    count = sum(GROUPS)
    boxes = np.concatenate(
        [
            random.uniform(-spread, spread, (count, 2)),
            random.normal(0, 1, (count, 1)),
            random.uniform(0.5, 5, (count, 3)),
            random.uniform(-3, 3, (count, 1)),
        ],
        axis=1,
    )
    scores = 0.99 * random.random(count).round(2)
    scores = np.concatenate([np.sort(part)[::-1] for part in np.split(scores, len(GROUPS))])
    labels = np.repeat([1, 0], GROUPS)
    speeds = random.normal(0, 1, (count, 2)).astype(np.float32) if velocities else None
    return Candidates(boxes.astype(np.float32), scores.astype(np.float32), labels, speeds)


def in_torch(found, postprocess):
    """The places that PyTorch leaves, best first."""
    places = torch.arange(len(found.scores))
    kept, start = [], 0
    for group, count in enumerate(GROUPS):
        part = slice(start, start + count)
        sides = (found.boxes[part], found.scores[part], found.labels[part])
        marks = places[part, None].expand(-1, 2)  # as velocities, which are carried along
        kept.append(choose_in_torch(Detections3D(*map(torch.from_numpy, sides), marks), postprocess, group))
        start += count
    scores = torch.cat([part.scores for part in kept])
    return torch.cat([part.velocities[:, 0] for part in kept])[scores.argsort(descending=True, stable=True)].numpy()


SETTINGS = {
    "rotated": {"nms_iou": 0.1},
    "rotated, nearly nothing falls": {"nms_iou": 1.0},
    "circle": {"nms": "circle", "circle": 4.0},
    "a circle for each group": {"nms": "circle", "circle": (0.5, 9.0)},
    "a range": {"nms_iou": 0.2, "post_range": (-10.0, -5.0, -0.5, 10.0, 12.0, 1.5)},
    "a high threshold": {"score_threshold": 0.75},
    "few": {"max_detections": 5},
    "none": {"score_threshold": 0.999},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_choice_is_that_of_pytorch(name):
    postprocess = Postprocess3D(**SETTINGS[name])
    choice = Choice.of({"group_boxes": GROUPS, **postprocess.model_dump(exclude={"pre_nms"})})
    for seed in range(5):
        found = candidates(seed)
        left = choose(found, choice)
        np.testing.assert_array_equal(left, in_torch(found, postprocess))
        assert (len(left) == 0) == (name == "none")
        assert len(left) < len(found.scores)


def test_settings_that_were_written_as_json():
    settings = {"group_boxes": [3, 4], **Postprocess3D(circle=(1.0, 2.0)).model_dump(mode="json")}
    assert Choice.of(settings).circle == (1.0, 2.0)
    assert Choice.of(settings | {"circle": 4}).circle == (4.0, 4.0)
    with pytest.raises(KeyError, match="group_boxes"):
        Choice.of({})
    with pytest.raises(ValueError, match="nms is 'soft'"):
        Choice.of(settings | {"nms": "soft"})


def test_what_is_taken_keeps_its_velocities_if_it_has_any():
    found = candidates().take(np.array([3, 1]))
    np.testing.assert_array_equal(found.velocities, candidates().velocities[[3, 1]])
    assert candidates(velocities=False).take(np.array([3, 1])).velocities is None
