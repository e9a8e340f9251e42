"""The verdict says in one sentence what the findings mean, and each problem is a finding."""

import pytest

from limbeck.errors import CheckpointError, ConfigError
from limbeck.training.doctor.findings import Finding, failures, verdict


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        ("ok ok", "Nothing stands against this run."),
        ("ok warn", "1 warning: check 1. You can go on."),
        ("warn ok warn", "2 warnings: check 0, check 2. You can go on."),
        ("warn fail", "1 thing must be mended first: check 1."),
        ("fail ok fail", "2 things must be mended first: check 0, check 2."),
    ],
)
def test_the_verdict(statuses, words):
    findings = [Finding(status, f"check {number}", "text") for number, status in enumerate(statuses.split())]
    assert verdict(findings) == words


def test_a_check_with_two_failures_is_named_once():
    assert verdict([Finding("fail", "taps", "one"), Finding("fail", "taps", "two")]) == (
        "2 things must be mended first: taps."
    )


def test_each_problem_is_a_finding():
    error = ConfigError("There are two:", ["one", "two"])
    assert list(failures("taps", error)) == [Finding("fail", "taps", "one"), Finding("fail", "taps", "two")]


def test_a_hint_is_kept():
    (finding,) = failures("teacher", CheckpointError("There is none.", hint="train one"))
    assert finding == Finding("fail", "teacher", "There is none. (train one)")
