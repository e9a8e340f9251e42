"""The peak is that of what came after the start."""

import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from limbeck import memory, resident
from limbeck.memory import peak_bytes, start_peak

CPU = torch.device("cpu")
MEGABYTE = 10**6
needs_linux = pytest.mark.skipif(peak_bytes(CPU) is None, reason="this system does not tell")


@needs_linux
def test_what_is_used_and_given_back_counts_until_the_next_start():
    if not start_peak(CPU):
        pytest.skip("this system does not let a process forget its peak")
    before = peak_bytes(CPU)
    used = np.ones(200 * MEGABYTE, dtype=np.uint8)
    del used
    with_it = peak_bytes(CPU)
    assert 180 * MEGABYTE < with_it - before < 260 * MEGABYTE
    start_peak(CPU)
    assert peak_bytes(CPU) < with_it - 150 * MEGABYTE


HELD = """
import torch
from limbeck.memory import peak_bytes, start_peak
cpu = torch.device("cpu")
pieces = [torch.ones(2_000) for _ in range(25_000)]  # 200 MB in pieces that the C library keeps when they are free
last = torch.ones(2_000)
del pieces
before = peak_bytes(cpu)
if start_peak(cpu):
    print(before - peak_bytes(cpu))
"""


@needs_linux
def test_what_an_earlier_training_left_is_given_back():
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    if not done.stdout:
        pytest.skip("this system does not let a process forget its peak")
    assert int(done.stdout) > 150 * MEGABYTE


def test_a_system_that_does_not_tell_gives_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(resident, "STATUS", tmp_path / "status")
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "none" / "clear_refs")
    assert start_peak(CPU) is False
    assert peak_bytes(CPU) is None
    (tmp_path / "status").write_text("Name:\tpython\nVmRSS:\t 12 kB\n")
    assert peak_bytes(CPU) is None
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t 12 kB\n")
    assert peak_bytes(CPU) == 12 * 1024


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card")
def test_a_graphics_card_counts_its_tensors():
    card = torch.device("cuda")
    torch.zeros(1, device=card)
    assert start_peak(card)
    before = peak_bytes(card)
    used = torch.zeros(50 * MEGABYTE, dtype=torch.uint8, device=card)
    del used
    assert peak_bytes(card) - before == pytest.approx(50 * MEGABYTE, rel=0.1)


FAULTS = """
import resource
import sys

import torch
from limbeck.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
for count in range(20):
    torch.ones(10_000_000)  # 40 MB
    if count == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_freed_memory_is_kept_for_the_next_tensor():
    faults = [
        int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("default", "keep")
    ]
    assert faults[1] < faults[0] / 10
