"""The option ``--golden DIR`` and the line that says how many golden entries passed.

``pytest tests/golden --golden DIR`` reads the sets in DIR; without the option those in ``../shared/golden`` beside the
repository, and where there are none the small part of them in ``tests/golden/data``.
"""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
DATA = HERE / "data"
SHARED = HERE.parents[2] / "shared" / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", metavar="DIR", type=Path, help="folder with the sets of golden vectors")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "entry" in metafunc.fixturenames:
        from golden_vectors import find_entries

        folder = metafunc.config.getoption("golden", default=None) or (SHARED if SHARED.exists() else DATA)
        entries = list(find_entries(folder))
        if not entries:
            raise pytest.UsageError(f"there are no golden vectors (manifest.json) in {folder}")
        metafunc.parametrize("entry", entries, ids=lambda entry: entry.id)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = {
        outcome: sum("test_golden.py::test_entry" in report.nodeid for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "skipped", "failed", "error")
    }
    if any(counts.values()):
        failed = counts["failed"] + counts["error"]
        terminalreporter.write_line(
            f"golden: {counts['passed']} entries passed, {counts['skipped']} skipped (later issues), {failed} failed"
        )
