import pytest
import torch
import torch.distributed as dist

from limbeck.core.parallel import mean_over_processes


def test_one_process_keeps_its_value():
    value = torch.tensor(3.0)
    assert mean_over_processes(value) is value


@pytest.fixture
def group(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_several_processes_share_the_mean(group, monkeypatch):
    monkeypatch.setattr(dist, "get_world_size", lambda: 4)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.add_(9))  # what the other three have
    value = torch.tensor(3.0, requires_grad=True)
    mean = mean_over_processes(value)
    assert mean == 3
    assert not mean.requires_grad
    assert value == 3


def test_a_group_of_one_is_a_mean_of_one(group):
    assert mean_over_processes(torch.tensor(3.0)) == 3
