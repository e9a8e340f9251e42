import json
from dataclasses import replace

import pytest

import limbeck
from limbeck.config import RunConfig, load_config
from limbeck.errors import CheckpointError, ConfigError, DataError, DoctorError, IncompatibleError, RunFolderError
from limbeck.lookup import build_model
from limbeck.pipeline import Run, distill, export_weights
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.weights import load_weights, read_info, save_weights

STEPS = ["doctor", "teacher", "control", "student", "evaluation", "export", "report"]


@pytest.fixture
def run_file(make_run, tmp_path):
    return make_run(tmp_path / "data")


@pytest.fixture
def no_export(monkeypatch):
    """Leave the export out, which takes seconds."""

    def pretend(weights, task, config, to, say):
        to.mkdir()

    monkeypatch.setattr("limbeck.pipeline.export_weights", pretend)


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def said_steps(said):
    return [line[1:-1] for line in said if line.startswith("[")]


def test_a_run_goes_through_all_steps(finished_run):
    assert said_steps(finished_run.said) == STEPS
    record = json.loads((finished_run.folder / "run.json").read_text())
    assert list(record["steps"]) == STEPS
    names = {path.name for path in finished_run.folder.iterdir()}
    assert {"config.yaml", "teacher", "control", "student", "bundle", "report.html"} <= names
    for role in ("teacher", "control", "student"):
        assert {"best.safetensors", "best.json", "metrics.jsonl", "evaluation.json"} <= {
            path.name for path in (finished_run.folder / role).iterdir()
        }


def test_the_outcome_says_what_came_out(finished_run):
    outcome = finished_run.outcome
    assert list(outcome.evaluations) == ["teacher", "control", "student"]
    for evaluation in outcome.evaluations.values():
        low, high = evaluation["intervals"]["AP"]
        assert low <= evaluation["metrics"]["AP"] <= high
    score = {role: evaluation["metrics"]["AP"] for role, evaluation in outcome.evaluations.items()}
    difference = outcome.student_minus_control["AP"]["difference"]
    assert difference == pytest.approx(score["student"] - score["control"], abs=1e-6)
    if outcome.gap_closed is not None:
        gap = score["teacher"] - score["control"]
        assert outcome.gap_closed == pytest.approx(difference / gap, abs=1e-6)
    assert "<html" in outcome.report.read_text()


def test_the_student_was_distilled_and_the_control_was_not(finished_run):
    lines = {
        role: (finished_run.folder / role / "metrics.jsonl").read_text() for role in ("teacher", "control", "student")
    }
    assert "bckd_loc" in lines["student"]
    assert "bckd" not in lines["control"] + lines["teacher"]


def test_a_second_call_does_nothing_and_says_so(finished_run):
    before, said = written(finished_run.folder), []
    outcome = limbeck.distill(RunConfig(**finished_run.config.model_dump()), said.append)
    assert said == [line for step in STEPS for line in (f"[{step}]", "  done before")]
    assert outcome == finished_run.outcome
    after = written(finished_run.folder)
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"config.yaml", "run.json"}


def test_a_run_that_failed_goes_on_where_it_failed(run_file, no_export, monkeypatch):
    config = load_config(run_file, ["train.epochs=1"])
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.pipeline.compare", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            distill(config)
    trained = [path for path in written(config.run_dir) if path.suffix in (".safetensors", ".ckpt", ".jsonl")]
    assert len(trained) >= 9
    before, said = written(config.run_dir), []
    outcome = distill(config, said.append)
    assert said[:8] == [line for step in STEPS[:4] for line in (f"[{step}]", "  done before")]
    assert "  done before" not in said[8:]
    assert all(written(config.run_dir)[path] == before[path] for path in trained)
    assert outcome.report.exists()


def test_a_step_that_failed_in_the_middle_is_done_again(run_file, no_export, monkeypatch):
    config = load_config(run_file, ["train.epochs=1"])
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.workshop.FrozenTeacher", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            distill(config)
    before = written(config.run_dir / "teacher")
    said = []
    distill(config, said.append)
    assert said[said.index("[teacher]") + 1] == "  done before"
    assert said[said.index("[student]") + 1] != "  done before"
    teacher_weights = config.run_dir / "teacher/best.safetensors"
    assert written(config.run_dir / "teacher")[teacher_weights] == before[teacher_weights]


def test_a_given_teacher_is_not_trained(finished_run, run_file, no_export):
    weights = finished_run.folder / "teacher/best.safetensors"
    config = load_config(run_file, [f"teacher_checkpoint={weights}", "train.epochs=1"])
    said = []
    outcome = distill(config, said.append)
    assert f"  taken from {weights}" in said
    assert any("score of the teacher: AP" in line for line in said)
    assert not (config.run_dir / "teacher" / "best.safetensors").exists()
    assert outcome.evaluations["teacher"]["metrics"] == finished_run.outcome.evaluations["teacher"]["metrics"]


def test_several_methods_teach_together_and_say_what_they_chose(finished_run, run_file, no_export):
    weights = finished_run.folder / "teacher/best.safetensors"
    config = load_config(run_file, [f"teacher_checkpoint={weights}", "train.epochs=1", "methods=[bckd, fitnet, kd]"])
    said = []
    outcome = distill(config, said.append)
    chosen = [f"stride {stride}: 16 to 24 channels by a 1x1 convolution, same size" for stride in (8, 16, 32)]
    start = said.index("[student]") + 1
    assert said[start : start + 3] == [f"  {sentence}" for sentence in chosen]
    assert all(f"  ok    method fitnet: {sentence}" in said for sentence in chosen)
    lines = (outcome.folder / "student" / "metrics.jsonl").read_text().splitlines()
    assert {"train/bckd_cls", "train/fitnet", "train/kd"} < json.loads(lines[0]).keys()
    assert read_info(outcome.folder / "student" / "best.safetensors").methods == ("bckd", "fitnet", "kd")
    assert "fitnet" in outcome.report.read_text(encoding="utf-8")


@pytest.fixture
def stranger(finished_run, tmp_path):
    """The weights of a teacher that knows other classes."""
    model, info = load_weights(finished_run.folder / "teacher/best.safetensors")
    classes = ("bolt", "nut", "washer")
    save_weights(
        tmp_path / "stranger.safetensors",
        build_model(model.config, classes).state_dict(),
        replace(info, classes=classes),
    )
    return tmp_path / "stranger.safetensors"


def test_a_teacher_of_other_classes_teaches_its_features_and_is_not_measured(stranger, run_file, no_export):
    overrides = [f"teacher_checkpoint={stranger}", "train.epochs=1"]
    outcome = distill(load_config(run_file, [*overrides, "methods=[fitnet]"]))
    assert list(outcome.evaluations) == ["control", "student"]
    assert outcome.gap_closed is None
    assert not (outcome.folder / "teacher").exists()
    assert outcome.report.exists()
    with pytest.raises(DoctorError, match="give a teacher of these classes"):
        distill(load_config(run_file, [*overrides, "methods=[fitnet, bckd]", "name=both"]))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("teacher.channels=32", r"has channels 24, but the run file says teacher\.channels: 32"),
        ("teacher=retinanet", r"has model 'gfl', but the run file says teacher\.model: 'retinanet'"),
        ("teacher_checkpoint=none.safetensors", r"none\.safetensors does not exist"),
    ],
)
def test_a_checkpoint_of_another_teacher_is_refused_before_anything_is_written(override, words, finished_run, run_file):
    weights = finished_run.folder / "teacher/best.safetensors"
    config = load_config(run_file, [f"teacher_checkpoint={weights}", override])
    with pytest.raises(CheckpointError, match=words):
        distill(config)
    assert not config.run_dir.exists()


def test_a_run_without_a_teacher(run_file, no_export):
    config = load_config(run_file, ["methods=[plain]", "train.epochs=1", "teacher=null"])
    said = []
    outcome = distill(config, said.append)
    assert said_steps(said) == [step for step in STEPS if step != "teacher"]
    assert list(outcome.evaluations) == ["control", "student"]
    assert outcome.gap_closed is None
    with pytest.raises(ConfigError, match="no teacher to train"):
        Run(config).train_teacher()


def test_what_the_doctor_refuses_is_not_trained_and_can_be_mended(run_file):
    said = []
    with pytest.raises(DoctorError, match="advises against"):
        distill(
            load_config(run_file, ["methods=[ld]", "student=retinanet", "student.backbone=test_resnet"]), said.append
        )
    assert said_steps(said) == ["doctor"]
    mended = load_config(run_file)
    assert Run(mended).folder.path == mended.run_dir


def test_broken_data_leaves_no_folder(run_file):
    config = load_config(run_file)
    for path in sorted(config.data.train.images.iterdir())[:2]:
        path.unlink()
    with pytest.raises(DataError, match="train-0") as caught:
        distill(config)
    assert len(caught.value.problems) == 2
    assert not config.runs_dir.exists()


def test_an_export_that_cannot_go_well_is_refused_at_once(finished_run, tmp_path):
    weights, task = finished_run.folder / "student/best.safetensors", Detection2DTask.load(finished_run.config.data)
    (tmp_path / "file").touch()
    with pytest.raises(RunFolderError, match="it is a file"):
        export_weights(weights, task, finished_run.config, tmp_path / "file")
    beside = json.loads(weights.with_suffix(".json").read_text())
    other = tmp_path / "best.safetensors"
    other.write_bytes(weights.read_bytes())
    other.with_suffix(".json").write_text(json.dumps(beside | {"classes": ["circle"]}))
    with pytest.raises(IncompatibleError, match=r"finds \['circle'\], but the data has \['square'\]"):
        export_weights(other, task, finished_run.config, tmp_path / "bundle")
