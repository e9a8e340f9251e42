import torch

from limbeck.ops.instances import clamp_boxes, inside_masks, instances, masked_means, paste

CANVAS = (32, 64)


def test_descriptors_are_box_and_class_from_minus_one_to_one():
    descriptors, boxes = instances(torch.tensor([[16.0, 8, 48, 100]]), torch.tensor([1]), 2, CANVAS)
    assert boxes.tolist() == [[16, 8, 48, 31]]  # clamped to H - 1
    torch.testing.assert_close(descriptors, torch.tensor([[-0.5, -0.5, 0.5, 31 / 16 - 1, -1, 1]]))


def test_an_image_without_objects_gives_one_of_no_class():
    descriptors, boxes = instances(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 2, CANVAS)
    assert boxes.tolist() == [[0, 0, 1, 1]]
    assert descriptors[0, 4:].tolist() == [-1, -1]


def test_boxes_are_clamped_on_both_sides():
    assert clamp_boxes(torch.tensor([[-5.0, -5, 90, 90]]), CANVAS).tolist() == [[0, 0, 63, 31]]


def test_masks_against_a_loop():
    boxes = torch.tensor([[8.0, 8, 40, 24], [0, 0, 0, 0], [3, 3, 5, 5], [0, 0, 63, 31]])
    masks = inside_masks(boxes, CANVAS, (4, 8))
    for box, mask in zip(boxes / 8, masks, strict=True):
        for y in range(4):
            for x in range(8):
                inside = box[0] <= x <= box[2] and box[1] <= y <= box[3] and box[2] > box[0] and box[3] > box[1]
                assert mask[y, x] == inside
    assert not masks[1].any()


def test_means_and_pasting_are_over_the_cells_of_the_masks():
    maps = torch.randn(3, 4, 8)
    masks = inside_masks(torch.tensor([[8.0, 8, 40, 24], [0, 0, 0, 0], [16, 0, 63, 31]]), CANVAS, (4, 8))
    means = masked_means(maps, masks)
    torch.testing.assert_close(means[0], maps[:, masks[0]].mean(dim=1))
    assert means[1].tolist() == [0, 0, 0]  # an empty mask
    pasted = paste(means, masks)
    both = masks[0] & masks[2]
    assert both.any()
    torch.testing.assert_close(pasted[:, both], (means[0] + means[2])[:, None].expand(-1, int(both.sum())))
    assert (pasted[:, ~masks.any(dim=0)] == 0).all()
