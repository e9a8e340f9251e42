"""What a preset reaches: trained from scratch with one thread on blood cells, its AP by pycocotools, size and speed.

    python benchmarks/preset.py [preset]

The seconds are those of the processor, user and system, of the whole command `limbeck train`: the start of Python, the
data, the training and the validation. The data is `../shared/data/bccd`, see `configs/detection2d/bccd-nano.yaml`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from timing import processor_seconds, save

from limbeck.config import load_config
from limbeck.deploy.benchmark import count_parameters, multiply_adds
from limbeck.deploy.export import export_onnx
from limbeck.deploy.runtime.latency import measure_onnx
from limbeck.inference import predict_all
from limbeck.metrics.coco import CocoResult
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.weights import load_weights

RUN_FILE = "configs/detection2d/bccd-nano.yaml"
SIDE, THREADS = 320, 2


def by_pycocotools(annotations: Path, results: list[CocoResult]) -> dict[str, float]:
    """Return AP at IoU 0.50 to 0.95 and at 0.50."""
    truth = COCO(annotations)
    judge = COCOeval(truth, truth.loadRes(results), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return {"AP": round(float(judge.stats[0]), 4), "AP50": round(float(judge.stats[1]), 4)}


def main(preset: str = "nano") -> None:
    """Measure."""
    run_file = RUN_FILE.replace("nano", preset)
    config = load_config(Path(run_file))
    with tempfile.TemporaryDirectory() as folder:
        seconds = processor_seconds(["limbeck", "train", run_file, f"runs_dir={folder}"])
        model, info = load_weights(Path(folder) / config.name / "control" / "best.safetensors")
        results = predict_all(model, Detection2DTask.load(config.data))
        assert config.data.val.annotations is not None
        row = {
            "preset": preset,
            "run_file": run_file,
            "processor_seconds": round(seconds, 1),
            "epochs": info.epochs,
            **by_pycocotools(config.data.val.annotations, results),
            "parameters": count_parameters(model),
            f"multiply_adds_{SIDE}": multiply_adds(model, (SIDE, SIDE)),
        }
        for canvas_wh in ((SIDE, SIDE), info.size):
            path = export_onnx(model, canvas_wh, Path(folder) / "model.onnx")
            row[f"onnxruntime_ms_{canvas_wh[0]}x{canvas_wh[1]}"] = round(measure_onnx(path, THREADS).latency.p50, 2)
        row["onnxruntime_threads"] = THREADS
    save(f"preset_{preset}", [row], f"python benchmarks/preset.py {preset}")


if __name__ == "__main__":
    main(*sys.argv[1:])
