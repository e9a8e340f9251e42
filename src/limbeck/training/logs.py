"""``metrics.jsonl``: one line of json per logged step."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger


class JsonLines(Logger):
    """Appends metrics to a file; a resumed training first drops the lines behind the step it resumes from.

    Args:
        path: The file.
        from_step: Step that the training starts from.
    """

    def __init__(self, path: Path, from_step: int = 0) -> None:
        super().__init__()
        self._path = path
        kept = [line for line in read_lines(path) if line["step"] < from_step] if path.exists() else []
        path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "jsonl"

    @property
    def version(self) -> str:
        """Unused; a run folder holds one training."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the settings stand in config.yaml."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one line."""
        line = {"step": step, **{name: float(value) for name, value in metrics.items()}}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of json lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
