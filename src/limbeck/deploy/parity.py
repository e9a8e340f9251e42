"""The gate that an exported model must pass: it answers as the trained model does, on the user's own data."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from limbeck.deploy.bundle import amend_bundle
from limbeck.errors import ParityError


@dataclass(frozen=True, slots=True)
class ParityVerdict(ABC):
    """How an exported model compares with PyTorch. Abstract; one class per task.

    Attributes:
        images: Images or point clouds compared.
        problems: What is over its limit, one phrase each.
    """

    images: int
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every number is within its limit."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as it stands in the bundle."""
        return {"passed": self.passed, **asdict(self)}

    @abstractmethod
    def summary(self) -> str:
        """Say in a phrase what both engines reached."""


def larger(a: float, b: float) -> float:
    """Return the larger of two differences; nan if one is, which Python's ``max`` may drop."""
    return math.nan if math.isnan(a) or math.isnan(b) else max(a, b)


VerdictT = TypeVar("VerdictT", bound=ParityVerdict)


def pass_parity_gate(folder: Path, check: Callable[[], VerdictT]) -> VerdictT:
    """Check a bundle, write the verdict into it and refuse it if it failed.

    Args:
        folder: The bundle.
        check: Compares it with the trained model.

    Raises:
        ParityError: A difference is over its limit; the message names each.
        BundleError: The bundle cannot be loaded.
    """
    amend_bundle(folder, parity=None)  # an earlier verdict does not count any more
    verdict = check()
    amend_bundle(folder, parity=verdict.to_json())
    if not verdict.passed:
        raise ParityError(f"The exported model answers differently: {'; '.join(verdict.problems)}.")
    return verdict
