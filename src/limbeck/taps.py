"""Taps: what a submodule of any model gives, captured by its path while the model runs.

A path is the module's name as PyTorch knows it, such as ``trunk.neck`` or ``net.backbone.body.layer3``. Where a module
gives a list, a tuple or a dictionary, ``#`` and an index or a key choose from it: ``trunk.neck#0``. A module that runs
several times in one pass, such as a head shared by all levels, gives the list of its outputs in that order.

The hooks are there only while the model runs, so that there is nothing to copy, to save or to synchronise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.core.model import Model
from limbeck.core.samples import Batch
from limbeck.errors import ConfigError, nearest


@contextmanager
def capture(model: nn.Module, paths: Collection[str], owner: str) -> Iterator[dict[str, Tensor]]:
    """Give a dictionary that holds the output of every tap, as it is, once the block is left.

    Args:
        model: What runs in the block, once.
        paths: The taps; their modules exist, see `unknown_taps`.
        owner: What the model is called in an error, ``student`` or ``teacher``.

    Raises:
        ConfigError: A module did not run, gave no tensor, or gave one that was changed in place afterwards.
    """
    taps: dict[str, Tensor] = {}
    outputs: dict[str, list[Any]] = {_module_name(path): [] for path in paths}
    versions: dict[int, int] = {}

    def remember(calls: list[Any], output: Any) -> None:
        calls.append(output)
        versions.update((id(tensor), tensor._version) for tensor in _tensors(output))

    handles = [
        model.get_submodule(name).register_forward_hook(lambda _module, _inputs, output, to=calls: remember(to, output))
        for name, calls in outputs.items()
    ]
    try:
        yield taps
    finally:
        for handle in handles:
            handle.remove()
    problems = []
    for path in paths:
        found = _choose(path, outputs[_module_name(path)])
        if isinstance(found, str):
            problems.append(found)
        elif found._version != versions[id(found)]:
            problems.append(f"'{path}' is changed in place by what follows it; tap the module that does so")
        else:
            taps[path] = found
    if problems:
        raise ConfigError(f"There are taps of the {owner} that cannot be used:", problems)


def tap_shapes(
    model: Model[Any, Any, Any, Any], paths: Collection[str], batch: Batch[Any], owner: str
) -> dict[str, tuple[int, ...]]:
    """Run a batch through a model in eval mode and return the shape per image of every tap.

    Args:
        model: The model; its parts are left in the modes in which they were.
        paths: The taps; their modules exist, see `unknown_taps`.
        batch: Samples of the size of the run.
        owner: What the model is called in an error, ``student`` or ``teacher``.

    Raises:
        ConfigError: See `capture`.
    """
    modes = [(module, module.training) for module in model.modules()]
    device = next((parameter.device for parameter in model.parameters()), "cpu")
    model.eval()
    try:
        with torch.no_grad(), capture(model, paths, owner) as taps:
            model(batch.to(device))
    finally:
        for module, training in modes:
            module.training = training
    return {path: tuple(tap.shape[1:]) for path, tap in taps.items()}


def unknown_taps(model: nn.Module, paths: Collection[str], owner: str) -> list[str]:
    """Return a sentence for every path whose module does not exist: the nearest name, and what there is instead."""
    names = {name for name, _ in model.named_modules(remove_duplicate=False) if name}
    return [_unknown(model, name, names, owner) for path in paths if (name := _module_name(path)) not in names]


def _unknown(model: nn.Module, name: str, names: Collection[str], owner: str) -> str:
    holder = name
    while holder and holder not in names:
        holder = holder.rpartition(".")[0]
    children = ", ".join(child for child, _ in model.get_submodule(holder).named_children()) or "nothing"
    where = f"'{holder}'" if holder else "it"
    return f"the {owner} has no module '{name}'{nearest(name, names)}; {where} holds: {children}"


def _module_name(path: str) -> str:
    return path.partition("#")[0]


def _choose(path: str, calls: list[Any]) -> Tensor | str:
    """Return the tensor that a path leads to, or a sentence about what it leads to instead."""
    if not calls:
        return f"'{path}' did not run; of a list of modules, tap an entry"
    value = calls[0] if len(calls) == 1 else calls
    for key in path.split("#")[1:]:
        entries = _entries(value)
        if key not in entries:
            return f"'{path}' leads nowhere: there is no '{key}' in {_kind(value)}"
        value = entries[key]
    if isinstance(value, Tensor):
        return value
    choice = [f"; choose one, such as '{path}#{key}'" for key in list(_entries(value))[:1]]
    return f"'{path}' gives {_kind(value)}{''.join(choice)}"


def _entries(value: Any) -> dict[str, Any]:
    """Return what is in a list, a tuple or a dictionary, by the text that chooses it."""
    if isinstance(value, Mapping):
        return {str(key): entry for key, entry in value.items()}
    return {str(index): entry for index, entry in enumerate(value)} if isinstance(value, list | tuple) else {}


def _kind(value: Any) -> str:
    entries = _entries(value)
    return f"a {type(value).__name__}" + (f" of {', '.join(entries)}" if entries else "")


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    for entry in _entries(value).values():
        yield from _tensors(entry)
