"""Writing the report: one HTML page that needs no other file and no network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined

from limbeck.errors import RunFolderError
from limbeck.report.collect import Run, collect
from limbeck.report.colours import COLOURS
from limbeck.report.figures import curves, metric_bars, pr_curves, rate_curves
from limbeck.report.formats import metric, signed
from limbeck.report.pictures import MIN_SCORE, gallery
from limbeck.report.wording import cards, model_rows, verdict
from limbeck.roles import Role


def write_report(run_dir: Path) -> Path:
    """Write ``report.html`` into a run folder and return its path.

    Raises:
        RunFolderError: A file of the run folder is missing or broken, or the page cannot be written.
    """
    page = render(collect(run_dir))
    path = run_dir / "report.html"
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"The report cannot be written to {path}: {error}.") from error
    return path


def render(run: Run) -> str:
    """Return the page for a run."""
    evaluations = {role: model.evaluation for role, model in run.models.items()}
    environment = Environment(
        loader=FunctionLoader(_resource), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(metric=metric, signed=signed)
    return environment.get_template("page.html.j2").render(
        run=run,
        colours=COLOURS,
        verdict=verdict(run),
        cards=cards(run),
        models=evaluations,
        rows=model_rows(list(evaluations.values())),
        bars=metric_bars(run.models),
        gallery=gallery(run),
        min_score=MIN_SCORE,
        curves=curves(run),
        classes=class_rows(run),
        pr_curves=pr_curves(run),
        rate_curves=rate_curves(run),
    )


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class with its AP and AP50 of every model; ``change`` is student minus control, None where undefined."""

    name: str
    objects: int
    ap: dict[Role, float]
    ap50: dict[Role, float]
    change: float | None


def class_rows(run: Run) -> list[ClassRow]:
    """Return the table of classes, those with the most objects first."""
    rows = [_class_row(run, name) for name in run.models["student"].evaluation.per_class]
    return sorted(rows, key=lambda row: -row.objects)


def _class_row(run: Run, name: str) -> ClassRow:
    values = {role: model.evaluation.per_class[name] for role, model in run.models.items()}
    ap = {role: value["AP"] for role, value in values.items()}
    defined = ap["student"] >= 0 and ap["control"] >= 0
    return ClassRow(
        name=name,
        objects=round(values["student"]["objects"]),
        ap=ap,
        ap50={role: value["AP50"] for role, value in values.items()},
        change=ap["student"] - ap["control"] if defined else None,
    )


def _resource(name: str) -> str:
    return files("limbeck.report").joinpath(name).read_text(encoding="utf-8")
