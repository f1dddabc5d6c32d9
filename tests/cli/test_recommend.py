"""`psl recommend`: lists for users, items like one, and the lists of all users in a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from command import TINY, Psl, assert_refused
from companion import datasets
from companion.serving import Exported, fold_in, lists, read_exported
from companion.serving import files as serving_files
from psl.interactions import Interactions

ROWS = [f"{u or 'NA'},i{(7 * u + 3 * k * k) % 40}" for u in range(30) for k in range(15)]


@pytest.fixture
def shop(psl: Psl, tmp_path: Path) -> Psl:
    """An archive ``mine.zip`` and a model of it, ``m.safetensors``."""
    (tmp_path / "mine.csv").write_text("\n".join(["user,item", *ROWS]))
    assert not psl("data", "split", "mine.csv", "--output", "mine.zip", "--core", "3").returncode
    assert not psl("train", "--dataset", "mine.zip", *TINY, "--save", "m.safetensors").returncode
    return psl


def expected(model: Exported, user: str, has: Interactions | None, k: int) -> list[str]:
    row = model.names("user").index(user)
    scores = model.kept.items @ model.kept.users[row]
    if has is not None:
        scores[has.of(row)] = -torch.inf
    best = scores.sort(descending=True, stable=True)[1][:k].tolist()
    return [model.names("item")[i] for i in best if scores[i] > -torch.inf]


def test_a_list_leaves_out_what_the_user_has(shop: Psl, tmp_path: Path) -> None:
    model, data = read_exported("m.safetensors"), datasets.load("mine.zip")
    has = data.train.union(data.test)
    words = ("recommend", "m.safetensors", "--user", "NA", "--user", "7", "--k", "5")
    done = shop(*words, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [x["user"] for x in told] == ["NA", "7"]
    for x in told:
        assert [place["item"] for place in x["items"]] == expected(model, x["user"], has, 5)
        assert not {f"{x['user']},{place['item']}" for place in x["items"]} & set(ROWS)
    shown = shop(*words).stdout
    assert "for user NA" in shown and told[1]["items"][4]["item"] in shown
    assert "without what users have in train and test of mine.zip" in shown

    told = json.loads(shop(*words, "--json", "--include-seen").stdout)
    assert [p["item"] for p in told[0]["items"]] == expected(model, "NA", None, 5)
    (tmp_path / "has.tsv").write_text("user\titem\nNA\ti1\nNA\ti2\nnobody\ti2\n")
    done = shop(*words, "--json", "--seen", "has.tsv")
    assert "1 of 3 rows of has.tsv" in done.stderr
    rows = (model.rows("user", ["NA"] * 2), model.rows("item", ["i1", "i2"]))
    some = Interactions.from_pairs(*rows, *(len(model.names(s)) for s in ("user", "item")))
    assert [p["item"] for p in json.loads(done.stdout)[0]["items"]] == expected(
        model, "NA", some, 5
    )


def test_items_like_one(shop: Psl) -> None:
    items = read_exported("m.safetensors").kept.items
    names = read_exported("m.safetensors").names("item")
    done = shop("recommend", "m.safetensors", "--item", "i3", "--k", "3", "--json")
    row = names.index("i3")
    cosines = torch.nn.functional.cosine_similarity(items, items[row : row + 1])
    cosines[row] = -2
    best = cosines.argsort(descending=True)[:3]
    (told,) = json.loads(done.stdout)
    assert [x["item"] for x in told["items"]] == [names[i] for i in best]
    assert [x["cosine"] for x in told["items"]] == pytest.approx(cosines[best].tolist(), abs=1e-6)
    assert "like i3" in shop("recommend", "m.safetensors", "--item", "i3").stdout


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_all_lists_go_into_a_file_block_by_block(
    shop: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="pyarrow is missing (extra `parquet`)")
    monkeypatch.setattr(lists, "ENTRIES", 7 * 40)  # blocks of seven users
    words = ("recommend", "m.safetensors", "--all", "--output", f"new/lists.{kind}", "--k", "40")
    done = shop(*words)
    assert done.returncode == 0 and "of 30 users" in done.stdout, done.stderr
    path, text = tmp_path / "new" / f"lists.{kind}", {"user": str, "item": str}
    found = (
        pd.read_csv(path, dtype=text, keep_default_na=False)
        if kind == "csv"
        else pd.read_parquet(path)
    )
    model, data = read_exported("m.safetensors"), datasets.load("mine.zip")
    has = data.train.union(data.test)
    assert list(found) == ["user", "rank", "item", "score"]
    assert list(dict.fromkeys(found["user"])) == list(model.names("user"))
    for user, rows in found.groupby("user"):
        wanted = expected(model, str(user), has, 40)
        assert rows["item"].tolist() == wanted and len(wanted) < 40
        assert rows["rank"].tolist() == list(range(1, len(wanted) + 1))
    assert_refused(shop(*words), "is there; --force")
    assert shop(*words, "--force").returncode == 0
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_stopped_file_of_lists_leaves_what_was_there(
    shop: Psl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "ENTRIES", 40)
    whole = serving_files.ranked

    def stopped(*given: object):
        blocks = whole(*given)  # type: ignore[arg-type]
        yield next(blocks)
        raise KeyboardInterrupt

    (tmp_path / "lists.csv").write_text("as before")
    monkeypatch.setattr(serving_files, "ranked", stopped)
    done = shop("recommend", "m.safetensors", "--all", "--output", "lists.csv", "--force")
    assert done.returncode == 130 and "was not written" in done.stderr
    assert (tmp_path / "lists.csv").read_text() == "as before"
    assert not list(tmp_path.glob(".lists.csv*"))


def test_names_that_a_table_format_must_quote(tmp_path: Path) -> None:
    from companion.serving import write_lists
    from psl.training.export import Embeddings

    names = ['a,"b"', "NA", "größe\nzwei"]
    kept = Embeddings(torch.eye(3), torch.eye(3), names, names, {})
    assert write_lists(tmp_path / "x.csv", Exported(Path("m"), kept), None, 1) == 3
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["user", *names]


def test_what_cannot_be_listed_is_one_line(shop: Psl, tmp_path: Path) -> None:
    file = ("recommend", "m.safetensors")
    for words in ((), ("--user", "NA", "--all"), ("--user", "NA", "--item", "i3")):
        assert_refused(shop(*file, *words), "one of --user, --item, --history and --all")
    assert_refused(shop(*file, "--user", "nobody"), "has no user 'nobody'", "30")
    assert_refused(shop(*file, "--item", "nothing"), "has no item 'nothing'")
    assert_refused(shop(*file, "--all"), "--output")
    assert_refused(shop(*file, "--user", "NA", "--output", "x.csv"), "belong together")
    assert_refused(shop(*file, "--all", "--output", "x.json"), ".csv or .parquet")
    assert_refused(shop(*file, "--item", "i3", "--include-seen"), "without --seen")
    assert_refused(shop("recommend", "mine.csv", "--user", "NA"), "not a file of")
    (tmp_path / "mine.zip").rename(tmp_path / "old.zip")
    assert_refused(shop(*file, "--user", "NA"), "mine.zip", "is not here", "--include-seen")
    split = ("data", "split", "mine.csv", "--output", "mine.zip", "--core", "3", "--seed", "1")
    assert shop(*split).returncode == 0
    assert_refused(shop(*file, "--user", "NA"), "was not trained on mine.zip", "--seen")
    assert shop(*file, "--user", "NA", "--seen", "mine.csv").returncode == 0


def test_somebody_who_was_not_in_training_is_known_by_what_they_have(shop: Psl) -> None:
    model = read_exported("m.safetensors")
    names = model.names("item")
    words = ("recommend", "m.safetensors", "--history", f"{names[3]},{names[5]}", "--k", "6")
    done = shop(*words, "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert told["history"] == f"{names[3]}, {names[5]}"
    user = fold_in(model.kept.items, model.rows("item", [names[3], names[5]]), model.config["tau"])
    scores = model.kept.items @ user
    scores[[3, 5]] = -torch.inf
    best = scores.topk(6)
    assert [x["item"] for x in told["items"]] == [names[i] for i in best.indices]
    assert [x["score"] for x in told["items"]] == pytest.approx(best.values.tolist(), abs=1e-6)
    again = shop(*words[:2], "--history", names[5], "--history", names[3], "--k", "6", "--json")
    first = {x["item"] for x in json.loads(again.stdout)[0]["items"]}
    assert first == {x["item"] for x in told["items"]}
    listed = json.loads(shop(*words, "--include-seen", "--json").stdout)[0]["items"]
    assert {names[3], names[5]} <= {x["item"] for x in listed}
    assert f"for {names[3]}, {names[5]}" in shop(*words).stdout
    assert_refused(shop(*words, "--user", "7"), "one of --user, --item, --history and --all")
    assert_refused(shop(*words, "--seen", "mine.zip"), "without --seen")
    assert_refused(shop(*words[:3], "i3,nothing"), "has no item 'nothing'")
