"""Reads golden vectors (format 1): per set a manifest and one npz file per entry. See data/README.md."""

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_angles import angle_limits, angle_problems
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[Any]


@dataclass(frozen=True)
class Entry:
    """One entry of a manifest."""

    folder: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.content["name"])

    @property
    def id(self) -> str:
        return f"{self.folder.name}/{self.name}"

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.content["params"])

    def tolerance(self, dtype: torch.dtype) -> tuple[float, float]:
        """The relative and the absolute tolerance for results computed in ``dtype``."""
        bits = "f64" if dtype == torch.float64 else "f32"
        return self.content["tolerance"][f"{bits}_rtol"], self.content["tolerance"][f"{bits}_atol"]

    def arrays(self) -> dict[str, Array]:
        """All arrays by name; those given by a formula are built."""
        arrays = dict(np.load(self.folder / self.content["file"]))
        for array in self.content["arrays"]:
            if array["role"] == "weight_by_formula":
                arrays[array["name"]] = weight_by_formula(array["shape"], array["hash_tag"], array["bound"])
        return arrays


@dataclass(frozen=True)
class Case:
    """An entry whose inputs are to be used in one precision."""

    entry: Entry
    arrays: dict[str, Array]
    dtype: torch.dtype

    @property
    def params(self) -> dict[str, Any]:
        return self.entry.params

    def given(self, name: str) -> Tensor:
        """The input of that name, floats in this case's precision."""
        value = torch.from_numpy(self.arrays[f"in.{name}"])
        return value.to(self.dtype) if value.is_floating_point() else value

    def leaf(self, name: str) -> Tensor:
        """The input of that name, ready to get a gradient."""
        return self.given(name).requires_grad_()

    def load(self, module: nn.Module, names: Callable[[str], str] = str) -> nn.Module:
        """Put the weights of the entry into a module, in eval mode; ``names`` turns the module's names into theirs."""
        module = module.to(self.dtype).eval()
        for name, value in module.state_dict(keep_vars=True).items():
            if not name.endswith("num_batches_tracked"):
                value.data.copy_(torch.from_numpy(self.arrays[f"w.{names(name)}"]).to(self.dtype).view(value.shape))
        return module

    def gradients(self, module: nn.Module, names: Callable[[str], str] = str) -> dict[str, Any]:
        """The gradients of a module that the entry has, in the entry's shapes."""
        found = {f"grad.{names(name)}": value.grad for name, value in module.named_parameters()}
        return {name: value.view(self.arrays[name].shape) for name, value in found.items() if name in self.arrays}

    def cotangent(self, name: str) -> Tensor:
        """The fixed tensor that turns the output of that name into a scalar."""
        return torch.from_numpy(self.arrays[f"cot.{name}"]).to(self.dtype)


@dataclass(frozen=True)
class Selected:
    """A result (...,H,W) of which only some pixels (H,W) count.

    ``precision`` is that of the reference where it has less than the run.
    """

    value: Tensor
    pixels: Tensor
    precision: torch.dtype | None = None


def find_entries(folder: Path) -> Iterator[Entry]:
    """Find the entries of all sets below ``folder``, or of the one set that ``folder`` is."""
    for manifest in sorted([*folder.glob("manifest.json"), *folder.glob("*/manifest.json")]):
        for content in json.loads(manifest.read_text(encoding="utf-8"))["entries"]:
            yield Entry(manifest.parent, content)


def weight_by_formula(shape: list[int], tag: str, bound: float) -> Array:
    """Build a large weight from a hash of its indices, as the vectors' format prescribes."""
    mask = np.uint64(0xFFFFFFFF)
    h = np.arange(int(np.prod(shape)), dtype=np.uint64) * np.uint64(2654435761)
    h = (h + np.uint64(zlib.crc32(tag.encode()))) & mask
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h ^= h >> np.uint64(shift)
        h = (h * np.uint64(factor)) & mask
    h ^= h >> np.uint64(16)
    return ((h / 2**31 - 1) * bound).astype(np.float32).reshape(shape)


def close(value: Array, reference: Array, rtol: float, atol: float) -> bool:
    """The rule of the vectors: relative to the value and, by a tenth, to the largest of the array."""
    value, reference = np.asarray(value, np.float64), np.asarray(reference, np.float64)
    if value.shape != reference.shape:
        return False
    scale = np.nanmax(np.abs(reference)) if reference.size else 0.0
    limit = atol if scale == 0 else rtol * (np.abs(reference) + 0.1 * scale)
    return bool(np.all((np.abs(value - reference) <= limit) | (np.isnan(value) & np.isnan(reference))))


def differences(case: Case, results: dict[str, Any]) -> list[str]:
    """Compare results, by array name, with all outputs and gradients of the entry; return one line per problem."""
    expected = {name: value for name, value in case.arrays.items() if name.startswith(("out.", "grad."))}
    problems = [f"{name} was not computed" for name in sorted(expected.keys() - results.keys())]
    for name in sorted(expected.keys() & results.keys()):
        problems += [f"{name} differs in {case.dtype}: {what}" for what in _problems(case, name, results[name])]
    return problems


def _problems(case: Case, name: str, result: Any) -> list[str]:
    """What is wrong with the result of that name: nothing, or in which way it is wrong."""
    reference, precision = case.arrays[name], case.dtype
    if isinstance(result, Selected):
        pixels, precision = result.pixels.numpy(), result.precision or precision
        if result.value.shape != reference.shape or not pixels.any():
            return [f"{int(pixels.sum())} pixels of {tuple(result.value.shape)} instead of {reference.shape}"]
        result, reference = result.value.detach()[..., result.pixels], reference[..., pixels]
    value = result.detach().numpy() if isinstance(result, Tensor) else np.asarray(result)
    if reference.dtype == np.float32:  # the reference itself had no more
        precision = torch.float32
    limits = angle_limits(case.entry.content, precision)
    if limits and name.startswith("out.normal"):
        return angle_problems(value, reference, limits)
    return [] if _agree(value, reference, *case.entry.tolerance(precision)) else [_farthest(value, reference)]


def _agree(value: Array, reference: Array, rtol: float, atol: float) -> bool:
    if np.issubdtype(reference.dtype, np.integer):
        return np.array_equal(value, reference)
    return close(value, reference, rtol, atol)


def _farthest(value: Array, reference: Array) -> str:
    if value.shape != reference.shape:
        return f"shape {value.shape} instead of {reference.shape}"
    place = np.unravel_index(np.argmax(np.abs(value.astype(float) - reference)), value.shape)
    return f"{value[place]!r} instead of {reference[place]!r} at {tuple(map(int, place))}"
