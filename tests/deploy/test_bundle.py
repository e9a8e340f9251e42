"""The bundle says what it holds and where it comes from, and its hashes are those of its files."""

import hashlib
import json

import pytest

from limbeck.deploy.bundle import Licences, amend_bundle, write_bundle
from limbeck.deploy.runtime.manifest import load_manifest
from limbeck.errors import BundleError, ExportError


def test_the_description_is_complete(finished_bundle):
    content = load_manifest(finished_bundle)
    assert content["task"] == "detection2d"
    assert content["classes"] == ["hose", "coupling"]
    assert content["canvas"] == {"wh": [96, 64], "resize": "letterbox", "pad_value": 114, "interpolation": "bilinear"}
    assert set(content["inputs"]) == {"image"}
    assert set(content["outputs"]) == {"boxes", "scores", "labels"}
    assert content["settings"]["score_threshold"] == 0.05
    assert content["licences"] == {"weights": "Apache-2.0", "data": "CC BY 4.0"}
    assert content["metrics"] == {"AP": 0.5}
    assert content["parity"] is None


def test_every_other_file_has_its_hash(finished_bundle):
    files = load_manifest(finished_bundle)["files"]
    assert set(files) | {"bundle.json"} == {path.name for path in finished_bundle.iterdir()}
    for name, known in files.items():
        assert hashlib.sha256((finished_bundle / name).read_bytes()).hexdigest() == known


def test_the_labels_stand_one_to_a_line(finished_bundle):
    assert (finished_bundle / "labels.txt").read_text(encoding="utf-8") == "hose\ncoupling\n"


def test_an_entry_is_set_and_the_others_stay(bundle):
    before = load_manifest(bundle)
    amend_bundle(bundle, latency_ms={"onnxruntime": 3.5})
    assert load_manifest(bundle) == {**before, "latency_ms": {"onnxruntime": 3.5}}


def test_what_cannot_be_written_as_json_leaves_the_old_description(bundle):
    before = load_manifest(bundle)
    with pytest.raises(TypeError):
        amend_bundle(bundle, latency_ms=object())
    assert load_manifest(bundle) == before


def test_only_a_bundle_can_be_amended(tmp_path):
    with pytest.raises(BundleError, match="not a bundle"):
        amend_bundle(tmp_path, latency_ms=1.0)


def test_a_failed_export_leaves_no_description_that_an_old_file_could_hide_behind(bundle, detector_of):
    model = detector_of("gfl")
    model.config = None
    with pytest.raises(ExportError):
        write_bundle(
            model, bundle, size=(96, 64), resize="stretch", licences=Licences("unknown", "unknown"), metrics={}
        )
    assert not (bundle / "bundle.json").exists()


def test_the_description_is_plain_json(finished_bundle):
    json.loads((finished_bundle / "bundle.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
