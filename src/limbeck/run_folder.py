"""The folder of a run: where everything lies, which steps are done, and what the run was made with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml
from filelock import FileLock, Timeout

from limbeck.config import RunConfig
from limbeck.errors import RunFolderError
from limbeck.files import write_json, write_text
from limbeck.run_file import write_settings
from limbeck.tasks.base import AnyTask
from limbeck.version import VERSION

LOCK = ".lock"
FIRST_PROCESS = os.environ.get("RANK", "0") == "0"
"""False in all but one of the processes that torchrun starts."""
START_AGAIN = "choose another name, or delete the folder to start again"
VERSIONS_OF = ("torch", "torchvision", "timm", "lightning", "onnx", "onnxruntime", "numpy", "pillow")


class RunFolder:
    """The folder of one run, or of one comparison.

    Args:
        path: Where it is.
        settings: The resolved settings. `describe` writes them down; later use must bring the same.
        free: The sections in which later use may bring others.

    Raises:
        RunFolderError: The folder cannot be used, or it holds another run.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], free: Collection[str] = ()) -> None:
        self.path = path
        self._settings = write_settings(settings)
        self._record: dict[str, Any] = {}
        self._lock = FileLock(self.path / LOCK, is_singleton=True)  # let go of when nobody holds the folder any more
        with self._in_use():
            self.path.mkdir(parents=True, exist_ok=True)
            self._read(free)

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Turn an error of the file system into a sentence."""
        try:
            yield
        except OSError as error:
            reason = f"{error.filename}: {(error.strerror or str(error)).lower()}"
            raise RunFolderError(f"The run folder {self.path} cannot be used: {reason}.") from error
        except ValueError as error:
            raise RunFolderError(f"{self._record_path} is broken: {error}.", hint=START_AGAIN) from error

    def _keep_others_out(self) -> None:
        """Two processes that train in one folder would overwrite each other's files."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunFolderError(
                f"The run folder {self.path} is in use by another process.",
                hint="wait until that has ended, or give this run another name",
            ) from None

    def _read(self, free: Collection[str]) -> None:
        """Read what is there. A folder in which nothing was trained yet may be taken over by another run."""
        kept = self._settings_path
        differs = difference(kept.read_text(encoding="utf-8"), self._settings, free) if kept.exists() else None
        if differs and any(part.is_dir() for part in self.path.iterdir()):
            raise RunFolderError(f"The run folder {self.path} holds another run; {differs}.", hint=START_AGAIN)
        if not differs and self._record_path.exists():
            self._record = json.loads(self._record_path.read_text(encoding="utf-8"))

    @property
    def _settings_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def _record_path(self) -> Path:
        return self.path / "run.json"

    def describe(self, config: RunConfig, task: AnyTask) -> None:
        """Write down the settings, and in run.json what the run is made with; the first description stays.

        A test part may come later, as no training depends on it.

        Raises:
            RunFolderError: The annotations are not those that the run began with, or another process uses the folder.
        """
        described = {
            "name": self.path.name,
            "task": config.task,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "limbeck": VERSION,
            "versions": {name: _version(name) for name in VERSIONS_OF},
            "git": _git_commit(),
            "seed": config.seed,
            "hardware": hardware(),
            "data": _data_facts(task),
            "steps": {},
        }
        hashes = task.hash_annotations()
        before = self._record.get("data", {}).get("sha256", hashes)
        later = {str(path) for path in task.annotation_paths("test")} - set(before)
        changed = [path for path in hashes if path not in later and before.get(path) != hashes[path]]
        if changed:
            raise RunFolderError(
                f"The run in {self.path} began with other annotations; {changed[0]} has changed.", hint=START_AGAIN
            )
        with self._in_use():
            if FIRST_PROCESS:
                self._keep_others_out()
            self._record = described | self._record
            tested = len(task.frames["test"]) if "test" in task.frames else None
            self._record["data"] |= {"test_images": tested, "sha256": hashes | before}
            self._save()
            if FIRST_PROCESS:
                write_text(self._settings_path, self._settings)

    def step(self, name: str, work: Callable[[], object], *, everywhere: bool = False, again: bool = False) -> bool:
        """Do a step unless it was done before; returns whether it was done now.

        Under torchrun the first process alone does it, and the others wait until it is done.

        Args:
            name: Name of the step.
            work: The step.
            everywhere: All processes do it together (a training).
            again: Do it even if it was done before, because its result is gone.
        """
        if name in self._record["steps"] and not again:
            return False
        if self._record["steps"].pop(name, None):
            self._save()
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


def _data_facts(task: AnyTask) -> dict[str, Any]:
    """Describe the parts that every run has."""
    data, frames = task.config, task.frames
    return {
        "train_images": len(frames["train"]),
        "val_images": len(frames["val"]),
        "classes": list(task.classes),
        "size": list(task.size),
        "resize": task.resize,
        "val_annotations": str(next(iter(task.annotation_paths("val")), data.val.folder)),
        "val_images_dir": str(data.val.folder.resolve()),
        "skipped": list(task.skipped),
    }


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


def difference(there: str, here: str, free: Collection[str] = ()) -> str | None:
    """Name the first setting that differs between two resolved files, but for the sections that are free to."""
    try:
        old, new = _flat(yaml.safe_load(there)), _flat(yaml.safe_load(here))
    except (yaml.YAMLError, TypeError):
        return "the settings there are broken"
    for key in [*old, *new]:
        if key.split(".")[0] not in free and old.get(key) != new.get(key):
            return f"there {key} is {old.get(key)!r}, now it is {new.get(key)!r}"
    return None


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    items = settings.items() if isinstance(settings, Mapping) else enumerate(settings)
    flat: dict[str, Any] = {}
    for key, value in items:
        nested = isinstance(value, (Mapping, list)) and value
        flat |= _flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat
