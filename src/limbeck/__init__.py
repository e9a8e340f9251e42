"""limbeck distils heavy perception models into light ones, and proves that it worked.

The names below are loaded when they are first used, so that the runtime on a device can be imported without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.config import RunConfig as RunConfig
    from limbeck.config import load_config as load_config
    from limbeck.deploy.runtime.detector import Detector as Detector
    from limbeck.pipeline import Outcome as Outcome
    from limbeck.pipeline import distill as distill

_HOME = {
    "Detector": "limbeck.deploy.runtime.detector",
    "Outcome": "limbeck.pipeline",
    "RunConfig": "limbeck.config",
    "distill": "limbeck.pipeline",
    "load_config": "limbeck.config",
}

__all__ = ["Detector", "Outcome", "RunConfig", "distill", "load_config"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'limbeck' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOME)
