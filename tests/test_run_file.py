import pytest

from limbeck.errors import ConfigError
from limbeck.run_file import apply_overrides, read_settings, spell_out, write_settings


@pytest.mark.parametrize(
    "value", ["1e5", "1.e3", ".5e-2", "-2E+7", "1e-4x", "yes", "012", "~", 1e-5, 0.1, 3, None, True]
)
def test_what_is_written_reads_back_as_it_was(value, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(write_settings({"key": value, "list": [value]}))
    again = read_settings(path)
    assert again == {"key": value, "list": [value]}
    assert type(again["key"]) is type(value)


def test_merged_keys_may_be_given_anew_but_own_keys_only_once(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert read_settings(path)["b"] == {"x": 3, "y": 2}
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3, x: 4}\n")
    with pytest.raises(ConfigError, match=r"line 2, column 19: the key 'x' stands twice"):
        read_settings(path)


def test_an_override_makes_the_sections_on_its_way():
    settings = {"data": None}
    assert apply_overrides(settings, ["data.augment.flip=0.5", "train.lr=1e-4"]) == []
    assert settings == {"data": {"augment": {"flip": 0.5}}, "train": {"lr": 1e-4}}


def test_names_are_spelled_out_as_sections():
    settings = {"teacher": "gfl", "student": {"model": "gfl"}, "methods": ["ld", {"name": "bckd"}]}
    spell_out(settings)
    assert settings["teacher"] == {"model": "gfl"}
    assert settings["methods"] == [{"name": "ld"}, {"name": "bckd"}]


def test_names_are_spelled_out_in_the_rows_of_a_comparison_too():
    settings = {"methods": {"ld": ["ld"], "both": [{"name": "bckd"}, "ld"], "odd": 3}}
    spell_out(settings)
    assert settings["methods"] == {"ld": [{"name": "ld"}], "both": [{"name": "bckd"}, {"name": "ld"}], "odd": 3}
