"""Shared by all tests: the network is forbidden, here and in every process that a test starts."""

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

OFFLINE = Path(__file__).parent / "offline"
REPO = Path(__file__).parent.parent


def _forbid_network(log: Path) -> None:
    """Patch this process and hand the guard down to its children; attempts are written to ``log``."""
    os.environ["LIMBECK_TEST_NETWORK_LOG"] = str(log)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(OFFLINE))]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(OFFLINE), *paths])
    spec = importlib.util.spec_from_file_location("limbeck_offline", OFFLINE / "sitecustomize.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


LOG_FOLDER = tempfile.TemporaryDirectory(prefix="limbeck-test-")
NETWORK_LOG = Path(LOG_FOLDER.name) / "network.log"
_forbid_network(NETWORK_LOG)


class NetworkLog:
    """The hosts that were asked for since the last look, in this process and in the processes it started."""

    def take(self) -> list[str]:
        hosts = NETWORK_LOG.read_text(encoding="utf-8").split() if NETWORK_LOG.exists() else []
        NETWORK_LOG.unlink(missing_ok=True)
        return hosts


@pytest.fixture(autouse=True)
def no_network() -> Iterator[NetworkLog]:
    """Fail a test that asked for the network, also where the error was swallowed; processes it starts inherit this.

    A process started with an environment of its own needs ``PYTHONPATH`` and ``LIMBECK_TEST_NETWORK_LOG`` from
    ``os.environ`` in it.
    """
    log = NetworkLog()
    yield log
    hosts = log.take()
    assert not hosts, f"the test asked for the network: {', '.join(hosts)}"


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope="session")
def make_batch():
    """Return a function that makes a batch of noise images with a few boxes; image 1 is negative if there are two."""
    import torch

    from limbeck.core.samples import Batch, Boxes2D, Frame
    from limbeck.imaging import Fit

    def make(images: int = 2, side: int = 64, num_classes: int = 2, seed: int = 0) -> Batch[Boxes2D]:
        generator = torch.Generator().manual_seed(seed)
        targets = []
        for index in range(images):
            count = 0 if index == 1 else 3
            corner = torch.rand(count, 2, generator=generator) * side * 0.5
            size = side * (0.2 + 0.3 * torch.rand(count, 2, generator=generator))
            labels = torch.randint(0, num_classes, (count,), generator=generator)
            targets.append(Boxes2D(torch.cat([corner, corner + size], 1), labels, torch.zeros(count, dtype=torch.bool)))
        pixels = torch.randint(0, 256, (images, 3, side, side), generator=generator, dtype=torch.uint8)
        fit = Fit.of((2 * side, side), (side, side), "stretch")
        return Batch({"image": pixels}, targets, [Frame(i, Path(f"{i}.jpg"), fit) for i in range(images)])

    return make


@pytest.fixture(scope="session")
def make_detector():
    """Return a function that builds a very small detector: ``make_detector("gfl", classes=..., channels=...)``."""
    import torch

    from limbeck.lookup import build_model, model_config

    def make(model: str = "gfl", classes: tuple[str, ...] = ("wagon", "number"), seed: int = 0, **settings):
        light = {"backbone": "test_resnet", "channels": 16, "tower_depth": 1, "strides": (8, 16, 32)}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_model(model_config({"model": model} | light | settings), classes)

    return make
