"""`psl evaluate`: the metrics of a file, and the difference between two."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from command import TINY, Done, Psl, assert_refused
from companion import datasets, records
from companion.baselines import fit_floor
from companion.serving import measure, measure_scores, read_exported
from companion.statistics import paired_difference

ROWS = [f"{u or 'NA'},i{(7 * u + 3 * k * k) % 40}" for u in range(30) for k in range(15)]


@pytest.fixture
def shop(psl: Psl, tmp_path: Path) -> Psl:
    """A table, its archive ``a/mine.zip``, and two files of models: ``a/sl`` and ``b/psl``."""
    (tmp_path / "mine.csv").write_text("\n".join(["user,item", *ROWS]))
    assert not psl("data", "split", "mine.csv", "--output", "a/mine.zip", "--core", "3").returncode
    words = ("train", "--dataset", "a/mine.zip", *TINY, "--protocol", "clean")
    for loss, file in (("sl", "a/sl"), ("psl-relu", "b/psl")):
        done = psl(*words, "--loss", loss, "--save", f"{file}.safetensors")
        assert done.returncode == 0, done.stderr
    return psl


def test_the_metrics_of_a_file_are_those_of_its_record(shop: Psl, tmp_path: Path) -> None:
    words = ("evaluate", "b/psl.safetensors", "--on", "a/mine.zip", "--k", "5", "--k", "20")
    done = shop(*words, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    (file,) = told["files"]
    (record,) = [r for r in records.read(tmp_path / "results") if r["run_id"] == file["run_id"]]
    for name in ("ndcg@5", "ndcg@20", "recall@20", "mrr@20"):
        assert file["metrics"][name] == pytest.approx(record["metrics"][name], abs=1e-12)
    assert told["users"] == 30
    shown = shop(*words)
    assert shown.returncode == 0
    for label in (
        "NDCG",
        "Recall",
        "Precision",
        "F1",
        "HitRate",
        "MAP",
        "MRR",
        "coverage",
        "popularity",
    ):
        assert label in shown.stdout
    assert f"{file['metrics']['map@20']:.4f}" in shown.stdout
    assert "without what users have in train of mine.zip" in shown.stdout
    assert "protocol released" not in shown.stdout, "trained with --protocol clean"


def test_the_area_under_the_curve_is_of_the_whole_ranking(shop: Psl) -> None:
    words = ("evaluate", "b/psl.safetensors", "--on", "a/mine.zip", "--auc", "--k", "5", "--k", "9")
    (file,) = json.loads(shop(*words, "--json").stdout)["files"]
    assert 0 < file["metrics"]["auc"] <= 1
    shown = shop(*words).stdout
    assert f"{file['metrics']['auc']:.4f}" in shown and "AUC@" not in shown
    beside = shop(*words, "--floor", "popular").stdout
    assert "AUC" in beside and "AUC@" not in beside


def test_two_files_are_compared_user_by_user(shop: Psl) -> None:
    words = ("evaluate", "b/psl.safetensors", "--on", "a/mine.zip", "--against", "a/sl.safetensors")
    told = json.loads(shop(*words, "--json").stdout)
    data, values = datasets.load("a/mine.zip"), []
    for path in ("b/psl.safetensors", "a/sl.safetensors"):
        kept = read_exported(path).kept
        values.append(measure(kept.users, kept.items, data.test, data.train).by_user["map@20"])
    gap = paired_difference(*(v.tolist() for v in values))
    found = told["difference"]["map@20"]
    assert found == {"mean": gap.mean, "low": gap.low, "high": gap.high, "count": 30}
    first, second = (file["metrics"]["map@20"] for file in told["files"])
    assert found["mean"] == pytest.approx(first - second)
    shown = shop(*words).stdout
    assert f"{gap.low:+.4f} to {gap.high:+.4f}" in shown and "another seed" in shown


def test_a_table_of_new_pairs_is_evaluated_on(shop: Psl, tmp_path: Path) -> None:
    data, kept = datasets.load("a/mine.zip"), read_exported("a/sl.safetensors")
    users, items = kept.names("user"), kept.names("item")
    named = [
        f"{users[u]};{items[i]}" for u, i in zip(data.test.users, data.test.items, strict=True)
    ]
    old = [f"{users[u]};{items[data.train.of(u)[0]]}" for u in (1, 2)]
    table = ["who;what", *named[::2], *old, "nobody;i3", "NA;nothing"]
    (tmp_path / "new.txt").write_text("\n".join(table))
    words = ("--user-column", "who", "--item-column", "what", "--separator", ";")
    on = ("evaluate", "a/sl.safetensors", "--on", "new.txt", *words)
    done = shop(*on, "--json")  # the archive lies beside the file
    assert done.returncode == 0, done.stderr
    assert "2 of" in done.stderr and "does not know" in done.stderr
    assert f"2 of {len(named[::2]) + 2} pairs of new.txt are pairs that users have" in done.stderr
    target = data.test.where(np.arange(len(named))[::2])
    some = np.flatnonzero(target.degrees)
    expected = measure(
        kept.kept.users, kept.kept.items, target, data.train, chosen=some,
        counts=data.train.popularity,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["files"][0]["metrics"] == expected.means() and told["users"] == len(some)

    on = ("evaluate", "b/psl.safetensors", "--on", "new.txt", *words)

    def assert_refused_at_last(done: Done, *words: str) -> None:  # after the notes
        assert_refused(done._replace(stderr=done.stderr.splitlines()[-1]), *words)

    assert_refused_at_last(shop(*on), "mine.zip", "--seen", "--include-seen")  # it lies elsewhere
    assert shop(*on, "--seen", "a/mine.zip").returncode == 0
    told = json.loads(shop(*on, "--include-seen", "--json").stdout)["files"][0]["metrics"]
    assert "popularity@20" not in told and "coverage@20" in told
    assert_refused_at_last(
        shop(*on, "--seen", "a/mine.zip", "--include-seen"), "exclude each other"
    )
    assert_refused_at_last(shop(*on, "--seen", "new.txt"), "nothing is to be found")
    (tmp_path / "strange.csv").write_text("user,item\nx,y\n")
    assert_refused(shop(*on[:2], "--on", "strange.csv", "--include-seen"), "knows none")


def test_what_would_mislead_is_refused(shop: Psl, tmp_path: Path) -> None:
    words = ("train", "--dataset", "a/mine.zip", *TINY, "--protocol", "clean")
    assert not shop(*words, "--refit", "--save", "whole.safetensors").returncode
    on = ("--on", "a/mine.zip")
    assert_refused(shop("evaluate", "whole.safetensors", *on), "fitted on the test pairs too")
    done = shop("evaluate", "a/sl.safetensors", *on, "--against", "whole.safetensors")
    assert_refused(done, "whole.safetensors was fitted on the test pairs too")
    assert not shop("train", *TINY, "--save", "other.safetensors").returncode
    assert_refused(shop("evaluate", "other.safetensors", *on), "was not trained on mine.zip")
    done = shop("evaluate", "a/sl.safetensors", *on, "--against", "other.safetensors")
    assert_refused(done, "not trained on the same data")
    assert_refused(shop("evaluate", "mine.csv", *on), "not a file of `psl train --save`")
    assert_refused(shop("evaluate", "a/sl.safetensors", "--on", "gone.csv"), "no such file")
    # Pairs that either was fitted on are no news: those of the whole archive count for both.
    data, kept = datasets.load("a/mine.zip"), read_exported("a/sl.safetensors")
    u, i = data.test.users[0], data.test.items[0]
    pair = f"user,item\n{kept.names('user')[u]},{kept.names('item')[i]}\n"
    (tmp_path / "late.csv").write_text(pair)
    late = ("evaluate", "a/sl.safetensors", "--on", "late.csv", "--seen", "a/mine.zip")
    assert shop(*late).returncode == 0
    assert_refused(shop(*late, "--against", "whole.safetensors"), "nothing is to be found")


def test_a_registered_name_needs_no_file(psl: Psl) -> None:
    assert not psl("train", *TINY, "--save", "m.safetensors").returncode
    done = psl("evaluate", "m.safetensors", "--on", "synthetic", "--k", "10")
    assert done.returncode == 0 and "means over 400 users" in done.stdout
    assert "protocol released" in done.stdout, "its record has other numbers"
    assert_refused(
        psl("evaluate", "m.safetensors", "--on", "amazon-cd", PSL_DATA_MIRROR="."), "amazon-cd"
    )


def test_floors_stand_beside_the_file(shop: Psl) -> None:
    words = ("evaluate", "b/psl.safetensors", "--on", "a/mine.zip")
    floors = ("--floor", "popular", "--floor", "ease")
    told = json.loads(shop(*words, *floors, "--json").stdout)
    data, kept = datasets.load("a/mine.zip"), read_exported("b/psl.safetensors").kept
    own = measure(kept.users, kept.items, data.test, data.train).by_user["ndcg@20"]
    for floor in told["floors"]:
        fitted = fit_floor(floor["floor"], data.train)
        found = measure_scores(fitted.score, data.test, data.train, counts=data.train.popularity)
        assert floor["metrics"] == found.means() and floor["settings"] == fitted.settings
        gap = paired_difference(own.tolist(), found.by_user["ndcg@20"].tolist())
        assert floor["difference"]["ndcg@20"]["low"] == pytest.approx(gap.low)
    assert [floor["floor"] for floor in told["floors"]] == ["popular", "ease"]
    shown = shop(*words, *floors).stdout
    assert "ease: ridge" in shown and f"{told['floors'][1]['metrics']['map@20']:.4f}" in shown
    both = shop(*words, *floors, "--against", "a/sl.safetensors")
    assert_refused(both, "one at a time")
    assert_refused(shop(*words, "--floor", "best"), "unknown floor 'best'")
