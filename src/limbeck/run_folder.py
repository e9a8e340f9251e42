"""The folder of a run: where everything lies, which steps are done, and what the run was made with."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml

from limbeck.config import RunConfig, dump_config
from limbeck.errors import RunFolderError
from limbeck.tasks import Detection2DTask
from limbeck.version import VERSION

VERSIONS_OF = ("torch", "torchvision", "timm", "lightning", "onnx", "onnxruntime", "numpy", "pillow")


class RunFolder:
    """The folder of one run.

    Args:
        config: The run. Its resolved form is written on first use; later use must bring the same.

    Raises:
        RunFolderError: The folder cannot be written, or it holds another run.
    """

    def __init__(self, config: RunConfig) -> None:
        self.path = config.run_dir
        self.config = config
        self._record: dict[str, Any] = {}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._claim()
        except OSError as error:
            raise RunFolderError(f"The run folder {self.path} cannot be used: {error.strerror or error}.") from error

    def _claim(self) -> None:
        where, text = self.path / "config.yaml", dump_config(self.config)
        if where.exists() and (there := where.read_text(encoding="utf-8")) != text:
            raise RunFolderError(
                f"The run folder {self.path} holds another run; {_difference(there, text)}.",
                hint="choose another name, or delete the folder to start again",
            )
        write_text(where, text)
        if self._record_path.exists():
            self._record = json.loads(self._record_path.read_text(encoding="utf-8"))

    @property
    def _record_path(self) -> Path:
        return self.path / "run.json"

    def describe(self, task: Detection2DTask) -> None:
        """Write into run.json what the run is made with; the first description stays."""
        config = self.config
        described = {
            "name": config.name,
            "task": config.task,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "limbeck": VERSION,
            "versions": {name: _version(name) for name in VERSIONS_OF},
            "git": _git_commit(),
            "seed": config.seed,
            "hardware": hardware(),
            "data": {
                "train_images": len(task.train.records),
                "val_images": len(task.val.records),
                "classes": list(task.classes),
                "size": list(config.data.size),
                "resize": config.data.resize,
                "val_annotations": str(config.data.val.annotations),
                "val_images_dir": str(config.data.val.images.resolve()),
                "sha256": {
                    str(split.annotations): file_hash(split.annotations)
                    for split in (config.data.train, config.data.val)
                },
                "skipped": list(task.skipped),
            },
            "steps": {},
        }
        self._record = described | self._record
        self._save()

    def step(self, name: str, work: Callable[[], object]) -> bool:
        """Do a step unless it was done before; returns whether it was done now."""
        if name in self._record["steps"]:
            return False
        started = datetime.now(UTC)
        work()
        seconds = (datetime.now(UTC) - started).total_seconds()
        self._record["steps"][name] = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": seconds}
        self._save()
        return True

    def _save(self) -> None:
        write_json(self._record_path, self._record)


def write_json(path: Path, content: object) -> None:
    """Write a json file, at once or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, at once or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def file_hash(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hardware() -> dict[str, Any]:
    """Describe this machine."""
    return {
        "processor": torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """Return the commit of the folder the user works in, if it is a git checkout."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _difference(there: str, here: str) -> str:
    """Name the first setting that differs between two resolved runs."""
    old, new = _flat(yaml.safe_load(there)), _flat(yaml.safe_load(here))
    for key in [*old, *new]:
        if old.get(key) != new.get(key):
            return f"there {key} is {old.get(key)!r}, now it is {new.get(key)!r}"
    return "its config.yaml reads differently"


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    items = settings.items() if isinstance(settings, Mapping) else enumerate(settings)
    flat: dict[str, Any] = {}
    for key, value in items:
        nested = isinstance(value, (Mapping, list)) and value
        flat |= _flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat
