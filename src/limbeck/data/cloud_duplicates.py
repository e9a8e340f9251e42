"""Clouds that a data set holds twice: files with the same bytes."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from limbeck.data.cloud_records import CloudData
from limbeck.data.config import PAIRS, PARTS, PartName
from limbeck.files import sha256_of

HEAD_BYTES = 1 << 16
"""Files of the same size are told apart by so many bytes at first; few of them have to be read as a whole."""
Group = Sequence[Path]


def identical_files(paths: Iterable[Path]) -> list[Group]:
    """Return groups of files with the same bytes, in the order of the files."""
    groups: list[Group] = [list(dict.fromkeys(paths))]
    for look in (lambda path: path.stat().st_size, _head, sha256_of):
        groups = [group for found in groups for group in _split(found, look)]
    return groups


def twin_sentences(parts: Mapping[PartName, CloudData]) -> tuple[list[str], list[str]]:
    """Return a sentence for each cloud that is in two parts, and one for each part that holds clouds twice."""
    of_part = {part: {record.path: None for record in data.records} for part, data in parts.items()}
    twins = identical_files(path for paths in of_part.values() for path in paths)
    group_of = {path: group for group in twins for path in group}
    leaks = []
    for earlier, later in PAIRS:
        if earlier in of_part and later in of_part:
            leaks += list(_leaks(group_of, of_part[earlier], of_part[later], PARTS[earlier]))
    return leaks, list(_copies(twins, of_part))


def _leaks(
    group_of: Mapping[Path, Group], earlier: Mapping[Path, None], later: Mapping[Path, None], what: str
) -> Iterator[str]:
    for path in later:
        twin = next((other for other in group_of.get(path, [path]) if other in earlier), None)
        if twin == path:
            yield f"{path}: is a {what} cloud too"
        elif twin is not None:
            yield f"{path}: the same bytes as the {what} cloud {twin}"


def _copies(twins: Sequence[Group], of_part: Mapping[PartName, Mapping[Path, None]]) -> Iterator[str]:
    for part, paths in of_part.items():
        groups = [found for group in twins if len(found := [path for path in group if path in paths]) > 1]
        if groups:
            count = sum(len(group) - 1 for group in groups)
            first = f"the first are {groups[0][0]} and {groups[0][1]}"
            yield f"{count} {PARTS[part]} clouds have the same bytes as another one; {first}"


def _split(group: Group, look: Callable[[Path], Hashable]) -> Iterator[Group]:
    """Yield the files that look the same, where there are several."""
    found: defaultdict[Hashable, list[Path]] = defaultdict(list)
    for path in group:
        found[look(path)].append(path)
    yield from (same for same in found.values() if len(same) > 1)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(HEAD_BYTES)).digest()
