"""The rows of a two-stage detector are matched, drawn and chosen as an obvious loop or torchvision does it."""

import torch
from torch.nn import functional
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import box_iou

from limbeck.core.samples import Boxes2D


def test_unused_places_are_never_detected(make_faster_rcnn, make_batch):
    model = make_faster_rcnn(rpn={"nms_iou": 0.1}, postprocess={"score_threshold": 0.0, "nms_iou": 1.0}).eval()
    raw = model(make_batch(1))
    assert (model.config.postprocess.select(raw)[1] > 0).sum() == 2 * raw.roi_used.sum()


def obvious_labels(boxes, target, foreground_iou, background_iou, best_stays):
    """The class of every box, -1 for background, -2 for neither; and the object of each."""
    objects = target.objects()
    overlap = box_iou(boxes, objects.boxes_xyxy)
    labels, owners = [], []
    for row in range(len(boxes)):
        best = int(overlap[row].argmax()) if len(objects) else -1
        value = float(overlap[row, best]) if len(objects) else 0.0
        chosen = best_stays and any(overlap[row, m] == overlap[:, m].max() for m in range(len(objects)))
        positive = len(objects) and (value >= foreground_iou or chosen)
        labels.append(int(objects.labels[best]) if positive else -1 if value < background_iou else -2)
        owners.append(best)
    return labels, owners


def test_anchors_are_matched_as_the_obvious_loop_does(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn(rpn={"samples": 10_000, "foreground_share": 1.0}).train(), make_batch(seed=5)
    raw = model(batch)
    anchors = model.assign(raw, batch).anchors
    for image, target in enumerate(batch.targets):
        labels, owners = obvious_labels(raw.priors_xyxy, target, 0.7, 0.3, best_stays=True)
        for row, (label, owner) in enumerate(zip(labels, owners, strict=True)):
            assert anchors.labels[image, row] == (0 if label >= 0 else 1)
            assert anchors.weights[image, row] == (0 if label == -2 else 1)
            if label >= 0:
                assert torch.equal(anchors.boxes_xyxy[image, row], target.boxes_xyxy[owner])
    assert (anchors.labels[0] == 0).any()
    assert (anchors.weights[0] == 0).any()
    assert anchors.weights[1].all()


def test_rois_are_drawn_and_matched_as_the_obvious_loop_does(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn().train(), make_batch(seed=5)
    raw = model(batch)
    rois = raw.sampled
    for image, target in enumerate(batch.targets):
        used = raw.roi_used[image]
        labels, owners = obvious_labels(raw.rois_xyxy[image, used], target, 0.5, 0.5, best_stays=False)
        assert rois.labels[image, used].tolist() == [2 if label < 0 else label for label in labels]
        for row, (label, owner) in enumerate(zip(labels, owners, strict=True)):
            expected = target.boxes_xyxy[owner] if label >= 0 else torch.zeros(4)
            assert torch.equal(rois.boxes_xyxy[image, row], expected)
        assert rois.weights[image, used].all()
        assert not rois.weights[image, ~used].any()
        assert (rois.labels[image, ~used] == 2).all()
    found = [(raw.rois_xyxy[0] == box).all(1).any() for box in batch.targets[0].boxes_xyxy]
    assert all(found)  # the objects themselves are among the RoIs


def test_no_more_rows_are_drawn_than_asked_and_the_share_of_objects_is_kept(make_faster_rcnn, make_batch):
    model, batch = (
        make_faster_rcnn(rpn={"foreground_iou": 0.3, "samples": 20}, roi={"foreground_iou": 0.05}),
        make_batch(),
    )
    raw = model.train()(batch)
    anchors = model.assign(raw, batch).anchors
    assert (anchors.weights > 0).sum(1).tolist() == [20, 20]
    assert (anchors.labels == 0).sum(1).tolist() == [10, 0]
    assert 8 < raw.roi_used[0].sum() <= 32  # there is not enough background here
    assert raw.roi_used[1].sum() == 32
    assert (raw.sampled.labels < 2).sum(1).tolist() == [8, 0]


def test_background_in_an_ignore_region_is_not_drawn(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn(rpn={"samples": 10_000}, roi={"samples": 500}).train(), make_batch(1)
    target = batch.targets[0]
    region = torch.tensor([[0.0, 0.0, 64.0, 40.0]])
    batch.targets[0] = Boxes2D(
        torch.cat([target.boxes_xyxy, region]),
        torch.cat([target.labels, torch.zeros(1, dtype=torch.int64)]),
        torch.tensor([False, False, False, True]),
    )
    raw = model(batch)
    anchors = model.assign(raw, batch).anchors
    centre = (raw.priors_xyxy[:, :2] + raw.priors_xyxy[:, 2:]) / 2
    inside = centre[:, 1] <= 40
    background = anchors.labels[0] == 1
    assert not anchors.weights[0, inside & background].any()
    assert anchors.weights[0, ~inside & background].any()
    middle = raw.rois_xyxy[0, :, 1::2].mean(1)
    drawn_background = raw.roi_used[0] & (raw.sampled.labels[0] == 2)
    assert drawn_background.any()
    assert (middle[drawn_background] > 40).all()


def test_final_boxes_are_torchvision_s(make_faster_rcnn, make_batch):
    """torchvision has the background first; everything after the two linear layers is its own here."""
    model, batch = make_faster_rcnn(postprocess={"score_threshold": 0.1, "nms_iou": 0.5}).eval(), make_batch(2, seed=4)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.roi_head.class_out.weight, std=1.0)
    torch.nn.init.normal_(model.roi_head.box_out.weight, std=1.0)
    with torch.no_grad():
        raw = model(batch)
    theirs = RoIHeads(
        None, None, None, 0.5, 0.5, 512, 0.25, None, score_thresh=0.1, nms_thresh=0.5, detections_per_img=100
    )
    rois = [raw.rois_xyxy[i, raw.roi_used[i]] for i in range(2)]
    logits = torch.cat([raw.class_logits[i, raw.roi_used[i]].roll(1, dims=1) for i in range(2)])
    deltas = torch.cat([raw.box_deltas[i, raw.roi_used[i]] for i in range(2)])
    deltas = functional.pad(deltas.flatten(1), (4, 0))
    expected = theirs.postprocess_detections(logits, deltas, rois, [(64, 64)] * 2)
    boxes, scores, labels = model.config.postprocess.select(raw)
    for i, (its_boxes, its_scores, its_labels) in enumerate(zip(*expected, strict=True)):
        used = scores[i] > 0
        assert used.sum() == len(its_scores) > 5
        torch.testing.assert_close(scores[i, used], its_scores)
        torch.testing.assert_close(boxes[i, used], its_boxes)
        assert torch.equal(labels[i, used], its_labels - 1)


def test_a_batch_of_ignore_regions_alone_has_no_rows(make_faster_rcnn, make_batch):
    model, batch = make_faster_rcnn().train(), make_batch(1)
    everything = torch.tensor([[-999.0, -999.0, 999.0, 999.0]])
    batch.targets[0] = Boxes2D(everything, torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool))
    raw = model(batch)
    assert not raw.roi_used.any()
    assert all(loss == 0 for loss in model.losses(raw, model.assign(raw, batch), batch).values())
