import json
from dataclasses import replace

import pytest
import torch

from limbeck.errors import CheckpointError
from limbeck.weights import WeightsInfo, load_weights, read_info, save_weights, write_info


@pytest.fixture
def saved(tmp_path, make_detector):
    """A model and the weight file made of it."""
    model = make_detector(seed=3)
    path = tmp_path / "best.safetensors"
    info = WeightsInfo(
        model=model.config.model_dump(mode="json"),
        classes=model.spec.classes,
        size=(64, 32),
        resize="letterbox",
        metrics={"AP": 0.5},
        methods=("bckd",),
        licence="Apache-2.0",
        limbeck="0",
    )
    save_weights(path, model.state_dict(), info)
    return model, info, path


def test_weights_come_back_as_they_were(saved, make_batch):
    model, info, path = saved
    loaded, loaded_info = load_weights(path)
    assert loaded_info == info
    assert not loaded.training
    batch = make_batch()
    assert torch.equal(loaded(batch).class_logits, model.eval()(batch).class_logits)
    assert sorted(file.name for file in path.parent.iterdir()) == ["best.json", "best.safetensors"]


def test_loading_never_fetches_pretrained_weights(saved, no_network):
    _, info, path = saved
    write_info(path, replace(info, model={**info.model, "pretrained": True}))
    load_weights(path)
    assert no_network.take() == []


def spoil_json(**changes):
    def spoil(path):
        beside = path.with_suffix(".json")
        beside.write_text(json.dumps(json.loads(beside.read_text()) | changes))

    return spoil


def without(key):
    def spoil(path):
        beside = path.with_suffix(".json")
        beside.write_text(json.dumps({k: v for k, v in json.loads(beside.read_text()).items() if k != key}))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), r"The weight file .*best\.safetensors does not exist"),
        (lambda path: path.with_suffix(".json").unlink(), r"best\.json does not exist; it must stand beside"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), r"best\.safetensors is broken"),
        (lambda path: path.write_bytes(b""), r"best\.safetensors is broken"),
        (lambda path: path.with_suffix(".json").write_text('{"model": '), r"best\.json is broken"),
        (lambda path: path.with_suffix(".json").write_text("[]"), r"best\.json is broken"),
        (spoil_json(size=[64]), r"best\.json is broken"),
        (spoil_json(model="gfl"), r"best\.json is broken"),
        (spoil_json(resize="crop"), r"best\.json is broken"),
        (without("format"), r"best\.json is broken: the entry 'format' is missing"),
        (without("classes"), r"best\.json is broken"),
        (spoil_json(format=99, new_entry=1), "written by a newer limbeck; this one reads format 1"),
        (spoil_json(model={}), "cannot be built"),
        (spoil_json(model={"model": "gone"}), "cannot be built: there is no model 'gone'"),
        (
            spoil_json(model={"model": "gfl", "backbone": "test_resnet", "wide": 2}),
            "cannot be built: wide: Extra inputs",
        ),
        (spoil_json(model={"model": "gfl", "backbone": "test_resnet"}), "are of another model than its json: "),
        (spoil_json(classes=["wheel"]), r"are of another model than its json: size mismatch for \S+"),
    ],
)
def test_what_is_missing_or_broken_is_said_plainly(spoil, words, saved):
    path = saved[2]
    spoil(path)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_weights(path)
    assert str(path.with_suffix("")) in caught.value.message
    assert len(caught.value.message.splitlines()) == 1


def test_another_model_is_explained_in_one_line(saved):
    _, info, path = saved
    write_info(path, replace(info, model={**info.model, "channels": 24}))
    with pytest.raises(CheckpointError, match="size mismatch") as caught:
        load_weights(path)
    assert len(caught.value.message.splitlines()) == 1


def test_a_stop_while_writing_leaves_the_old_weights(saved, monkeypatch):
    model, info, path = saved
    before = path.read_bytes()

    def full_disk(tensors, part):
        part.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("limbeck.weights.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_weights(path, model.state_dict(), info)
    assert path.read_bytes() == before
    assert read_info(path) == info


def test_a_file_from_before_a_field_was_there_still_loads(saved):
    _, info, path = saved
    beside = path.with_suffix(".json")
    content = json.loads(beside.read_text())
    del content["train_memory_bytes"]
    beside.write_text(json.dumps(content))
    assert load_weights(path)[1] == info
