import subprocess
import sys

import pytest

import limbeck

NAMES = [
    "ComparisonConfig",
    "ComparisonOutcome",
    "Detector",
    "LidarDetector",
    "Outcome",
    "RunConfig",
    "Segmenter",
    "Tiles",
    "compare",
    "distill",
    "load_comparison",
    "load_config",
]


def test_the_public_names_are_these():
    """Taking one away breaks the programs of others; do it on purpose."""
    assert limbeck.__all__ == NAMES
    assert dir(limbeck) == NAMES
    for name in NAMES:
        assert getattr(limbeck, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'limbeck' has no attribute 'distil'"):
        limbeck.distil  # noqa: B018


def test_importing_limbeck_imports_nothing_heavy():
    code = "import limbeck, limbeck.cli.main, sys; print({'torch', 'lightning', 'pydantic'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
