"""The folder of a run: where everything lies, which steps are done, and what the run was made with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
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
from limbeck.files import sha256_of, write_json, write_text
from limbeck.tasks import Detection2DTask
from limbeck.version import VERSION

FIRST_PROCESS = os.environ.get("RANK", "0") == "0"
"""False in all but one of the processes that torchrun starts."""
START_AGAIN = "choose another name, or delete the folder to start again"
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
            reason = f"{error.filename}: {(error.strerror or str(error)).lower()}"
            raise RunFolderError(f"The run folder {self.path} cannot be used: {reason}.") from error
        except ValueError as error:
            raise RunFolderError(f"{self._record_path} is broken: {error}.", hint=START_AGAIN) from error

    def _claim(self) -> None:
        """Read what is there. A folder in which nothing was trained yet may be claimed by another run."""
        where, text = self.path / "config.yaml", dump_config(self.config)
        there = where.read_text(encoding="utf-8") if where.exists() else text
        trained = any(part.is_dir() for part in self.path.iterdir())
        if there != text and trained:
            raise RunFolderError(
                f"The run folder {self.path} holds another run; {_difference(there, text)}.", hint=START_AGAIN
            )
        if there == text and self._record_path.exists():
            self._record = json.loads(self._record_path.read_text(encoding="utf-8"))
        if FIRST_PROCESS:
            write_text(where, text)

    @property
    def _record_path(self) -> Path:
        return self.path / "run.json"

    def describe(self, task: Detection2DTask) -> None:
        """Write into run.json what the run is made with; the first description stays.

        Raises:
            RunFolderError: The annotations are not those that the run began with.
        """
        config = self.config
        splits = (config.data.train, config.data.val)
        hashes = {str(split.annotations): sha256_of(split.annotations) for split in splits}
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
                "sha256": hashes,
                "skipped": list(task.skipped),
            },
            "steps": {},
        }
        before = self._record.get("data", {}).get("sha256", hashes)
        changed = [path for path in hashes if before.get(path) != hashes[path]]
        if changed:
            raise RunFolderError(
                f"The run in {self.path} began with other annotations; {changed[0]} has changed.", hint=START_AGAIN
            )
        self._record = described | self._record
        self._save()

    def step(self, name: str, work: Callable[[], object], *, everywhere: bool = False) -> bool:
        """Do a step unless it was done before; returns whether it was done now.

        Under torchrun the first process alone does it, and the others wait until it is done.

        Args:
            name: Name of the step.
            work: The step.
            everywhere: All processes do it together (a training).
        """
        if name in self._record["steps"]:
            return False
        started = datetime.now(UTC)
        if FIRST_PROCESS or everywhere:
            work()
        if not FIRST_PROCESS:
            self._wait_for(name)
            return True
        seconds = (datetime.now(UTC) - started).total_seconds()
        self._record["steps"][name] = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": seconds}
        self._save()
        return True

    def _wait_for(self, name: str) -> None:
        while name not in self._record["steps"]:
            time.sleep(0.2)
            if self._record_path.exists():
                self._record = json.loads(self._record_path.read_text(encoding="utf-8"))

    def _save(self) -> None:
        if FIRST_PROCESS:
            write_json(self._record_path, self._record)


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
    try:
        old, new = _flat(yaml.safe_load(there)), _flat(yaml.safe_load(here))
    except (yaml.YAMLError, TypeError):
        return "its config.yaml is broken"
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
