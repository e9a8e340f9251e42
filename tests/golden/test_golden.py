"""Every golden entry, in float64 and in float32; see conftest.py for where they are read from."""

import pytest
import torch
from golden_checks import CHECKS, LATER, kind_of
from golden_vectors import Case, Entry, differences

LATER_KINDS = {kind: reason for reason, kinds in LATER.items() for kind in kinds}


def test_entry(entry: Entry) -> None:
    kind = kind_of(entry.name, [*CHECKS, *LATER_KINDS])
    if kind in LATER_KINDS:
        pytest.skip(f"{entry.id}: {LATER_KINDS[kind]}")
    assert kind is not None, f"nothing here knows how to check the golden entry {entry.id}"
    problems = []
    for dtype in (torch.float64, torch.float32):
        case = Case(entry, entry.arrays(), dtype)
        problems += differences(case, CHECKS[kind](case))
    assert not problems, "\n".join([entry.id, *problems])
