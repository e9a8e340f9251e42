"""Writing the report: one HTML page that needs no other file and no network."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from limbeck.errors import RunFolderError
from limbeck.report.collect import task_of
from limbeck.report.colours import COLOURS
from limbeck.report.detection.page import detection_page
from limbeck.report.detection3d.page import detection3d_page
from limbeck.report.formats import metric, percent, signed
from limbeck.report.sections import Page, Section
from limbeck.report.segmentation.page import segmentation_page
from limbeck.report.wording import cards, verdict

PAGES = {"detection2d": detection_page, "detection3d": detection3d_page, "segmentation": segmentation_page}
"""What makes the page of a run folder, by the task of the run."""


def write_report(run_dir: Path) -> Path:
    """Write ``report.html`` into a run folder and return its path.

    Raises:
        RunFolderError: A file of the run folder is missing or broken, or the page cannot be written.
    """
    task = task_of(run_dir)
    if task not in PAGES:
        *known, last = PAGES
        raise RunFolderError(
            f"{run_dir / 'run.json'} names the task '{task}'; a report is written for {', '.join(known)} or {last}."
        )
    page = render(PAGES[task](run_dir))
    path = run_dir / "report.html"
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"The report cannot be written to {path}: {error}.") from error
    return path


def render(page: Page) -> str:
    """Return a page as HTML."""
    environment = Environment(
        loader=FunctionLoader(_resource), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(metric=metric, percent=percent, signed=signed, breakable=_breakable)
    environment.globals.update(run=page.run, colours=COLOURS)
    return environment.get_template("page.html.j2").render(
        verdict=verdict(page.run, page.main),
        cards=cards(page.run, page.main),
        sections=[_rendered(environment, section) for section in page.sections],
        footnote=page.footnote,
    )


def _rendered(environment: Environment, section: Section) -> str:
    return environment.get_template(section.template).render(**section.values)


def _breakable(name: str) -> Markup:
    """Let a name be broken behind its underscores rather than anywhere."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _resource(name: str) -> str:
    return files("limbeck.report").joinpath("templates", *name.split("/")).read_text(encoding="utf-8")
