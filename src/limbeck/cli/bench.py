"""What ``limbeck bench`` prints: what models cost on this machine, by engine and by number of threads."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from limbeck.cli.terminal import out, say
from limbeck.deploy.runtime.latency import Latency, measure_onnx
from limbeck.deploy.runtime.manifest import MODEL_NAME, read_manifest, verify_files
from limbeck.errors import LimbeckError
from limbeck.files import write_json
from limbeck.predictor import is_bundle

WARMUP = 10
SMALLEST_SIDE = 32
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model costs by one engine.

    Attributes:
        model: The bundle folder or weight file.
        engine: ONNX Runtime for a bundle, PyTorch for a weight file; both on the processor, in float32.
        threads: Processor threads.
        canvas_wh: Width and height of the network's input in pixels.
        latency: Time of one image, from pixels to the answer.
        memory_bytes: Highest memory of a process that does nothing else; None where the system does not tell.
        file_bytes: Size of the model's file.
        parameters: Their number; None for a bundle.
        multiply_adds: Of one image; None for a bundle.
    """

    model: str
    engine: str
    threads: int
    canvas_wh: tuple[int, int]
    latency: Latency
    memory_bytes: int | None
    file_bytes: int
    parameters: int | None = None
    multiply_adds: int | None = None

    @property
    def images_per_second(self) -> float:
        """One image after the other: the inverse of the median."""
        return 1000 / self.latency.p50

    def to_json(self) -> dict[str, Any]:
        """Return all numbers as plain values."""
        return asdict(self) | {"images_per_second": self.images_per_second}


def bench_models(
    models: Sequence[Path], *, threads: Sequence[int], runs: int, size: tuple[int, int] | None, save: Path | None
) -> None:
    """Measure models one after the other, print what they cost and write it down.

    Args:
        models: Weight files and bundle folders.
        threads: Numbers of threads to measure with.
        runs: Images that are timed.
        size: Width and height of the input, for weight files; None for those of the training.
        save: The json file to write.

    Raises:
        LimbeckError: A model cannot be read or run, or the result cannot be written.
    """
    if size is not None and min(size) < SMALLEST_SIDE:
        raise LimbeckError(f"--size must be {SMALLEST_SIDE} pixels or more, was given {size[0]} {size[1]}.")
    if save is not None:
        with _can_write():  # better known before the work; what an earlier command wrote stays until there is more
            save.parent.mkdir(parents=True, exist_ok=True)
            save.open("a").close()
    costs: list[Cost] = []
    for path in models:
        found = list(_costs(path, threads, runs, size))
        costs += found
        say(_facts(found[0]))
        out.print(_table(found))
    machine = _machine()
    say(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")
    if save is not None:
        content = {"machine": machine, "runs": runs, "warmup": WARMUP, "rows": [cost.to_json() for cost in costs]}
        with _can_write():
            write_json(save, content)


@contextmanager
def _can_write() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LimbeckError(f"The result cannot be written: {error}.") from error


def _costs(path: Path, threads: Sequence[int], runs: int, size: tuple[int, int] | None) -> Iterator[Cost]:
    if not is_bundle(path):
        yield from _weights_costs(path, threads, runs, size)
    elif size is not None:
        raise LimbeckError(f"{path}: a bundle has one size; --size is for weight files.")
    else:
        yield from _bundle_costs(path, threads, runs)


def _bundle_costs(folder: Path, threads: Sequence[int], runs: int) -> Iterator[Cost]:
    manifest, file = read_manifest(folder), folder / MODEL_NAME
    verify_files(folder, manifest.sha256)
    for count in threads:
        measured = measure_onnx(file, count, WARMUP, runs)
        yield Cost(
            model=str(folder),
            engine="ONNX Runtime",
            threads=count,
            canvas_wh=manifest.canvas_wh,
            latency=measured.latency,
            memory_bytes=measured.memory_bytes,
            file_bytes=file.stat().st_size,
        )


def _weights_costs(file: Path, threads: Sequence[int], runs: int, size: tuple[int, int] | None) -> Iterator[Cost]:
    import torch

    from limbeck.deploy.benchmark import count_parameters, multiply_adds, torch_latency
    from limbeck.deploy.memory import answering_memory
    from limbeck.weights import load_weights

    model, info = load_weights(file)
    canvas_wh = size or info.size
    memory = answering_memory(file, canvas_wh, torch.device("cpu"))
    parameters, operations = count_parameters(model), multiply_adds(model, canvas_wh)
    for count in threads:
        times = torch_latency(model, canvas_wh, count, WARMUP, runs)
        yield Cost(
            model=str(file),
            engine="PyTorch",
            threads=count,
            canvas_wh=canvas_wh,
            latency=times,
            memory_bytes=memory,
            file_bytes=file.stat().st_size,
            parameters=parameters,
            multiply_adds=operations,
        )


def _facts(cost: Cost) -> str:
    """Say what does not depend on the number of threads."""
    (width, height), size = cost.canvas_wh, f"{cost.file_bytes / _MIB:.2f} MiB"
    facts = [cost.engine, f"{width} x {height} px", size]
    if cost.parameters is not None and cost.multiply_adds is not None:
        facts += [f"{cost.parameters / 1e6:.2f} M parameters", f"{cost.multiply_adds / 1e9:.2f} G multiply-adds"]
    return f"{cost.model}: {', '.join(facts)}"


def _table(costs: Sequence[Cost]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("threads", "p50 ms", "p95 ms", "p99 ms", "images/s", "memory MiB"):
        table.add_column(title, justify="right")
    for cost in costs:
        times = [f"{value:.2f}" for value in (cost.latency.p50, cost.latency.p95, cost.latency.p99)]
        memory = "unknown" if cost.memory_bytes is None else f"{cost.memory_bytes / _MIB:.0f}"
        table.add_row(str(cost.threads), *times, f"{cost.images_per_second:.1f}", memory)
    return table


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    """Return the name of the processor; Linux keeps it in a file."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.processor() or platform.machine()
