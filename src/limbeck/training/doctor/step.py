"""What the doctor says of a training step: memory, the terms and their proportions, gradients, optimizer."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

import torch

from limbeck.training.doctor.findings import Finding
from limbeck.training.doctor.memory import LESS_MEMORY, memory_finding
from limbeck.training.doctor.trial import Part, Trial

SMALL_SHARE, LARGE_SHARE = 1e-3, 20.0
"""A method's term outside of these, in parts of the student's own loss, is worth a look."""


def step_findings(trial: Trial, judged: Collection[str]) -> Iterator[Finding]:
    """Yield what a training step shows; stops after a failure that hides the rest.

    Args:
        trial: What does the steps.
        judged: Names of the parts whose terms say something about a training: not those that look at a stand-in for
            the teacher.

    Raises:
        LimbeckError: A part of the step failed.
    """
    size = trial.config.batch_size
    try:
        memory = memory_finding(trial.needed_bytes(), size, trial.device)
        yield memory
        if memory.status == "fail":
            return
        parts = trial.run(trial.batch(size))
        yield from _term_findings(parts, judged)
        if all(math.isfinite(loss.detach()) for part in parts for loss in part.losses.values()):
            trial.reach(parts)
            yield from _gradient_findings(trial, parts)
    except torch.OutOfMemoryError:
        yield Finding("fail", "memory", f"it ran out with batches of {size}: {LESS_MEMORY}")
    yield _optimizer_finding(trial)


def _term_findings(parts: Sequence[Part], judged: Collection[str]) -> Iterator[Finding]:
    own = sum(abs(float(loss.detach())) for loss in parts[0].losses.values())
    for part in parts:
        for name, loss in part.losses.items():
            value, check = float(loss.detach()), f"loss term {name}"
            if not math.isfinite(value):
                yield Finding("fail", check, f"is {value}; the training would stop at once")
            elif value == 0:
                yield Finding("fail", check, "is exactly zero on a batch with objects: it teaches nothing")
            elif part.name in judged and 0 < own < math.inf:
                yield _share_finding(check, value, abs(value) / own)
            else:
                yield Finding("ok", check, f"{value:.4g}")


def _share_finding(check: str, value: float, share: float) -> Finding:
    if share < SMALL_SHARE:
        return Finding("warn", check, f"is {share:.1g} of the task loss: it will teach little; raise its weight")
    if share > LARGE_SHARE:
        return Finding("warn", check, f"is {share:.0f} times the task loss: the labels hardly count; lower its weight")
    return Finding("ok", check, f"{value:.4g}, {share:.2g} of the task loss")


def _gradient_findings(trial: Trial, parts: Sequence[Part]) -> Iterator[Finding]:
    broken = [part for part in parts if part.broken]
    for part in broken:
        text = f"is not finite, first at {part.broken[0]}; the training would stop at once"
        yield Finding("fail", f"gradient of {part.name}", text)
    if broken:
        return
    silent = _silent(trial, parts)
    connected = set[str]().union(*(part.connected for part in parts))
    yield _student_finding(_own(trial, parts[0]), silent, connected)
    for part in parts[1:]:
        if own := _own(trial, part):
            yield _method_finding(part, own, silent, connected)
        if any(float(loss.detach()) for loss in part.losses.values()):
            yield from _reach_findings(part)


def _own(trial: Trial, part: Part) -> list[str]:
    return [name for name in trial.trainable if name.startswith(part.prefix)]


def _silent(trial: Trial, parts: Sequence[Part]) -> set[str]:
    """Return the names of the parameters without a gradient.

    They get a second chance on another batch and after one step of the optimizer: a level may have had no object, and
    behind a layer that starts at zero nothing arrives before that layer has moved.
    """
    silent = trial.trainable.keys() - set[str]().union(*(part.reached for part in parts))
    if silent:
        trial.step()
        again = trial.run(trial.batch(trial.config.batch_size, number=1))
        trial.reach(again)
        silent -= set[str]().union(*(part.reached for part in again))
    return silent


def _student_finding(own: Sequence[str], silent: Collection[str], connected: Collection[str]) -> Finding:
    check, dead = "gradient of the student", [name for name in own if name in silent]
    if len(dead) == len(own):
        return Finding("fail", check, "no parameter gets a gradient")
    if cut := [name for name in dead if name not in connected]:
        text = f"{len(cut)} of {len(own)} parameters are in no loss term, such as {cut[0]}"
        return Finding("warn", check, f"{text}: a part of the model that is not used or detached")
    if dead:
        text = f"reaches {len(own) - len(dead)} of {len(own)} parameters"
        return Finding("ok", check, f"{text}; the objects of two batches do not need the others, such as {dead[0]}")
    return Finding("ok", check, f"reaches all {len(own)} parameters")


def _method_finding(part: Part, own: Sequence[str], silent: Collection[str], connected: Collection[str]) -> Finding:
    check, dead = f"gradient of {part.name}", [name for name in own if name in silent]
    if dead:
        text = (
            f"{len(dead)} of {len(own)} parameters get none in two batches, such as {dead[0].removeprefix(part.prefix)}"
        )
        if len(dead) < len(own) and all(name in connected for name in dead):
            return Finding("warn", check, f"{text}: the objects of two batches do not need them")
        return Finding("fail", check, f"{text}: what they give is not used, detached or multiplied by zero")
    return Finding("ok", check, f"reaches all {len(own)} parameters of its own")


def _reach_findings(part: Part) -> Iterator[Finding]:
    check = f"reach of {part.name}"
    if not part.connected:
        yield Finding("fail", check, "its terms are detached: they train nothing")
    elif not any(name.startswith("student.") for name in part.connected):
        yield Finding("warn", check, "its terms train its own parameters only: the student learns nothing of them")


def _optimizer_finding(trial: Trial) -> Finding:
    held = {id(parameter) for group in trial.optimizer.param_groups for parameter in group["params"]}
    left = [name for name, p in trial.trainable.items() if id(p) not in held]
    if left:
        text = f"{len(left)} parameters would never be trained, such as {left[0]}; see the method's param_groups"
        return Finding("fail", "optimizer", text)
    return Finding("ok", "optimizer", f"holds all {len(held)} parameters")
