"""The runtime works where nothing is installed but numpy, pillow and ONNX Runtime.

The environment is a folder of links to these packages and to what they themselves require, and Python is started
without its own site-packages, so that nothing else can be imported.
"""

import json
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from limbeck.deploy.runtime.detector import Detector
from limbeck.deploy.runtime.lidar_detector import LidarDetector

ABSENT = ("torch", "torchvision", "timm", "lightning", "pydantic", "typer", "yaml", "onnx", "faster_coco_eval")
SCRIPT = """
import importlib.util, json, sys
folder, image, absent = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
from limbeck.deploy.runtime.detector import Detector
found = Detector(folder, threads=1).detect(image)
print(json.dumps({
    "importable": [name for name in absent if importlib.util.find_spec(name) is not None],
    "limbeck": sorted(name for name in sys.modules if name.startswith("limbeck")),
    "boxes": found.boxes_xyxy.tolist(),
    "scores": found.scores.tolist(),
    "names": found.names,
}))
"""
CLOUD_SCRIPT = """
import importlib.util, json, sys
folder, cloud = sys.argv[1], sys.argv[2]
import limbeck
found = limbeck.LidarDetector(folder, threads=1).detect(cloud)
print(json.dumps({
    "torch": importlib.util.find_spec("torch") is not None,
    "limbeck": sorted(name for name in sys.modules if name.startswith("limbeck")),
    "boxes": found.boxes.tolist(),
    "names": found.names,
}))
"""
SHARED = {"limbeck", "limbeck.errors", "limbeck.imaging", "limbeck.deploy"}
"""What the runtime shares with the rest of limbeck."""


def required(name: str, known: set[str]) -> set[str]:
    """The names of a distribution and of all that it requires."""
    if name not in known:
        known.add(name)
        for requirement in distribution(name).requires or ():
            if "extra ==" not in requirement:
                required(re.split(r"[^A-Za-z0-9._-]", requirement)[0], known)
    return known


def link_packages(folder: Path) -> None:
    """Link every top-level file and folder of the runtime's distributions, and the sources of limbeck."""
    folder.mkdir()
    for name in required("numpy", set()) | required("pillow", set()) | required("onnxruntime", set()):
        owner = distribution(name)
        for top in {path.parts[0] for path in owner.files or ()} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():  # "google" belongs to several distributions
                link.symlink_to(owner.locate_file(top))
    import limbeck.errors

    (folder / "limbeck").symlink_to(Path(limbeck.errors.__file__).parent)


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Runs code in the environment without torch and returns what it printed."""
    packages = tmp_path_factory.mktemp("device") / "packages"
    link_packages(packages)

    def run(code: str, *arguments: str) -> str:
        code = f"import sys; sys.path.append({str(packages)!r})\n{code}"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_detector_gives_the_same_boxes(python, finished_bundle, image_files):
    expected = Detector(finished_bundle, threads=1).detect(image_files[0])
    found = json.loads(python(SCRIPT, str(finished_bundle), str(image_files[0]), ",".join(ABSENT)))
    assert found["importable"] == []
    assert len(found["names"]) == len(expected) > 0
    assert tuple(found["names"]) == expected.names
    np.testing.assert_allclose(found["boxes"], expected.boxes_xyxy, atol=1e-4)
    np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-6)


def test_only_the_files_of_the_runtime_are_loaded(python, finished_bundle, image_files):
    found = json.loads(python(SCRIPT, str(finished_bundle), str(image_files[0]), ",".join(ABSENT)))
    allowed = SHARED | {"limbeck.point_files", "limbeck.point_files.point_format"}
    assert {name for name in found["limbeck"] if not name.startswith("limbeck.deploy.runtime")} <= allowed


def test_the_lidar_detector_gives_the_same_boxes(python, finished_cloud_bundle, cloud_task):
    file = cloud_task.frames["val"][0].path
    expected = LidarDetector(finished_cloud_bundle, threads=1).detect(file)
    found = json.loads(python(CLOUD_SCRIPT, str(finished_cloud_bundle), str(file)))
    assert found["torch"] is False
    assert tuple(found["names"]) == expected.names
    assert len(expected) > 50
    np.testing.assert_allclose(found["boxes"], expected.boxes, atol=1e-4)
    rooms = ("limbeck.deploy.runtime", "limbeck.point_files")
    assert {name for name in found["limbeck"] if not name.startswith(rooms)} <= SHARED | {"limbeck.rectangles"}


def test_torch_is_really_absent_there(python):
    assert python("import importlib.util as u; print(u.find_spec('torch'), u.find_spec('numpy') is None)") == (
        "None False\n"
    )


def test_the_latency_is_measured_there(python, finished_bundle, finished_cloud_bundle):
    code = "import runpy; runpy.run_module('limbeck.deploy.runtime.latency', run_name='__main__')"
    options = ["--threads", "1", "--warmup", "0", "--runs", "2"]
    for bundle in (finished_bundle, finished_cloud_bundle):
        assert json.loads(python(code, str(bundle), *options))["latency"]["runs"] == 2
