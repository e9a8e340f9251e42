"""One process of a training by two; test_fit.py starts it as torchrun would: DATA OUT."""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from toy_methods import Toy

from limbeck.config import TrainConfig
from limbeck.core.method import Step, Terms
from limbeck.data.config import DataConfig, SplitConfig
from limbeck.errors import Interrupted
from limbeck.lookup import build_model, method_config, model_config
from limbeck.tasks.detection2d import Detection2DTask
from limbeck.training.fit import build_methods, fit
from limbeck.training.teacher import FrozenTeacher
from limbeck.weights import WeightsInfo

SEEN = []


class Watch(Toy):
    """Writes down which images this process sees and by what its losses are divided."""

    def forward(self, step: Step) -> Terms:
        found = step.assignment.positive(len(step.student.spec.classes)).sum(dim=1)
        SEEN.append(
            {
                "images": [frame.id for frame in step.batch.frames],
                "positives": int(found.clamp(min=1).sum()),
                "normaliser": float(step.assignment.normaliser),
            }
        )
        return Terms()


def digest(module: torch.nn.Module) -> str:
    """A number for the parameters; the running statistics of batch norm are those of each process."""
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in module.parameters())).hexdigest()


def train(task: Detection2DTask, folder: Path, rank: int, stop: int) -> dict[str, str]:
    """Train, from where the folder stands to the signal that comes to the second process in step ``stop``."""
    settings = {"model": "gfl", "backbone": "test_resnet", "channels": 16, "tower_depth": 1, "strides": (8, 16, 32)}
    torch.manual_seed(rank)  # the processes start with different weights; DDP must hand out those of the first
    student, teacher = (build_model(model_config(settings), task.classes) for _ in range(2))
    configs = [method_config({"name": f"toy_methods:{name}"}) for name in ("Adapter", "DynamicTeacher")]
    taps = ["trunk.neck#0", "dense_head.class_tower#1"]
    configs.append(method_config({"name": "fitnet", "student_taps": taps, "teacher_taps": taps, "adapter": "always"}))
    configs.append(method_config({"name": "toy_methods:Signal", "step": stop if rank == 1 else -1}))
    methods = build_methods(configs, student, teacher, task.val_loader(1), seed=rank)
    methods.append(Watch(Watch.Config(name="watch"), student=student.spec, teacher=None))
    info = WeightsInfo(model=settings, classes=task.classes, size=(64, 64), resize="letterbox")
    config = TrainConfig(epochs=2, batch_size=1, workers=0, precision="fp32")
    adapters = torch.nn.ModuleList([methods[0], methods[2]])
    start = digest(adapters)
    try:
        fit(student, methods, FrozenTeacher(teacher), task, config, info, folder=folder, seed=0)
        end = "done"
    except Interrupted as stopped:
        end = stopped.message
    return {"end": end, "student": digest(student), "adapter": digest(adapters), "adapter at the start": start}


def main(data: Path, out: Path) -> None:
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    split = SplitConfig(images=data / "images", annotations=data / "boxes.json")
    task = Detection2DTask.load(DataConfig(train=split, val=split, size=(64, 64)))
    runs = [train(task, out / "run", rank, stop) for stop in (3, -1)]
    (out / f"rank{rank}.json").write_text(json.dumps({"runs": runs, "steps": SEEN}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
