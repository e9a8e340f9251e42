import json
import subprocess
import sys

import pytest


@pytest.fixture
def known(finished_run):
    """What the run wrote down of its student."""
    return json.loads((finished_run.folder / "student/evaluation.json").read_text())


def test_models_are_measured_by_their_engines(finished_run, known, tmp_path, limbeck):
    bundle, weights = finished_run.folder / "bundle", finished_run.folder / "student/best.safetensors"
    save = tmp_path / "new/bench.json"
    done = limbeck("bench", bundle, weights, "--threads", 1, "--threads", 2, "--runs", 2, "--save", save)
    assert done.code == 0
    content = json.loads(save.read_text())
    assert content["machine"]["cores"] >= 1
    assert content["runs"] == 2
    rows = content["rows"]
    assert [(row["model"], row["engine"], row["threads"]) for row in rows] == [
        (str(bundle), "ONNX Runtime", 1),
        (str(bundle), "ONNX Runtime", 2),
        (str(weights), "PyTorch", 1),
        (str(weights), "PyTorch", 2),
    ]
    for row in rows:
        times = row["latency"]
        assert 0 < times["p50"] <= times["p95"] <= times["p99"]
        assert row["images_per_second"] == pytest.approx(1000 / times["p50"])
        assert row["canvas_wh"] == list(finished_run.config.data.size)
        assert row["memory_bytes"] is None or row["memory_bytes"] > row["file_bytes"]
    assert rows[0]["file_bytes"] == (bundle / "model.onnx").stat().st_size
    assert rows[0]["parameters"] is None
    assert rows[2]["parameters"] == known["parameters"]
    assert rows[2]["multiply_adds"] == known["multiply_adds"]
    assert f"{bundle}: ONNX Runtime, 64 x 64 px" in done.out


def test_another_size_of_the_input(finished_run, known, tmp_path, limbeck):
    weights, save = finished_run.folder / "student/best.safetensors", tmp_path / "bench.json"
    done = limbeck("bench", weights, "--runs", 1, "--size", 128, 64, "--save", save)
    assert done.code == 0
    row = json.loads(save.read_text())["rows"][0]
    assert row["canvas_wh"] == [128, 64]
    assert row["multiply_adds"] == pytest.approx(2 * known["multiply_adds"], rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}/bundle", "--size", 64, 64], "a bundle has one size; --size is for weight files."),
        (["{run}/student/best.safetensors", "--size", 31, 64], "--size must be 32 pixels or more, was given 31 64."),
        (["{run}/student"], "not a bundle; there is no bundle.json in it."),
        (["{run}/config.yaml"], "is neither a bundle folder nor a .safetensors file."),
        (["{run}/none.safetensors"], "none.safetensors does not exist."),
        (["{run}/bundle", "--save", "{run}"], "The result cannot be written: "),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(finished_run, limbeck, arguments, said):
    done = limbeck("bench", *(str(argument).format(run=finished_run.folder) for argument in arguments))
    assert done.code == 2
    assert said in done.err


def test_numbers_of_before_stay_where_nothing_is_measured(tmp_path, limbeck):
    (tmp_path / "bench.json").write_text("before")
    done = limbeck("bench", tmp_path / "none.safetensors", "--save", tmp_path / "bench.json")
    assert done.code == 2
    assert (tmp_path / "bench.json").read_text() == "before"


def test_an_altered_bundle_is_not_measured(finished_run, tmp_path, limbeck):
    for file in (finished_run.folder / "bundle").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes() + (b" " if file.name == "labels.txt" else b""))
    done = limbeck("bench", tmp_path)
    assert done.code == 2
    assert "labels.txt has another content" in done.err


def test_a_bundle_is_measured_without_torch(finished_run):
    code = "import sys; sys.modules['torch'] = None; from limbeck.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "bench", str(finished_run.folder / "bundle"), "--runs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ONNX Runtime, 64 x 64 px" in done.stdout
