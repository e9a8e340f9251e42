"""Which class an object has: from the names in the label files to the labels that are learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from limbeck.data.cloud_config import CloudDataConfig
from limbeck.data.cloud_labels import CloudLabels
from limbeck.data.cloud_records import CloudRecord
from limbeck.errors import nearest


def with_classes(
    labels: CloudLabels,
    class_of: Mapping[str, str],
    ignored_as: Mapping[str, str],
    classes: Sequence[str],
    where: Path,
) -> tuple[list[CloudRecord], list[str]]:
    """Return the frames with the objects of the classes to learn, and a sentence for the names left out.

    Args:
        labels: What the label files say.
        class_of: The class that each name in them stands for; a name that is missing stands for none.
        ignored_as: The class as which objects of a name are ignored.
        classes: The classes to learn, in the order of their labels.
        where: The folder of the labels, for sentences.
    """
    places = {name: place for place, name in enumerate(classes)}
    learnt, near = (
        np.array([places.get(given.get(name, ""), -1) for name in labels.names], np.int64)
        for given in (class_of, ignored_as)
    )
    place_of, is_near = np.where(learnt >= 0, learnt, near), learnt < 0
    records: list[CloudRecord] = []
    others: Counter[int] = Counter()
    for record in labels.records:
        kept = place_of[record.labels] >= 0
        others.update(record.labels[~kept].tolist())
        records.append(_chosen(record, place_of, is_near, kept) if len(kept) else record)
    names = list(labels.names)
    left_out = [
        f"{where}: {count} objects of '{names[label]}' are left out, as it is not among the classes to learn"
        for label, count in sorted(others.items())
    ]
    return records, left_out


def choose_classes(
    config: CloudDataConfig, names: Collection[str], class_of: Mapping[str, str], usual: Sequence[str]
) -> tuple[str, ...]:
    """Return the classes to learn: those of the settings, else all that there are.

    Args:
        config: The settings.
        names: What objects are called in the label files.
        class_of: The class that each name stands for.
        usual: Classes that come first where there are any, in this order; the others follow by the alphabet.
    """
    if config.classes is not None:
        return config.classes
    if config.class_map is not None:
        return tuple(config.class_map)
    found = {class_of[name] for name in names if name in class_of}
    return tuple(sorted(found, key=lambda name: (usual.index(name) if name in usual else len(usual), name)))


def unknown_classes(classes: Sequence[str], names: Collection[str], where: Path) -> list[str]:
    """Return a sentence for each class that no object is called by, if there are objects of no class to learn."""
    others = [name for name in names if name not in classes]
    return [
        f"{where}: no object is called '{name}'{nearest(name, others)}"
        for name in classes
        if others and name not in names
    ]


def unmet_names(
    config: CloudDataConfig, names: Collection[str], class_of: Mapping[str, str], classes: Sequence[str], where: Path
) -> list[str]:
    """Return a sentence for each name in a map of the settings that no object has, if one that has no use is close.

    Args:
        config: The settings.
        names: What objects are called in the label files.
        class_of: The class that each name stands for.
        classes: The classes to learn.
        where: The folder of the labels, for sentences.
    """
    maps = {"class_map": config.class_map or {}, "ignore_map": config.ignore_map or {}}
    mapped = {name: f"{setting}.{key}" for setting, of in maps.items() for key, group in of.items() for name in group}
    others = [name for name in names if name not in mapped and class_of.get(name) not in classes]
    return [
        f"{where}: no object is called '{name}' of {place}{hint}"
        for name, place in mapped.items()
        if name not in names and (hint := nearest(name, others))
    ]


def _chosen(
    record: CloudRecord, place_of: NDArray[np.int64], is_near: NDArray[np.bool_], kept: NDArray[np.bool_]
) -> CloudRecord:
    return replace(
        record,
        boxes=record.boxes[kept],
        labels=place_of[record.labels[kept]],
        ignore=(record.ignore | is_near[record.labels])[kept],
        levels=record.levels[kept],
        num_points=record.num_points[kept],
        velocities=None if record.velocities is None else record.velocities[kept],
    )
