import pytest
import torch

from limbeck.core.method import Progress, Step


@pytest.fixture
def make_step():
    """Return a function that runs student and teacher on a batch and makes the step a method gets."""

    def make(student, teacher, batch):
        student_out = student(batch)
        with torch.no_grad():
            teacher_out = teacher.eval()(batch)
        assignment = student.assign(student_out, batch)
        progress = Progress(0, 100, 0)
        return Step(batch, student, student_out, teacher_out, assignment, {}, progress)

    return make
