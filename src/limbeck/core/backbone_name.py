"""The setting ``backbone``: a name that is known before anything is built."""

from __future__ import annotations

from typing import Annotated

import timm
from pydantic import AfterValidator

from limbeck.errors import nearest

MIT_BACKBONES = ("mit_b0", "mit_b1", "mit_b2", "mit_b3", "mit_b4", "mit_b5")
OWN_BACKBONES = ("asmlp_base", "asmlp_nano", "asmlp_small", "asmlp_tiny", "lean_nano", "lean_pico", *MIT_BACKBONES)
"""Backbones that are limbeck's own; all others are timm's."""


def _known(backbone: str) -> str:
    if backbone not in OWN_BACKBONES and not timm.is_model(backbone):
        known = [*OWN_BACKBONES, *timm.list_models()]
        raise ValueError(f"timm knows no such backbone{nearest(backbone, known)}")
    return backbone


BackboneName = Annotated[str, AfterValidator(_known)]
"""The name of a backbone of our own or of timm."""
