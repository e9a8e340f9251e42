"""The memory to answer is that of a process of its own, and is more for a larger input."""

import pytest
import torch

from limbeck.deploy.memory import answering_memory
from limbeck.memory import peak_bytes
from limbeck.weights import WeightsInfo, save_weights

CPU = torch.device("cpu")


@pytest.fixture
def weights(make_detector, tmp_path):
    model = make_detector()
    path = tmp_path / "best.safetensors"
    settings = model.config.model_dump(mode="json")
    save_weights(path, model.state_dict(), WeightsInfo(settings, model.spec.classes, (64, 64), "stretch"))
    return path


@pytest.mark.skipif(peak_bytes(CPU) is None, reason="this system does not tell")
def test_the_memory_grows_with_the_input_and_not_with_this_process(weights):
    small = answering_memory(weights, (64, 64), CPU)
    ballast = torch.ones(100_000_000)
    with_ballast = answering_memory(weights, (64, 64), CPU)
    assert small > 50_000_000
    assert with_ballast == pytest.approx(small, abs=ballast.numel())  # a quarter of its bytes
    assert answering_memory(weights, (1600, 1600), CPU) > small + 100_000_000


def test_what_cannot_be_loaded_has_no_memory(tmp_path):
    assert answering_memory(tmp_path / "none.safetensors", (64, 64), CPU) is None
