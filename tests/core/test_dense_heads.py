"""The terms that several heads share, against plain loops over images and locations."""

import pytest
import torch
from torch.nn import functional

from limbeck.core.dense_heads import box_channels, centerness_losses, distribution_rows, raw_output
from limbeck.core.outputs import DenseAssignment2D
from limbeck.losses.box import iou_rows
from limbeck.losses.detection import centerness, focal_rows
from limbeck.ops.boxes2d import centres, decode_deltas, encode_deltas
from limbeck.ops.pyramid import PriorGrid

GRID = PriorGrid((8, 16), scales=(4.0,), offset=0.5)
SIZES_HW, CANVAS_HW = [(4, 4), (2, 2)], (32, 32)
BATCH, CLASSES, LAST_BIN, LOCATIONS = 2, 3, 2, 20


def leaf(*shape, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def random_maps(channels, seed):
    return [leaf(BATCH, channels, h, w, seed=seed + level) for level, (h, w) in enumerate(SIZES_HW)]


def random_raw():
    return raw_output(
        [],
        random_maps(CLASSES, 0),
        random_maps(box_channels(LAST_BIN), 10),
        GRID,
        CANVAS_HW,
        centerness_maps=random_maps(1, 20),
    )


def random_assignment(positives=5):
    """Some positives in the first image, one location ignored, none of either in the second."""
    generator = torch.Generator().manual_seed(7)
    labels = torch.full((BATCH, LOCATIONS), CLASSES)
    chosen = torch.randperm(LOCATIONS, generator=generator)
    labels[0, chosen[:positives]] = torch.arange(positives) % CLASSES
    weights = torch.ones(BATCH, LOCATIONS, dtype=torch.float64)
    weights[0, chosen[-1]] = 0
    middle = centres(GRID.boxes_xyxy(SIZES_HW, dtype=torch.float64))
    size = 4 + 16 * torch.rand(2, LOCATIONS, 2, generator=generator, dtype=torch.float64)
    boxes = torch.cat([middle - size[0], middle + size[1]], dim=1).expand(BATCH, -1, -1)
    boxes = boxes * (labels < CLASSES)[..., None]
    return DenseAssignment2D(torch.tensor(6.0, dtype=torch.float64), labels, weights, boxes)


def slow_distribution(raw, assignment, image, location):
    """Cross entropy with the two bins beside the distance, side by side."""
    centre = centres(raw.priors_xyxy)[location]
    x1, y1, x2, y2 = assignment.boxes_xyxy[image, location]
    total = 0.0
    for side, distance in enumerate((centre[0] - x1, centre[1] - y1, x2 - centre[0], y2 - centre[1])):
        target = min(max(float(distance / raw.location_strides[location]), 0.0), LAST_BIN - 0.1)
        left = int(target)
        log_probability = raw.box_logits[image, location, side].log_softmax(0)
        total = total - (left + 1 - target) * log_probability[left] - (target - left) * log_probability[left + 1]
    return total


def positives_of(assignment):
    return (assignment.labels < CLASSES).nonzero().tolist()


def test_distribution_rows_equal_a_slow_loop():
    raw, assignment = random_raw(), random_assignment()
    sizes = assignment.boxes_xyxy[..., 2:] - centres(raw.priors_xyxy)
    assert (sizes / raw.location_strides[:, None] > LAST_BIN).any()  # some sides lie beyond the last bin
    expected = [slow_distribution(raw, assignment, *where) for where in positives_of(assignment)]
    torch.testing.assert_close(distribution_rows(raw, assignment), torch.stack(expected))


def test_centerness_losses_equal_a_slow_loop():
    raw, assignment = random_raw(), random_assignment()
    box = rated = distribution = total = 0.0
    for image, location in positives_of(assignment):
        target_box = assignment.boxes_xyxy[image, location]
        target = centerness(centres(raw.priors_xyxy)[location], target_box)
        total += target
        box += target * iou_rows(raw.boxes_xyxy[image, location], target_box, "giou")
        rated += functional.binary_cross_entropy_with_logits(raw.centerness_logits[image, location], target)
        distribution += target * slow_distribution(raw, assignment, image, location) / 4
    expected = {
        "focal": (focal_rows(raw.class_logits, assignment.labels) * assignment.weights).sum() / 6,
        "box": 2 * box / total,
        "centerness": rated / 6,
        "distribution_focal": 0.25 * distribution / total,
    }
    torch.testing.assert_close(centerness_losses(raw, assignment, box_weight=2.0), expected)


def test_gradient_of_the_centerness_losses():
    """The targets are constants; boxes, classes, bins and ratings all get a gradient."""
    assignment = random_assignment(positives=2)

    def total(classes, boxes, ratings):
        maps = [[m[:, :, :4], m[:, :, 4:, :2]] for m in (classes, boxes, ratings)]
        raw = raw_output([], maps[0], maps[1], GRID, CANVAS_HW, centerness_maps=maps[2])
        return sum(centerness_losses(raw, assignment, 1.0).values())

    inputs = [leaf(BATCH, channels, 6, 4, seed=channels) for channels in (CLASSES, box_channels(LAST_BIN), 1)]
    assert torch.autograd.gradcheck(total, inputs, fast_mode=True)
    assert all(gradient.any() for gradient in torch.autograd.grad(total(*inputs), inputs))


def test_without_positives_only_the_classes_are_taught():
    raw, assignment = random_raw(), random_assignment(positives=0)
    losses = centerness_losses(raw, assignment, 1.0)
    assert losses["focal"] > 0
    assert {name for name, loss in losses.items() if loss == 0} == {"box", "centerness", "distribution_focal"}


def test_every_prior_of_a_cell_keeps_its_own_channels():
    """The deltas of a box relative to every prior decode to that box at every location."""
    grid = PriorGrid((8, 16), scales=(2.0, 4.0), ratios=(0.5, 1.0))
    priors = grid.boxes_xyxy(SIZES_HW)
    box = torch.tensor([[3.0, 5, 21, 17]])
    deltas = encode_deltas(box.expand_as(priors), priors)
    maps, start = [], 0
    for height, width in SIZES_HW:
        cells = deltas[start : start + height * width * 4].reshape(height, width, 16)
        maps.append(cells.permute(2, 0, 1)[None])
        start += height * width * 4
    classes = [torch.zeros(1, 4 * CLASSES, h, w) for h, w in SIZES_HW]
    raw = raw_output([], classes, maps, grid, CANVAS_HW, decoder=lambda coded, prior, _: decode_deltas(coded, prior))
    assert raw.level_sizes == (64, 16)
    assert raw.class_logits.shape == (1, 80, CLASSES)
    assert raw.box_logits is None
    assert raw.centerness_logits is None
    torch.testing.assert_close(raw.boxes_xyxy, box.expand(1, 80, 4))


def test_a_decoder_is_told_the_stride_of_every_location():
    boxes = [torch.ones(1, 4, h, w) for h, w in SIZES_HW]
    raw = raw_output([], boxes, boxes, GRID, CANVAS_HW, decoder=lambda coded, _, strides: coded * strides)
    assert raw.boxes_xyxy[0, :, 0].tolist() == [8.0] * 16 + [16.0] * 4


def test_16_bit_maps_are_widened():
    maps = [torch.zeros(1, 4, h, w, dtype=torch.bfloat16) for h, w in SIZES_HW]
    ratings = [m[:, :1] for m in maps]
    raw = raw_output([], maps, maps, GRID, CANVAS_HW, decoder=lambda coded, _, __: coded, centerness_maps=ratings)
    assert {raw.class_logits.dtype, raw.boxes_xyxy.dtype, raw.centerness_logits.dtype} == {torch.float32}
    assert raw.centerness_logits.shape == (1, LOCATIONS)


def test_what_a_head_does_not_give_is_named():
    maps = [torch.zeros(BATCH, 4, h, w) for h, w in SIZES_HW]
    raw = raw_output([], maps, maps, GRID, CANVAS_HW, decoder=lambda coded, _, __: coded)
    with pytest.raises(ValueError, match="needs box_logits"):
        distribution_rows(raw, random_assignment())
    with pytest.raises(ValueError, match="need centerness_logits"):
        centerness_losses(raw, random_assignment(), 1.0)
