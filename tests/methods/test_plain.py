from limbeck.methods.plain import Plain


def test_adds_nothing_and_trains_nothing(make_detector):
    method = Plain(Plain.Config(), student=make_detector().spec, teacher=None)
    terms = method(step=None)
    assert terms.losses == {}
    assert terms.logs == {}
    assert method.param_groups() == []
    assert not Plain.uses_teacher
