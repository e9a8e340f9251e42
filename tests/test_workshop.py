import pytest

from limbeck.config import load_config
from limbeck.errors import CheckpointError, ConfigError
from limbeck.weights import read_info
from limbeck.workshop import Training, Workshop, check_teacher_checkpoint, teacher_training


@pytest.fixture
def load(make_run, tmp_path):
    """Return a function that loads a tiny run with overrides."""
    run_file = make_run(tmp_path / "data")
    return lambda *overrides: load_config(run_file, ["train.epochs=1", *overrides])


def test_the_teacher_is_trained_as_the_run_says(load):
    config = load("seed=3", "teacher_train={epochs: 2}")
    assert teacher_training(config) == Training("teacher", config.teacher, config.teacher_train, 3)
    assert teacher_training(load()).plan == config.train
    with pytest.raises(ConfigError, match="no teacher to train"):
        teacher_training(load("teacher=null", "methods=[plain]"))


def test_weights_lie_in_the_folder_of_their_model(load, tmp_path):
    shop = Workshop(load(), tmp_path / "run")
    assert shop.weights_of("student") == tmp_path / "run/student/best.safetensors"
    assert shop.weights_of("teacher") == tmp_path / "run/teacher/best.safetensors"


def test_a_model_is_trained_with_its_methods_and_seed_and_measured(load, tmp_path, no_timing):
    config, said = load("methods=[fitnet]", "teacher.backbone=test_resnet"), []
    shop = Workshop(config, tmp_path / "run", said.append)
    shop.train_teacher()
    shop.train(Training("taught", config.student, config.train, 5, config.methods))
    assert any("stride 8" in line for line in said), "the method says what it chose"
    info = read_info(shop.weights_of("taught"))
    assert info.methods == ("fitnet",)
    assert info.classes == ("square",)
    assert f"  best epoch on the validation images: AP {info.metrics['AP']:.3f}" in said
    measured = shop.measure("taught", "student")
    assert (
        said[-1]
        == f"  taught: AP {measured.evaluation['metrics']['AP']:.3f}, AP50 {measured.evaluation['metrics']['AP50']:.3f}"
    )
    assert {"predictions.json", "evaluation.json"} <= {path.name for path in (tmp_path / "run/taught").iterdir()}


def test_a_method_needs_the_weights_of_the_teacher(load, tmp_path):
    config = load()
    with pytest.raises(CheckpointError, match=r"teacher/best\.safetensors does not exist"):
        Workshop(config, tmp_path / "run").train(Training("taught", config.student, config.train, 0, config.methods))


def test_a_given_teacher_must_be_the_one_described(finished_run, load):
    weights = finished_run.folder / "teacher/best.safetensors"
    check_teacher_checkpoint(load(f"teacher_checkpoint={weights}"))
    with pytest.raises(CheckpointError, match=r"has channels 24, but the run file says teacher\.channels: 32"):
        Workshop(load(f"teacher_checkpoint={weights}", "teacher.channels=32"), finished_run.folder)
