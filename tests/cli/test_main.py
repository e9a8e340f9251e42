import json
import os
import signal
import subprocess
import sys
import time

import pytest
import typer

from limbeck.cli.main import app
from limbeck.config import load_config
from limbeck.errors import Interrupted, ParityError
from limbeck.metrics.fault_rates import rates_at
from limbeck.predictor import evaluate_file
from limbeck.version import VERSION

LIMBECK = [sys.executable, "-m", "limbeck.cli.main"]
PATIENCE_S = 300


@pytest.fixture
def run_file(make_run, tmp_path):
    return make_run(tmp_path / "data")


def commands():
    """The words of every command."""
    root = typer.main.get_command(app)
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        yield from ([(name, sub) for sub in inner] if inner else [(name,)])


def test_the_commands_are_these():
    assert {" ".join(words) for words in commands()} == {
        "distill", "demo", "bench", "compare", "train", "doctor", "eval", "predict", "export", "report", "rates",
        "methods", "config show", "data check", "data clouds", "data convert", "data scenes",
    }  # fmt: skip


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_the_help_of_every_command_shows_an_example(words, limbeck):
    shown = limbeck(*words, "--help")
    assert shown.code == 0
    assert f"Example: limbeck {' '.join(words)}" in " ".join(shown.out.split())
    assert limbeck(*words, "-h").out == shown.out


def test_the_version_is_shown(limbeck):
    assert limbeck("--version").out == f"limbeck {VERSION}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["distil", "x"], "Did you mean 'distill'?"),
        (["distill"], "Missing argument"),
        (["train", "x.yaml", "--role", "techer"], "--role"),
        (["config", "show"], "Give a run file, or --schema."),
        (["config", "show", "none.yaml"], "none.yaml: no such file"),
        (["config", "show", "."], ".: is a directory"),
        (["report", "nowhere"], "nowhere"),
        (["predict", "none.safetensors", "."], "none.safetensors does not exist"),
        (["predict", "--min-score", "2", "a", "b"], "--min-score"),
    ],
)
def test_a_mistake_of_the_user_ends_with_code_2(arguments, words, limbeck, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image.png").touch()
    done = limbeck(*arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_all_mistakes_in_a_run_file_are_shown_at_once(run_file, limbeck):
    done = limbeck("distill", run_file, "train.epochz=2", "student.backbone=resnett18", "methods.0.name=bkcd", "x")
    assert done.code == 2
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[0] == "error: The run file is not valid:"
    assert lines[1] == "  - 'x': must look like key.sub=value"
    assert "student.backbone: timm knows no such backbone (did you mean 'resnet18'?)" in done.err
    assert "methods.0: there is no method 'bkcd' (did you mean 'bckd'?)" in done.err
    assert "train.epochz: unknown key (did you mean 'epochs'?)" in done.err
    assert len(lines) == 5, "one line each"


def test_missing_data_is_named(run_file, limbeck):
    for path in (run_file.parent / "images").glob("val-*"):
        path.unlink()
    for command in ("doctor", "distill"):
        done = limbeck(command, run_file)
        assert done.code == 2
        assert [f"val-{index}.png" in done.err for index in range(4)] == [True] * 4


def test_a_place_that_cannot_be_written_is_named(run_file, limbeck):
    (run_file.parent / "runs").touch()
    done = limbeck("train", run_file)
    assert done.code == 2
    assert "runs/tiny cannot be used" in done.err


def test_training_a_teacher_that_is_not_there(run_file, limbeck):
    done = limbeck("train", run_file, "--role", "teacher", "teacher=null", "methods=[plain]")
    assert done.code == 2
    assert "The run has no teacher to train" in done.err


def raising(error):
    def run(*args):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "first"),
    [
        (ParityError("The exported model answers differently."), 1, "error: The exported model answers differently."),
        (RuntimeError("odd [thing]"), 1, "error: unexpected RuntimeError: odd [thing]"),
        (ModuleNotFoundError("no", name="timm"), 2, "error: this command needs the package 'timm'"),
        (KeyboardInterrupt(), 130, "Stopped."),
        (Interrupted("Stopped after step 3.", hint="run it again"), 130, "Stopped after step 3."),
    ],
)
def test_every_end_has_its_code_and_no_traceback(error, code, first, run_file, limbeck, monkeypatch):
    monkeypatch.setattr("limbeck.pipeline.distill", raising(error))
    done = limbeck("distill", run_file)
    assert done.code == code
    assert done.err.splitlines()[0] == first
    assert len(done.err.splitlines()) == 2 - isinstance(error, ParityError)
    assert "Traceback" not in done.err


@pytest.mark.parametrize("error", [ParityError("differs"), RuntimeError("odd")])
def test_debug_shows_the_traceback(error, run_file, monkeypatch):
    from limbeck.cli.main import main

    monkeypatch.setattr("limbeck.pipeline.distill", raising(error))
    for arguments in (["--debug", "distill", str(run_file)], ["distill", str(run_file), "--debug"]):
        with pytest.raises(type(error)):
            main(arguments)


def test_a_device_without_onnx_runtime_is_told_what_to_install(finished_run):
    code = "import sys; sys.modules['onnxruntime'] = None; from limbeck.cli.main import main; main(sys.argv[1:])"
    arguments = ["predict", str(finished_run.folder / "bundle"), str(finished_run.run_file.parent / "images")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'limbeck[runtime]'" in done.stderr


def test_what_config_show_prints_is_a_run_file(run_file, limbeck, tmp_path):
    shown = limbeck("config", "show", run_file, "train.lr=1e-5", "data.classes=[square]")
    assert shown.code == 0
    again = tmp_path / "again.yaml"
    again.write_text(shown.out)
    assert load_config(again) == load_config(run_file, ["train.lr=1e-5", "data.classes=[square]"])
    assert limbeck("config", "show", again).out == shown.out


def test_config_show_prints_the_schema(limbeck):
    schema = json.loads(limbeck("config", "show", "--schema").out)
    assert "reg_max" in schema["$defs"]["model:gfl"]["properties"]


def test_methods_lists_every_setting_in_full(limbeck):
    shown = "".join(limbeck("methods").out.replace("│", " ").split())
    for word in ("bckd", "ld", "plain", "gfl", "retinanet", "alpha_loc", "skip_levels_without_positives"):
        assert word in shown


def test_a_trained_teacher_serves_as_checkpoint(run_file, limbeck):
    trained = limbeck("train", run_file, "--role", "teacher")
    assert trained.code == 0
    weights = trained.out.split("weights: ")[1].strip()
    done = limbeck("train", run_file, "--role", "student", f"teacher_checkpoint={weights}", "name=second")
    assert done.code == 0
    assert (run_file.parent / "runs/second/student/best.safetensors").exists()
    assert not (run_file.parent / "runs/second/teacher").exists()
    assert "done before" in limbeck("train", run_file, "--role", "teacher").out


def test_a_student_needs_its_teacher_first(run_file, limbeck):
    done = limbeck("train", run_file, "--role", "student")
    assert done.code == 2
    assert "teacher/best.safetensors does not exist" in done.err


def test_eval_shows_the_same_for_weights_and_bundle(finished_run, limbeck):
    tables = [
        limbeck("eval", finished_run.folder / path, finished_run.run_file).out
        for path in ("student/best.safetensors", "bundle")
    ]
    expected = finished_run.outcome.evaluations["student"]["metrics"]["AP"]
    assert f"{expected:.4f}" in tables[0]
    values = [[float(word) for word in table.split() if word.replace(".", "").isdigit()] for table in tables]
    assert values[0] == pytest.approx(values[1], abs=2e-3)


def test_eval_shows_the_image_level_rates_at_a_given_threshold_only(finished_run, limbeck):
    arguments = ["eval", finished_run.folder / "student/best.safetensors", finished_run.run_file]
    assert "CDR" not in limbeck(*arguments).out
    rates = finished_run.outcome.evaluations["student"]["fault_rates"]
    told = limbeck(*arguments, "--threshold", str(rates["threshold"])).out
    assert f"{rates['rates']['CDR']:.4f}" in next(line for line in told.splitlines() if "CDR" in line)


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "nan", "inf"])
def test_a_threshold_that_is_no_score_is_refused(finished_run, limbeck, threshold):
    weights = finished_run.folder / "student/best.safetensors"
    for done in (
        limbeck("eval", weights, finished_run.run_file, "--threshold", threshold),
        limbeck("predict", weights, finished_run.run_file.parent / "images", "--min-score", threshold),
    ):
        assert done.code == 2
        assert f"must be from 0 to 1, was given {threshold}" in done.err


def test_eval_on_test_images_takes_the_threshold_of_the_validation_images(finished_run, limbeck, make_run, tmp_path):
    weights = finished_run.folder / "student/best.safetensors"
    run_file = make_run(tmp_path / "tested", test_images=5)
    done = limbeck("eval", weights, run_file)
    rates = finished_run.outcome.evaluations["student"]["fault_rates"]  # the validation images are the same
    assert f"threshold {rates['threshold']:.4f}, chosen on the validation images" in done.out
    (line,) = [line for line in done.out.splitlines() if "CDR" in line]
    images = evaluate_file(weights, load_config(run_file))["test"].images
    on_test = rates_at(images, [rates["threshold"]])[0][0]
    assert [cell.strip() for cell in line.split("│")[2:4]] == [f"{rates['rates']['CDR']:.4f}", f"{on_test:.4f}"]
    given = limbeck("eval", weights, run_file, "--threshold", rates["threshold"]).out
    assert line in given
    assert "chosen" not in given


def test_doctor_looks_and_writes_nothing(run_file, limbeck):
    done = limbeck("doctor", run_file)
    assert done.code == 0
    assert "Nothing stands against this run." in done.out
    assert not (run_file.parent / "runs").exists()


def test_doctor_refuses_what_must_not_go_on(run_file, limbeck):
    train = load_config(run_file).data.train.model_dump_json()
    for command in ("doctor", "distill"):
        done = limbeck(command, run_file, f"data.val={train}")
        assert done.code == 2
        assert "fail  data leak: 8 of 8 validation images are training images too" in done.out
        assert "1 thing must be mended first: data leak." in done.out
        assert "The doctor advises against this run" in done.err
    assert not list(run_file.parent.glob("runs/*/teacher"))


def test_doctor_compares_the_checkpoint_with_the_teacher_described(run_file, finished_run, limbeck):
    weights = finished_run.folder / "teacher/best.safetensors"
    done = limbeck("doctor", run_file, f"teacher_checkpoint={weights}", "teacher.channels=32")
    assert done.code == 2
    assert "has channels 24, but the run file says teacher.channels: 32" in done.err


def test_the_report_can_be_written_again(finished_run, limbeck):
    done = limbeck("report", finished_run.folder)
    assert done.code == 0
    assert str(finished_run.folder / "report.html") in "".join(done.out.split("\n"))


def test_export_writes_a_bundle(finished_run, limbeck, tmp_path):
    weights = finished_run.folder / "control/best.safetensors"
    done = limbeck("export", weights, finished_run.run_file, "--to", tmp_path / "here")
    assert done.code == 0
    assert "parity on 4 images" in done.out
    assert (tmp_path / "here/model.onnx").exists()


ALL_OF_THEM = """
import json, sys
from limbeck.cli.main import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as stop:
        print(arguments[0], stop.code or 0, file=sys.stderr)
"""


def test_compare_shows_the_table_and_says_where_it_is(finished_comparison, limbeck):
    done = limbeck("compare", finished_comparison.folder / "config.yaml")
    assert done.code == 0, done.err
    for words in ("teacher", "control", "bckd", "ld", "AP - control", "look at how the seeds scatter"):
        assert words in done.out
    assert f"table: {finished_comparison.outcome.table}" in done.out
    assert f"plot: {finished_comparison.outcome.plot}" in done.out


def test_all_mistakes_in_a_comparison_are_shown_at_once(finished_comparison, limbeck):
    done = limbeck("compare", finished_comparison.file, "seeds=[-1]", "methods.ld.0.name=lld", "train.epochs=0")
    assert done.code == 2
    assert done.out == ""
    assert done.err.splitlines()[0] == "error: The comparison is not valid:"
    assert f"  - {finished_comparison.file.parent / 'run.yaml'}: train.epochs: should be greater" in done.err
    assert "methods.ld.0: there is no method 'lld' (did you mean 'ld'?)" in done.err
    assert "seeds.0: should be greater than or equal to 0, was given -1" in done.err
    assert len(done.err.splitlines()) == 4, "one line each"


def test_no_command_asks_for_the_network(finished_run, finished_comparison, run_file, no_network):
    weights, bundle = str(finished_run.folder / "student/best.safetensors"), str(finished_run.folder / "bundle")
    data = str(finished_run.run_file)
    commands = [
        ["methods"],
        ["config", "show", data],
        ["doctor", data],
        ["train", str(run_file)],
        ["eval", weights, data],
        ["predict", bundle, str(finished_run.run_file.parent / "images")],
        ["export", weights, data, "--to", str(run_file.parent / "bundle")],
        ["report", str(finished_run.folder)],
        ["rates", str(finished_run.folder)],
        ["distill", data],
        ["compare", str(finished_comparison.folder / "config.yaml")],
    ]
    done = subprocess.run(
        [sys.executable, "-c", ALL_OF_THEM, json.dumps(commands)], capture_output=True, text=True, check=False
    )
    ends = [line for line in done.stderr.splitlines() if line.endswith(" 0")]
    assert ends == [f"{command[0]} 0" for command in commands], done.stderr
    assert no_network.take() == []


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


def test_ctrl_c_in_a_training_loses_nothing(run_file):
    command = [*LIMBECK, "train", str(run_file), "train.epochs=60", "train.workers=1"]
    metrics = run_file.parent / "runs/tiny/control/metrics.jsonl"
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + PATIENCE_S
    while len(lines_of(metrics)) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the loader's processes get it too
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Stopped after step" in err
    assert "hint: run the same command again to go on from there" in err
    before = lines_of(metrics)
    assert 4 <= len(before) < 120

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert "weights: " in done.stdout
    assert lines_of(metrics)[: len(before)] == before
    steps = [line["step"] for line in map(json.loads, lines_of(metrics)) if not any("val/" in key for key in line)]
    assert steps == sorted(set(steps))
    assert len(steps) == 120


def test_ctrl_c_before_a_training_ends_in_one_sentence(run_file):
    process = subprocess.Popen(
        [*LIMBECK, "distill", str(run_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "[doctor]\n"
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "run the same command again" in err
