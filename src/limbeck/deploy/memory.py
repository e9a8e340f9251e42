"""The memory that a trained model needs to answer, measured in a process that does nothing else.

``python -m limbeck.deploy.memory best.safetensors SIZE... DEVICE`` prints the peak in bytes. A process that has
trained a model cannot measure this: it does not give its memory back.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from limbeck.core.model import InputSize
from limbeck.deploy.graphs import export_graph
from limbeck.memory import peak_bytes, start_peak
from limbeck.weights import load_weights

IMAGES = 3
"""So many images are answered, one after the other."""


def answering_memory(weights: Path, size: InputSize, device: torch.device) -> int | None:
    """Return the peak memory in bytes of a process that has loaded a weight file and answers images one at a time.

    None where the system does not tell, or where the model cannot be loaded in a process of its own.

    Args:
        weights: The weight file.
        size: Size of its input, see `limbeck.core.model.InputSize`.
        device: Where it answers; see `limbeck.memory.peak_bytes` for what is counted there.
    """
    paths = [os.environ.get("PYTHONPATH", ""), *sys.path]  # a model of the user's own may lie beside his script
    command = [sys.executable, "-m", "limbeck.deploy.memory", str(weights), *map(str, size), device.type]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    answer = done.stdout.strip()
    return int(answer) if done.returncode == 0 and answer.isdecimal() else None


def main(arguments: list[str]) -> None:
    """Answer images of noise and print the peak."""
    weights, *size, kind = arguments
    device = torch.device(kind)
    graph = export_graph(load_weights(Path(weights))[0]).to(device)
    start_peak(device)  # reading and building the model took more than having it
    with torch.inference_mode():
        for _ in range(IMAGES):
            graph(*(value.to(device) for value in graph.example(tuple(map(int, size)))))
    peak = peak_bytes(device)
    print("" if peak is None else peak)


if __name__ == "__main__":
    main(sys.argv[1:])
