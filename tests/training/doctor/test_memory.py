"""A batch that is too large for the memory is found before it is tried."""

from dataclasses import replace

import pytest
import torch

from limbeck.training.doctor import memory
from limbeck.training.doctor.examination import examine
from limbeck.training.doctor.memory import saved_bytes


def test_a_batch_too_large_for_the_memory(run_config, task, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 30 * 2**20)
    found = list(examine(run_config("plain", batch_size=4), task))
    assert ("ok", "memory") in {(finding.status, finding.check) for finding in found}
    found = list(examine(run_config("plain", batch_size=4096), task))
    assert (found[-1].status, found[-1].check) == ("fail", "memory")  # the batch itself is not tried any more
    assert "lower train.batch_size" in found[-1].text


def test_the_memory_grows_with_the_batch_and_the_canvas_and_shrinks_in_bfloat16(
    run_config, task, monkeypatch, findings
):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 0)

    def needed(of=task, **train):
        return float(findings(run_config("plain", **train), "fail", of)["memory"].split()[1])

    once = needed(batch_size=4000)
    assert needed(batch_size=8000) == pytest.approx(2 * once, rel=0.01)
    assert needed(batch_size=4000, precision="bf16") < once
    larger = replace(task, config=task.config.model_copy(update={"scales": (1.0, 2.0)}))
    assert needed(larger, batch_size=4000) == pytest.approx(4 * once, rel=0.1)


def test_a_device_that_runs_out_of_memory(run_config, findings):
    failed = findings(run_config("faulty_methods:OutOfMemory"), "fail")
    assert failed.keys() == {"memory"}
    assert failed["memory"].startswith("it ran out with batches of 4: lower train.batch_size")


def test_saved_bytes_are_what_autograd_keeps():
    layer, images = torch.nn.Linear(10, 10), torch.ones(7, 10)
    with saved_bytes(layer) as saved:
        layer(images).exp().sum()
    assert saved[0] == 4 * (7 * 10 + 7 * 10)  # the input of the layer and the output of exp, not the weights
