"""The proof: what each method brings on real data sets with three seeds, by `limbeck compare`.

    python benchmarks/proof.py [name ...]

Two comparisons run at a time, one thread each; one that was stopped goes on where it stopped, and one that is done is
read. Numbers and pictures go to `results/proof/`. What is printed are the tables of the README and of the pages of
results in `docs`; a test holds these pages against the numbers.

The street scenes and the clouds are made first, by the command in the head of their comparison.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

import limbeck
from limbeck.comparison.config import CONTROL, load_comparison
from limbeck.core.model import noun_of
from limbeck.errors import nearest
from limbeck.metrics.bootstrap import gap_closed
from limbeck.metrics.seeds import Row
from limbeck.report.collect import Evaluation
from limbeck.report.comparison import ComparisonOutcome, difference, spread
from limbeck.report.formats import metric, optional, percent, signed

DATA_SETS = ("bccd", "road_cracks_potholes", "weld_defects", "railway_wagons")
FREIGHT = ("road_cracks_potholes-freight", "weld_defects-freight")
"""The freight-train systems on one student; they are taught by the teachers of the comparisons before them."""
STUDENTS = ("asmlp-resnet18",)
MASKS = {
    "stereo_pothole": ("pothole",),
    "streets": ("pothole",),
    "road_cracks_potholes-masks": ("crack", "pothole"),
}
"""The data sets of segmentation and the classes of faults in them, which an mIoU may hide."""
VARIANTS = {"lix-beta-1": "{name: lix, beta: 1.0}"}
"""Rows of segmentation that are a method with other settings, and what these are. No summary has them."""
LIX = ("lix-settings",)
"""Settings of LIX on the street scenes, made smaller, with half as many epochs."""
SEGMENTATION = (*MASKS, *LIX)
CLOUDS = ("clouds", "cones")
PARTS = ("parts", "itkd-settings")
"""Parts and settings of methods on the simulated clouds, taught by the teacher of `clouds`."""
LIDAR = (*CLOUDS, *PARTS)
PAGES = {
    "docs/results.md": DATA_SETS,
    "docs/results-freight.md": (*FREIGHT, *STUDENTS),
    "docs/results-segmentation.md": SEGMENTATION,
    "docs/results-detection3d.md": LIDAR,
}
SUMMARIES = {
    "docs/results.md": DATA_SETS,
    "docs/results-freight.md": FREIGHT,
    "docs/results-segmentation.md": tuple(MASKS),
    "docs/results-detection3d.md": CLOUDS,
}
"""The comparisons that share a table at the head of a page."""
METRICS = {"detection2d": ("AP", "AP50"), "segmentation": ("mIoU", "mF"), "detection3d": ("mAP", "NDS")}
RESULTS = Path(__file__).parent / "results" / "proof"
AT_A_TIME = 2


def task(name: str) -> str:
    """Return the task of a comparison."""
    return "segmentation" if name in SEGMENTATION else "detection3d" if name in LIDAR else "detection2d"


def comparison_file(name: str) -> str:
    """Return the comparison of a data set."""
    return f"configs/{task(name)}/compare/{name}.yaml"


def overrides(name: str) -> list[str]:
    """Return what the command of a comparison changes in its run file."""
    if name in LIX:
        return ["data.size=[160,96]", "train.epochs=12", "train.eval_every=12"]
    if name in PARTS:
        return [_teacher_of("clouds")]
    return [_teacher_of(name.removesuffix("-freight"))] if name in FREIGHT else []


def _teacher_of(name: str) -> str:
    return f"teacher_checkpoint=runs/{name}/teacher/best.safetensors"


def metrics(name: str) -> tuple[str, str]:
    """Return the main metric of a comparison and the one beside it."""
    return METRICS[task(name)]


def train(name: str) -> None:
    """Run a comparison on one thread."""
    command = ["limbeck", "compare", comparison_file(name), *overrides(name)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def content_of(outcome: ComparisonOutcome) -> dict[str, Any]:
    """Return the numbers of a comparison, its command and the machine."""
    name = outcome.folder.name
    run = json.loads((outcome.folder / "run.json").read_text(encoding="utf-8"))
    controls = {row: trained[0] for row, trained in outcome.models.items() if row.split("@")[0] == CONTROL}
    models = {row.replace(CONTROL, "student"): model for row, model in controls.items()}
    if outcome.teacher is not None:
        models = {"teacher": outcome.teacher} | models
    return {
        "name": name,
        "command": " ".join(["limbeck compare", comparison_file(name), *overrides(name)]),
        "hardware": run["hardware"],
        "versions": run["versions"],
        "seeds": outcome.seeds,
        "val_images": outcome.val_images,
        "bootstrap_samples": outcome.samples,
        "parameters": {who: model.parameters for who, model in models.items()},
        "multiply_adds": {who: model.multiply_adds for who, model in models.items()},
        "teacher": outcome.teacher and _scores(outcome.teacher, outcome.metrics, MASKS.get(name, ())),
        "rows": [asdict(row) for row in outcome.rows],
    }


def _scores(model: Evaluation, metrics: Sequence[str], classes: Sequence[str]) -> dict[str, float]:
    by_class = {f"IoU/{name}": model.per_class[name]["IoU"] for name in classes}
    return {name: model.metrics[name] for name in metrics} | by_class


def section(content: Mapping[str, Any]) -> str:
    """Return the tables of a comparison in Markdown, and its command; on the data sets of each method alone, too.

    The first table is by the main metric; one by the IoU of each class of faults follows.
    """
    shown = [metrics(content["name"]), *((f"IoU/{name}",) for name in MASKS.get(content["name"], ()))]
    tables = [_table(_by_metric(content, *columns)) for columns in shown]
    command = content["command"]
    alone = [row.name for row in _rows(content) if row.gains and content["name"] in (*DATA_SETS, *MASKS)]
    commands = [command, *(f"{command} 'methods={{{name}: [{VARIANTS.get(name, name)}]}}'" for name in alone)]
    return "\n\n".join([*tables, "\n".join(["```", *commands, "```"])])


def _rows(content: Mapping[str, Any]) -> list[Row]:
    return TypeAdapter(list[Row]).validate_python(content["rows"])


def _by_metric(content: Mapping[str, Any], main: str, *beside: str) -> list[list[str]]:
    """Return the cells of a table, its head first: the metrics, what is gained in the main one, how much of the gap."""
    teacher, shown = content["teacher"], (main, *beside)
    title = main.replace("/", " ")
    rows = [["", title, *beside, f"{title} - control", "seed by seed", "gap closed"]]
    if teacher is not None:
        rows += [["teacher", *(metric(teacher[name]) for name in shown), "", "", ""]]
    controls = {_student(row): row.scores[main].mean for row in _rows(content) if not row.gains}
    for row in _rows(content):
        cells, gain = [spread(row.scores[name]) for name in shown], (row.gains or row.over_first).get(main)
        gained = ["", "", ""]
        if gain is not None:
            closed = (
                gap_closed(teacher[main], controls[_student(row)], row.scores[main].mean)
                if row.gains and teacher
                else None
            )
            seeds = ", ".join(signed(value) for value in gain.over_seeds.values)
            gained = [difference(gain), seeds, optional(closed, percent) if row.gains else ""]
        rows.append([row.name, *cells, *gained])
    return rows


def summary(contents: Sequence[Mapping[str, Any]]) -> str:
    """Return a line for each data set and student: main metric of teacher and control, and what the methods gain.

    On the data sets of segmentation a line for the IoU of each class of faults follows.
    """
    trained = [[row for row in _rows(content) if row.name not in VARIANTS] for content in contents]
    noun = noun_of(task(contents[0]["name"]))
    rows = [[f"validation {noun}s", "teacher", *(row.name for row in trained[0] if not _student(row))]]
    for content, all_rows in zip(contents, trained, strict=True):
        classes = MASKS.get(content["name"], ())
        for student in dict.fromkeys(_student(row) for row in all_rows):
            control, *others = (row for row in all_rows if _student(row) == student)
            title = "@".join(filter(None, [content["name"], student]))
            for shown in (metrics(content["name"])[0], *(f"IoU/{name}" for name in classes)):
                data = f"{title}, {content['val_images']}" + (f": {shown.replace('/', ' ')}" if classes else "")
                scores = [metric(content["teacher"][shown]), metric(control.scores[shown].mean)]
                rows.append([data, *scores, *(difference(row.gains[shown]) for row in others)])
    return _table(rows)


def _student(row: Row) -> str:
    """Return which further student a row is of, empty for the first one."""
    return row.name.partition("@")[2]


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = (f"| {' | '.join(cells)} |" for cells in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def kept(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the numbers of comparisons that were kept."""
    return [json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in names]


def main(names: Sequence[str]) -> None:
    """Run the comparisons and keep what came of them."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(train, names))
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names:
        outcome = limbeck.compare(load_comparison(Path(comparison_file(name)), overrides(name)))
        content = content_of(outcome)
        (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        shutil.copy(outcome.plot, RESULTS / f"{name}.png")
        print(f"\n## {name}\n\n{section(content)}")
    for group in (group for group in SUMMARIES.values() if set(group) & set(names)):
        print(f"\n{summary(kept(group))}")


if __name__ == "__main__":
    every = [name for names in PAGES.values() for name in names]
    given = sys.argv[1:] or every
    for name in given:
        if name not in every:
            print(f"error: There is no comparison '{name}'{nearest(name, every)}.", file=sys.stderr)
            sys.exit(2)
    main(given)
