"""What a light RGB student of an RGB-X teacher costs and reaches on potholes: processor-seconds, IoU, time per image.

    limbeck train configs/segmentation/stereo_pothole-lix.yaml --role teacher
    python benchmarks/pothole_student.py --teacher runs/stereo_pothole-lix/teacher/best.safetensors

Held against a ResNet-18 U-Net that sees RGB alone, 256 x 416 px, trained from scratch for 110 steps of 4 images at
2.58 s each on one core: pothole IoU 0.171. The seconds are those of the processor of the whole command `limbeck train
--role student`: the start of Python, the data, the teacher's forward passes, the training and the validation. No
epoch is picked: the last weights count.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from timing import processor_seconds, save

from limbeck.config import RunConfig, load_config
from limbeck.deploy.benchmark import count_parameters, multiply_adds
from limbeck.deploy.export import export_onnx
from limbeck.deploy.runtime.latency import measure_onnx
from limbeck.metrics.segmentation import evaluate
from limbeck.predictor import evaluate_file
from limbeck.tasks.segmentation import MaskTally
from limbeck.weights import load_weights

RUN_FILE = Path("configs/segmentation/stereo_pothole-lix.yaml")
PEER = {"pothole_iou": 0.171, "processor_seconds": 110 * 2.58, "onnxruntime_ms": 72}
SEEDS = (0, 1, 2)
EPOCHS = 40
"""Fewer than in the run file, so that the student stays within the peer's seconds."""


def measured(weights: Path, config: RunConfig) -> dict[str, Any]:
    """Return what a model reaches on the validation images, and what it costs in ONNX Runtime with one thread."""
    tally = evaluate_file(weights, config)["val"]
    assert isinstance(tally, MaskTally)
    found = evaluate(tally.counts)
    model, info = load_weights(weights)
    with tempfile.TemporaryDirectory() as folder:
        latency = measure_onnx(export_onnx(model, info.size, Path(folder) / "model.onnx"), threads=1).latency
    return {
        "pothole_iou": round(found.per_class["pothole"]["IoU"], 4),
        "miou": round(found.metrics["mIoU"], 4),
        "onnxruntime_ms": round(latency.p50, 2),
        "parameters": count_parameters(model),
        "multiply_adds": multiply_adds(model, info.size),
    }


def main() -> None:
    """Train and measure the student and the control with every seed, and measure the teacher."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, required=True)
    given = parser.parse_args()
    rows = [{"who": "peer", **PEER}, {"who": "teacher", **measured(given.teacher, load_config(RUN_FILE))}]
    for role in ("student", "control"):
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                overrides = [
                    f"runs_dir={folder}",
                    f"seed={seed}",
                    f"teacher_checkpoint={given.teacher.resolve()}",
                    f"train.epochs={EPOCHS}",
                    f"train.eval_every={EPOCHS}",
                ]
                config = load_config(RUN_FILE, overrides)
                seconds = processor_seconds(["limbeck", "train", str(RUN_FILE), "--role", role, *overrides])
                row = {"who": role, "seed": seed, "epochs": config.train.epochs, "processor_seconds": round(seconds, 1)}
                rows.append(row | measured(Path(folder) / config.name / role / "best.safetensors", config))
    save("pothole_student", rows, f"python benchmarks/pothole_student.py --teacher {given.teacher}")


if __name__ == "__main__":
    main()
