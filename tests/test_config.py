import contextlib
import copy
import json

import jsonschema
import pytest
import yaml

from limbeck.config import RunConfig, dump_config, json_schema, load_config, parse_config
from limbeck.errors import ConfigError
from limbeck.lookup import find_method, find_model, names

MODEL = {"model": "gfl", "backbone": "test_resnet"}
SETTINGS = {
    "name": "full",
    "teacher_checkpoint": "teacher.safetensors",
    "teacher_train": {},
    "data": {
        "train": {"images": "images", "annotations": "train.json"},
        "val": {"images": "images", "annotations": "val.json"},
        "size": [64, 64],
    },
    "teacher": MODEL,
    "student": {**MODEL, "model": "retinanet"},
    "methods": [{"name": "bckd"}, {"name": "ld"}, "plain"],
}
FULL = yaml.safe_load(dump_config(parse_config(SETTINGS)))
"""A run file in which every key is written out."""


def keys_of(settings, prefix=()):
    """The path of every key in nested settings."""
    items = settings.items() if isinstance(settings, dict) else enumerate(settings)
    for key, value in items:
        if isinstance(settings, dict):
            yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from keys_of(value, (*prefix, key))


def at(settings, path):
    for part in path:
        settings = settings[part]
    return settings


def problems_of(settings):
    with pytest.raises(ConfigError, match="not valid") as caught:
        parse_config(settings, "run.yaml")
    return caught.value.problems


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
        return path

    return write


@pytest.fixture
def full(write):
    return write(FULL)


def test_the_full_file_has_every_key():
    sections = (RunConfig, find_method("bckd").Config, find_method("ld").Config, find_model("gfl").Config)
    written = {path[-1] for path in keys_of(FULL)}
    assert {key for section in sections for key in section.model_fields} <= written
    assert len(written) > 60


@pytest.mark.parametrize("path", list(keys_of(FULL)), ids=lambda path: ".".join(map(str, path)))
def test_a_typo_in_any_key_is_reported_with_the_right_name(path):
    right = path[-1]
    for wrong in {right + right[-1], right[:2] + right[3:] if len(right) > 4 else right + "e"}:
        settings = copy.deepcopy(FULL)
        section = at(settings, path[:-1])
        section[wrong] = section.pop(right)
        found = [problem for problem in problems_of(settings) if wrong in problem]
        assert len(found) == 1
        assert found[0].startswith(f"run.yaml: {'.'.join(map(str, path[:-1]))}")
        assert f"(did you mean '{right}'?)" in found[0]


def test_all_problems_are_reported_at_once():
    settings = {
        "name": "my run",
        "seeed": 1,
        "data": {**SETTINGS["data"], "size": [100, 64]},
        "teacher": {"model": "gfll"},
        "student": {**MODEL, "backbone": "resnett34", "channels": 2},
        "methods": [{"name": "bckd", "beta": 0}, "dkdd"],
        "train": {"epochs": "many", "lr": -1, "milestones": [2]},
    }
    found = "\n".join(problems_of(settings))
    for words in (
        "teacher: there is no model 'gfll' (did you mean 'gfl'?)",
        "student.backbone: timm knows no such backbone (did you mean 'resnet34'?), was given 'resnett34'",
        "student.channels: should be greater than or equal to 8, was given 2",
        "methods.0.beta: should be greater than 0, was given 0",
        "methods.1: there is no method 'dkdd'",
        "name: must be letters, digits",
        "seeed: unknown key (did you mean 'seed'?)",
        "data.size: width and height must be positive multiples of 32",
        "train.epochs: should be a valid integer",
        "train.lr: should be greater than 0, was given -1",
        "train.milestones.0: should be less than 1, was given 2",
    ):
        assert f"run.yaml: {words}" in found
    assert len(found.splitlines()) == 11


def test_a_broken_teacher_is_not_also_called_missing():
    (problem,) = problems_of({**SETTINGS, "teacher": {"model": "gfl", "chanels": 8}})
    assert problem.startswith("run.yaml: teacher.chanels: unknown key (did you mean 'channels'?)")


def test_a_method_that_needs_a_teacher_says_so():
    settings = {key: value for key, value in SETTINGS.items() if key != "teacher"}
    assert problems_of(settings) == ("run.yaml: the method 'bckd' needs a teacher: give the section 'teacher'",)
    assert not parse_config({**settings, "methods": ["plain"]}).uses_teacher


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("methods", "bckd", "methods: must be a list, was given 'bckd'"),
        ("methods", [], "methods: must have at least 1 entries"),
        ("methods", [3], "methods.0: must be a name or a section with 'name', was given 3"),
        ("methods", [{"name": 3}], "methods.0: the key 'name' must be a name, was given 3"),
        ("student", None, "student: "),
        ("student", {}, "student: the key 'model' is missing"),
        ("student", {"model": "no.such:Model"}, "student: the model 'no.such:Model' cannot be imported"),
        ("student", {"model": ":Model"}, "student: the model ':Model' cannot be imported"),
        ("student", {"model": ".here:Model"}, "student: the model '.here:Model' cannot be imported"),
        ("student", {"model": "json:loads"}, "student: 'json:loads' is not a Model"),
        ("data", 3, "data: must be a section with keys, was given 3"),
        ("data", {**SETTINGS["data"], "size": [64]}, "data.size.1: is missing"),
        ("data", {**SETTINGS["data"], "size": [64, 64, 3]}, "data.size: must have at most 2 entries"),
        ("train", {"lr": float("inf")}, "train.lr: should be a finite number, was given inf"),
        ("train", {3: 4}, "train.3: is no key, keys are text"),
        ("name", 12, "name: should be a valid string, was given 12"),
        ("name", "../x", "name: must be letters, digits"),
    ],
)
def test_each_wrong_value_is_named_with_its_place(key, value, words):
    (problem,) = problems_of({**SETTINGS, key: value})
    assert problem.startswith(f"run.yaml: {words}")


@pytest.mark.parametrize("value", [None, True, 3, "x", [], [3], {}, {"x": 1}, [[1]], {3: 4}, float("nan"), b"x"])
def test_no_value_at_any_key_ends_in_a_traceback(value):
    for path in keys_of(FULL):
        settings = copy.deepcopy(FULL)
        at(settings, path[:-1])[path[-1]] = value
        with contextlib.suppress(ConfigError):
            parse_config(settings)


def test_numbers_with_an_exponent_are_numbers(write):
    path = write(yaml.safe_dump(SETTINGS) + "train: {lr: 1e-4, weight_decay: 5E-2}\n")
    config = load_config(path, ["teacher_train.lr=2e-3"])
    assert config.train.lr == 1e-4
    assert config.train.weight_decay == 0.05
    assert config.teacher_train.lr == 2e-3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: a\nseed: 1\nname: b\n", "line 3, column 1: the key 'name' stands twice"),
        ("data: {size: [1, 1], size: [2, 2]}\n", "the key 'size' stands twice"),
        ("name: [a\n", "line 2, column 1: "),
        ("name: a\n  b: c\n", "line 2, column 4: "),
        ("? [a]\n: b\n", "unhashable"),
        ("", "must hold keys and values"),
        ("- a\n", "must hold keys and values"),
    ],
)
def test_broken_yaml_is_explained_with_its_line(text, words, write):
    path = write(text)
    with pytest.raises(ConfigError, match="not valid") as caught:
        load_config(path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: ")
    assert words in problem


def test_a_key_may_stand_in_an_anchor_and_be_given_anew(write):
    path = write(
        "base: &b {seed: 1, name: a}\n<<: *b\nname: b\n" + yaml.safe_dump({"data": SETTINGS["data"], "student": MODEL})
    )
    with pytest.raises(ConfigError, match="base: unknown key"):
        load_config(path, ["methods=[plain]"])


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("name: Müller\n".encode("latin-1"))
    for name, words in (("none.yaml", "no such file"), (".", "is a directory"), ("latin.yaml", "not text in UTF-8")):
        with pytest.raises(ConfigError, match=words):
            load_config(tmp_path / name)


def test_overrides_reach_every_place(write):
    path = write(SETTINGS)
    overrides = [
        "train.epochs=7",
        "student.channels=32",
        "methods.0.beta=2",
        "methods.2=ld",
        "methods.2.weight=1",
        "data.augment.flip=0",
        "data.classes=[wheel, 'no']",
        "teacher=retinanet",
        "teacher.channels=16",
        "train.ema=null",
        "runs_dir=/tmp/a=b",
    ]
    config = load_config(path, overrides)
    assert (config.train.epochs, config.train.ema) == (7, None)
    assert (config.student.channels, config.teacher.model, config.teacher.channels) == (32, "retinanet", 16)
    assert (config.methods[0].beta, config.methods[2].name, config.methods[2].weight) == (2, "ld", 1)
    assert config.data.augment.flip == 0
    assert config.data.classes == ("wheel", "no")
    assert str(config.runs_dir) == "/tmp/a=b"


def test_an_override_does_not_change_what_shares_an_anchor(write):
    text = yaml.safe_dump({key: value for key, value in SETTINGS.items() if key not in ("teacher", "student")})
    path = write(text + "teacher: &model {model: gfl, backbone: test_resnet, channels: 64}\nstudent: *model\n")
    config = load_config(path, ["student.channels=16"])
    assert (config.teacher.channels, config.student.channels) == (64, 16)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train", "must look like key.sub=value"),
        ("=3", "must look like key.sub=value"),
        ("train..lr=3", "must look like key.sub=value"),
        ("train.lr=[1", "the value is not valid YAML"),
        ("name.x=1", "'x' cannot be set in 'full', which is no section"),
        ("methods.9.beta=1", "there is no entry '9', the list has 3"),
        ("methods.first.beta=1", "there is no entry 'first', the list has 3"),
        ("methods.-1.beta=1", "there is no entry '-1', the list has 3"),
        ("methods.\N{SUPERSCRIPT TWO}.beta=1", "there is no entry"),
    ],
)
def test_an_override_that_cannot_be_used(override, words, full):
    with pytest.raises(ConfigError, match="not valid") as caught:
        load_config(full, [override])
    assert caught.value.problems == (caught.value.problems[0],)
    assert caught.value.problems[0].startswith(f"'{override}': ")
    assert words in caught.value.problems[0]


def test_problems_of_overrides_and_file_come_together(write):
    with pytest.raises(ConfigError, match="not valid") as caught:
        load_config(write({**SETTINGS, "sed": 1}), ["foo", "train.lrr=2"])
    assert [problem.split(":")[0].rsplit("/")[-1] for problem in caught.value.problems] == [
        "'foo'",
        "run.yaml",
        "run.yaml",
    ]


def test_what_is_shown_reads_back_as_the_same_run(tmp_path):
    awkward = ("no", "1e5", "2", "1.5e-3", "null", "a: b", "müsli", "-", "#x", "'")
    config = parse_config({**FULL, "data": {**FULL["data"], "classes": awkward}, "train": {"lr": 1e-5}})
    path = tmp_path / "again.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    again = load_config(path)
    assert again == config
    assert again.data.classes == awkward
    assert dump_config(again) == dump_config(config)


def test_a_python_user_writes_the_same_settings():
    config = RunConfig(**SETTINGS)
    assert config == parse_config(SETTINGS)
    assert config.student.model == "retinanet"
    assert type(config.methods[0]) is find_method("bckd").Config


def refs_of(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        value = list(value.values())
    for item in value if isinstance(value, list) else []:
        yield from refs_of(item)


def test_the_schema_holds_together_and_knows_models_and_methods():
    schema = json.loads(json.dumps(json_schema()))
    definitions = schema["$defs"]
    refs = set(refs_of(schema))
    assert {ref.removeprefix("#/$defs/") for ref in refs} <= definitions.keys()
    assert set(schema["required"]) == {"name", "data", "student", "methods"}
    for name in names("model"):
        assert definitions[f"model:{name}"]["properties"].keys() == find_model(name).Config.model_fields.keys()
        assert f"#/$defs/model:{name}" in refs
    for name in names("method"):
        assert definitions[f"method:{name}"]["properties"].keys() == find_method(name).Config.model_fields.keys()
        assert f"#/$defs/method:{name}" in refs
    assert "reg_max" in definitions["model:gfl"]["properties"]
    assert "alpha_loc" in definitions["method:bckd"]["properties"]


def test_the_schema_accepts_what_we_accept():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(FULL, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**FULL, "methods": [{"name": "bckd", "bet": 1}]}, schema)
