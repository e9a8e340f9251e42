"""Distil a torchvision FCOS, and take it back into your own code as a plain torchvision checkpoint.

In the run file the teacher is a GFL detector. It has another head than FCOS, so they meet in their feature maps, by
FitNet; any other teacher would do.

python examples/torchvision_student.py configs/detection2d/wagons-torchvision-fcos.yaml student.pth
"""

import sys
from pathlib import Path

import torch

from limbeck.config import load_config
from limbeck.pipeline import Outcome, distill
from limbeck.training.fit import BEST
from limbeck.weights import load_weights


def main(run_file: Path, state_dict: Path, *overrides: str) -> Outcome:
    """Distil the student of the run file and write its torchvision state dict.

    torchvision reads it without limbeck, for the backbone and the classes of the run::

        fpn = resnet_fpn_backbone(backbone_name="resnet18", weights=None, norm_layer=nn.BatchNorm2d,
                                  returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))
        model = torchvision.models.detection.FCOS(fpn, num_classes=2)
        model.load_state_dict(torch.load("student.pth", weights_only=True))
    """
    outcome = distill(load_config(run_file, overrides), print)
    model, _ = load_weights(outcome.folder / "student" / BEST)
    torch.save(model.net.state_dict(), state_dict)
    return outcome


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
