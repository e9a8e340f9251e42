"""NYU Depth v2: what its 40 classes are called."""

from __future__ import annotations

from limbeck.data.frames import Layout

CLASSES = (
    "wall",
    "floor",
    "cabinet",
    "bed",
    "chair",
    "sofa",
    "table",
    "door",
    "window",
    "bookshelf",
    "picture",
    "counter",
    "blinds",
    "desk",
    "shelves",
    "curtain",
    "dresser",
    "pillow",
    "mirror",
    "floor mat",
    "clothes",
    "ceiling",
    "books",
    "refridgerator",
    "television",
    "paper",
    "towel",
    "shower curtain",
    "box",
    "whiteboard",
    "person",
    "night stand",
    "toilet",
    "sink",
    "lamp",
    "bathtub",
    "bag",
    "otherstructure",
    "otherfurniture",
    "otherprop",
)
"""The classes of Gupta et al. in the spelling of the data; levels 1 to 40."""
VOID = "unlabelled"

LAYOUT = Layout(
    example="0001.png",
    levels={name: level for level, name in enumerate(CLASSES, start=1)} | {VOID: 0},
    void=(VOID,),
)
