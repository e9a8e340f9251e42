"""What ``limbeck predict`` writes: json, and images with their boxes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import ImageDraw

from limbeck.deploy.runtime.detector import Detections
from limbeck.errors import DataError, LimbeckError
from limbeck.imaging import read_image
from limbeck.predictor import images_in, open_predictor

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart by colour-blind eyes."""


def predict_images(
    model: Path,
    images: list[Path],
    *,
    save: Path | None,
    draw: Path | None,
    min_score: float,
    say: Callable[[str], None],
) -> None:
    """Run a model on images, say what was found and write what was asked for.

    Raises:
        DataError: Images cannot be read; the others were looked at nevertheless.
        LimbeckError: The model cannot be read, or a result cannot be written.
    """
    files = images_in(images)
    predictor = open_predictor(model)
    rows: list[dict[str, Any]] = []
    problems: list[str] = []
    try:
        for folder in filter(None, (draw, save and save.parent)):
            folder.mkdir(parents=True, exist_ok=True)
        for file, name in zip(files, _drawing_names(files), strict=True):
            try:
                detections = _as_json(predictor.detect(file), min_score)
            except DataError as error:
                problems += error.problems
                continue
            rows.append({"file": str(file), "detections": detections})
            say(f"{file}: {_summary(detections)}")
            if draw is not None:
                _draw(file, detections, draw / name)
        if save is not None:
            save.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise LimbeckError(f"A result cannot be written: {error}.") from error
    if problems:
        raise DataError("These images cannot be read; all others were looked at:", problems)


def _drawing_names(files: list[Path]) -> list[str]:
    """Name the drawings after their images; those of the same name in several folders are numbered."""
    seen: Counter[str] = Counter()
    drawings = []
    for file in files:
        seen[file.stem] += 1
        drawings.append(f"{file.stem}.png" if seen[file.stem] == 1 else f"{file.stem}-{seen[file.stem]}.png")
    return drawings


def _as_json(found: Detections, min_score: float) -> list[dict[str, Any]]:
    rows = zip(found.boxes_xyxy.tolist(), found.scores.tolist(), found.labels.tolist(), found.names, strict=True)
    return [
        {"box_xyxy": [round(side, 2) for side in box], "score": round(score, 5), "label": label, "name": name}
        for box, score, label, name in rows
        if score >= min_score
    ]


def _summary(detections: list[dict[str, Any]]) -> str:
    return ", ".join(f"{found['name']} {found['score']:.2f}" for found in detections) or "nothing"


def _draw(file: Path, detections: list[dict[str, Any]], to: Path) -> None:
    image = read_image(file)
    canvas = ImageDraw.Draw(image)
    width = max(2, round(max(image.size) / 300))
    for found in detections:
        colour = COLOURS[found["label"] % len(COLOURS)]
        canvas.rectangle(found["box_xyxy"], outline=colour, width=width)
        text, corner = f"{found['name']} {found['score']:.2f}", (found["box_xyxy"][0], found["box_xyxy"][1])
        canvas.rectangle(canvas.textbbox(corner, text, font_size=6 * width), fill=colour)
        canvas.text(corner, text, fill="white", font_size=6 * width)
    image.save(to)
