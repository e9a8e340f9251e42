"""The commands on LiDAR detectors: predict, eval, bench, and what is refused."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(params=["student/best.safetensors", "bundle"])
def model(request, finished_cloud_run):
    return finished_cloud_run.folder / request.param


@pytest.fixture
def clouds(finished_cloud_run, tmp_path):
    """A folder with two validation clouds, and one of them as ply in another."""
    for folder in ("seen", "other"):
        (tmp_path / folder).mkdir()
    source = finished_cloud_run.config.data.val.clouds
    for name in ("00000.npy", "00001.npy"):
        shutil.copy(source / name, tmp_path / "seen" / name)
    points = np.load(source / "00000.npy")
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n"
    header += "".join(f"property float {name}\n" for name in ("x", "y", "z", "intensity")) + "end_header\n"
    (tmp_path / "other/00000.ply").write_bytes(header.encode() + points.astype("<f4").tobytes())
    return tmp_path


def test_what_is_found_is_said_saved_and_drawn(model, clouds, limbeck):
    save, draw = clouds / "new/found.json", clouds / "drawn"
    given = (clouds / "seen", clouds / "other/00000.ply", "--save", save, "--draw", draw, "--min-score", 0.1)
    done = limbeck("predict", model, *given)
    assert done.code == 0
    rows = json.loads(save.read_text())
    files = [clouds / name for name in ("seen/00000.npy", "seen/00001.npy", "other/00000.ply")]
    assert [row["file"] for row in rows] == list(map(str, files))
    assert rows[0]["detections"] == rows[2]["detections"] != []
    for row in rows:
        assert f"{row['file']}: " in done.out
        for found in row["detections"]:
            assert set(found) == {"class", "label", "score", "centre", "size", "yaw"}
            assert found["class"] in ("car", "pedestrian", "cyclist")
            assert len(found["centre"]) == len(found["size"]) == 3
            assert found["score"] >= 0.1
    most = rows[0]["detections"][0]["class"]
    assert f" x {most}" in done.out
    assert sorted(path.name for path in draw.iterdir()) == ["00000-2.png", "00000.png", "00001.png"]
    with Image.open(draw / "00000.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert max(pixels.shape) == 1200
    assert (np.ptp(pixels, axis=2) > 60).any(), "boxes are coloured"
    assert ((np.ptp(pixels, axis=2) == 0) & (pixels[..., 0] > 60)).sum() > 1000, "points are grey"


def test_weak_answers_are_left_out(model, clouds, limbeck):
    done = limbeck("predict", model, clouds / "seen/00000.npy", "--min-score", 1, "--draw", clouds / "drawn")
    assert done.code == 0
    assert done.out == f"{clouds / 'seen/00000.npy'}: nothing\n"
    assert (clouds / "drawn/00000.png").exists()


def test_a_broken_cloud_does_not_keep_the_others_back(model, clouds, limbeck):
    (clouds / "seen/broken.npy").write_bytes((clouds / "seen/00000.npy").read_bytes()[:500])
    (clouds / "seen/text.pcd").write_text("no cloud")
    done = limbeck("predict", model, clouds / "seen", "--save", clouds / "found.json")
    assert done.code == 2
    assert len(json.loads((clouds / "found.json").read_text())) == 2
    assert "These point clouds cannot be read; all others were looked at:" in done.err
    assert "broken.npy: breaks off" in done.err
    assert "text.pcd: " in done.err


def test_weights_and_bundle_score_as_in_the_run(model, finished_cloud_run, limbeck):
    done = limbeck("eval", model, finished_cloud_run.run_file)
    assert done.code == 0
    measured = finished_cloud_run.outcome.evaluations["student"]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.out.splitlines() if "│" in line]
    for name in ("mAP", "NDS", "AP_3D", "AP_BEV", "mAPH", "mATE"):
        (row,) = [row for row in rows if row[0] == name]
        wanted = [part["metrics"][name] for part in (measured, measured["test"])]
        assert [float(cell) for cell in row[1:]] == pytest.approx(wanted, abs=2e-3)
    cars, near = ([row for row in rows if row[0] == name] for name in ("car", "0-30 m"))
    for row, part in zip(cars, (measured, measured["test"]), strict=True):
        values = part["per_class"]["car"]
        assert [float(cell) for cell in row[1:]] == pytest.approx(
            [values[key] for key in ("objects", "AP", "AP_3D", "AP_BEV", "APH_L2")], abs=2e-3
        )
    for row, part in zip(near, (measured, measured["test"]), strict=True):
        values = part["by_range"]["0-30 m"]
        assert [float(cell) for cell in row[1:]] == pytest.approx(
            [values[key] for key in ("objects", "AP", "APH")], abs=2e-3
        )
    assert "undefined" in done.out, "there is nothing 50 m away"


def test_what_is_timed_is_said(finished_cloud_run, tmp_path, limbeck):
    folder, save = finished_cloud_run.folder, tmp_path / "bench.json"
    done = limbeck("bench", folder / "bundle", folder / "student/best.safetensors", "--runs", 2, "--save", save)
    assert done.code == 0
    by_onnx, by_torch = json.loads(save.read_text())["rows"]
    points = json.loads((folder / "student/best.json").read_text())["size"][0]
    for row, timed in (
        (by_onnx, "from the cloud to the final boxes"),
        (by_torch, "the network alone, without sorting"),
    ):
        assert row["points"] == points > 100
        assert row["timed"].startswith(timed)
        assert row["clouds_per_second"] == pytest.approx(1000 / row["latency"]["p50"])
        assert timed in " ".join(done.out.split())
    assert f"{points:,} points" in done.out
    assert "clouds/s" in done.out
    assert "images/s" not in done.out


def test_a_bundle_is_run_without_torch(finished_cloud_run, clouds):
    code = "import sys; sys.modules['torch'] = None; from limbeck.cli.main import main; main(sys.argv[1:])"
    bundle = str(finished_cloud_run.folder / "bundle")
    for arguments in (
        ("predict", bundle, str(clouds / "seen"), "--draw", str(clouds)),
        ("bench", bundle, "--runs", "1"),
    ):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_what_does_not_fit_is_one_sentence(model, finished_cloud_run, finished_run, clouds, limbeck):
    Image.new("RGB", (8, 8)).save(clouds / "photo.png")
    bundle = finished_run.folder / "bundle"
    refused = {
        "photo.png: is an image, and the model reads point clouds": ("predict", model, clouds / "photo.png"),
        "00000.npy: is a point cloud, and the model reads images": ("predict", bundle, clouds / "seen/00000.npy"),
        "holds no point cloud": ("predict", model, finished_run.folder),
        "--masks and --tile-overlap are for segmenters": ("predict", model, clouds / "seen", "--masks", clouds),
        "--threshold is for detectors in images": ("eval", model, finished_cloud_run.run_file, "--threshold", 0.5),
        "--tile-overlap is for segmenters": ("eval", model, finished_cloud_run.run_file, "--tile-overlap", 0.2),
        "for the task detection3d, and the run file for detection2d": ("eval", model, finished_run.run_file),
        "for the task detection2d, and the run file for detection3d": ("eval", bundle, finished_cloud_run.run_file),
        "--size is for": ("bench", model, "--size", 64, 64),
    }
    for words, arguments in refused.items():
        done = limbeck(*arguments)
        assert done.code == 2, words
        assert words in " ".join(done.err.split())


def test_a_model_is_exported_for_data_of_its_own_task_only(finished_cloud_run, finished_run, tmp_path, limbeck):
    weights = finished_cloud_run.folder / "student/best.safetensors"
    done = limbeck("export", weights, finished_run.run_file, "--to", tmp_path / "bundle")
    assert done.code == 2
    assert "is for the task detection3d, and the run file for detection2d" in " ".join(done.err.split())
