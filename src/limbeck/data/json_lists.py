"""Json files that are one list and may be gigabytes: read entry by entry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from limbeck.data.checks import TITLE
from limbeck.errors import DataError

CHUNK = 1 << 22
"""Characters that are read at once; an entry must not have more."""
_BETWEEN = re.compile(r"[\s,]*")


def read_entries(path: Path) -> Iterator[Any]:
    """Yield the entries of a list, of which no more than two chunks are in memory at once.

    Raises:
        DataError: The file cannot be read, is no list, or breaks off.
    """
    try:
        yield from _entries(path)
    except UnicodeDecodeError as error:
        raise DataError(TITLE, [f"{path}: not a text file"]) from error
    except OSError as error:
        raise DataError(TITLE, [f"{path}: {(error.strerror or str(error)).lower()}"]) from error


def _entries(path: Path) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig") as file:
        text, place, number = file.read(CHUNK).lstrip(), 1, 0
        if not text.startswith("["):
            raise DataError(TITLE, [f"{path}: not valid json that is a list"])
        while True:
            between = _BETWEEN.match(text, place)
            place = between.end() if between else place
            if text.startswith("]", place):
                return
            try:
                entry, place = decoder.raw_decode(text, place)
            except json.JSONDecodeError as error:
                more = file.read(CHUNK) if len(text) - place < CHUNK else ""
                if not more:
                    what = f"not valid json; it breaks off or is wrong after entry {number}"
                    raise DataError(TITLE, [f"{path}: {what}"]) from error
                text, place = text[place:] + more, 0
            else:
                number += 1
                yield entry
