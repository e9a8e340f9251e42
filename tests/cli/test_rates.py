import shutil


def test_the_table_shows_models_and_means_within_80_columns(finished_run, limbeck, tmp_path):
    shutil.copytree(finished_run.folder, tmp_path / "copied")
    done = limbeck("rates", finished_run.folder, tmp_path / "copied")
    assert (done.code, done.err) == (0, "")
    table = [line.split() for line in done.out.splitlines()]
    roles = ["teacher", "control", "student"]
    assert [words[1] for words in table if words[:1] == ["tiny"]] == roles
    assert [words[1] for words in table if words[:1] == ["mean"]] == roles
    student, mean = (next(words for words in table if words[:2] == [name, "student"]) for name in ("tiny", "mean"))
    rates = finished_run.outcome.evaluations["student"]["fault_rates"]["rates"]
    assert student[2:6] == ["val*", *(f"{100 * value:.2f}" for value in rates.values())]
    assert mean[2:6] == student[2:6]
    assert done.out.splitlines()[-1].startswith("* the threshold was chosen on these very images")
    assert all(len(line) <= 80 for line in done.out.splitlines()[:-1])


def test_a_single_run_has_no_mean(finished_run, limbeck):
    assert "mean" not in limbeck("rates", finished_run.folder).out


def test_mistakes_end_with_code_2(limbeck, tmp_path):
    assert limbeck("rates").code == 2
    done = limbeck("rates", tmp_path)
    assert done.code == 2
    assert "is no run folder" in done.err


def test_the_models_of_a_comparison_are_its_rows_and_seeds(finished_comparison, limbeck):
    done = limbeck("rates", finished_comparison.folder)
    models = [line.split()[1] for line in done.out.splitlines() if "val*" in line]
    assert models[0] == "teacher"
    assert set(models[1:]) == {f"{row}-seed{seed}" for row in ("control", "bckd", "ld") for seed in (0, 1)}
