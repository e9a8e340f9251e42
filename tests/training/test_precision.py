import pytest
import torch

from limbeck.training.precision import autocast, resolve_precision


@pytest.fixture
def machine(monkeypatch):
    """Return a function that pretends to another machine."""

    def pretend(gpu: tuple[int, int] | None = None, cpu: dict[str, bool] | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu is not None)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: gpu)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: cpu or {}, raising=False)

    return pretend


@pytest.mark.parametrize(
    ("gpu", "cpu", "expected"),
    [
        (None, {}, "fp32"),
        (None, {"avx512_bf16": False, "amx_bf16": False}, "fp32"),
        (None, {"avx512_bf16": True}, "bf16"),
        (None, {"avx512_bf16": False, "amx_bf16": True}, "bf16"),
        ((7, 5), {"avx512_bf16": True}, "fp32"),
        ((8, 0), {}, "bf16"),
        ((9, 0), {}, "bf16"),
    ],
)
def test_auto_looks_at_the_hardware(gpu, cpu, expected, machine):
    machine(gpu, cpu)
    assert resolve_precision("auto") == expected


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_what_is_asked_for_is_taken(asked, machine):
    machine(None, {} if asked == "bf16" else {"amx_bf16": True})
    assert resolve_precision(asked) == asked


def test_an_old_torch_that_cannot_tell_means_float32(machine, monkeypatch):
    machine()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolve_precision("auto") == "fp32"


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_models_compute_in_it(precision, dtype):
    with autocast(precision, torch.device("cpu")):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype
