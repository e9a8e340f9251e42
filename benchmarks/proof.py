"""The proof: what each method brings on real data sets with three seeds, by `limbeck compare`.

    python benchmarks/proof.py [name ...]

Two comparisons run at a time, one thread each; one that was stopped goes on where it stopped, and one that is done is
read. Numbers and pictures go to `results/proof/`. What is printed are the tables of the README, `docs/results.md` and
`docs/results-freight.md`; a test holds these pages against the numbers.
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
from limbeck.metrics.seeds import Row
from limbeck.report.comparison import ComparisonOutcome, difference, spread
from limbeck.report.formats import metric, optional, percent, signed

DATA_SETS = ("bccd", "road_cracks_potholes", "weld_defects", "railway_wagons")
FREIGHT = ("road_cracks_potholes-freight", "weld_defects-freight")
"""The freight-train systems on one student; they are taught by the teachers of the comparisons before them."""
STUDENTS = ("asmlp-resnet18",)
PAGES = {"docs/results.md": DATA_SETS, "docs/results-freight.md": (*FREIGHT, *STUDENTS)}
RESULTS = Path(__file__).parent / "results" / "proof"
AT_A_TIME = 2


def comparison_file(name: str) -> str:
    """Return the comparison of a data set."""
    return f"configs/detection2d/compare/{name}.yaml"


def overrides(name: str) -> list[str]:
    """Return what the command of a comparison changes in its run file."""
    if name not in FREIGHT:
        return []
    return [f"teacher_checkpoint=runs/{name.removesuffix('-freight')}/teacher/best.safetensors"]


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
        "teacher": outcome.teacher and {key: outcome.teacher.metrics[key] for key in ("AP", "AP50")},
        "rows": [asdict(row) for row in outcome.rows],
    }


def section(content: Mapping[str, Any]) -> str:
    """Return the table of a comparison in Markdown, and its command; on the data sets of each method alone, too."""
    teacher = content["teacher"]
    rows = [["", "AP", "AP50", "AP - control", "seed by seed", "gap closed"]]
    if teacher is not None:
        rows += [["teacher", metric(teacher["AP"]), metric(teacher["AP50"]), "", "", ""]]
    rows += [[row.name, *_cells(row)] for row in _rows(content)]
    command = content["command"]
    alone = [row.name for row in _rows(content) if row.gains and content["name"] in DATA_SETS]
    commands = [command, *(f"{command} 'methods={{{method}: [{method}]}}'" for method in alone)]
    return "\n".join([_table(rows), "", "```", *commands, "```"])


def _rows(content: Mapping[str, Any]) -> list[Row]:
    return TypeAdapter(list[Row]).validate_python(content["rows"])


def _cells(row: Row) -> list[str]:
    scores = [spread(row.scores[key]) for key in ("AP", "AP50")]
    gain = (row.gains or row.over_first).get("AP")
    if gain is None:
        return [*scores, "", "", ""]
    seeds = ", ".join(signed(value) for value in gain.over_seeds.values)
    return [*scores, difference(gain), seeds, optional(row.gap_closed, percent) if row.gains else ""]


def summary(contents: Sequence[Mapping[str, Any]]) -> str:
    """Return a line for each data set: AP of teacher and control, and what the other rows gain."""
    names = [row.name for row in _rows(contents[0])[1:]]
    rows = [["validation images", "teacher", "control", *names]]
    for content in contents:
        control, *others = _rows(content)
        data = f"{content['name']}, {content['val_images']}"
        scores = [metric(content["teacher"]["AP"]), metric(control.scores["AP"].mean)]
        rows.append([data, *scores, *(difference(row.gains["AP"]) for row in others)])
    return _table(rows)


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
    for group in (group for group in (DATA_SETS, FREIGHT) if set(group) & set(names)):
        print(f"\n{summary(kept(group))}")


if __name__ == "__main__":
    main(sys.argv[1:] or [*DATA_SETS, *FREIGHT, *STUDENTS])
