import pytest
import yaml

from limbeck.comparison.config import ComparisonConfig, load_comparison
from limbeck.config import load_config
from limbeck.errors import ConfigError


@pytest.fixture
def write(make_run, tmp_path):
    """Return a function that writes a comparison file beside the run file it names, with changes."""
    run_file = make_run(tmp_path / "data")

    def write(**changes):
        settings = {"name": "methods", "run": run_file.name, "seeds": [0, 1], "methods": {"bckd": ["bckd"]}}
        path = run_file.parent / "comparison.yaml"
        path.write_text(yaml.safe_dump(settings | changes, sort_keys=False))
        return path

    return write


def problems_of(path, overrides=()):
    with pytest.raises(ConfigError, match="The comparison is not valid") as caught:
        load_comparison(path, overrides)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_a_comparison_is_read_with_its_run(write):
    path = write(methods={"bckd": ["bckd"], "both": ["bckd", {"name": "ld", "weight": 0.5}]})
    config = load_comparison(path)
    assert config.run == load_config(path.parent / "run.yaml")
    assert config.seeds == (0, 1)
    assert [method.name for method in config.methods["both"]] == ["bckd", "ld"]
    assert config.methods["both"][1].weight == 0.5
    assert config.run_dir == config.run.runs_dir / "methods"
    assert config.uses_teacher


def test_the_run_may_stand_in_the_file(write):
    config = load_comparison(write(), ["train.epochs=3"])
    again = load_comparison(write(**config.model_dump(mode="json")))
    assert again == config
    changed = load_comparison(write(**config.model_dump(mode="json")), ["train.epochs=4"])
    assert changed.run.train.epochs == 4


def test_it_may_be_made_in_python(write):
    config = load_comparison(write())
    made = ComparisonConfig(name="methods", run=config.run, seeds=(0, 1), methods={"bckd": ({"name": "bckd"},)})
    assert made == config


def test_an_override_changes_the_comparison_or_its_run(write):
    overrides = ["name=other", "seeds=[4]", "methods.bckd.0.alpha_loc=2", "methods.ld=[ld]", "train.epochs=3", "seed=7"]
    config = load_comparison(write(), overrides)
    assert (config.name, config.seeds) == ("other", (4,))
    assert config.methods["bckd"][0].alpha_loc == 2
    assert list(config.methods) == ["bckd", "ld"]
    assert (config.run.name, config.run.train.epochs, config.run.seed) == ("tiny", 3, 7)


def test_all_problems_of_both_files_are_reported_at_once(write):
    path = write(
        sedes=[1],
        seeds=[0, -1],
        methods={"bckd": [{"name": "bckd", "alpha_lco": 2}, "lld"], "my row": ["ld"], "control": ["ld"], "empty": []},
    )
    found = problems_of(path, ["train.epochs=many", "x"])
    run = path.parent / "run.yaml"
    assert found[0] == "'x': must look like key.sub=value"
    assert found[1].startswith(f"{run}: train.epochs: should be a valid integer")
    assert found[2].startswith("methods.bckd.0.alpha_lco: unknown key (did you mean 'alpha_loc'?)")
    assert found[3].startswith("methods.bckd.1: there is no method 'lld' (did you mean 'ld'?)")
    rest = "\n".join(found[4:])
    assert "seeds.1: should be greater than or equal to 0, was given -1" in rest
    assert "methods.my row: must be letters, digits" in rest
    assert "methods.control: 'control' is in every comparison; give the row another name" in rest
    assert "methods.empty: must have at least 1 entries" in rest
    assert (
        "sedes: unknown key (did you mean 'seeds'?); known are ['methods', 'name', 'run', 'seeds', 'students']" in rest
    )
    assert len(found) == 9


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"seeds": [1, 2, 1]}, "seeds: the seed 1 stands twice"),
        ({"seeds": []}, "seeds: must have at least 1 entries"),
        ({"seeds": 3}, "seeds: must be a list, was given 3"),
        ({"methods": ["bckd"]}, "methods: must be a section with keys"),
        ({"methods": {"bckd": "bckd"}}, "methods.bckd: must be a list, was given 'bckd'"),
        ({"methods": {}}, "there is nothing to compare: give rows in 'methods', or 'students'"),
        ({"methods": {"LD": ["ld"], "ld": ["ld"]}}, "methods: two rows are called 'ld', but for upper and lower case"),
        ({"name": "tiny"}, "the run is called 'tiny' too; each needs a folder of its own"),
        ({"run": 3}, "run: must be the path of a run file, was given 3"),
        ({"run": {"name": "x"}}, "run: data: is missing"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(changes, problem, write):
    found = [line for line in problems_of(write(**changes)) if line.startswith(problem)]
    assert len(found) == 1


def test_a_row_that_needs_a_teacher_needs_one_in_the_run(write):
    run = load_comparison(write()).run.model_dump(mode="json") | {"teacher": None, "methods": ["plain"]}
    assert not load_comparison(write(run=run, methods={"plain": ["plain"]})).uses_teacher
    path = write(run=run, methods={"plain": ["plain"], "both": ["plain", "ld"], "bckd": ["bckd"]})
    assert problems_of(path) == [
        "the row 'both' needs a teacher for 'ld': give the section 'teacher' in the run; "
        "the row 'bckd' needs a teacher for 'bckd': give the section 'teacher' in the run"
    ]


def test_a_run_file_in_place_of_a_comparison(write):
    assert problems_of(write().parent / "run.yaml") == ["is a run file; a comparison names it as its 'run'"]


def test_methods_without_rows_are_not_shown_as_python(write):
    assert problems_of(write(methods=["bckd"])) == ["methods: must be a section with keys"]


def test_further_students_are_whole_or_change_the_runs_own(write):
    path = write(students={"thin": {"channels": 8}, "other": {"model": "atss", "backbone": "resnet18"}, "pico": "pico"})
    config = load_comparison(path)
    own = config.run.student
    assert config.students["thin"] == own.model_copy(update={"channels": 8})
    assert (config.students["other"].model, config.students["other"].channels) == ("atss", 256)
    assert config.students["pico"].backbone == "lean_pico"
    rows = config.rows()
    assert list(rows)[:4] == ["control", "bckd", "control@thin", "bckd@thin"]
    assert rows["bckd@thin"].control == "control@thin"
    assert rows["bckd@thin"].student.channels == 8
    assert rows["control@thin"].methods == ()
    assert load_comparison(write(**config.model_dump(mode="json"))) == config


def test_students_may_be_compared_without_any_method(write):
    config = load_comparison(write(methods={}, students={"thin": {"channels": 8}}))
    assert list(config.rows()) == ["control", "control@thin"]
    assert not config.uses_teacher


def test_what_is_wrong_with_students_is_told_with_its_key(write):
    found = problems_of(write(students={"thin": {"chanels": 8}, "control": {"channels": 8}, "x": {"model": "glf"}}))
    assert found[0].startswith("students.thin.chanels: unknown key (did you mean 'channels'?)")
    assert found[1].startswith("students.x: there is no model 'glf' (did you mean 'gfl'?)")
    assert any("'control' is in every comparison" in problem for problem in found)
    assert problems_of(write(methods={}))[0].startswith("there is nothing to compare: give rows in 'methods'")


def test_an_override_reaches_a_student(write):
    config = load_comparison(write(students={"thin": {"channels": 8}}), ["students.thin.channels=24"])
    assert config.students["thin"].channels == 24


def test_a_student_changes_single_settings_of_a_section(write):
    path = write(students={"thin": {"postprocess": {"nms_iou": 0.5}}})
    thin = load_comparison(path, ["student.postprocess.max_detections=7"]).students["thin"]
    assert (thin.postprocess.nms_iou, thin.postprocess.max_detections) == (0.5, 7)


def test_students_are_judged_although_the_run_is_wrong_elsewhere(write):
    path = write(students={"thin": {"channels": 8}, "thick": {"chanels": 8}})
    found = problems_of(path, ["train.epochs=many"])
    assert found[0].startswith(f"{path.parent / 'run.yaml'}: train.epochs: should be a valid integer")
    assert found[1].startswith("students.thick.chanels: unknown key (did you mean 'channels'?)")
    assert len(found) == 2


@pytest.mark.parametrize("student", ["{model: gfl, chanels: 8}", "glf", "3", "null"])
def test_what_is_wrong_with_the_runs_student_is_not_told_of_others(student, write):
    path = write(students={"thin": {"channels": 8}, "x": {"model": "glf"}}, methods={})
    found = problems_of(path, [f"student={student}"])
    assert f"{path.parent / 'run.yaml'}: student" in found[0]
    assert found[1].startswith("students.x: there is no model 'glf'")
    assert len(found) == 2


def test_a_key_of_a_method_in_a_student_is_unknown(write):
    (problem,) = problems_of(write(students={"thin": {"model": "gfl", "name": "thin"}}))
    assert problem.startswith("students.thin.name: unknown key; known are ['backbone'")


@pytest.mark.parametrize("row", ["Control", "TEACHER"])
def test_a_row_called_like_the_control_but_for_upper_case_is_refused(row, write):
    (problem,) = problems_of(write(methods={row: ["ld"]}))
    assert problem.startswith(f"methods.{row}: '{row}' is in every comparison")
