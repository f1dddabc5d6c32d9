"""`psl train`: one record at the end, and nothing is lost on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command import NO_KERNELS, TINY, assert_refused, heed_hangups
from companion import records
from companion.cli import progress
from psl.files import replace_file
from run_records import sealed


def test_train_appends_one_record_and_leaves_no_state(psl, tmp_path: Path) -> None:
    done = psl("train", *TINY, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    lines = (tmp_path / "results" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record]
    assert record["config"]["epochs"] == 2 and record["best_epoch"] == 2
    assert not list(tmp_path.glob(".psl/*.safetensors"))
    assert psl("records", "check").returncode == 0


def test_another_result_of_a_run_is_kept_apart_until_asked_for(psl, tmp_path: Path) -> None:
    assert psl("train", *TINY).returncode == 0
    path = tmp_path / "results" / "train.jsonl"
    (true,) = [json.loads(line) for line in path.read_text().splitlines()]
    assert psl("train", *TINY).returncode == 0, "the same result is no conflict"
    assert len(path.read_text().splitlines()) == 1
    other = sealed({**true, "metrics": {k: v / 2 for k, v in true["metrics"].items()}})
    path.write_text(json.dumps(other) + "\n")
    done = psl("train", *TINY, "--json")
    assert_refused(done, "train.jsonl:1", "other metrics", "--resume --replace")
    assert json.loads(path.read_text()) == other
    assert len(list(tmp_path.glob(".psl/*.safetensors"))) == 1, "no need to train again"
    assert psl("train", *TINY, "--resume", "--replace").returncode == 0
    assert json.loads(path.read_text())["metrics"] == true["metrics"]
    assert not list(tmp_path.glob(".psl/*.safetensors"))
    # On another device it is another run, and no question.
    path.write_text(json.dumps(sealed(other | {"device": "another"})) + "\n")
    assert psl("train", *TINY).returncode == 0
    assert len(path.read_text().splitlines()) == 2


def test_an_optimizer_that_does_not_fit_is_refused_in_a_line(psl, tmp_path: Path) -> None:
    for options, words in (
        (["--loss", "sl", "--optimizer", "sgd"], "optimizer must be one of"),
        (["--loss", "sl", "--optimizer", "sparse-adam"], "inner products, not cosines"),
        (
            ["--loss", "simce", "--backbone", "lightgcn", "--optimizer", "sparse-adam"],
            "backbone mf",
        ),
    ):
        assert_refused(psl("train", *TINY, *options), words)


def test_where_nothing_can_be_written_nothing_is_trained(psl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option, where in (("--save", "file/x.safetensors"), ("--results", "file")):
        assert_refused(psl("train", *TINY, option, where), "file", "cannot be written")
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").iterdir())
    assert not list(tmp_path.glob(".psl/*"))


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
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_told_to_end_it_stops_as_by_ctrl_c(psl, tmp_path: Path, name: str) -> None:
    """What a scheduler or a closed terminal sends leaves a state to go on from, and says so."""
    words = ("train", *TINY, "--epochs", "100000")
    run = subprocess.Popen(
        [sys.executable, "-m", "companion", *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **NO_KERNELS},
        preexec_fn=heed_hangups,
    )
    try:
        assert run.stderr is not None and run.stderr.readline().startswith("epoch 1/100000")
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".psl/*.safetensors")):
            assert time.monotonic() < deadline, "no state is kept"
            time.sleep(0.02)
        for word in ("--resume", "--restart"):
            assert_refused(psl(*words, word), "another process is at it")
        run.send_signal(getattr(signal, name))
        assert run.wait(60) == 130
        said = run.stderr.read()
    finally:
        run.kill()  # a test that failed leaves no training behind
    assert "--resume goes on from the last state" in said and "Traceback" not in said
    left = sorted(p.suffix for p in tmp_path.glob(".psl/*"))
    assert left in ([".lock", ".safetensors"], [".safetensors"])  # nothing half-written


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
        small.setattr("companion.records.store.replace_file", full)
        done = psl("train", *TINY, "--json")
    assert_refused(done, "No space left on device", "results/train.jsonl", "--resume goes on")
    done = psl("train", *TINY, "--resume", "--json")
    assert done.returncode == 0 and len(records.read(tmp_path / "results")) == 1


def test_the_threads_are_chosen(psl) -> None:
    done = psl("train", *TINY, "--device", "cpu", "--threads", "1", "--json")
    assert json.loads(done.stdout)["device"].startswith("cpu, 1 threads")
