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


PIXELS, CLOUD = "from the pixels to the answer", "from the cloud to the final boxes"
NETWORK = "the network alone, without sorting and choice"
"""What is timed."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model costs by one engine.

    Attributes:
        model: The bundle folder or weight file.
        engine: ONNX Runtime for a bundle, PyTorch for a weight file; both on the processor, in float32.
        threads: Processor threads.
        size: Width and height of the network's input in pixels, or the number of points of the cloud.
        timed: What of the work is timed.
        latency: Time of one image or cloud.
        memory_bytes: Highest memory of a process that does nothing else; None where the system does not tell.
        file_bytes: Size of the model's file.
        parameters: Their number; None for a bundle.
        multiply_adds: Of one image or cloud; None for a bundle.
    """

    model: str
    engine: str
    threads: int
    size: tuple[int, ...]
    timed: str
    latency: Latency
    memory_bytes: int | None
    file_bytes: int
    parameters: int | None = None
    multiply_adds: int | None = None

    @property
    def of_clouds(self) -> bool:
        """Whether the model reads point clouds."""
        return len(self.size) == 1

    @property
    def per_second(self) -> float:
        """Images or clouds, one after the other: the inverse of the median."""
        return 1000 / self.latency.p50

    def to_json(self) -> dict[str, Any]:
        """Return all numbers as plain values."""
        content = asdict(self)
        size = content.pop("size")
        if self.of_clouds:
            return content | {"points": size[0], "clouds_per_second": self.per_second}
        return content | {"canvas_wh": size, "images_per_second": self.per_second}


def bench_models(
    models: Sequence[Path], *, threads: Sequence[int], runs: int, size: tuple[int, int] | None, save: Path | None
) -> None:
    """Measure models one after the other, print what they cost and write it down.

    Args:
        models: Weight files and bundle folders.
        threads: Numbers of threads to measure with.
        runs: Images or clouds that are timed.
        size: Width and height of the input, for weight files of models that read images; None for those of the
            training.
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
    manifest = read_manifest(folder)
    verify_files(folder, manifest.sha256)
    for count in threads:
        measured = measure_onnx(folder, count, WARMUP, runs)
        yield Cost(
            model=str(folder),
            engine="ONNX Runtime",
            threads=count,
            size=manifest.size,
            timed=PIXELS if manifest.form is None else CLOUD,
            latency=measured.latency,
            memory_bytes=measured.memory_bytes,
            file_bytes=(folder / MODEL_NAME).stat().st_size,
        )


def _weights_costs(file: Path, threads: Sequence[int], runs: int, size: tuple[int, int] | None) -> Iterator[Cost]:
    import torch

    from limbeck.deploy.benchmark import count_parameters, multiply_adds, torch_latency
    from limbeck.deploy.memory import answering_memory
    from limbeck.weights import load_weights

    model, info = load_weights(file)
    if size is not None and info.resize is None:
        raise LimbeckError(f"{file}: the model reads point clouds; --size is for those that read images.")
    wanted = size or info.size
    memory = answering_memory(file, wanted, torch.device("cpu"))
    parameters, operations = count_parameters(model), multiply_adds(model, wanted)
    for count in threads:
        times = torch_latency(model, wanted, count, WARMUP, runs)
        yield Cost(
            model=str(file),
            engine="PyTorch",
            threads=count,
            size=wanted,
            timed=PIXELS if info.resize is not None else NETWORK,
            latency=times,
            memory_bytes=memory,
            file_bytes=file.stat().st_size,
            parameters=parameters,
            multiply_adds=operations,
        )


def _facts(cost: Cost) -> str:
    """Say what does not depend on the number of threads."""
    size = f"{cost.size[0]:,} points" if cost.of_clouds else f"{cost.size[0]} x {cost.size[1]} px"
    facts = [cost.engine, size, f"{cost.file_bytes / _MIB:.2f} MiB"]
    if cost.parameters is not None and cost.multiply_adds is not None:
        facts += [f"{cost.parameters / 1e6:.2f} M parameters", f"{cost.multiply_adds / 1e9:.2f} G multiply-adds"]
    return f"{cost.model}: {', '.join(facts)}; {cost.timed}"


def _table(costs: Sequence[Cost]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    speed = "clouds/s" if costs[0].of_clouds else "images/s"
    for title in ("threads", "p50 ms", "p95 ms", "p99 ms", speed, "memory MiB"):
        table.add_column(title, justify="right")
    for cost in costs:
        times = [f"{value:.2f}" for value in (cost.latency.p50, cost.latency.p95, cost.latency.p99)]
        memory = "unknown" if cost.memory_bytes is None else f"{cost.memory_bytes / _MIB:.0f}"
        table.add_row(str(cost.threads), *times, f"{cost.per_second:.1f}", memory)
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
