"""What the doctor says: findings, and the verdict over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from limbeck.errors import LimbeckError, ProblemsError

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        status: ``fail`` must not go into a training.
        check: What was looked at.
        text: The result in plain words, in one line.
    """

    status: Status
    check: str
    text: str


def failures(check: str, error: LimbeckError) -> Iterator[Finding]:
    """Yield a finding for each problem of an error."""
    problems = error.problems if isinstance(error, ProblemsError) else (error.message,)
    hint = f" ({error.hint})" if error.hint else ""
    for problem in problems:
        yield Finding("fail", check, f"{problem}{hint}")


def verdict(findings: Sequence[Finding]) -> str:
    """Return in one sentence what all findings together mean for the run."""
    if failed := [finding.check for finding in findings if finding.status == "fail"]:
        return f"{_count(failed, 'thing')} must be mended first: {_names(failed)}."
    if warned := [finding.check for finding in findings if finding.status == "warn"]:
        return f"{_count(warned, 'warning')}: {_names(warned)}. You can go on."
    return "Nothing stands against this run."


def _count(checks: Sequence[str], what: str) -> str:
    return f"{len(checks)} {what}" if len(checks) == 1 else f"{len(checks)} {what}s"


def _names(checks: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(checks))
