import torch

from limbeck.models.gfl import GFL, gfl_losses
from limbeck.ops.boxes2d import centres


def test_raw_output_has_one_location_per_cell_and_decodes_its_own_distributions(make_batch, make_detector):
    model, batch = make_detector("gfl", reg_max=6), make_batch()
    raw = model(batch)
    assert raw.level_sizes == (64, 16, 4)
    assert raw.class_logits.shape == (2, 84, 2)
    assert raw.box_logits.shape == (2, 84, 4, 7)
    expected = (raw.box_logits.softmax(-1) * torch.arange(7)).sum(-1) * raw.location_strides[:, None]
    x, y = centres(raw.priors_xyxy).unbind(-1)
    torch.testing.assert_close(raw.boxes_xyxy[..., 0], x - expected[..., 0])
    torch.testing.assert_close(raw.boxes_xyxy[..., 3], y + expected[..., 3])


def test_released_parameter_count_of_the_head():
    config = GFL.Config(backbone="test_resnet")
    head = GFL(config, tuple(f"class{i}" for i in range(80))).dense_head
    towers = 2 * 4 * (256 * 256 * 9 + 256 + 2 * 256)  # 3x3 convolutions with bias and a group norm each
    outputs = 256 * 9 * 80 + 80 + 256 * 9 * 68 + 68
    assert sum(p.numel() for p in head.parameters()) == towers + outputs + 5


def test_negative_batch_gives_finite_losses_and_touches_the_box_branch_with_zero(make_batch, make_detector):
    model, batch = make_detector("gfl"), make_batch()
    batch.targets = [batch.targets[1], batch.targets[1]]
    raw = model(batch)
    losses = model.losses(raw, model.assign(raw, batch), batch)
    assert losses["box"].item() == 0
    assert losses["distribution_focal"].item() == 0
    assert losses["quality_focal"].item() > 0
    sum(losses.values()).backward()
    assert model.dense_head.box_out.weight.grad is not None  # DDP needs every parameter in the graph


def test_per_level_terms_add_up_to_the_losses(make_batch, make_detector):
    model, batch = make_detector("gfl"), make_batch()
    raw = model(batch)
    assignment = model.assign(raw, batch)
    for name, levels in gfl_losses(raw, assignment).items():
        assert levels.shape == (3,)
        torch.testing.assert_close(levels.sum(), model.losses(raw, assignment, batch)[name])


def test_predictions_are_in_pixels_of_the_original_image(make_batch, make_detector):
    model, batch = make_detector("gfl").eval(), make_batch()
    with torch.no_grad():
        raw = model(batch)
        raw.class_logits = torch.full_like(raw.class_logits, -9)
        raw.class_logits[0, 5, 1] = 4
        raw.boxes_xyxy[0, 5] = torch.tensor([8.0, 8, 24, 40])
        first, second = model.predict(raw, batch)
    assert len(second) == 0
    assert first.labels.tolist() == [1]
    torch.testing.assert_close(first.boxes_xyxy, torch.tensor([[16.0, 8, 48, 40]]))  # the image is twice as wide


def test_bfloat16_autocast_gives_float32_output(make_batch, make_detector):
    model, batch = make_detector("gfl"), make_batch()
    with torch.autocast("cpu", torch.bfloat16):
        raw = model(batch)
        losses = model.losses(raw, model.assign(raw, batch), batch)
    assert raw.class_logits.dtype == raw.boxes_xyxy.dtype == torch.float32
    assert all(torch.isfinite(loss) for loss in losses.values())
