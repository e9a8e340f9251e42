"""README and docs keep up with the code: every setting is named, every link leads somewhere."""

import re
import runpy
from copy import deepcopy

import pytest

from limbeck.comparison.config import ComparisonConfig
from limbeck.config import CloudExportConfig, ExportConfig, MaskExportConfig, RunConfig, TrainConfig
from limbeck.data.cloud_config import CloudAugment, CloudDataConfig, CloudPartConfig
from limbeck.data.config import AugmentConfig, DataConfig, SplitConfig
from limbeck.data.mask_config import MaskDataConfig, MaskPartConfig, XConfig

PAGES = {
    "docs/config.md": [RunConfig, TrainConfig],
    "docs/data.md": [DataConfig, SplitConfig, AugmentConfig],
    "docs/data-segmentation.md": [MaskDataConfig, MaskPartConfig, XConfig],
    "docs/data-detection3d.md": [CloudDataConfig, CloudPartConfig, CloudAugment],
    "docs/export.md": [ExportConfig, MaskExportConfig, CloudExportConfig],
    "docs/compare.md": [ComparisonConfig],
}
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)[^)]*\)")


FIRST_CELL = re.compile(r"^\| *(`[^|]*`) *\|", re.MULTILINE)


def settings_of(configs):
    return {name for config in configs for name in config.model_fields}


def unnamed(text, configs):
    """Settings that a page leaves out."""
    return {name for name in settings_of(configs) if f"`{name}`" not in text}


def unknown(text, configs):
    """Names in the first column of a page's tables that are no setting."""
    named = {name for cell in FIRST_CELL.findall(text) for name in re.findall(r"`([^`]+)`", cell)}
    return named - settings_of(configs)


def broken_links(page):
    text = page.read_text(encoding="utf-8")
    return [target for target in LINK.findall(text) if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_the_settings_that_exist_and_no_others(page, repo):
    text = (repo / page).read_text(encoding="utf-8")
    assert unnamed(text, PAGES[page]) == set()
    assert unknown(text, PAGES[page]) == set()


def test_settings_left_out_or_invented_are_found():
    table = "| setting | default |\n|---|---|\n| `lr`, `magic` | 1 |\n"
    assert unnamed(table, [TrainConfig]) == settings_of([TrainConfig]) - {"lr"}
    assert unknown(table, [TrainConfig]) == {"magic"}


def test_all_links_lead_somewhere(repo):
    pages = [*repo.glob("*.md"), *(page for page in (repo / "docs").rglob("*.md") if "_build" not in page.parts)]
    assert {str(page.relative_to(repo)): broken for page in pages if (broken := broken_links(page))} == {}


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("[here](page.md#top) [gone](nowhere.md) [out](https://example.invalid)", encoding="utf-8")
    assert broken_links(page) == ["nowhere.md"]


@pytest.fixture
def proof(repo):
    """The script that runs the comparisons, keeps their numbers and writes them as tables."""
    return runpy.run_path(str(repo / "benchmarks" / "proof.py"))


def test_readme_and_results_say_what_was_measured(repo, proof):
    readme = (repo / "README.md").read_text(encoding="utf-8")
    for page in ("docs/results.md", "docs/results-segmentation.md", "docs/results-detection3d.md"):
        assert proof["summary"](proof["kept"](proof["SUMMARIES"][page])) in readme
    for path, names in proof["PAGES"].items():
        page = (repo / path).read_text(encoding="utf-8")
        assert proof["summary"](proof["kept"](proof["SUMMARIES"][path])) in page
        assert [content["name"] for content in proof["kept"](names) if proof["section"](content) not in page] == []


def test_another_number_is_found(repo, proof):
    page = (repo / "docs/results.md").read_text(encoding="utf-8")
    content = deepcopy(proof["kept"](proof["DATA_SETS"])[0])
    content["rows"][1]["scores"]["AP"]["mean"] += 0.001
    assert proof["section"](content) not in page
