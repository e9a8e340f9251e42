"""A run folder of detection as the pipeline leaves it, made of small generated pictures; two ways to read a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from limbeck.metrics.bootstrap import bootstrap_interval, paired_bootstrap
from limbeck.metrics.coco import CocoTruth, evaluate
from limbeck.metrics.fault_rates import ImageScores, image_scores, operating_threshold
from limbeck.metrics.matching import match
from limbeck.tasks.detection2d import fault_rates

CLASSES = ("wheel", "spring", "brake shoe")
SIZE = (240, 160)
SKILL = {"teacher": 0.95, "control": 0.6, "student": 0.8}


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a run folder; see `write_run_folder` for its arguments."""
    return lambda **changes: write_run_folder(tmp_path / "run", **changes)


class Outline(HTMLParser):
    """Collects tags with their attributes, and checks that every element is closed in order."""

    VOID = frozenset({"meta", "img", "link", "br", "hr", "input", "wbr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def outline_of() -> type[Outline]:
    """Return what reads the outline of a page."""
    return Outline


@pytest.fixture
def in_browser(tmp_path: Path) -> Callable[[Path, int], dict[str, int]]:
    """Return a function that opens a page in Chromium in a window of some width, and says what is seen.

    It returns the width of the window and of the page, and how many images there are and are drawn.
    """
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium on this machine")
    measured = """<script>addEventListener("load", () => {
      const images = [...document.images];
      parent.postMessage({window: innerWidth, page: document.documentElement.scrollWidth, images: images.length,
        loaded: images.filter(image => image.complete && image.naturalWidth > 0).length}, "*");
    });</script></body>"""
    frame = """<iframe src="framed.html" width="{width}" height="900" style="border: 0"></iframe>
      <script>addEventListener("message", event => {{ document.title = JSON.stringify(event.data); }});</script>"""

    def look(page: Path, width: int) -> dict[str, int]:
        framed, asking = (
            tmp_path / "framed.html",
            tmp_path / "asking.html",
        )  # a window is never narrower than 500 pixels
        framed.write_text(page.read_text(encoding="utf-8").replace("</body>", measured), encoding="utf-8")
        asking.write_text(frame.format(width=width), encoding="utf-8")
        offline = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        done = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", *offline, profile, "--window-size=1600,900",
             "--dump-dom", asking.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        found: dict[str, int] = json.loads(re.search("<title>(.*)</title>", done.stdout)[1])
        return found

    return look


def write_run_folder(
    folder: Path,
    *,
    classes: Sequence[str] = CLASSES,
    teacher: bool = True,
    difference: dict[str, float] | None = None,
    gap: float | None = 0.42,
    parity: bool | None = True,
    images: int = 6,
    steps: int = 20,
    rates: bool = True,
    test: bool = False,
) -> Path:
    """Write a run folder.

    Args:
        folder: Where; it is created.
        classes: Class names.
        teacher: Whether the run has a teacher.
        difference: What comparison.json says of AP; by default what the generated detections give.
        gap: What it says of the closed gap.
        parity: The verdict of the export check; None leaves the bundle out.
        images: Number of validation images.
        steps: Length of the training logs.
        rates: Whether image-level rates and memory were measured, which older runs lack.
        test: Whether there is a test part.
    """
    truth = _truth(classes, images)
    _write_pictures(folder / "images", truth)
    roles = ["teacher", "control", "student"] if teacher else ["control", "student"]
    found = {role: _predictions(truth, SKILL[role], seed) for seed, role in enumerate(roles)}
    for role in roles:
        _write_model(folder / role, role, truth, found[role], steps)
        if rates:
            _add(folder / role, _resources(role) | {"fault_rates": _rates(truth, found[role])})
        if test:
            _add(folder / role, {"test": _on_test(folder / role, truth, found[role])})
    matched = {role: match(CocoTruth.from_json(truth), found[role]) for role in roles}
    paired = paired_bootstrap(matched["student"], matched["control"], samples=100)
    measured = {name: asdict(value) for name, value in paired.items()}
    _write(folder / "truth.json", truth)
    _write(folder / "run.json", _facts(folder, classes, images))
    student_minus_control = measured if difference is None else {"AP": difference}
    _write(folder / "comparison.json", {"gap_closed": gap, "student_minus_control": student_minus_control})
    (folder / "config.yaml").write_text("name: wagons\nmethods: [bckd]  # <faithful> & https://example.org\n")
    if parity is not None:
        _write(folder / "bundle" / "bundle.json", _bundle(parity))
    return folder


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _truth(classes: Sequence[str], images: int) -> dict[str, Any]:
    generator = np.random.default_rng(0)
    annotations = []
    for image in range(1, images + 1):
        for _ in range(int(generator.integers(1, 6))):
            width, height = generator.uniform(16, 60, 2)
            left, top = generator.uniform(0, SIZE[0] - width), generator.uniform(0, SIZE[1] - height)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(generator.integers(1, len(classes) + 1)),
                    "bbox": [float(left), float(top), float(width), float(height)],
                    "iscrowd": int(generator.random() < 0.1),
                }
            )
    return {
        "images": [
            {"id": n, "file_name": f"wagon {n}.jpg", "width": SIZE[0], "height": SIZE[1]} for n in range(1, images + 1)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes, start=1)],
        "annotations": annotations,
    }


def _write_pictures(folder: Path, truth: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    for image in truth["images"]:
        picture = Image.linear_gradient("L").resize(SIZE).convert("RGB")
        draw = ImageDraw.Draw(picture)
        for annotation in truth["annotations"]:
            if annotation["image_id"] == image["id"]:
                left, top, width, height = annotation["bbox"]
                draw.ellipse((left, top, left + width, top + height), fill=(90, 70, 50), outline="black")
        picture.save(folder / image["file_name"])


def _predictions(truth: dict[str, Any], skill: float, seed: int) -> list[dict[str, Any]]:
    """A skilled model finds more, places better and is surer of itself."""
    generator = np.random.default_rng(seed + 1)
    found = []
    for annotation in truth["annotations"]:
        if annotation["iscrowd"] or generator.random() > skill:
            continue
        sides = np.array(annotation["bbox"][2:] * 2)
        bbox = np.array(annotation["bbox"]) + sides * generator.normal(0, 0.25 * (1.1 - skill), 4)
        found.append(_result(annotation["image_id"], annotation["category_id"], bbox, generator.uniform(skill / 2, 1)))
    for image in truth["images"]:
        if generator.random() > skill:
            bbox = generator.uniform([0, 0, 15, 15], [180, 120, 50, 40])
            found.append(_result(image["id"], 1, bbox, generator.uniform(0.1, 0.7)))
    return found


def _result(image: int, category: int, bbox: Any, score: float) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [float(value) for value in bbox],
        "score": float(score),
    }


def _add(folder: Path, content: dict[str, Any]) -> None:
    path = folder / "evaluation.json"
    _write(path, json.loads(path.read_text()) | content)


def _resources(role: str) -> dict[str, int]:
    large = role == "teacher"
    return {
        "checkpoint_bytes": 281_000_000 if large else 28_400_000,
        "train_memory_bytes": 1_450_000_000 if large else 912_000_000,
        "test_memory_bytes": 412_000_000 if large else 318_000_000,
    }


def _rates(truth: dict[str, Any], predictions: list[dict[str, Any]], *, halved: bool = False) -> dict[str, Any]:
    """The image-level rates at the threshold of the validation images; ``halved`` empties every second image."""
    scores = image_scores(CocoTruth.from_json(truth), predictions)
    threshold = operating_threshold(scores)
    if halved:
        scores = ImageScores(scores.has_object & (np.arange(len(scores.has_object)) % 2 == 0), scores.top_score, 0)
    return fault_rates(scores, threshold, samples=100, seed=0)


def _on_test(folder: Path, truth: dict[str, Any], predictions: list[dict[str, Any]]) -> dict[str, Any]:
    """The test images are the validation images, and half of them show nothing."""
    evaluation = json.loads((folder / "evaluation.json").read_text())
    same = {name: evaluation[name] for name in ("metrics", "intervals", "per_class", "pr_curves")}
    data = {"images": "images", "annotations": "annotations/test.json", "list": None}
    return {"data": data, **same, "fault_rates": _rates(truth, predictions, halved=True)}


def _write_model(folder: Path, role: str, truth: dict[str, Any], predictions: list[dict[str, Any]], steps: int) -> None:
    measured = evaluate(CocoTruth.from_json(truth), predictions)
    large = role == "teacher"
    evaluation = {
        "role": role,
        "model": "gfl",
        "backbone": "resnet34" if large else "resnet10t",
        "parameters": 23_456_789 if large else 2_345_678,
        "multiply_adds": 12_300_000_000 if large else 1_450_000_000,
        "weights_bytes": 94_000_000 if large else 9_400_000,
        "latency_ms": {"p50": 48.2 if large else 9.7, "p95": 55.0 if large else 11.3, "runs": 50, "threads": 2},
        "train_seconds": 312.0 if large else 95.5,
        "epochs": 30,
        "metrics": measured.metrics,
        "intervals": bootstrap_interval(match(CocoTruth.from_json(truth), predictions), samples=100),
        "per_class": measured.per_class,
        "pr_curves": measured.pr_curves,
    }
    _write(folder / "evaluation.json", evaluation)
    _write(folder / "predictions.json", predictions)
    (folder / "metrics.jsonl").write_text("\n".join(_log(role, steps)) + "\n")


def _log(role: str, steps: int) -> list[str]:
    generator = np.random.default_rng(0)
    terms = ["qfl", "box", "dfl"] + (["bckd_class", "bckd_box"] if role == "student" else [])
    lines = []
    for step in range(1, steps + 1):
        values = {f"train/{t}": float(np.exp(-2 * step / steps) + generator.normal(0, 0.05)) for t in terms}
        epoch = 5 * step // steps
        lines.append(json.dumps({"step": step, "epoch": epoch, "train/loss": sum(values.values()), **values}))
        if step % max(1, steps // 5) == 0:
            lines.append(
                json.dumps({"step": step, "epoch": epoch, "val/AP": SKILL[role] * step / steps, "val/APs": -1.0})
            )
    return lines


def _facts(folder: Path, classes: Sequence[str], images: int) -> dict[str, Any]:
    return {
        "name": "wagons-bckd",
        "task": "detection2d",
        "created": "2025-01-31T12:00:00+00:00",
        "limbeck": "0.1.0",
        "versions": {"python": "3.11.9", "torch": "2.10.0", "timm": "1.0.20", "openvino": None},
        "git": "0123abc",
        "seed": 7,
        "hardware": {"processor": "Zen 4", "cores": 2, "memory_gib": 7.6, "accelerator": None},
        "data": {
            "train_images": 40,
            "val_images": images,
            "classes": list(classes),
            "size": [320, 256],
            "resize": "letterbox",
            "val_annotations": "annotations/val.json",
            "val_images_dir": str(folder / "images"),
            "sha256": {"annotations/train.json": "ab" * 32, "annotations/val.json": "cd" * 32},
            "skipped": ["wagon 99.jpg: truncated"],
        },
    }


def _bundle(passed: bool) -> dict[str, Any]:
    agreement = {"detections": 31, "unmatched": 0, "box_difference": 0.0021, "score_difference": 3.1e-6, "ties": 0}
    parity = {
        "passed": passed,
        "images": 6,
        "canvas": agreement,
        "files": agreement if passed else {**agreement, "box_difference": 14.2},
        "ap_torch": 0.512,
        "ap_onnx": 0.512 if passed else 0.31,
        "problems": [] if passed else ["from the image files a box differs by 14.2 pixels (limit 1)"],
    }
    latency_ms = {"p50": 6.2, "p95": 7.0, "p99": 7.4, "runs": 100}
    return {"format": 1, "parity": parity, "latency_ms": latency_ms, "files": {"model.onnx": "ef" * 32}}
