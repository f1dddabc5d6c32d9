"""One's own table: split it, train on it, refit on all of it, rank with the file."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest

from command import TINY, assert_refused
from companion import datasets, records
from psl.errors import DataError
from psl.evaluation import evaluate
from psl.training import export as embeddings


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
    assert done.returncode == 0 and re.search(r"ratings below 3 +. +180 ", done.stdout)
    assert "psl train --dataset 'a b/mine.zip'" in done.stdout
    assert_refused(psl("train", "--dataset", "a b/mine"), "there is an archive a b/mine.zip")
    for taken in ("synthetic", "synthetic.zip"):  # a dataset's own name means the dataset
        (tmp_path / taken).write_text("")
    assert psl("train", "--dataset", "synthetic", *TINY).returncode == 0
    done = psl("train", "--dataset", "a b/mine.zip", "--setting", "ood", *TINY)
    assert done.returncode == 0 and "chosen on the test set" in done.stdout


def test_split_a_table_and_train_on_it(psl, tmp_path: Path) -> None:
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40},{u + k}" for u in range(30) for k in range(15)]
    (tmp_path / "mine.csv").write_text("\n".join(["who,what,when", *rows]))
    names = ("--user", "who", "--item", "what", "--timestamp", "when", "--core", "3")
    for setting in ("iid", "popularity", "temporal"):
        done = psl(
            "data", "split", "mine.csv", "--output", "mine.zip", "--setting", setting, *names,
            "--force", "--figure", "popularity.png",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "users" in done.stdout and (tmp_path / "popularity.png").stat().st_size > 1000
        done = psl("train", "--dataset", "mine.zip", *TINY, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["config"]["dataset"] == "mine.zip"
    assert_refused(psl("data", "split", "mine.csv", "--output", "mine.tar", *names), ".zip")
    assert_refused(psl("data", "split", "mine.csv", "--output", "m.zip"), "no column 'user'", "who")


def test_refit_trains_to_the_best_epoch(psl, monkeypatch: pytest.MonkeyPatch) -> None:
    told, seen = iter([0.2, 0.3, 0.1, 0.0]), []

    def scripted(*_: object, **__: object) -> dict[str, float]:
        return dict.fromkeys(("ndcg@20", "recall@20"), next(told))

    def spy(config: object, data: object, epochs: int, **_: object) -> None:
        seen.append(epochs)
        raise DataError("far enough")

    monkeypatch.setattr("psl.training.loop.evaluate", scripted)
    monkeypatch.setattr("companion.cli.train.refit", spy)
    words = ("--epochs", "3", "--negatives", "5", "--dim", "8", "--validate-every", "1")
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
            "--force",
            "--core",
            "1",
            "--rating",
            "stars",
            *words,
        )
        data = datasets.load("a.zip")
        made.append((data.train.fingerprint(), len(data.train) + len(data.test)))
    assert made[0][0] != made[1][0] and made[0][1] == made[1][1] > made[2][1]


def test_another_split_of_one_name_is_another_run(psl, tmp_path: Path) -> None:
    """And the archive of before is not replaced without a word, nor rows left out."""
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40},{u + k}" for u in range(30) for k in range(15)]
    (tmp_path / "a.csv").write_text("\n".join(["user,item,when", *rows]))
    split = ("data", "split", "a.csv", "--output", "a.zip", "--core", "1")
    for words in ((), ("--seed", "1", "--force")):
        assert psl(*split, *words).returncode == 0
        assert psl("train", "--dataset", "a.zip", *TINY).returncode == 0
    first, second = records.read(tmp_path / "results")
    assert first["run_id"] != second["run_id"]
    assert first["config"]["dataset_fingerprint"] == first["dataset_fingerprint"][:16]
    assert psl("records", "check").returncode == 0
    assert_refused(psl(*split), "a.zip is there with another content; --force replaces it")
    assert psl(*split, "--seed", "1").returncode == 0, "the same content is no other"
    temporal = (*split, "--setting", "temporal", "--timestamp", "when", "--force")
    done = psl(*temporal)
    shown = done.stdout.split("of the split")[0]
    counts = [int(n.replace(",", "")) for n in re.findall(r"([\d,]+)\D*$", shown, re.M)]
    read, repeated, core, pairs, train, test, middle, *unseen = counts
    assert read == len(rows) == repeated + core + pairs
    assert pairs == train + test + middle + sum(unseen) and min(train, test, middle) > 0
    done = psl("train", "--dataset", "a.zip", *TINY, "--save", "m.safetensors", "--refit")
    assert f"fitted on all pairs of the archive, {train + middle + test:,}" in done.stdout
