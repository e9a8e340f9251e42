import sys

import pytest
from pydantic import ValidationError

from limbeck.errors import LimbeckError
from limbeck.lookup import build_model, find_method, find_model, method_config, model_config, names, preset, presets
from limbeck.methods.bckd import Bckd
from limbeck.models.gfl import GFL

OUTSIDE = """
from limbeck.methods.plain import Plain

class Mine(Plain):
    class Config(Plain.Config):
        name: str = "outside:Mine"
        strength: float = 2.0
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A module of the user's own."""
    (tmp_path / "outside.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("outside", None)


def test_names_are_the_files():
    assert {"gfl", "retinanet"} <= set(names("model"))
    assert {"bckd", "ld", "plain"} <= set(names("method"))
    assert find_model("gfl") is GFL
    assert find_method("bckd") is Bckd


@pytest.mark.parametrize(
    ("find", "name", "near"), [(find_model, "retinnet", "retinanet"), (find_method, "bkcd", "bckd")]
)
def test_an_unknown_name_is_met_with_the_nearest(find, name, near):
    with pytest.raises(LimbeckError, match=rf"there is no \w+ '{name}' \(did you mean '{near}'\?\); there are \["):
        find(name)


def test_a_method_of_the_users_own_is_found(outside):
    config = method_config({"name": "outside:Mine", "strength": 3})
    assert config.strength == 3
    assert find_method("outside:Mine").__name__ == "Mine"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere.at:All", r"cannot be imported: No module named 'nowhere' \(is its folder on PYTHONPATH\?\)"),
        ("outside:Other", "the module 'outside' has no class 'Other'"),
        ("outside:", "the module 'outside' has no class ''"),
        (":Mine", "cannot be imported"),
        (".outside:Mine", "cannot be imported"),
        ("json:loads", "'json:loads' is not a Method"),
        ("limbeck.models.gfl:GFL", "is not a Method"),
    ],
)
def test_a_path_that_leads_to_no_method(path, words, outside):
    with pytest.raises(LimbeckError, match=words):
        find_method(path)


def test_a_model_is_built_by_its_config():
    config = model_config({"model": "gfl", "backbone": "test_resnet", "channels": 8, "strides": (8, 16)})
    model = build_model(config, ("wheel", "bolt"))
    assert isinstance(model, GFL)
    assert model.spec.classes == ("wheel", "bolt")
    assert model.spec.channels == (8, 8)


def _within(part, whole):
    """Whether a section has the entries of another one."""
    if isinstance(part, dict):
        return all(_within(value, whole[key]) for key, value in part.items())
    return part == whole


@pytest.mark.parametrize("name", presets())
def test_a_preset_is_a_model_with_settings(name):
    config = model_config({"model": name})
    assert name not in names("model")
    assert config.model == preset(name)["model"]
    dumped = config.model_dump(mode="json")
    assert all(_within(value, dumped[key]) for key, value in preset(name).items())
    assert find_model(name) is find_model(config.model)


def test_settings_beside_a_preset_win():
    assert model_config({"model": "nano", "channels": 24}).channels == 24
    with pytest.raises(ValidationError, match="depht"):
        model_config({"model": "nano", "depht": 3})


def test_a_misspelt_preset_is_met_with_the_nearest():
    with pytest.raises(LimbeckError, match=r"there is no model 'nanno' \(did you mean 'nano'\?\)"):
        find_model("nanno")
