import json
import subprocess
import sys

import pytest
import yaml

from limbeck.config import load_config
from limbeck.data.config import DataConfig
from limbeck.data.convert import convert, read_parts
from limbeck.errors import RunFolderError
from limbeck.files import sha256_of
from limbeck.run_folder import LOCK, RunFolder, difference
from limbeck.tasks.detection2d import Detection2DTask


@pytest.fixture
def run_file(make_run, tmp_path):
    return make_run(tmp_path / "data")


@pytest.fixture
def config(run_file):
    return load_config(run_file)


def claimed(config):
    return RunFolder(config.run_dir, config.model_dump(mode="json"))


def opened(config):
    folder = claimed(config)
    folder.describe(config, Detection2DTask.load(config.data))
    return folder


def test_a_folder_in_use_by_another_process_is_left_alone(config):
    opened(config)
    code = (
        "import sys; from filelock import FileLock; lock = FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(config.run_dir / LOCK)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunFolderError, match="is in use by another process"):
            opened(config)
        other.communicate("\n")
    opened(config)


def test_a_step_is_done_once(config):
    calls = []
    assert opened(config).step("first", lambda: calls.append(1))
    assert not opened(config).step("first", lambda: calls.append(2))
    assert opened(config).step("second", lambda: calls.append(3))
    assert calls == [1, 3]


def test_a_step_that_fails_is_not_done(config):
    def fail():
        raise ZeroDivisionError

    folder = opened(config)
    with pytest.raises(ZeroDivisionError):
        folder.step("first", fail)
    assert opened(config).step("first", lambda: None)


def test_what_the_run_is_made_with_is_written_down(config):
    folder = opened(config)
    record = json.loads((folder.path / "run.json").read_text())
    assert record["seed"] == 0
    assert record["versions"]["torch"]
    assert record["hardware"]["cores"] >= 1
    assert record["data"]["train_images"] == 8
    assert record["data"]["classes"] == ["square"]
    assert record["data"]["sha256"][str(config.data.val.annotations)] == sha256_of(config.data.val.annotations)
    assert load_config(folder.path / "config.yaml") == config


def test_a_folder_with_another_run_is_refused(run_file, config):
    folder = opened(config)
    (folder.path / "teacher").mkdir()
    with pytest.raises(RunFolderError, match=r"holds another run; there train\.lr is 0\.01, now it is 0\.02") as caught:
        claimed(load_config(run_file, ["train.lr=2e-2"]))
    assert "choose another name" in caught.value.hint
    assert load_config(folder.path / "config.yaml") == config


def test_a_folder_in_which_nothing_was_trained_may_be_taken_over(run_file, config):
    opened(config).step("doctor", lambda: None)
    changed = load_config(run_file, ["train.lr=2e-2"])
    folder = opened(changed)
    assert load_config(folder.path / "config.yaml") == changed
    assert folder.step("doctor", lambda: None), "the doctor has not seen this run"


def test_annotations_that_changed_in_between_are_refused(config):
    opened(config)
    path = config.data.val.annotations
    path.write_text(path.read_text() + "\n")
    with pytest.raises(RunFolderError, match=r"began with other annotations; \S+val\.json has changed"):
        opened(config)


@pytest.mark.parametrize(("format", "file"), [("voc", "Annotations/val-0.xml"), ("yolo", "labels/val/val-0.txt")])
def test_an_annotation_file_that_changed_in_between_is_refused(config, tmp_path, format, file):
    out = tmp_path / "out"
    settings = convert(read_parts(config.data), format, out).settings
    data = DataConfig.model_validate(config.data.model_dump() | settings)
    config = config.model_copy(update={"data": data})
    opened(config)
    opened(config)
    (out / file).write_text((out / file).read_text() + "\n")
    with pytest.raises(RunFolderError, match=r"began with other annotations; \S+(Annotations|val) has changed"):
        opened(config)


@pytest.mark.parametrize("content", ["", "a: [", "[]", "3"])
def test_a_broken_config_in_the_folder_is_refused(content, config):
    folder = opened(config)
    (folder.path / "teacher").mkdir()
    (folder.path / "config.yaml").write_text(content)
    with pytest.raises(RunFolderError, match="holds another run"):
        claimed(config)


def test_a_broken_record_is_refused(config):
    folder = opened(config)
    (folder.path / "run.json").write_text('{"steps": ')
    with pytest.raises(RunFolderError, match=r"run\.json is broken"):
        claimed(config)


def test_a_place_that_cannot_be_written_is_named(config):
    config.runs_dir.write_text("a file where the folder should be")
    with pytest.raises(RunFolderError, match=r"The run folder .*tiny cannot be used: .*: not a directory\."):
        claimed(config)


def test_a_file_in_place_of_the_folder(config):
    config.runs_dir.mkdir()
    config.run_dir.write_text("")
    with pytest.raises(RunFolderError, match=r"cannot be used: .*tiny: file exists\."):
        claimed(config)


def test_a_step_whose_result_is_gone_is_done_again(config):
    calls = []
    assert opened(config).step("first", lambda: calls.append(1))
    assert opened(config).step("first", lambda: calls.append(2), again=True)
    assert not opened(config).step("first", lambda: calls.append(3))
    assert calls == [1, 2]


def test_a_step_that_fails_when_it_is_done_again_is_not_done(config):
    opened(config).step("first", lambda: None)
    with pytest.raises(ZeroDivisionError):
        opened(config).step("first", lambda: 1 / 0, again=True)
    assert opened(config).step("first", lambda: None)


def test_free_sections_may_change_and_the_record_stays(config):
    settings = config.model_dump(mode="json")
    folder = RunFolder(config.run_dir, settings, free=("train", "seed"))
    folder.describe(config, Detection2DTask.load(config.data))
    folder.step("first", lambda: None)
    (folder.path / "teacher").mkdir()
    changed = settings | {"train": {**settings["train"], "lr": 1}, "seed": 3}
    again = RunFolder(config.run_dir, changed, free=("train", "seed"))
    assert load_config(folder.path / "config.yaml").seed == 0, "kept until the run is described"
    again.describe(config, Detection2DTask.load(config.data))
    assert not again.step("first", lambda: None)
    assert load_config(folder.path / "config.yaml").seed == 3
    with pytest.raises(RunFolderError, match=r"there name is 'tiny', now it is 'other'"):
        RunFolder(config.run_dir, changed | {"name": "other"}, free=("train", "seed"))


def test_a_difference_is_named_by_its_key():
    assert difference("a: {b: [1, 2]}", "a: {b: [1, 3]}") == "there a.b.1 is 2, now it is 3"
    assert difference("a: 1\nb: 2", "b: 2") == "there a is 1, now it is None"
    assert difference("a: 1\nb: 2", "b: 2", free=("a",)) is None
    assert difference("", "a: 1") == "the settings there are broken"


@pytest.fixture
def with_test(make_run, tmp_path):
    """The same run with a test part."""
    return load_config(make_run(tmp_path / "tested", test_images=3))


def test_a_test_part_is_written_down(with_test):
    data = json.loads((opened(with_test).path / "run.json").read_text())["data"]
    assert data["test_images"] == 3
    assert data["sha256"][str(with_test.data.test.annotations)] == sha256_of(with_test.data.test.annotations)


def test_a_run_folder_from_before_there_were_test_parts_goes_on(config):
    folder = opened(config)
    (folder.path / "teacher").mkdir()
    settings = yaml.safe_load((folder.path / "config.yaml").read_text())
    del settings["data"]["test"]
    (folder.path / "config.yaml").write_text(yaml.safe_dump(settings))
    record = json.loads((folder.path / "run.json").read_text())
    del record["data"]["test_images"]
    (folder.path / "run.json").write_text(json.dumps(record))
    opened(config)


def described_again(folder, config):
    """Open the folder as a comparison does, whose run may change."""
    folder = RunFolder(folder.path, {"run": config.model_dump(mode="json")}, free=("run",))
    folder.describe(config, Detection2DTask.load(config.data))
    return json.loads((folder.path / "run.json").read_text())["data"]


def test_a_test_part_may_come_later_and_its_labels_stay(with_test, tmp_path):
    without = with_test.model_copy(update={"data": with_test.data.model_copy(update={"test": None})})
    folder = RunFolder(tmp_path / "compared", {"run": {}}, free=("run",))
    assert described_again(folder, without)["test_images"] is None
    assert described_again(folder, with_test)["test_images"] == 3
    path = with_test.data.test.annotations
    path.write_text(path.read_text() + "\n")
    with pytest.raises(RunFolderError, match=r"began with other annotations; \S+test\.json has changed"):
        described_again(folder, with_test)
