"""``metrics.jsonl``: one line of json per logged step."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from limbeck.files import write_text


class JsonLines(Logger):
    """Appends metrics to a file; only the first process writes.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "jsonl"

    @property
    def version(self) -> str:
        """Unused; a run folder holds one training."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Nothing: the settings stand in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append one line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")


def drop_lines_from(path: Path, step: int) -> None:
    """Keep the lines of the steps below ``step``, from which a training goes on and writes the others again.

    A line cut in half, because the process was killed while it wrote, is dropped too.
    """
    lines = _whole_lines(path) if path.exists() else []
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines if line["step"] < step))


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    return lines
