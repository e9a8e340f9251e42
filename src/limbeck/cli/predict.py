"""What ``limbeck predict`` writes: json, and images with their boxes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import ImageDraw

from limbeck.deploy.runtime.detector import Detections
from limbeck.errors import LimbeckError
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
        LimbeckError: The model or an image cannot be read, or a result cannot be written.
    """
    files = images_in(images)
    predictor = open_predictor(model)
    rows: list[dict[str, Any]] = []
    try:
        for folder in filter(None, (draw, save and save.parent)):
            folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            found = predictor.detect(file)
            rows.append({"file": str(file), "detections": _as_json(found, min_score)})
            say(f"{file}: {_summary(rows[-1]['detections'])}")
            if draw is not None:
                _draw(file, rows[-1]["detections"], draw / f"{file.stem}.png")
        if save is not None:
            save.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise LimbeckError(f"A result cannot be written: {error}.") from error


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
