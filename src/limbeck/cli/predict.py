"""What ``limbeck predict`` writes: json, and pictures with what was found drawn into them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from limbeck.cli.answers import Answer, Boxes, Classes, CloudBoxes
from limbeck.deploy.runtime.class_map import Tiles
from limbeck.errors import DataError, LimbeckError
from limbeck.predictor import KINDS, Predictor, files_in, open_predictor

MIN_SCORE = 0.3
"""Detections below are left out where the user does not say otherwise."""


def predict_files(
    model: Path,
    paths: list[Path],
    *,
    save: Path | None,
    draw: Path | None,
    masks: Path | None,
    min_score: float | None,
    tiles: Tiles | None,
    say: Callable[[str], None],
) -> None:
    """Run a model on images or point clouds, say what was found and write what was asked for.

    Args:
        model: A weight file or a bundle folder.
        paths: Files and folders.
        save: The json file to write.
        draw: The folder for pictures.
        masks: The folder for class maps (segmentation).
        min_score: Detections below are left out; None for `MIN_SCORE` (detection).
        tiles: Look at large images in tiles (segmentation).
        say: Called with a line for each file.

    Raises:
        DataError: Files cannot be read; the others were looked at nevertheless.
        LimbeckError: The model cannot be read, an option is not for its task, or a result cannot be written.
    """
    predictor = open_predictor(model)
    answer = _answerer(predictor, masks=masks, min_score=min_score, tiles=tiles)
    files = files_in(paths, predictor.task)
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    try:
        for folder in filter(None, (draw, masks, save and save.parent)):
            folder.mkdir(parents=True, exist_ok=True)
        for file, name in zip(files, _drawing_names(files), strict=True):
            try:
                found = answer(file)
            except DataError as error:
                problems += error.problems
                continue
            rows.append({"file": str(file), **found.content})
            say(f"{file}: {found.summary}")
            if draw is not None:
                found.draw(file).save(draw / name)
            if masks is not None and isinstance(found, Classes):
                Image.fromarray(found.found.labels).save(masks / name)
        if save is not None:
            save.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise LimbeckError(f"A result cannot be written: {error}.") from error
    if problems:
        kind = KINDS[predictor.task].name
        raise DataError(f"These {kind}s cannot be read; all others were looked at:", problems)


def _answerer(
    predictor: Predictor, *, masks: Path | None, min_score: float | None, tiles: Tiles | None
) -> Callable[[Path], Answer]:
    """Return what answers for a file, by the model's task."""
    if predictor.task == "segmentation":
        if min_score is not None:
            raise LimbeckError("--min-score is for detectors; the model gives every pixel a class.")
        if predictor.maps:
            names = ", ".join(predictor.maps)
            raise LimbeckError(
                f"The model reads {names} beside the image, which image files do not hold.",
                hint="measure it with `limbeck eval`, or give the maps to limbeck.Segmenter in Python",
            )
        return lambda file: Classes(predictor.segment(file, tiles=tiles))
    if masks is not None or tiles is not None:
        raise LimbeckError("--masks and --tile-overlap are for segmenters; the model finds boxes.")
    least = MIN_SCORE if min_score is None else min_score
    if predictor.task == "detection3d":
        return lambda file: CloudBoxes.of(predictor.detect(file), predictor.form, least)
    return lambda file: Boxes.of(predictor.detect(file), least)


def _drawing_names(files: list[Path]) -> list[str]:
    """Name the drawings after their files; those of the same name in several folders are numbered."""
    seen: Counter[str] = Counter()
    drawings = []
    for file in files:
        seen[file.stem] += 1
        drawings.append(f"{file.stem}.png" if seen[file.stem] == 1 else f"{file.stem}-{seen[file.stem]}.png")
    return drawings
