import json
import os
import socket
import subprocess
import sys

import yaml


def run_by_two(*arguments):
    """Start a command as torchrun does, and return what both processes printed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    place = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1", "GROUP_RANK": "0"}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    environment = os.environ | place | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "limbeck.cli.main", *map(str, arguments)]
    started = [
        subprocess.Popen(command, env=environment | {"RANK": rank, "LOCAL_RANK": rank}, stdout=-1, stderr=-1, text=True)
        for rank in ("0", "1")
    ]
    try:
        (first, first_err), (second, second_err) = (process.communicate(timeout=300) for process in started)
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], first_err + second_err
    return first, second


def test_two_processes_do_the_whole_job_once(make_run, tmp_path):
    """Both train, the first alone does the rest, and only it speaks and writes."""
    run_file = make_run(tmp_path / "data")
    first, second = run_by_two("distill", run_file, "train.epochs=1")
    steps = ["doctor", "teacher", "control", "student", "evaluation", "export", "report"]
    assert [line[1:-1] for line in first.splitlines() if line.startswith("[")] == steps
    assert "report: " in first
    assert second == ""
    (record,) = tmp_path.rglob("run.json")
    assert list(json.loads(record.read_text(encoding="utf-8"))["steps"]) == steps
    assert (record.parent / "report.html").exists()


def test_two_processes_compare_once(make_run, tmp_path):
    run_file = make_run(tmp_path / "data")
    comparison = run_file.parent / "comparison.yaml"
    comparison.write_text(
        yaml.safe_dump({"name": "by-two", "run": "run.yaml", "seeds": [0], "methods": {"ld": ["ld"]}})
    )
    first, second = run_by_two("compare", comparison, "train.epochs=1")
    trained = ["teacher", "control-seed0", "ld-seed0"]
    assert [line[1:].split("]")[0] for line in first.splitlines() if line.startswith("[")] == ["doctor: ld", *trained]
    assert "plot: " in first
    assert second == ""
    (record,) = tmp_path.rglob("run.json")
    assert list(json.loads(record.read_text(encoding="utf-8"))["steps"]) == trained
    assert (record.parent / "table.md").exists()
