import pytest
import torch
from torchvision.ops import box_iou

from limbeck.ops.detections import select_detections

SETTINGS = {"score_threshold": 0.3, "nms_iou": 0.5, "pre_nms": 60, "max_detections": 20}


def slow_selection(logits, boxes, canvas_hw, score_threshold, nms_iou, pre_nms, max_detections, centerness=None):
    """The obvious loop over the (location, class) pairs of one image."""
    scores = logits.sigmoid()
    if centerness is not None:
        scores = (scores * centerness.sigmoid()[:, None]).sqrt()
    boxes = boxes.clone()
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, canvas_hw[1])
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, canvas_hw[0])
    pairs = [(scores[n, k].item(), n, k) for n in range(logits.shape[0]) for k in range(logits.shape[1])]
    pairs = sorted(pairs, reverse=True)[:pre_nms]
    kept = []
    for score, n, k in pairs:
        overlaps = [box_iou(boxes[n : n + 1], boxes[m : m + 1]).item() for _, m, other in kept if other == k]
        if score >= score_threshold and all(overlap <= nms_iou for overlap in overlaps):
            kept.append((score, n, k))
    return [(score, boxes[n].tolist(), k) for score, n, k in kept[:max_detections]]


def random_scene(images, locations, classes, side, seed):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(images, locations, 2, generator=generator) * side * 0.6 - 10
    boxes = torch.cat([corner, corner + 20 + torch.rand(images, locations, 2, generator=generator) * side / 2], -1)
    return torch.randn(images, locations, classes, generator=generator), boxes


@pytest.mark.parametrize("rated", [False, True])
@pytest.mark.parametrize("pre_nms", [15, 60])
def test_agrees_with_the_slow_loop_for_every_image_of_a_batch(rated, pre_nms):
    logits, boxes = random_scene(3, 40, 3, 200, seed=1)
    logits[2] = -9  # nothing to find here
    centerness = torch.randn(3, 40, generator=torch.Generator().manual_seed(4)) if rated else None
    settings = SETTINGS | {"pre_nms": pre_nms}
    found = select_detections(logits, boxes, (180, 200), centerness_logits=centerness, **settings)
    for image in range(3):
        own = None if centerness is None else centerness[image]
        expected = slow_selection(logits[image], boxes[image], (180, 200), centerness=own, **settings)
        used = found[1][image] > 0
        assert used.sum() == len(expected)
        if expected:
            scores, expected_boxes, labels = zip(*expected, strict=True)
            torch.testing.assert_close(found[1][image][used], torch.tensor(scores))
            torch.testing.assert_close(found[0][image][used], torch.tensor(expected_boxes))
            assert found[2][image][used].tolist() == list(labels)


def test_many_classes_and_large_canvas_do_not_lose_precision():
    logits, boxes = random_scene(8, 50, 80, 1200, seed=2)
    alone = [select_detections(logits[i : i + 1, :, :], boxes[i : i + 1], (1200, 1200), **SETTINGS) for i in range(8)]
    together = select_detections(logits, boxes, (1200, 1200), **SETTINGS)
    for part in range(3):
        assert torch.equal(torch.cat([one[part] for one in alone]), together[part])


def test_centerness_decides_between_scores_that_round_to_1():
    logits, boxes = torch.full((1, 2, 1), 30.0), torch.tensor([[[0.0, 0, 9, 9], [20, 20, 29, 29]]])
    found = select_detections(logits, boxes, (50, 50), centerness_logits=torch.tensor([[30.0, 31.0]]), **SETTINGS)
    assert found[1].tolist() == [[1.0, 1.0]]
    assert found[0][0, 0].tolist() == [20, 20, 29, 29]


def test_fewer_candidates_than_places():
    logits, boxes = random_scene(1, 3, 1, 100, seed=3)
    found = select_detections(logits, boxes, (100, 100), **SETTINGS)
    assert found[0].shape == (1, 3, 4)
