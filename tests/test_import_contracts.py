"""Each import contract of pyproject.toml holds, and catches a violation that is planted in a copy of the package."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

# Contract, and for each planted violation the files that make it (path in the package -> the line that is added).
VIOLATIONS = [
    ("floors", {"errors.py": "import limbeck.ops.boxes2d"}),
    ("floors", {"ops/planted.py": "import limbeck.losses.reduce"}),
    ("floors", {"losses/planted.py": "import limbeck.core.model"}),
    ("floors", {"core/planted.py": "import limbeck.nn"}),
    ("floors", {"nn/planted.py": "import limbeck.models"}),
    ("floors", {"nn/planted.py": "import limbeck.taps"}),
    ("floors", {"models/planted.py": "def late() -> None:\n    import limbeck.training"}),
    ("floors", {"data/planted.py": "import limbeck.deploy"}),
    ("floors", {"training/planted.py": "import limbeck.cli"}),
    ("floors", {"training/planted.py": "import limbeck.deploy"}),
    ("floors", {"undeclared.py": ""}),
    ("rooms", {"methods/planted.py": "import limbeck.models"}),
    ("rooms", {"models/planted.py": "import limbeck.data"}),
    ("rooms", {"data/planted.py": "import limbeck.metrics"}),
    ("rooms", {"metrics/planted.py": "import limbeck.data"}),
    ("methods", {"methods/planted.py": "import limbeck.methods.other", "methods/other.py": ""}),
    ("models", {"models/planted.py": "import limbeck.models.other", "models/other.py": ""}),
    ("runtime", {"deploy/runtime/planted.py": "import torch"}),
    ("runtime", {"deploy/runtime/planted.py": "import limbeck.core.samples"}),
    ("runtime", {"deploy/runtime/planted.py": "import limbeck.deploy.planted", "deploy/planted.py": ""}),
    ("runtime", {"imaging.py": "import torch"}),
    ("lightning", {"models/planted.py": "import lightning"}),
    ("lightning", {"cli/planted.py": "from lightning.pytorch import Trainer"}),
    ("lightning", {"cli/planted.py": "import pytorch_lightning"}),
    ("licences", {"models/planted.py": "import ultralytics"}),
]


def lint(contracts: list[str], source: Path, repo: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", code, "--no-cache", "--no-logo", "--config", str(repo / "pyproject.toml")]
    return subprocess.run(
        [*command, *(argument for contract in contracts for argument in ("--contract", contract))],
        env={**os.environ, "PYTHONPATH": str(source), "COLUMNS": "200"},
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )


def plant(files: dict[str, str], source: Path) -> None:
    for name, line in files.items():
        with (source / "limbeck" / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")


@pytest.fixture
def source(repo, tmp_path):
    shutil.copytree(repo / "src" / "limbeck", tmp_path / "limbeck", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.fixture(scope="session")
def contracts(repo):
    settings = tomllib.loads((repo / "pyproject.toml").read_text(encoding="utf-8"))
    return [contract["id"] for contract in settings["tool"]["importlinter"]["contracts"]]


def test_every_contract_has_a_planted_violation(contracts):
    assert {contract for contract, _ in VIOLATIONS} == set(contracts)


def test_the_package_keeps_all_contracts(contracts, repo, source):
    result = lint(contracts, source, repo)
    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(contracts)} kept, 0 broken." in result.stdout


@pytest.mark.parametrize(("contract", "files"), VIOLATIONS, ids=lambda value: "+".join(value))
def test_a_violation_is_caught(contract, files, source, repo):
    plant(files, source)
    result = lint([contract], source, repo)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout, result.stdout + result.stderr
    assert any(Path(name).stem in result.stdout for name in files), result.stdout
