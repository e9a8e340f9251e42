"""The demo as a user starts it."""

import subprocess
import sys

import pytest

PATIENCE_S = 600


@pytest.fixture(scope="module")
def quick_demo(tmp_path_factory):
    """Return a function that runs ``limbeck demo --quick`` with further arguments: gives output and folder of runs."""

    def run(*arguments):
        runs_dir = tmp_path_factory.mktemp("demo")
        done = subprocess.run(
            [sys.executable, "-m", "limbeck.cli.main", "demo", *arguments, "--quick", "--runs-dir", str(runs_dir)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, runs_dir

    return run
