"""What the parts of the freight-train systems cost: the axial shift, AS-MLP beside ResNet-18, steps of HSD and SDD.

    python benchmarks/freight.py
    python benchmarks/freight.py --rounds 1      # does it still run?

The maps and images of the first two parts have the sizes of the paper's input, 704 x 512. Candidates run in one process
in turn; ONNX Runtime is timed in a process of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from scene import scene
from timing import medians, save
from torch import Tensor
from torch.nn import functional

from limbeck.config import TrainConfig
from limbeck.core.model import Model
from limbeck.deploy.benchmark import count_parameters, multiply_adds, torch_latency
from limbeck.deploy.export import export_onnx
from limbeck.deploy.runtime.latency import measure_onnx
from limbeck.lookup import method_config, model_config
from limbeck.ops.axial_shift import COLUMNS, ROWS, axial_shift
from limbeck.training.fit import build_methods, seeded_model
from limbeck.training.module import Distillation
from limbeck.training.precision import autocast
from limbeck.training.teacher import FrozenTeacher

CANVAS_WH = (704, 512)
STAGES = ((4, 64, 128, 176), (4, 128, 64, 88), (4, 256, 32, 44), (4, 512, 16, 22))
"""Maps of AS-MLP nano for four images of this size."""
SHIFT = 5
REPEATS = 20
STEP_SIDE, STEP_BATCH = 320, 8
CLASSES = ("target", "fault")


def rolled(maps: Tensor, axis: int) -> Tensor:
    """Shift as the release does: pad all sides, roll each chunk, put them together, crop."""
    margin = SHIFT // 2
    padded = functional.pad(maps, (margin,) * 4)
    chunks = [torch.roll(chunk, k - margin, axis) for k, chunk in enumerate(padded.chunk(SHIFT, dim=1))]
    return torch.cat(chunks, dim=1)[:, :, margin:-margin, margin:-margin]


def padded(maps: Tensor, axis: int) -> Tensor:
    """Shift each chunk by padding one side and cropping the other, then put them together."""
    margin, moved = SHIFT // 2, []
    for k, chunk in enumerate(maps.chunk(SHIFT, dim=1)):
        side = (k - margin, margin - k)
        moved.append(functional.pad(chunk, side if axis == COLUMNS else (0, 0, *side)))
    return torch.cat(moved, dim=1)


def shift_rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Measure the shift along both axes on the maps of every stage, against a copy."""
    for dtype in (torch.float32, torch.bfloat16):
        total: dict[str, float] = {}
        for shape in STAGES:
            maps = torch.randn(shape).to(dtype)
            candidates: dict[str, Callable[[], object]] = {"copy": maps.clone}
            for axis, name in ((ROWS, "rows"), (COLUMNS, "columns")):
                candidates[f"ours, {name}"] = lambda m=maps, a=axis: axial_shift(m, SHIFT, a)
                candidates[f"padded, {name}"] = lambda m=maps, a=axis: padded(m, a)
                candidates[f"rolled, {name}"] = lambda m=maps, a=axis: rolled(m, a)
            seconds = medians(candidates, REPEATS * rounds, own_memory=True)
            for name, value in seconds.items():
                total[name] = total.get(name, 0.0) + value
            yield shift_row(f"{shape[1]} x {shape[2]} x {shape[3]}", dtype, seconds)
        yield shift_row("all stages", dtype, total)


def shift_row(maps: str, dtype: torch.dtype, seconds: dict[str, float]) -> dict[str, Any]:
    """Return a row of ratios to the copy."""
    ratios = {name: round(value / seconds["copy"], 3) for name, value in seconds.items() if name != "copy"}
    return {
        "part": "axial shift",
        "maps": maps,
        "dtype": str(dtype),
        "copy_ms": round(1e3 * seconds["copy"], 4),
        **ratios,
    }


def backbone_rows() -> Iterator[dict[str, Any]]:
    """Measure detectors that differ in their backbone alone."""
    for backbone in ("resnet18", "asmlp_nano"):
        settings = {"model": "gfl", "backbone": backbone, "neck": "mlp", "channels": 64, "tower_depth": 1}
        model = seeded_model(model_config(settings), CLASSES, 0).eval()
        threads = torch.get_num_threads()
        with tempfile.TemporaryDirectory() as folder:
            onnx_file = export_onnx(model, CANVAS_WH, Path(folder) / "model.onnx")
            onnx_ms = measure_onnx(onnx_file, threads, runs=30).latency
        yield {
            "part": "backbone",
            "backbone": backbone,
            "parameters": count_parameters(model),
            "backbone_parameters": count_parameters(model.get_submodule("trunk.backbone")),
            "multiply_adds": multiply_adds(model, CANVAS_WH),
            "torch_ms": round(torch_latency(model, CANVAS_WH, threads, runs=30).p50, 1),
            "onnx_ms": round(onnx_ms.p50, 1),
        }


def step_rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Measure a step of HSD and of SDD on the student of HSD."""
    batch = scene(STEP_BATCH, STEP_SIDE, len(CLASSES))
    teacher = seeded_model(model_config({"model": "gfl", "backbone": "resnet18"}), CLASSES, 1)
    student = seeded_model(model_config({"model": "hsd_fti_fdet"}), CLASSES, 0).train()
    frozen = FrozenTeacher(teacher)

    def step(*methods: str) -> Callable[[], None]:
        return _step(student, teacher, frozen, batch, methods)

    def forward() -> None:
        with autocast("bf16", torch.device("cpu")):
            frozen(batch)

    candidates = {"student_step": step(), "teacher_forward": forward, "hsd_step": step("hsd"), "sdd_step": step("sdd")}
    seconds = medians(candidates, rounds)
    given = {name: round(value, 4) for name, value in seconds.items()}
    plain = seconds["student_step"] + seconds["teacher_forward"]
    yield {"part": "step", "method": "hsd", **given, "ratio": round(seconds["hsd_step"] / plain, 4)}
    yield {"part": "step", "method": "sdd", **given, "ratio": round(seconds["sdd_step"] / seconds["student_step"], 4)}


def _step(
    student: Model[Any, Any, Any, Any],
    teacher: Model[Any, Any, Any, Any],
    frozen: FrozenTeacher,
    batch: Any,
    names: tuple[str, ...],
) -> Callable[[], None]:
    configs = [method_config({"name": name}) for name in names]
    methods = build_methods(configs, student, teacher, [batch], (STEP_SIDE, STEP_SIDE))
    module = Distillation(student, methods, frozen, TrainConfig(), seed=0, total_steps=1000)
    optimizer = module.configure_optimizers()["optimizer"]

    def step() -> None:
        optimizer.zero_grad()
        with autocast("bf16", torch.device("cpu")):
            total = torch.stack(list(module.loss_terms(batch).losses.values())).sum()
        total.backward()
        optimizer.step()

    return step


def main() -> None:
    """Measure all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = [*shift_rows(arguments.rounds), *backbone_rows(), *step_rows(arguments.rounds)]
    save("freight", rows, "python benchmarks/freight.py")


if __name__ == "__main__":
    main()
