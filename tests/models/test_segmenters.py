"""What every built-in segmenter must do, with X and without it."""

import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from limbeck.core.samples import IGNORED_LABEL, Batch
from limbeck.core.segmentation import class_map
from limbeck.errors import IncompatibleError

WITH_X = ["late_fusion", "lraspp", "offnet", "rtfnet", "segformer", "sne_roadseg"]
WITHOUT_X = [name for name in WITH_X if name != "late_fusion"]
PAIRS = [(name, "normals") for name in WITH_X] + [(name, None) for name in WITHOUT_X]
every_segmenter = pytest.mark.parametrize(("name", "x"), PAIRS)


@every_segmenter
def test_maps_and_logits_are_as_the_spec_says(name, x, make_segmenter, make_scenes):
    model, batch = make_segmenter(name, x=x).eval(), make_scenes(hw=(64, 96))
    with torch.no_grad():
        raw = model(batch)
    spec = model.spec
    assert spec.task == "segmentation"
    assert spec.inputs == (("image",) if x is None else ("image", "normals"))
    assert [tuple(m.shape) for m in raw.features] == [
        (2, channels, 64 // stride, 96 // stride) for channels, stride in zip(spec.channels, spec.strides, strict=True)
    ]
    assert raw.class_logits.shape == (2, 3, 64, 96)
    assert model.get_submodule(spec.backbone) is model.encoder


@every_segmenter
def test_losses_fall_and_every_parameter_learns(name, x, make_segmenter, make_scenes):
    torch.manual_seed(0)
    model, batch = make_segmenter(name, x=x).train(), make_scenes(seed=3)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses, learnt = [], set()
    for _ in range(16):
        raw = model(batch)
        loss = model.losses(raw, model.assign(raw, batch), batch)["cross_entropy"]
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.parameters())
        learnt |= {n for n, p in model.named_parameters() if p.grad.any()}  # a skipped branch gets its turn later
        optimizer.step()
        losses.append(loss.item())
    assert learnt == {n for n, _ in model.named_parameters()}
    assert losses[-1] < 0.75 * losses[0]


@every_segmenter
def test_any_size_works(name, x, make_segmenter, make_scenes):
    model, batch = make_segmenter(name, x=x).eval(), make_scenes(hw=(70, 101))
    with torch.no_grad():
        raw = model(batch)
        found = model.predict(raw, batch)
    assert raw.class_logits.shape == (2, 3, 70, 101)
    assert [tuple(one.labels.shape) for one in found] == [(70, 101)] * 2
    assert torch.isfinite(raw.class_logits).all()


@every_segmenter
def test_bfloat16_autocast_gives_float32_logits_and_finite_gradients(name, x, make_segmenter, make_scenes):
    model, batch = make_segmenter(name, x=x).train(), make_scenes()
    with torch.autocast("cpu", torch.bfloat16):
        raw = model(batch)
        loss = model.losses(raw, model.assign(raw, batch), batch)["cross_entropy"]
    loss.backward()
    assert raw.class_logits.dtype == torch.float32
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@every_segmenter
def test_evaluation_gives_the_same_answer_twice(name, x, make_segmenter, make_scenes):
    model, batch = make_segmenter(name, x=x).eval(), make_scenes()
    with torch.no_grad():
        first, second = model(batch), model(batch)
    assert torch.equal(first.class_logits, second.class_logits)


@every_segmenter
def test_a_batch_without_any_pixel_that_counts_gives_zero(name, x, make_segmenter, make_scenes):
    model, batch = make_segmenter(name, x=x).train(), make_scenes()
    for target in batch.targets:
        target.labels[:] = IGNORED_LABEL
    raw = model(batch)
    loss = model.losses(raw, model.assign(raw, batch), batch)["cross_entropy"]
    loss.backward()
    assert loss.item() == 0
    assert all(not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("name", WITH_X)
def test_x_of_one_channel_is_read(name, make_segmenter, make_scenes):
    model, batch = make_segmenter(name, x="depth", x_channels=1).eval(), make_scenes()
    batch.inputs["depth"] = batch.inputs.pop("normals")[:, :1]
    with torch.no_grad():
        before = model(batch).class_logits
        batch.inputs["depth"] = batch.inputs["depth"].flip(-1)
        assert not torch.equal(model(batch).class_logits, before)


@pytest.mark.parametrize("name", WITH_X)
def test_a_missing_modality_is_named(name, make_segmenter, make_scenes):
    with pytest.raises(
        IncompatibleError, match=r"reads the modality 'depth' beside the image; the data give \['image'"
    ):
        make_segmenter(name, x="depth")(make_scenes())


class Graph(nn.Module):
    """From pixels, and X where the model reads it, to labels and confidence."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        names = self.model.spec.inputs
        return class_map(self.model(Batch(dict(zip(names, inputs, strict=True)), [], [])).class_logits)


@pytest.mark.parametrize(
    ("name", "x"),
    [("sne_roadseg", None), ("segformer", None), ("lraspp", None), ("rtfnet", None), ("offnet", "normals")],
)
def test_onnx_runtime_gives_the_same_classes(name, x, make_segmenter, make_scenes, tmp_path):
    model, batch = make_segmenter(name, x=x).train(), make_scenes()
    for _ in range(20):
        model(batch)  # batch norms get statistics, so that the answers are not all alike
    graph, inputs = Graph(model).eval(), tuple(batch.inputs[name] for name in model.spec.inputs)
    dynamic = tuple({0: torch.export.Dim("batch")} for _ in inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph, inputs, dynamo=True, input_names=list(model.spec.inputs), dynamic_shapes=(dynamic,), verbose=False
        )
        program.save(tmp_path / "model.onnx")
        other = make_scenes(images=3, seed=1)
        labels, confidence = graph(*(other.inputs[name] for name in model.spec.inputs))
        top = model(other).class_logits.topk(2, dim=1).values
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    given = {name: other.inputs[name].numpy() for name in model.spec.inputs}
    onnx_labels, onnx_confidence = session.run(None, given)
    np.testing.assert_allclose(onnx_confidence, confidence, atol=1e-3)
    no_tie = (top[:, 0] - top[:, 1] > 1e-3).numpy()
    assert (onnx_labels == labels.numpy())[no_tie].all()
    assert len(np.unique(onnx_labels)) > 1
