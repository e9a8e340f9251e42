"""A distillation method of your own: the squared difference of the class scores of teacher and student.

python examples/own_method.py configs/detection2d/wagons-bckd.yaml
PYTHONPATH=examples limbeck distill run.yaml 'methods=[{name: own_method:ScoreMimic, weight: 2}]'
"""

import sys
from pathlib import Path

from pydantic import Field

from limbeck.config import load_config
from limbeck.core.dense2d import check_same_locations, check_same_outputs
from limbeck.core.method import Method, MethodConfig, Step, Terms
from limbeck.core.model import ModelSpec
from limbeck.core.outputs import DenseAssignment2D, DenseRaw2D
from limbeck.core.samples import Boxes2D
from limbeck.pipeline import Outcome, distill

OWN = "own_method:ScoreMimic"


class ScoreMimic(Method[Boxes2D, DenseRaw2D, DenseAssignment2D]):
    """The student's scores become the teacher's, location by location."""

    class Config(MethodConfig):
        """Settings, as they may stand in a run file."""

        name: str = OWN
        weight: float = Field(1.0, gt=0)

    tasks = ("detection2d",)
    uses_teacher = True

    def __init__(self, config: Config, *, student: ModelSpec, teacher: ModelSpec | None) -> None:
        super().__init__(config, student=student, teacher=teacher)
        check_same_locations(OWN, student, teacher)  # refuses an unfit pair before the training
        self.config = config

    def forward(self, step: Step[Boxes2D, DenseRaw2D, DenseAssignment2D]) -> Terms:
        """Return the term ``score_mimic``, divided by the same number of positives as the student's own losses."""
        teacher = check_same_outputs(OWN, step.student_out, step.teacher_out)
        difference = step.student_out.class_logits.sigmoid() - teacher.class_logits.sigmoid()
        rows = difference.square().sum(dim=2) * step.assignment.weights  # (B,N); ignored locations have weight 0
        return Terms(
            losses={"score_mimic": self.config.weight * rows.sum() / step.assignment.normaliser},
            logs={"largest_difference": difference.detach().abs().max()},
        )


def main(run_file: Path, *overrides: str) -> Outcome:
    """Distil the models of a run file by this method."""
    return distill(load_config(run_file, ["name=own-method", f"methods=[{{name: {OWN}}}]", *overrides]), print)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
