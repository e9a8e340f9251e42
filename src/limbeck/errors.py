"""Every error limbeck raises on purpose: one plain sentence, and a hint where one helps.

The command line prints ``str(error)`` and ends with the error's ``exit_code``: 2 for what a user can mend (a typo, a
broken file), 1 for a failure of the run itself (a diverged loss, an export that answers differently).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any


class LimbeckError(Exception):
    """Base of all deliberate errors.

    Args:
        message: One plain sentence: what is wrong, where, and what was given.
        hint: What the user may do about it.
    """

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  hint: {self.hint}"


class ProblemsError(LimbeckError):
    """Several problems at once, one line each, so that a user mends them in one go.

    Args:
        title: What they are problems of.
        problems: One sentence each; `problems` keeps all of them.
        hint: What the user may do about them.
        shown: How many of them the text shows; it counts the rest. None for all.
    """

    def __init__(self, title: str, problems: Sequence[str], hint: str | None = None, shown: int | None = None) -> None:
        lines = [f"  - {problem}" for problem in problems[:shown]]
        if len(lines) < len(problems):
            lines.append(f"  - and {len(problems) - len(lines)} more")
        super().__init__("\n".join([title, *lines]), hint)
        self.problems = tuple(problems)


class ConfigError(ProblemsError):
    """The run file or an override is wrong."""


class DataError(ProblemsError):
    """Images or annotations are missing, broken or do not fit together."""


class CheckpointError(LimbeckError):
    """A weight file is missing, broken or belongs to another model."""


class IncompatibleError(LimbeckError):
    """Teacher, student and method do not fit together (classes, priors, shapes)."""


class RunFolderError(LimbeckError):
    """The run folder cannot be used: not writable, or it holds another run."""


class DoctorError(ProblemsError):
    """The doctor found something that must not go into a long training."""


class Interrupted(LimbeckError):
    """The user stopped the run; a checkpoint was written and the same command goes on."""

    exit_code = 130


class TrainingError(LimbeckError):
    """The training cannot go on, for example because a loss is not finite."""

    exit_code = 1


class ExportError(LimbeckError):
    """The model could not be exported."""

    exit_code = 1


class ParityError(ExportError):
    """The exported model answers differently from the model that was trained."""


class BundleError(LimbeckError):
    """A bundle is missing, incomplete, altered or failed its parity check."""


class BrokenEntryError(Exception):
    """What is wrong with an entry of a file, or with all of it, as the predicate of a sentence: "has no 'bbox'"."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known name closest to ``name``, or an empty string.

    >>> nearest("tacher", ["teacher", "student"])
    " (did you mean 'teacher'?)"
    """
    match = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{match[0]}'?)" if match else ""


def first_detail(details: Sequence[Mapping[str, Any]]) -> str:
    """Return the first of the details of pydantic's ``ValidationError`` in one line, with the place if it has one.

    >>> first_detail([{"loc": ("sizes", 0), "msg": "Input should be a valid integer"}])
    'sizes.0: Input should be a valid integer'
    """
    where = ".".join(str(part) for part in details[0]["loc"])
    return f"{where}: {details[0]['msg']}" if where else str(details[0]["msg"])
