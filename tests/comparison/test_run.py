"""A comparison trains what is missing and nothing else, and its table is that of the stored detections."""

import json
import shutil
import sys
from dataclasses import replace
from statistics import mean, stdev

import pytest
import yaml
from safetensors.torch import load_file

import limbeck
from limbeck.comparison.config import load_comparison
from limbeck.comparison.run import Comparison, compare
from limbeck.config import load_config
from limbeck.errors import DoctorError, Interrupted, RunFolderError
from limbeck.lookup import build_model
from limbeck.metrics.coco import CocoTruth, evaluate
from limbeck.pipeline import Run
from limbeck.report.formats import metric, signed
from limbeck.run_folder import LOCK
from limbeck.weights import load_weights, save_weights

pytestmark = pytest.mark.usefixtures("no_timing")

EPOCHS = ["train.epochs=2", "train.eval_every=1"]
"""As in the finished comparison."""
NAMES = ["teacher", "control-seed0", "bckd-seed0", "ld-seed0", "control-seed1", "bckd-seed1", "ld-seed1"]
STOPPING = """
import os, signal
from pathlib import Path
from limbeck.methods.plain import Plain

class Stop(Plain):
    '''Adds nothing, and presses Ctrl-C in the third step, but only once.'''

    class Config(Plain.Config):
        name: str = "stopping:Stop"
        mark: str = ""

    def __init__(self, config, *, student, teacher):
        super().__init__(config, student=student, teacher=teacher)
        self.mark = Path(config.mark)

    def forward(self, step):
        if step.progress.step == 2 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGINT)
        return super().forward(step)
"""


@pytest.fixture
def copied(finished_comparison, tmp_path):
    """Return a function that loads the finished comparison with overrides; its folder is a copy."""
    runs = tmp_path / "runs"
    shutil.copytree(finished_comparison.folder, runs / "methods")

    def load(*overrides):
        return load_comparison(finished_comparison.file, [f"runs_dir={runs}", *EPOCHS, *overrides])

    return load


@pytest.fixture
def fresh(finished_comparison, tmp_path):
    """Return a function that loads the comparison with overrides, for a folder that is not there yet."""

    def load(*overrides):
        return load_comparison(
            finished_comparison.file, [f"runs_dir={tmp_path / 'fresh'}", "train.epochs=1", *overrides]
        )

    return load


def done_now(config):
    """The trainings that a call does, in order."""
    said = []
    compare(config, said.append)
    heads = [n for n, line in enumerate(said) if line.startswith("[") and not line.startswith("[doctor")]
    return [said[n][1:].split("]")[0] for n in heads if said[n + 1] != "  done before"]


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_teacher_of_other_classes_is_not_a_row(fresh, finished_comparison, tmp_path):
    model, info = load_weights(finished_comparison.folder / "teacher/best.safetensors")
    stranger = tmp_path / "stranger.safetensors"
    save_weights(
        stranger, build_model(model.config, ("bolt", "nut")).state_dict(), replace(info, classes=("bolt", "nut"))
    )
    config = fresh(f"teacher_checkpoint={stranger}", "seeds=[0]", "methods={fitnet: [fitnet]}")
    assert done_now(config) == ["control-seed0", "fitnet-seed0"]
    assert compare(config).teacher is None


def test_the_teacher_is_trained_once_and_every_row_once_per_seed(finished_comparison):
    said = [line for line in finished_comparison.said if line.startswith("[")]
    assert [line[1:].split("]")[0] for line in said] == ["doctor: bckd", "doctor: ld", *NAMES]
    assert [line.split("] ")[1].split(",")[0] for line in said[2:]] == [f"training {n} of 7" for n in range(1, 8)]
    assert [" left" in line for line in said[2:]] == [False] * 2 + [True] * 5, "told by the students that are done"
    files = {"settings.yaml", "best.safetensors", "last.ckpt", "metrics.jsonl", "predictions.json", "evaluation.json"}
    for name in NAMES:
        assert files <= {path.name for path in (finished_comparison.folder / name).iterdir()}
    names = {path.name for path in finished_comparison.folder.iterdir()}
    assert names == {*NAMES, LOCK, "config.yaml", "run.json", "truth.json", "comparison.json", "table.md", "plot.png"}


def test_rows_differ_in_their_methods_and_share_the_start(finished_comparison):
    terms = {name: set() for name in NAMES}
    first = {}
    for name in NAMES:
        lines = [json.loads(line) for line in (finished_comparison.folder / name / "metrics.jsonl").open()]
        terms[name] = {key for line in lines for key in line}
        first[name] = lines[0]["train/box"]
    assert "train/bckd_loc" in terms["bckd-seed1"]
    assert "train/ld" in terms["ld-seed1"]
    assert not any("bckd" in key or "ld" in key.split("/")[1:] for key in terms["control-seed1"] | terms["teacher"])
    assert first["bckd-seed0"] == first["ld-seed0"] == first["control-seed0"] != first["control-seed1"]


def test_the_first_seed_is_what_distill_would_train(finished_comparison, tmp_path):
    config = load_config(finished_comparison.file.parent / "run.yaml", [f"runs_dir={tmp_path}", *EPOCHS])
    Run(config).train_control()
    alone = load_file(config.run_dir / "control/best.safetensors")
    compared = load_file(finished_comparison.folder / "control-seed0/best.safetensors")
    assert all((alone[name] == compared[name]).all() for name in alone)


def test_the_table_is_that_of_the_stored_detections(finished_comparison):
    folder = finished_comparison.folder
    truth = CocoTruth.from_json(json.loads((folder / "truth.json").read_text()))

    def score(name):
        return evaluate(truth, json.loads((folder / name / "predictions.json").read_text())).metrics["AP"]

    scores = {row: [score(f"{row}-seed{seed}") for seed in (0, 1)] for row in ("control", "bckd", "ld")}
    content = json.loads((folder / "comparison.json").read_text())
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (folder / "table.md").open() if "|" in line]
    lines = {cells[0]: cells for cells in table}
    assert lines["teacher"][1] == metric(score("teacher"))
    for row in content["rows"]:
        name, values = row["name"], scores[row["name"]]
        assert row["scores"]["AP"]["values"] == pytest.approx(values)
        assert row["scores"]["AP"]["mean"] == pytest.approx(mean(values))
        assert row["scores"]["AP"]["deviation"] == pytest.approx(stdev(values))
        assert lines[name][1] == f"{metric(mean(values))} ± {stdev(values):.3f}"
        assert len(row["models"]) == 2
        if name == "control":
            continue
        differences = [a - b for a, b in zip(values, scores["control"], strict=True)]
        gain = row["gains"]["AP"]
        assert gain["over_seeds"]["values"] == pytest.approx(differences)
        assert gain["over_images"]["difference"] == pytest.approx(mean(differences))
        assert gain["over_images"]["low"] <= gain["over_images"]["high"]
        assert lines[name][3].startswith(f"{signed(mean(differences))} [")
        assert lines[name][4] == f"{sum(difference > 0 for difference in differences)} of 2"
    assert content["command"] == f"limbeck compare {folder / 'config.yaml'}"


def test_a_second_call_trains_nothing_and_ends_the_same(finished_comparison):
    before, said = written(finished_comparison.folder), []
    outcome = limbeck.compare(load_comparison(finished_comparison.folder / "config.yaml"), said.append)
    assert said == [
        line for n, name in enumerate(NAMES, 1) for line in (f"[{name}] training {n} of 7", "  done before")
    ]
    assert outcome == finished_comparison.outcome
    after = written(finished_comparison.folder)
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"config.yaml", "run.json", "truth.json", "comparison.json", "table.md", "plot.png"}


def test_an_interrupted_comparison_goes_on_in_the_middle_of_a_training(fresh, tmp_path, monkeypatch):
    (tmp_path / "stopping.py").write_text(STOPPING)
    monkeypatch.syspath_prepend(tmp_path)
    stop = f"{{name: 'stopping:Stop', mark: '{tmp_path / 'mark'}'}}"
    config = fresh(f"methods={{ld: [ld], stop: [{stop}]}}", "seeds=[0]", "train.epochs=2")
    with pytest.raises(Interrupted, match=r"after step 3; the state is kept in .*stop-seed0/last\.ckpt"):
        compare(config)
    assert not (config.run_dir / "stop-seed0/evaluation.json").exists()
    before = written(config.run_dir)
    assert done_now(config) == ["stop-seed0"]
    for name in ("teacher", "control-seed0", "ld-seed0"):
        kept = [path for path in before if name in path.parts]
        assert kept
        assert all(written(config.run_dir)[path] == before[path] for path in kept)
    stopped, control = (
        load_file(config.run_dir / name / "best.safetensors") for name in ("stop-seed0", "control-seed0")
    )
    assert all((stopped[name] == control[name]).all() for name in control), "the method adds nothing to the control"
    sys.modules.pop("stopping")


def test_rows_and_seeds_can_be_added_and_left_out(copied):
    config = copied("methods={bckd: [bckd], same: [plain]}", "seeds=[1, 2]")
    assert done_now(config) == ["same-seed1", "control-seed2", "bckd-seed2", "same-seed2"]
    content = json.loads((config.run_dir / "comparison.json").read_text())
    assert [row["name"] for row in content["rows"]] == ["control", "bckd", "same"]
    same = content["rows"][2]["gains"]["AP"]
    assert same["over_seeds"]["values"] == [0, 0], "plain is the control"
    assert (same["over_images"]["low"], same["over_images"]["high"]) == (0, 0)
    assert done_now(copied()) == []


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.lr=2e-2", r"teacher was trained with other settings; there train\.lr is 0\.01, now it is 0\.02"),
        ("teacher.channels=32", r"teacher was trained with other settings; there model\.channels is 24, now it is 32"),
        ("data.augment.flip=0", r"teacher was trained .*; there data\.augment\.flip is 0\.5, now it is 0\.0"),
        ("methods.bckd.0.beta=2", r"bckd-seed0 was trained .*; there methods\.0\.beta is 1\.0, now it is 2\.0"),
        ("methods.bckd=[bckd, ld]", r"bckd-seed0 was trained .* methods\.1\.name is None, now it is 'ld'"),
    ],
)
def test_settings_of_finished_trainings_cannot_change(override, words, copied):
    before = written(copied().run_dir)
    with pytest.raises(RunFolderError, match=words) as caught:
        compare(copied(override))
    assert "delete this folder" in caught.value.hint
    assert written(copied().run_dir) == before


def test_settings_that_no_training_depends_on_can_change(copied):
    config = copied("bootstrap_samples=200", "train.workers=1", "methods.new=[plain]", "licence=mine")
    assert load_comparison(Comparison(config).folder.path / "config.yaml") == config


def test_a_row_that_comes_back_with_other_settings_is_refused(copied):
    compare(copied("methods={ld: [ld]}", "seeds=[0]"))
    with pytest.raises(RunFolderError, match="bckd-seed0 was trained with other settings"):
        compare(copied("methods.bckd.0.beta=2"))


def test_what_was_deleted_is_made_again(copied):
    config = copied()
    shutil.rmtree(config.run_dir / "bckd-seed1")
    weights = config.run_dir / "ld-seed1/best.safetensors"
    before = weights.stat().st_mtime_ns
    (config.run_dir / "ld-seed1/predictions.json").unlink()
    assert done_now(config) == ["bckd-seed1", "ld-seed1"]
    assert weights.stat().st_mtime_ns == before, "the finished training is only measured again"


def test_rows_that_do_not_fit_are_all_reported_before_anything_is_trained(fresh):
    light = "{model: retinanet, backbone: test_resnet, channels: 16, tower_depth: 1, strides: [8, 16, 32]}"
    config = fresh(f"student={light}", "methods={ld: [ld], plain: [plain], bckd: [bckd]}")
    said = []
    with pytest.raises(DoctorError, match="advises against these rows") as caught:
        compare(config, said.append)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["ld", "bckd"]
    assert [line for line in said if line.startswith("[")] == ["[doctor: ld]", "[doctor: plain]", "[doctor: bckd]"]
    assert not any(path.is_dir() for path in config.run_dir.iterdir())


def test_a_comparison_without_a_teacher(fresh):
    config = fresh("methods={plain: [plain]}", "seeds=[3]")
    outcome = compare(config)
    assert outcome.teacher is None
    assert not (config.run_dir / "teacher").exists()
    assert [row.gap_closed for row in outcome.rows] == [None, None]
    assert outcome.rows[0].scores["AP"].deviation is None
    assert "teacher" not in outcome.table.read_text()


def test_a_given_teacher_is_measured_and_kept_in_mind(finished_comparison, fresh, tmp_path):
    weights = [finished_comparison.folder / name / "best.safetensors" for name in ("teacher", "bckd-seed0")]
    config = fresh(f"teacher_checkpoint={weights[0]}", "methods={ld: [ld]}", "seeds=[0]")
    said = []
    outcome = compare(config, said.append)
    assert f"  taken from {weights[0]}" in said
    assert not (config.run_dir / "teacher/best.safetensors").exists()
    assert outcome.teacher.metrics == finished_comparison.outcome.teacher.metrics
    moved = tmp_path / "moved.safetensors"
    shutil.copy(weights[0], moved)
    shutil.copy(weights[0].with_suffix(".json"), moved.with_suffix(".json"))
    again = fresh(f"teacher_checkpoint={moved}", "methods={ld: [ld]}", "seeds=[0]")
    assert done_now(again) == [], "the same weights under another name"
    other = fresh(f"teacher_checkpoint={weights[1]}", "teacher.channels=16", "methods={ld: [ld]}", "seeds=[0]")
    with pytest.raises(RunFolderError, match="teacher was trained with other settings; there sha256 is"):
        compare(other)


def test_the_folder_of_a_run_is_refused_and_the_other_way_round(copied, tmp_path):
    config = copied()
    with pytest.raises(RunFolderError, match="holds another run"):
        Run(config.run.model_copy(update={"name": "methods"}))
    Run(config.run).train_control()
    with pytest.raises(RunFolderError, match="holds another run"):
        Comparison(config.model_copy(update={"name": config.run.name}))


def test_students_are_added_later_and_their_settings_stay(copied):
    thin = "students={thin: {channels: 8}}"
    added = [f"{row}@thin-seed{seed}" for seed in (0, 1) for row in ("control", "bckd", "ld")]
    assert done_now(copied(thin)) == added
    assert done_now(copied(thin)) == []
    config = copied()
    assert done_now(config) == [], "left out without being lost"
    shutil.rmtree(config.run_dir / "ld@thin-seed1")
    assert done_now(copied(thin)) == ["ld@thin-seed1"]
    with pytest.raises(RunFolderError, match=r"control@thin-seed0 was trained .* model\.channels is 8, now it is 24"):
        compare(copied("students={thin: {channels: 24}}"))


def test_the_numbers_of_a_student_are_to_its_own_control(copied, finished_comparison):
    outcome = compare(copied("students={thin: {channels: 8}}"))
    rows = {row.name: row for row in outcome.rows}
    assert outcome.rows[:3] == finished_comparison.outcome.rows, "another student changes nothing for the first"
    values = {name: row.scores["AP"].values for name, row in rows.items()}
    differences = [a - b for a, b in zip(values["ld@thin"], values["control@thin"], strict=True)]
    assert values["control@thin"] != values["control"]
    assert rows["ld@thin"].gains["AP"].over_seeds.values == pytest.approx(differences)
    students = [a - b for a, b in zip(values["control@thin"], values["control"], strict=True)]
    assert rows["control@thin"].over_first["AP"].over_seeds.values == pytest.approx(students)
    assert [name for name, row in rows.items() if row.over_first] == ["control@thin"]
    content = json.loads((outcome.folder / "comparison.json").read_text())
    held_against = {row["name"]: row["control"] for row in content["rows"]}
    assert held_against == {
        "control": None, "bckd": "control", "ld": "control",
        "control@thin": None, "bckd@thin": "control@thin", "ld@thin": "control@thin",
    }  # fmt: skip
    assert [row["student"]["channels"] for row in content["rows"]] == [16] * 3 + [8] * 3


def test_students_without_methods_are_examined_too(fresh):
    said = []
    outcome = compare(fresh("methods={}", "students={thin: {channels: 8}}", "seeds=[0]"), said.append)
    heads = [line[1:].split("]")[0] for line in said if line.startswith("[")]
    assert heads == ["doctor: control", "doctor: control@thin", "control-seed0", "control@thin-seed0"]
    assert [row.gains for row in outcome.rows] == [{}, {}]


def test_a_further_student_has_a_control_of_its_own(copied):
    comparison = copied("students={thin: {channels: 8}}", "methods={bckd: [bckd]}", "seeds=[0]")
    outcome = compare(comparison)
    assert [row.name for row in outcome.rows] == ["control", "bckd", "control@thin", "bckd@thin"]
    scores = {row.name: row.scores["AP"].mean for row in outcome.rows}
    gains = {row.name: row.gains["AP"].over_images.difference for row in outcome.rows if row.gains}
    assert gains == {
        "bckd": pytest.approx(scores["bckd"] - scores["control"]),
        "bckd@thin": pytest.approx(scores["bckd@thin"] - scores["control@thin"]),
    }
    thin, own = (outcome.models[name][0].parameters for name in ("control@thin", "control"))
    assert thin < own
    table = outcome.table.read_text(encoding="utf-8")
    assert "| bckd@thin |" in table
    assert "The student@thin:" in table
    assert outcome.plot.is_file()


def test_settings_that_there_were_not_yet_have_their_defaults(copied):
    comparison = copied()
    for file in comparison.run_dir.glob("*/settings.yaml"):
        kept = yaml.safe_load(file.read_text(encoding="utf-8"))
        for part in (kept, kept.get("teacher", {})):
            if "model" in part:
                del part["model"]["neck"], part["model"]["towers"], part["data"]["views"]
        file.write_text(yaml.safe_dump(kept), encoding="utf-8")
    Comparison(comparison)
    kept["model"]["neck"] = "hkn"
    file.write_text(yaml.safe_dump(kept), encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"there model.neck is 'hkn', now it is 'fpn'"):
        Comparison(comparison)


def test_a_test_part_that_comes_later_is_measured_without_training_again(copied, make_run, tmp_path):
    make_run(tmp_path / "data", test_images=3)
    images, annotations = tmp_path / "data/images", tmp_path / "data/test.json"
    test = f"data.test={{images: {images}, annotations: {annotations}}}"
    config = copied(test)
    before = written(config.run_dir)
    assert done_now(config) == NAMES
    after = written(config.run_dir)
    weights = [path for path in before if path.suffix == ".safetensors"]
    assert [after[path] for path in weights] == [before[path] for path in weights]
    for name in NAMES:
        assert json.loads((config.run_dir / name / "evaluation.json").read_text())["test"]["fault_rates"]["images"] == 3
    assert done_now(config) == []
    assert done_now(copied()) == [], "without it they are done as well"
    shutil.copy(annotations, tmp_path / "data/other.json")
    assert done_now(copied(test.replace("test.json", "other.json"))) == NAMES, "another test part"


def test_models_from_before_there_were_rates_and_test_parts_are_done(copied):
    config = copied()
    for path in config.run_dir.glob("*/evaluation.json"):
        content = json.loads(path.read_text())
        for key in ("fault_rates", "test", "train_memory_bytes", "test_memory_bytes", "checkpoint_bytes"):
            del content[key]
        path.write_text(json.dumps(content))
    for path in config.run_dir.glob("*/settings.yaml"):
        assert "test:" not in path.read_text(), "the file is as it was before there were test parts"
    assert done_now(config) == []
