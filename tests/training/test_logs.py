import json

from limbeck.training.logs import JsonLines, drop_lines_from


def test_one_line_per_call(tmp_path):
    log = JsonLines(tmp_path / "metrics.jsonl")
    log.log_metrics({"train/loss": 1.5}, step=0)
    log.log_metrics({"val/AP": 0.25, "val/AP50": 0.5}, step=0)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 0, "train/loss": 1.5}, {"step": 0, "val/AP": 0.25, "val/AP50": 0.5}]


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    from lightning.pytorch.utilities import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    JsonLines(tmp_path / "metrics.jsonl").log_metrics({"train/loss": 1.5}, step=0)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_lines_behind_the_checkpoint_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = JsonLines(path)
    for step in range(4):
        log.log_metrics({"train/loss": 0.1 * step}, step=step)
    whole = path.read_text()
    drop_lines_from(path, 9)
    assert path.read_text() == whole
    drop_lines_from(path, 2)
    assert path.read_text() == "".join(whole.splitlines(keepends=True)[:2])
    drop_lines_from(path, 0)
    assert path.read_text() == ""


def test_a_new_training_starts_an_empty_log(tmp_path):
    drop_lines_from(tmp_path / "metrics.jsonl", 0)
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_a_line_cut_in_half_is_dropped_and_the_next_one_starts_afresh(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0, "train/loss": 1.5}\n{"step": 1, "train/lo')
    drop_lines_from(path, 5)
    JsonLines(path).log_metrics({"train/loss": 2.5}, step=1)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1]
