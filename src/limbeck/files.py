"""Writing a file at once or not at all, and its hash. The runtime on the device has a hash of its own."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write a text file; a stop in between leaves the old one."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_json(path: Path, content: object) -> None:
    """Write a json file; a stop in between leaves the old one."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
