import copy

import pytest
import torch
from torch import nn

from limbeck.training.ema import Ema


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.norm = nn.BatchNorm1d(2)

    def become(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)
            self.norm.running_mean.fill_(10 * value)
            self.norm.num_batches_tracked.fill_(int(value))


def follow(ema: Ema, values: list[float], first: int = 1) -> dict[str, torch.Tensor]:
    student = Toy()
    for step, value in enumerate(values, start=first):
        student.become(value)
        ema.update(student, step)
    return ema.weights(student)


@pytest.mark.parametrize("final", [0.3, 0.999])
def test_closed_form(final):
    values = [3.0, 5.0, -1.0, 8.0]
    expected = values[0]
    for step, value in enumerate(values[1:], start=2):
        decay = min(final, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    average = follow(Ema(final), values)
    assert average["weight"].tolist() == pytest.approx([expected] * 2)
    assert average["norm.running_mean"].tolist() == pytest.approx([10 * expected] * 2)


def test_integers_are_copied():
    average = follow(Ema(0.9), [1.0, 2.0, 7.0])["norm.num_batches_tracked"]
    assert average == 7
    assert average.dtype == torch.int64


def test_a_long_run_of_equal_weights_is_kept():
    assert follow(Ema(0.999), [4.0] * 20)["weight"].tolist() == [4.0, 4.0]


def test_without_decay_the_weights_are_the_students():
    assert follow(Ema(None), [1.0, 2.0])["weight"].tolist() == [2.0, 2.0]


def test_the_average_is_no_view_of_the_student():
    ema, student = Ema(0.5), Toy()
    ema.update(student, 1)
    student.become(9.0)
    assert ema.weights(student)["weight"].tolist() == [0, 0]


def test_it_goes_on_after_a_resume():
    values = [3.0, 5.0, -1.0, 8.0]
    whole, first, second = Ema(0.999), Ema(0.999), Ema(0.999)
    expected = follow(whole, values)
    follow(first, values[:2])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    average = follow(second, values[2:], first=3)
    assert all(torch.equal(average[name], value) for name, value in expected.items())


def test_it_counts_optimizer_steps_not_batches(training, tmp_path):
    training(tmp_path, "DynamicTeacher", epochs=1, accumulate=3)  # 4 batches, 2 steps
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["Ema"]
    assert state["updates"] == 2
