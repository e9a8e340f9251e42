import copy

import torch

from limbeck.core.samples import Boxes2D


def test_a_batch_moves_with_inputs_and_targets(make_batch):
    batch = make_batch()
    batch.inputs["depth"] = torch.ones(2, 1, 64, 64)
    batch.targets[0].weights = torch.ones(len(batch.targets[0]))
    before = copy.deepcopy(batch)
    moved = batch.to("meta")
    tensors = [*moved.inputs.values()]
    for target in moved.targets:
        tensors += [target.boxes_xyxy, target.labels, target.ignore]
    assert moved.targets[0].weights is not None
    assert moved.targets[1].weights is None
    tensors.append(moved.targets[0].weights)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.inputs.keys() == {"image", "depth"}
    assert moved.frames == batch.frames
    assert torch.equal(batch.images, before.images)  # the original stays where it is
    assert len(moved) == 2


def test_lightning_moves_a_batch_by_its_own_method(make_batch):
    from lightning.fabric.utilities.apply_func import move_data_to_device

    batch = make_batch()
    moved = move_data_to_device(batch, torch.device("meta"))
    assert moved.images.device.type == moved.targets[0].labels.device.type == "meta"
    assert moved.frames == batch.frames


def test_objects_leave_the_ignore_regions_out():
    boxes = Boxes2D(torch.arange(12.0).view(3, 4), torch.tensor([4, 5, 6]), torch.tensor([False, True, False]))
    objects = boxes.objects()
    assert len(boxes) == 3
    assert len(objects) == 2
    assert objects.labels.tolist() == [4, 6]
    assert objects.boxes_xyxy[:, 0].tolist() == [0, 8]
    assert not objects.ignore.any()
    assert objects.weights is None
    boxes.weights = torch.tensor([1.0, 2.0, 3.0])
    assert boxes.objects().weights.tolist() == [1, 3]


def test_an_image_without_boxes_is_a_sample(make_batch):
    negative = make_batch().targets[1]
    assert len(negative) == len(negative.objects()) == 0
    assert negative.boxes_xyxy.shape == (0, 4)
