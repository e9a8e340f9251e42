"""Writing a file or a folder at once or not at all, and hashes. The runtime on the device has a hash of its own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a text file; a stop in between leaves the old one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a binary file; a stop in between leaves the old one."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def write_json(path: Path, content: object) -> None:
    """Write a json file; a stop in between leaves the old one."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_json_list(path: Path, entries: Iterable[object]) -> None:
    """Write a json file that is a list, with a line for each entry, as `write_json` does."""
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    write_text(path, f"[\n{lines}\n]\n")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write into, which gets its name when all is written and goes when something fails.

    Args:
        folder: Where it shall be; it must not exist or be empty.

    Raises:
        OSError: Something is there already, or the folder cannot be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(errno.EEXIST, "is there already and not an empty folder", str(folder))
    work = folder.absolute().with_name(folder.absolute().name + ".part")
    work.mkdir(parents=True)
    try:
        yield work
        if folder.exists():
            folder.rmdir()
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
