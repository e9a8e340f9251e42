import pytest
import torch


@pytest.mark.parametrize(
    ("model", "settings", "left"),
    [
        ("gfl", {}, 0.6),
        ("retinanet", {"box_loss": "l1"}, 0.7),
        ("retinanet", {"box_loss": "giou"}, 0.7),
        ("retinanet", {"reg_max": 8}, 0.5),
        ("fcos", {}, 0.6),
        ("fcos", {"reg_max": 8}, 0.6),
        ("atss", {}, 0.6),
        ("atss", {"reg_max": 8}, 0.6),
    ],
)
def test_losses_fall_and_every_parameter_learns(model, settings, left, make_batch, make_detector):
    model, batch = make_detector(model, norm="group", **settings).train(), make_batch(seed=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    totals = []
    for _ in range(25):
        raw = model(batch)
        total = sum(model.losses(raw, model.assign(raw, batch), batch).values())
        optimizer.zero_grad()
        total.backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < left * totals[0]
