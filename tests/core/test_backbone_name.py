import pytest
from pydantic import TypeAdapter, ValidationError

from limbeck.core.backbone_name import OWN_BACKBONES, BackboneName

NAME = TypeAdapter(BackboneName)


@pytest.mark.parametrize("name", ["resnet18", *OWN_BACKBONES])
def test_a_known_name_passes(name):
    assert NAME.validate_python(name) == name


@pytest.mark.parametrize(
    ("name", "near"), [("mitb2", "mit_b2"), ("lean_nanno", "lean_nano"), ("resnett50", "resnet50")]
)
def test_a_misspelt_name_is_met_with_the_nearest(name, near):
    with pytest.raises(ValidationError, match=rf"timm knows no such backbone \(did you mean '{near}'\?\)"):
        NAME.validate_python(name)
