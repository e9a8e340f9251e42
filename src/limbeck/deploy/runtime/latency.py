"""How long one call takes; run as a program it times a bundle or an ONNX file in a process of its own.

Engines that share a process slow each other (their thread pools compete), so each is timed in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.deploy.runtime.lidar_detector import LidarDetector
from limbeck.deploy.runtime.manifest import MODEL_NAME, read_manifest
from limbeck.deploy.runtime.session import open_session
from limbeck.deploy.runtime.typical_cloud import typical_cloud
from limbeck.errors import ExportError
from limbeck.resident import peak_resident_bytes


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of the time of one call in milliseconds.

    Attributes:
        p50: Half of the calls are faster.
        p95: 95 % of the calls are faster.
        p99: 99 % of the calls are faster.
        runs: Calls that were timed.
    """

    p50: float
    p95: float
    p99: float
    runs: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What an engine takes to answer.

    Attributes:
        latency: Time per image or point cloud.
        memory_bytes: Highest memory of a process that does nothing else; None where the system does not tell.
    """

    latency: Latency
    memory_bytes: int | None


def latency(run: Callable[[], object], warmup: int, runs: int) -> Latency:
    """Time a call.

    Args:
        run: The call.
        warmup: Calls before the first one that counts.
        runs: Calls that count, at least 1.
    """
    for _ in range(warmup):
        run()
    times_ms = np.empty(runs)
    for index in range(runs):
        start = time.perf_counter()
        run()
        times_ms[index] = (time.perf_counter() - start) * 1000
    p50, p95, p99 = np.percentile(times_ms, [50, 95, 99]).tolist()
    return Latency(p50, p95, p99, runs)


def session_latency(path: Path, threads: int, warmup: int, runs: int) -> Latency:
    """Time ONNX Runtime at batch 1 on random pixels, in this process.

    Args:
        path: An ONNX file whose inputs are uint8 or float32 with fixed sizes but for the batch.
        threads: Processor threads.
        warmup: See `latency`.
        runs: See `latency`.

    Raises:
        BundleError: ONNX Runtime cannot load it.
    """
    session = open_session(path, threads)
    random = np.random.default_rng(0)
    feed: dict[str, NDArray[Any]] = {}
    for entry in session.get_inputs():
        shape = (1, *entry.shape[1:])
        bytes_in = entry.type == "tensor(uint8)"
        feed[entry.name] = random.integers(0, 256, shape, np.uint8) if bytes_in else random.random(shape, np.float32)
    return latency(lambda: session.run(None, feed), warmup, runs)


def cloud_latency(folder: Path, threads: int, warmup: int, runs: int) -> Latency:
    """Time `LidarDetector.detect` in this process: sorting, the network, and the choice among its boxes.

    Args:
        folder: The bundle; it is given a `typical_cloud` of as many points as the clouds it was trained on have.
        threads: Processor threads.
        warmup: See `latency`.
        runs: See `latency`.

    Raises:
        BundleError: The bundle may not be run.
    """
    detector = LidarDetector(folder, threads)
    manifest = detector.manifest
    points = typical_cloud(manifest.size[0], len(manifest.points.features), detector.grid.range_xyz)
    return latency(lambda: detector.detect(points), warmup, runs)


def bundle_latency(folder: Path, threads: int, warmup: int, runs: int) -> Latency:
    """Time a bundle in this process; see `cloud_latency` and, for images, `session_latency`.

    Raises:
        BundleError: There is none, or it cannot be run.
    """
    if read_manifest(folder).task == LidarDetector.task:
        return cloud_latency(folder, threads, warmup, runs)
    return session_latency(folder / MODEL_NAME, threads, warmup, runs)


def measure_onnx(path: Path, threads: int, warmup: int = 10, runs: int = 100) -> Measured:
    """Measure ONNX Runtime on the CPU in a process of its own, on one image or point cloud at a time.

    Args:
        path: A bundle, or the ONNX file of a network that reads images.
        threads: Processor threads.
        warmup: Calls before the first one that counts.
        runs: Calls that count.

    Raises:
        ExportError: It cannot be run.
    """
    options = ["--threads", str(threads), "--warmup", str(warmup), "--runs", str(runs)]
    command = [sys.executable, "-m", "limbeck.deploy.runtime.latency", str(path), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines() or ["no reason given"]
        raise ExportError(f"{path}: ONNX Runtime cannot be timed on it ({reason[-1]}).")
    content = json.loads(done.stdout)
    return Measured(Latency(**content["latency"]), content["memory_bytes"])


def main() -> None:
    """Time the bundle or the file named on the command line and print the result as json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--warmup", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    given = parser.parse_args()
    timed = bundle_latency if given.model.is_dir() else session_latency
    times = timed(given.model, given.threads, given.warmup, given.runs)
    print(json.dumps(asdict(Measured(times, peak_resident_bytes()))))


if __name__ == "__main__":
    main()
