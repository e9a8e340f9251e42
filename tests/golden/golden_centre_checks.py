"""Golden checks of CenterPoint on pillars: encoder, neck, head, targets, losses, decoding."""

import re
from collections.abc import Callable
from typing import Any

import torch
from golden_vectors import Case
from torch import Tensor

from limbeck.core.centre import CODE, CentreAssignment, CentreRaw, CentreSpec, CentreTargets
from limbeck.core.centre_targets import Peaks, assign_group
from limbeck.core.detection3d import CentreDetector, Postprocess3D, candidates, choose
from limbeck.core.outputs import Detections3D
from limbeck.core.samples import Batch, Boxes3D
from limbeck.losses.centre import code_l1, heat_map_focal
from limbeck.nn.bev_neck import BevNeck
from limbeck.nn.center_head import CenterHead
from limbeck.nn.pillar_net import PillarNet
from limbeck.ops.centre import draw_peaks, gaussian_radius
from limbeck.ops.pillars import PillarGrid, Pillars, scatter

Results = dict[str, Any]
BRANCHES = {"reg": 2, "height": 1, "dim": 3, "rot": 2}


def centre_spec(
    grid: PillarGrid,
    class_groups: tuple[tuple[int, ...], ...],
    *,
    stride: float = 1,
    channels: int = 1,
    groups: tuple[dict[str, int], ...] | None = None,
    max_objects: int = 500,
) -> CentreSpec:
    """A spec with the heads that the classes need, unless they are given."""
    count = sum(len(classes) for classes in class_groups)
    return CentreSpec(
        task="detection3d",
        classes=tuple(f"class {number}" for number in range(count)),
        inputs=("points",),
        channels=(channels,),
        strides=(1,),
        mean=(),
        std=(),
        grid=grid,
        point_features=5,
        max_points=20,
        stride=stride,
        groups=groups or tuple({"hm": len(classes), **BRANCHES} for classes in class_groups),
        class_groups=class_groups,
        max_objects=max_objects,
    )


def targets_of(case: Case, codes: Tensor, suffix: str = "", heat_map: str = "hm") -> CentreTargets:
    """The objects of an entry as targets of one group."""
    index, mask = case.given(f"ind{suffix}"), case.given(f"mask{suffix}").bool()
    labels = case.given(f"cat{suffix}") if f"in.cat{suffix}" in case.arrays else torch.zeros_like(index)
    name = f"{heat_map}{suffix}"
    drawn = case.given(name) if f"in.{name}" in case.arrays else torch.zeros(1, dtype=case.dtype)
    return CentreTargets(drawn, index, mask, labels, codes, mask.sum().to(case.dtype))


def _fast_focal(case: Case) -> Results:
    probs = case.leaf("prob")
    objects = targets_of(case, torch.zeros(0), heat_map="target")
    loss = heat_map_focal(probs, objects.heat_map, objects.index, objects.mask, objects.labels, objects.count)
    loss.backward()
    return {"out.loss": loss, "grad.prob": probs.grad}


def _reg_l1(case: Case) -> Results:
    output, mask = case.leaf("output"), case.given("mask").bool()
    rows = code_l1(output, case.given("target"), case.given("ind"), mask, mask.sum().to(case.dtype))
    (rows * torch.arange(1, len(rows) + 1)).sum().backward()
    return {"out.per_dim": rows, "grad.output": output.grad}


def _gaussian_radius(case: Case) -> Results:
    radius = gaussian_radius(*case.given("hw").T, case.given("overlap"))
    exact = gaussian_radius(*case.given("hw").double().T, case.given("overlap").double())
    return {"out.radius": radius, "out.int_radius": exact.int().clamp(min=2).long()}


def _draw_gaussian(case: Case) -> Results:
    cells, radii = case.given("centers").trunc().long(), case.given("radius")
    shape = (1, case.params["height"], case.params["width"])
    return {"out.heatmap": draw_peaks(shape, torch.zeros_like(radii), cells, radii)[0]}


def _pillar_net_name(name: str) -> str:
    return name.replace("first.", "layer0.").replace("second.", "layer1.")


def _pillar_feature_net(case: Case) -> Results:
    params, voxels, counts = case.params, case.given("voxels"), case.given("num_points")
    grid = PillarGrid(tuple(params["pc_range"]), tuple(params["voxel_size"][:2]))
    there = torch.arange(voxels.shape[1]) < counts[:, None]
    batch, _, row, column = case.given("coords").T
    nx, ny = grid.size_xy
    pillar = torch.arange(len(voxels)).repeat_interleave(counts)
    pillars = Pillars(voxels[there], pillar, counts, (batch * ny + row) * nx + column)
    net = PillarNet(voxels.shape[2], grid, voxels.shape[1], tuple(params["filters"]))
    found = case.load(net, _pillar_net_name)(pillars)
    (found * case.cotangent("features_eval")).sum().backward()
    results = {"out.features_eval": found} | case.gradients(net, _pillar_net_name)
    return results | {"out.features_train": net.train()(pillars)}


def _pillar_scatter(case: Case) -> Results:
    batch, _, row, column = case.given("coords").T
    nx, ny, size = case.params["nx"], case.params["ny"], case.params["batch_size"]
    canvas = scatter(case.given("features"), (batch * ny + row) * nx + column, size, (nx, ny))
    return {"out32.canvas": canvas}


def _neck_name(name: str) -> str:
    if block := re.match(r"blocks\.(\d+)\.(\d+)\.(\d)\.(.*)", name):
        return f"block{block[1]}.{('conv', 'norm')[int(block[3])]}{block[2]}.{block[4]}"
    return re.sub(r"ways\.(\d+)\.(\d)", lambda way: f"deblock{way[1]}.{('conv', 'norm')[int(way[2])]}", name)


def _rpn_neck(case: Case) -> Results:
    params, x = case.params, case.leaf("x")
    neck = BevNeck(
        x.shape[1],
        params["extra_convs"],
        params["strides"],
        params["filters"],
        params["upsample"],
        params["upsample_filters"],
    )
    y = case.load(neck, _neck_name)(x)
    (y * case.cotangent("y")).sum().backward()
    return {"out.y": y, "grad.x": x.grad} | {"out.y_train": neck.train()(x)}


def _head_name(name: str) -> str:
    if shared := re.match(r"shared\.(\d)\.(.*)", name):
        return f"shared.{('conv', 'norm')[int(shared[1])]}.{shared[2]}"
    layers = {"0": "conv0", "1": "norm", "3": "conv1"}
    return re.sub(r"groups\.(\d+)\.(\w+)\.(\d)", lambda m: f"task{m[1]}.{m[2]}.{layers[m[3]]}", name)


class _Detector(CentreDetector):
    """A head alone, for its supervised losses."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__()
        self.box_weight, self.code_weights = params["loc_weight"], tuple(params["code_weights"])

    def map_view(self, pillars: Pillars, batch_size: int) -> Tensor:
        raise NotImplementedError

    def head(self, features: list[Tensor], batch: Batch[Boxes3D]) -> CentreRaw:
        raise NotImplementedError


def _center_head(case: Case) -> Results:
    params, x = case.params, case.leaf("x")
    groups = [{**BRANCHES, "hm": count} for count in params["tasks"]]
    head = case.load(CenterHead(x.shape[1], groups, params["shared"], params["hidden"]), _head_name)
    maps, detector, results = head(x), _Detector(params), {}
    total = torch.zeros((), dtype=case.dtype)
    for number, of_task in enumerate(maps):
        codes = case.given(f"anno_box_{number}")
        targets = targets_of(case, torch.cat([codes[..., :6], codes[..., 8:]], dim=2), f"_{number}")
        terms = detector.losses(
            CentreRaw([], [of_task]), CentreAssignment(targets.count, [targets]), Batch[Boxes3D]({}, [], [])
        )
        total = total + sum(terms.values())
        results |= {f"out.task{number}_{name}": value for name, value in of_task.items()}
        results |= {
            f"out.task{number}_hm_loss": terms["heat_map"],
            f"out.task{number}_loc_loss": terms["boxes"] / params["loc_weight"],
            f"out.task{number}_loss": sum(terms.values()),
        }
    total.backward()
    return results | {"out.total": total, "grad.x": x.grad}


def _center_decode(case: Case) -> Results:
    params = case.params
    maps = {name: case.given(name) for name in ("hm", *CODE) if f"in.{name}" in case.arrays}
    height, width = maps["hm"].shape[2:]
    stride, (step_x, step_y), (x0, y0) = params["out_size_factor"], params["voxel_size"], params["pc_range_min"]
    corner = x0 + width * stride * step_x, y0 + height * stride * step_y
    grid = PillarGrid((x0, y0, -10, *corner, 10), (step_x, step_y))
    spec = centre_spec(grid, (tuple(range(maps["hm"].shape[1])),), stride=stride)
    postprocess = Postprocess3D(
        score_threshold=params["score_threshold"],
        nms="circle",
        circle=params["circle_threshold"],
        post_range=tuple(params["post_center_range"]),
        max_detections=params["post_max"],
    )
    results: Results = {}
    for sample, row in enumerate(zip(*candidates(maps, spec, 0, height * width), strict=True)):
        found = choose(Detections3D(*row), postprocess, 0)
        results |= {f"out.boxes_{sample}": found.boxes, f"out.scores_{sample}": found.scores}
        results[f"out.labels_{sample}"] = found.labels
    return results


def _assign_targets(case: Case) -> Results:
    """The reference's boxes have width before length; the numbers do not depend on what a side is called."""
    params, given = case.params, case.given("boxes")
    boxes = torch.cat([given[:, :6], given[:, 8:9]], dim=1)
    labels = case.given("classes") - 1
    target = Boxes3D(boxes, labels, torch.zeros_like(labels, dtype=torch.bool), given[:, 6:8])
    grid = PillarGrid(tuple(params["pc_range"]), tuple(params["voxel_size"][:2]))
    names = params["class_list"]
    class_groups = tuple(tuple(names.index(name) for name in task) for task in params["tasks"])
    branches = {"reg": 2, "height": 1, "dim": 3, "vel": 2, "rot": 2}
    groups = tuple({"hm": len(classes), **branches} for classes in class_groups)
    spec = centre_spec(grid, class_groups, stride=params["out_size_factor"], groups=groups)
    peaks = Peaks(overlap=params["gaussian_overlap"], min_radius=params["min_radius"], max_objects=params["max_objs"])
    results: Results = {}
    for number in range(len(class_groups)):
        found = assign_group([target], spec, number, peaks)
        results |= {
            f"out.hm_{number}": found.heat_map[0],
            f"out.ind_{number}": found.index[0],
            f"out.mask_{number}": found.mask[0].to(torch.uint8),
            f"out.cat_{number}": found.labels[0],
            f"out.anno_box_{number}": found.codes[0],
        }
    return results


CENTRE_CHECKS: dict[str, Callable[[Case], Results]] = {
    "assign_targets": _assign_targets,
    "center_decode": _center_decode,
    "center_head": _center_head,
    "draw_gaussian": _draw_gaussian,
    "fast_focal": _fast_focal,
    "gaussian_radius": _gaussian_radius,
    "pillar_feature_net": _pillar_feature_net,
    "pillar_scatter": _pillar_scatter,
    "reg_l1": _reg_l1,
    "rpn_neck": _rpn_neck,
}
