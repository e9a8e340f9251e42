"""limbeck distils heavy perception models into light ones, and proves that it worked.

The names below are loaded when they are first used, so that the runtime on a device can be imported without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.comparison.config import ComparisonConfig as ComparisonConfig
    from limbeck.comparison.config import load_comparison as load_comparison
    from limbeck.comparison.run import compare as compare
    from limbeck.config import RunConfig as RunConfig
    from limbeck.config import load_config as load_config
    from limbeck.deploy.runtime.class_map import Tiles as Tiles
    from limbeck.deploy.runtime.detector import Detector as Detector
    from limbeck.deploy.runtime.lidar_detector import LidarDetector as LidarDetector
    from limbeck.deploy.runtime.segmenter import Segmenter as Segmenter
    from limbeck.pipeline import Outcome as Outcome
    from limbeck.pipeline import distill as distill
    from limbeck.report.comparison import ComparisonOutcome as ComparisonOutcome

_HOME = {
    "ComparisonConfig": "limbeck.comparison.config",
    "ComparisonOutcome": "limbeck.report.comparison",
    "Detector": "limbeck.deploy.runtime.detector",
    "LidarDetector": "limbeck.deploy.runtime.lidar_detector",
    "Outcome": "limbeck.pipeline",
    "RunConfig": "limbeck.config",
    "Segmenter": "limbeck.deploy.runtime.segmenter",
    "Tiles": "limbeck.deploy.runtime.class_map",
    "compare": "limbeck.comparison.run",
    "distill": "limbeck.pipeline",
    "load_comparison": "limbeck.comparison.config",
    "load_config": "limbeck.config",
}

__all__ = [
    "ComparisonConfig",
    "ComparisonOutcome",
    "Detector",
    "LidarDetector",
    "Outcome",
    "RunConfig",
    "Segmenter",
    "Tiles",
    "compare",
    "distill",
    "load_comparison",
    "load_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'limbeck' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
