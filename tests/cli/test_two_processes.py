import json
import os
import socket
import subprocess
import sys


def test_two_processes_do_the_whole_job_once(make_run, tmp_path):
    """Started as torchrun does: both train, the first alone does the rest, and only it speaks and writes."""
    run_file = make_run(tmp_path / "data")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    place = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1", "GROUP_RANK": "0"}
    place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    environment = os.environ | place | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "limbeck.cli.main", "distill", str(run_file), "train.epochs=1"]
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
    steps = ["doctor", "teacher", "control", "student", "evaluation", "export", "report"]
    assert [line[1:-1] for line in first.splitlines() if line.startswith("[")] == steps
    assert "report: " in first
    assert second == ""
    (record,) = tmp_path.rglob("run.json")
    assert list(json.loads(record.read_text(encoding="utf-8"))["steps"]) == steps
    assert (record.parent / "report.html").exists()
