"""What limbeck installs is free of the AGPL and of packages under the GPL alone."""

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FORBIDDEN_NAMES = {"albumentationsx", "lightly-train", "ultralytics"}
DECLARE_NOTHING = {
    "cuda-toolkit": "names NVIDIA's packages and holds no code",
    "faster-coco-eval": "Apache-2.0 by the licence file in its wheel",
}
COPYLEFT = re.compile(r"\bA?GPL|\bAffero|(?<!Lesser )General Public Licen[sc]e", re.IGNORECASE)


def installed(path: list[str] | None = None) -> dict[str, Distribution]:
    found = distributions() if path is None else distributions(path=path)
    return {canonicalize_name(distribution.metadata["Name"]): distribution for distribution in found}


def tree(root: str, extras: Iterable[str], packages: dict[str, Distribution]) -> set[str]:
    """The names of ``root`` and of all that it pulls in, as far as it is installed."""
    seen: set[tuple[str, str]] = set()
    waiting = [(root, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name not in packages:
            continue
        seen.add((name, extra))
        for text in packages[name].requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(needed.name), more) for more in ("", *needed.extras)]
    return {name for name, _ in seen}


def licence_choices(distribution: Distribution) -> list[str]:
    """The licences a user may choose from: the expression's alternatives, else the classifiers, else the free text."""
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return expression.strip("()").split(" OR ")
    classifiers = [line for line in metadata.get_all("Classifier", []) if line.startswith("License ::")]
    free_text = (metadata.get("License") or "").strip().splitlines()[:1]
    return classifiers or [part for line in free_text for part in re.split(r"\s+or\s+|/", line)]


def is_copyleft(licence: str) -> bool:
    parts = licence.split(" AND ")
    return any(COPYLEFT.search(part) and "exception" not in part.lower() for part in parts)


def problems(names: Iterable[str], packages: dict[str, Distribution]) -> list[str]:
    found = [f"{name}: never a part of limbeck" for name in sorted(FORBIDDEN_NAMES & packages.keys())]
    for name in sorted(names):
        choices = licence_choices(packages[name])
        if not choices and name not in DECLARE_NOTHING:
            found.append(f"{name}: declares no licence; read its files and add it to DECLARE_NOTHING")
        if choices and all(is_copyleft(choice) for choice in choices):
            found.append(f"{name}: {', '.join(choices)}")
    return found


def test_the_installed_tree_is_permissive():
    packages = installed()
    names = tree("limbeck", ["dev", "runtime", "train"], packages)
    assert {"torch", "lightning", "numpy", "onnxruntime", "sympy"} <= names, "the tree was not walked"
    assert problems(names, packages) == []


@pytest.fixture
def planted(tmp_path):
    """A function that installs a package which limbeck's extra ``train`` requires, and returns the problems found."""

    def plant(name: str, *lines: str) -> list[str]:
        write_metadata(tmp_path, "limbeck", "License: Apache-2.0", 'Requires-Dist: middle; extra == "train"')
        write_metadata(tmp_path, "middle", "License: MIT", f"Requires-Dist: {name}>=1")
        write_metadata(tmp_path, name, *lines)
        packages = installed([str(tmp_path)])
        return problems(tree("limbeck", ["train"], packages), packages)

    return plant


def write_metadata(folder, name, *lines):
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    header = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0"]
    (info / "METADATA").write_text("\n".join([*header, *lines, ""]), encoding="utf-8")


@pytest.mark.parametrize(
    "lines",
    [
        ["License-Expression: AGPL-3.0-or-later"],
        ["License-Expression: MIT AND GPL-3.0-only"],
        ["License: GNU Affero General Public License v3"],
        ["License: GPLv3"],
        ["Classifier: License :: OSI Approved :: GNU General Public License v2 (GPLv2)"],
        ["Classifier: License :: OSI Approved :: GNU Affero General Public License v3"],
    ],
)
def test_a_copyleft_package_is_found(lines, planted):
    (problem,) = planted("bad-package", *lines)
    assert problem.startswith("bad-package: ")


@pytest.mark.parametrize(
    "lines",
    [
        ["License-Expression: BSD-3-Clause"],
        ["License-Expression: GPL-2.0-only OR MIT"],
        ["License-Expression: BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1"],
        ["License-Expression: LGPL-2.1-or-later"],
        ["License: GNU Lesser General Public License v3"],
        ["Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"],
        [
            "Classifier: License :: OSI Approved :: BSD License",
            "Classifier: License :: OSI Approved :: GNU General Public License (GPL)",
        ],
    ],
)
def test_a_permissive_package_passes(lines, planted):
    assert planted("good-package", *lines) == []


def test_a_package_without_a_licence_is_found(planted):
    (problem,) = planted("silent-package")
    assert "declares no licence" in problem


def test_a_forbidden_name_is_found_whatever_its_licence(planted):
    assert planted("ultralytics", "License: MIT") == ["ultralytics: never a part of limbeck"]
