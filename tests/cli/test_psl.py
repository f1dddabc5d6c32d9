"""The command as a person uses it: exit status, one clear line, nothing half-written."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from psl import __version__, claims, datasets, embeddings, records
from psl.cli import main, progress
from psl.errors import DataError
from psl.evaluation import evaluate
from psl.files import replace_file

TINY = ("--epochs", "2", "--negatives", "20", "--dim", "8")
NO_KERNELS = {"PSL_KERNELS": "off"}  # nothing to compile


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def psl(tmp_path: Path, monkeypatch, capsys) -> Callable[..., Done]:
    """Run the command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str, **environment: str) -> Done:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["psl", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        shown = capsys.readouterr()
        return Done(exit_.value.code or 0, shown.out, shown.err)

    return run


def assert_refused(done: Done, *words: str) -> None:
    assert done.returncode == 2, done
    message = done.stderr.strip()
    assert message.startswith("psl: ") and "\n" not in message and "Traceback" not in message
    for word in words:
        assert word in message


def test_train_appends_one_record_and_leaves_no_state(psl, tmp_path: Path) -> None:
    done = psl("train", *TINY, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    lines = (tmp_path / "results" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record]
    assert record["config"]["epochs"] == 2 and record["best_epoch"] == 2
    assert not list(tmp_path.glob(".psl/*.safetensors"))
    assert psl("records", "check").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--dataset", "amazon-helth"), ("did you mean 'amazon-health'", "gowalla")),
        (("train", "--loss", "psl-rel"), ("did you mean 'psl-relu'", "bpr")),
        (("train", "--backbone", "mff"), ("did you mean 'mf'",)),
        (("train", "--tau", "-1"), ("tau must be positive",)),
        (("train", "--tuned"), ("no tuned hyperparameters",)),
        (("train", "--device", "abacus"), ("unknown device",)),
        (("train", "--device", "mps"), ("unknown device 'mps'", "cuda")),
        (("train", "--experiment", "../../x"), ("the experiment '../../x' is not a file name",)),
        (("train", "--experiment", ""), ("is not a file name",)),
        (("train", "--save", "best.pt"), ("--save must end in .safetensors",)),
        (("train", "--dataset", "gone.zip"), ("gone.zip: no such file", "psl data split")),
        (("data", "check", "gone.zip"), ("gone.zip: no such file",)),
        (("data", "fetch", "yelp2018", "--setting", "ood"), ("PSL_DATA_MIRROR",)),
        (("records", "show"), ("no run record",)),
    ],
)
def test_bad_input_is_one_line_and_status_two(
    psl, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_refused(psl(*arguments, PSL_DATA_MIRROR=""), *words)
    assert not (tmp_path / "results").exists()


def test_corrupt_archive(psl, tmp_path: Path) -> None:
    target = tmp_path / "data_iid" / "amazon2014-health" / "proc.zip"
    target.parent.mkdir(parents=True)
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("train.tsv", "user_procid\titem_procid\n0\t0\n")
    done = psl("data", "check", "amazon-health", PSL_DATA_MIRROR=str(tmp_path))
    assert_refused(done, "SHA-256")


def test_unreachable_address_says_so(psl, tmp_path: Path) -> None:
    done = psl(
        *("data", "fetch", "amazon-health"),
        PSL_DATA_MIRROR="http://127.0.0.1:9/nowhere",
        PSL_CACHE=str(tmp_path / "cache"),
    )
    assert_refused(done, "could not be fetched")
    assert not list(tmp_path.glob("cache/*.zip"))


def test_claims_are_json_and_every_mutant_with_evidence_dies(psl, tmp_path: Path) -> None:
    rows = json.loads(psl("claims", "--json").stdout)
    keys = {"id", "section", "kind", "statement", "status", "check", "tolerance", "evidence"}
    assert all(keys <= row.keys() for row in rows)
    done = psl("claims", "--mutants", "--json")
    assert done.returncode == 0
    matrix = json.loads(done.stdout)
    assert {row["id"] for row in matrix} == {row["id"] for row in rows}
    assert sum(row["killed"] is True for row in matrix) >= 19


@pytest.mark.parametrize(
    "command", [[Path(sys.executable).with_name("psl")], [sys.executable, "-m", "psl"]]
)
def test_the_installed_command_starts(command: list[str | Path]) -> None:
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "claims" in done.stdout


def test_narrow_terminals_cut_no_name(psl) -> None:
    """What a person copies from a table is whole at 80 columns."""
    listed = psl("data", "list", COLUMNS="80").stdout
    assert "amazon-electronic" in listed and "movielens-100k" in listed
    assert "GroupLens: research use" in " ".join(listed.split())
    whole, short = (psl("claims", *words, COLUMNS="80").stdout for words in (("--all",), ()))
    for row in claims.load_rows():
        assert row["id"] in whole
        waits = row["check"] == "printed-value"  # there is no record in this folder
        assert (row["id"] in short) != waits
    assert "552 printed values wait for a run or for data" in short


def test_another_result_of_a_run_is_kept_apart_until_asked_for(psl, tmp_path: Path) -> None:
    assert psl("train", *TINY).returncode == 0
    path = tmp_path / "results" / "train.jsonl"
    (true,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert psl("train", *TINY).returncode == 0, "the same result is no conflict"
    assert len(path.read_text().splitlines()) == 1
    other = {**true, "metrics": {k: v / 2 for k, v in true["metrics"].items()}}
    path.write_text(json.dumps(other) + "\n")
    done = psl("train", *TINY, "--json")
    assert_refused(done, "train.jsonl:1", "other metrics", "--resume --replace")
    assert json.loads(path.read_text()) == other
    assert len(list(tmp_path.glob(".psl/*.safetensors"))) == 1, "no need to train again"
    assert psl("train", *TINY, "--resume", "--replace").returncode == 0
    assert json.loads(path.read_text())["metrics"] == true["metrics"]
    assert not list(tmp_path.glob(".psl/*.safetensors"))
    # On another device it is another run, and no question.
    other["device"] = "another"
    path.write_text(json.dumps(other) + "\n")
    assert psl("train", *TINY).returncode == 0
    assert len(path.read_text().splitlines()) == 2


def test_rank_ones_own_items_with_the_saved_file(psl, tmp_path: Path) -> None:
    """From a table of names to a file, and from the file to the metrics of the record."""
    rows = [f"{u or 'NA'},i{(7 * u + 3 * k * k) % 40}" for u in range(30) for k in range(15)]
    (tmp_path / "mine.csv").write_text("\n".join(["user,item", *rows]))
    done = psl("data", "split", "mine.csv", "--output", "far/mine.zip", "--core", "3")
    assert done.returncode == 0, done.stderr
    words = ("--dataset", "far/mine.zip", *TINY, "--protocol", "clean")
    done = psl("train", *words, "--save", "out/best.safetensors")
    assert done.returncode == 0 and "embeddings in out/best.safetensors" in done.stdout
    (record,) = records.read(tmp_path / "results")
    found = embeddings.load(tmp_path / "out" / "best.safetensors")
    assert found.about["run_id"] == record["run_id"]
    data = datasets.load("far/mine.zip")
    assert found.about["dataset_fingerprint"] == data.fingerprint
    again = evaluate(lambda chosen: (found.users[chosen], found.items), data.test, data.train)
    assert again == record["metrics"]
    # By name: each training pair of the archive is a row of the table.
    assert found.user_ids is not None and found.item_ids is not None and "NA" in found.user_ids
    pairs = zip(data.train.users, data.train.items, strict=True)
    assert {f"{found.user_ids[u]},{found.item_ids[i]}" for u, i in pairs} <= set(rows)
    assert not list(tmp_path.glob(".psl/*.safetensors"))


def test_refit_keeps_a_model_of_all_pairs(
    psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ("train", *TINY, "--save", "m.safetensors")
    assert psl(*train).returncode == 0
    first = embeddings.load(tmp_path / "m.safetensors")
    assert first.about["trained_on"] == "train"
    assert_refused(psl("train", *TINY, "--refit"), "--save")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(embeddings, "save", stop)
        done = psl(*train, "--refit")
    assert done.returncode == 130 and "--resume goes on" in done.stderr
    assert "once more on all pairs" in done.stderr
    assert len(list(tmp_path.glob(".psl/*.safetensors"))) == 2
    done = psl(*train, "--refit", "--resume")
    assert done.returncode == 0 and "fitted on all pairs" in done.stdout
    again = embeddings.load(tmp_path / "m.safetensors")
    assert again.about == {**first.about, "trained_on": "all"}
    assert not (again.users == first.users).all()
    assert len(records.read(tmp_path / "results")) == 1 and not list(tmp_path.glob(".psl/*"))
    assert not psl(*train, "--refit", "--json").stderr


def test_what_ones_own_table_needs_is_said(psl, tmp_path: Path) -> None:
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40},{1 + k % 5}" for u in range(30) for k in range(15)]
    (tmp_path / "my shop.csv").write_text("\n".join(["user,item,stars", *rows]))
    split = ("data", "split", "my shop.csv", "--core", "3", "--output", "a b/mine.zip")
    assert_refused(psl("train", "--dataset", "my shop.csv"), "psl data split 'my shop.csv'")
    assert_refused(psl(*split, "--min-rating", "4"), "--rating")
    assert_refused(psl(*split, "--rating", "stars", "--min-rating", "nan"), "needs a number")
    assert_refused(psl(*split, "--figure", "a.xyz"), ".png, .pdf or .svg")
    assert not (tmp_path / "a b").exists()
    done = psl(*split, "--rating", "stars")
    assert done.returncode == 0 and "450 rows; " in done.stdout
    assert "ratings from 3 on" in done.stdout
    assert "psl train --dataset 'a b/mine.zip'" in done.stdout
    assert_refused(psl("train", "--dataset", "a b/mine"), "there is an archive a b/mine.zip")
    for taken in ("synthetic", "synthetic.zip"):  # a dataset's own name means the dataset
        (tmp_path / taken).write_text("")
    assert psl("train", "--dataset", "synthetic", *TINY).returncode == 0
    done = psl("train", "--dataset", "a b/mine.zip", "--setting", "ood", *TINY)
    assert done.returncode == 0 and "chosen on the test set" in done.stdout


def test_where_nothing_can_be_written_nothing_is_trained(psl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option, where in (("--save", "file/x.safetensors"), ("--results", "file")):
        assert_refused(psl("train", *TINY, option, where), "file", "cannot be written")
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").iterdir())
    assert not list(tmp_path.glob(".psl/*"))


def test_version_and_a_folder_without_records(psl) -> None:
    assert psl("--version").stdout.strip() == __version__
    done = psl("claims", "--results", "nosuch")
    assert done.returncode == 0 and "no run record in nosuch" in done.stderr


def test_check_ones_own_archive(psl, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for name in ("train.tsv", "test.tsv"):
            archive.writestr(name, "user_procid\titem_procid\n0\t0\n1\t1\n")
    assert_refused(psl("data", "check", "mine.zip"), "2 of the 2 test pairs are training pairs too")
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("train.tsv", "user_procid\titem_procid\n0\t0\n1\t1\n")
        archive.writestr("test.tsv", "user_procid\titem_procid\n0\t1\n")
    done = psl("data", "check", "mine.zip")
    assert done.returncode == 0 and "2 training and 1 test interactions" in done.stdout


def test_a_stopped_run_is_not_lost_by_starting_it_again(
    psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(records, "append", stop)  # between the last epoch and the record
        with contextlib.suppress(KeyboardInterrupt):
            psl("train", *TINY)
    (state,) = tmp_path.glob(".psl/*.safetensors")
    before = state.read_bytes()
    assert_refused(psl("train", *TINY), state.name, "--resume goes on", "--restart deletes it")
    assert_refused(psl("train", *TINY, "--resume", "--restart"), "exclude each other")
    assert state.read_bytes() == before and not (tmp_path / "results").exists()
    state.write_bytes(b"damaged")
    assert_refused(psl("train", *TINY, "--resume"), "not a readable checkpoint")
    assert psl("train", *TINY, "--restart").returncode == 0
    assert len(records.read(tmp_path / "results")) == 1 and not state.exists()


def test_a_log_has_a_line_now_and_then(psl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 3600.0)
    done = psl("train", *TINY, "--epochs", "4", "--validate-every", "2")
    first, last = (line for line in done.stderr.splitlines() if line.startswith("epoch "))
    assert first.startswith("epoch 1/4: loss ") and "validation NDCG@20 -; " in first
    assert " s an epoch, about " in first
    assert last.startswith("epoch 4/4: ") and "NDCG@20 0." in last and "about 0 s left" in last
    assert not psl("train", *TINY, "--seed", "1", "--json").stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_told_to_end_it_stops_as_by_ctrl_c(tmp_path: Path) -> None:
    """What a scheduler sends before it kills leaves a state to go on from, and says so."""
    command = [sys.executable, "-m", "psl", "train", *TINY, "--epochs", "100000"]
    run = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, **NO_KERNELS}
    )
    try:
        assert run.stderr is not None and run.stderr.readline().startswith("epoch 1/100000")
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".psl/*.safetensors")):
            assert time.monotonic() < deadline, "no state is kept"
            time.sleep(0.02)
        run.terminate()
        assert run.wait(60) == 130
        said = run.stderr.read()
    finally:
        run.kill()  # a test that failed leaves no training behind
    assert "--resume goes on after the last whole epoch" in said and "Traceback" not in said
    assert [p.suffix for p in tmp_path.glob(".psl/*")] == [".safetensors"]  # nothing half-written


def test_a_name_is_printed_as_it_is(psl, tmp_path: Path) -> None:
    """To Rich [old] is a style, [/x] the end of one and :bug: a picture."""
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40}" for u in range(30) for k in range(15)]
    (tmp_path / "mine.csv").write_text("\n".join(["user,item", *rows]))
    name = "in[/x]/data[old]:bug:.zip"
    done = psl("data", "split", "mine.csv", "--output", name, "--core", "3")
    assert done.returncode == 0 and f"psl train --dataset '{name}'\n" in done.stdout
    assert name in psl("data", "check", name).stdout
    folder = "to[red][/x]" + "long" * 50
    done = psl(
        "train", "--dataset", name, *TINY, "--results", folder, "--save", f"{folder}.safetensors"
    )
    assert done.returncode == 0, done.stderr
    assert f"one record in {folder}/train.jsonl\n" in done.stdout
    assert f"embeddings in {folder}.safetensors\n" in done.stdout
    assert f"1 records in {folder}: all" in psl("records", "check", "--results", folder).stdout
    assert "train: data[old]:bug:.zip (iid)" in psl("records", "show", "--results", folder).stdout
    done = psl("records", "merge", folder, "--into", "all[x]")
    assert "1 new in all[x]/train.jsonl\n" in done.stdout
    assert "in all[x] already\n" in psl("records", "merge", folder, "--into", "all[x]").stdout
    assert_refused(psl("data", "check", "gone[/x].zip"), "gone[/x].zip: no such file")


def test_the_command_starts_without_what_only_posix_has() -> None:
    code = (
        "import signal, sys; sys.modules['resource'] = sys.modules['fcntl'] = None\n"
        "del signal.pthread_sigmask\n"
        "from psl.cli import main; sys.argv = ['psl', 'data', 'list']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "synthetic" in done.stdout, done.stderr


def test_types_are_packaged() -> None:
    """A user's type checker reads the annotations only if the marker is installed."""
    assert (files("psl") / "py.typed").is_file()
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["psl"]


def test_split_a_table_and_train_on_it(
    psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40},{u + k}" for u in range(30) for k in range(15)]
    (tmp_path / "mine.csv").write_text("\n".join(["who,what,when", *rows]))
    names = ("--user", "who", "--item", "what", "--timestamp", "when", "--core", "3")
    for setting in ("iid", "popularity", "temporal"):
        done = psl(
            "data", "split", "mine.csv", "--output", "mine.zip", "--setting", setting, *names,
            "--figure", "popularity.png",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "users" in done.stdout and (tmp_path / "popularity.png").stat().st_size > 1000
        done = psl("train", "--dataset", "mine.zip", *TINY, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["config"]["dataset"] == "mine.zip"
    assert_refused(psl("data", "split", "mine.csv", "--output", "mine.tar", *names), ".zip")
    with monkeypatch.context() as without:  # as after an installation without the extra
        without.setitem(sys.modules, "seaborn", None)
        figure = ("--output", "other.zip", *names, "--figure", "popularity.png")
        assert_refused(psl("data", "split", "mine.csv", *figure), "extra figures")
        assert not (tmp_path / "other.zip").exists(), "refused before the work, not after it"
    assert_refused(psl("data", "split", "mine.csv", "--output", "m.zip"), "no column 'user'", "who")


def test_refit_trains_to_the_best_epoch(psl, monkeypatch: pytest.MonkeyPatch) -> None:
    told, seen = iter([0.2, 0.3, 0.1, 0.0]), []

    def scripted(*_: object, **__: object) -> dict[str, float]:
        return dict.fromkeys(("ndcg@20", "recall@20"), next(told))

    def spy(config: object, data: object, epochs: int, **_: object) -> None:
        seen.append(epochs)
        raise DataError("far enough")

    monkeypatch.setattr("psl.training.loop.evaluate", scripted)
    monkeypatch.setattr("psl.cli.train.refit", spy)
    words = ("--epochs", "3", "--negatives", "5", "--dim", "4", "--validate-every", "1")
    done = psl("train", *words, "--save", "m.safetensors", "--refit", "--json")
    assert_refused(done, "far enough")
    assert seen == [2]


def test_what_cannot_be_refitted_is_not_trained(psl, tmp_path: Path) -> None:
    head = "user_procid\titem_procid\n"
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("train.tsv", head + "0\t0\n0\t1\n1\t1\n1\t2\n")
        archive.writestr("test.tsv", head + "0\t2\n")
    words = ("--dataset", "mine.zip", *TINY, "--save", "m.safetensors", "--refit")
    assert_refused(psl("train", *words), "user 0 has every item")
    assert not (tmp_path / "results").exists()


def test_a_split_has_a_seed_and_a_threshold(psl, tmp_path: Path) -> None:
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40},{1 + k % 5}" for u in range(30) for k in range(15)]
    (tmp_path / "a.csv").write_text("\n".join(["user,item,stars", *rows]))
    made = []
    for words in ((), ("--seed", "1"), ("--min-rating", "4")):
        psl(
            "data",
            "split",
            "a.csv",
            "--output",
            "a.zip",
            "--core",
            "1",
            "--rating",
            "stars",
            *words,
        )
        data = datasets.load("a.zip")
        made.append((data.train.fingerprint(), len(data.train) + len(data.test)))
    assert made[0][0] != made[1][0] and made[0][1] == made[1][1] > made[2][1]


def test_a_mutant_that_lives_is_status_one(psl, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"id": "x", "mutant": "m", "before": "verified", "after": "verified"}
    for killed in (False, True):
        monkeypatch.setattr(claims, "kill_matrix", lambda _, k=killed: [row | {"killed": k}])
        assert psl("claims", "--mutants").returncode == int(not killed)


def test_content_that_is_not_the_registered_one(psl, monkeypatch: pytest.MonkeyPatch) -> None:
    source = dataclasses.replace(datasets.get_source("gowalla"), fingerprint="f" * 64)
    monkeypatch.setitem(datasets.DATASETS, ("gowalla", "iid"), source)
    found = dataclasses.replace(datasets.load(), name="gowalla")
    monkeypatch.setattr("psl.cli.data.datasets.load", lambda *_: found)
    assert_refused(psl("data", "check", "gowalla"), "not the registered one")


def test_a_full_disk_names_the_file_and_the_remedy(
    psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def full(path: Path, content: bytes) -> None:
        with monkeypatch.context() as disk:
            disk.setattr(os, "fsync", no_space)
            replace_file(path, content)

    with monkeypatch.context() as small:
        small.setattr("psl.records.store.replace_file", full)
        done = psl("train", *TINY, "--json")
    assert_refused(done, "No space left on device", "results/train.jsonl", "--resume goes on")
    done = psl("train", *TINY, "--resume", "--json")
    assert done.returncode == 0 and len(records.read(tmp_path / "results")) == 1
