"""`psl run FILE.yaml`: a sweep of one's own, from its file to the comparison of its models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from command import Psl, assert_refused
from companion import datasets, records
from companion.experiments import cells, own_cells, read_sweep
from companion.sweep import compare_models
from psl.errors import PSLError
from run_records import record, sealed

TINY = {"epochs": 1, "negatives": 5, "dim": 4}
ROOT = Path(__file__).parents[2]
USUAL: dict[str, Any] = {"datasets": "synthetic", "losses": ["sl", "bpr"], "config": TINY}


def written(folder: Path, name: str = "mine.yaml", **changes: Any) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump({**USUAL, **changes}))
    return path


def test_the_example_of_the_book_runs(psl: Psl, tmp_path: Path) -> None:
    """With all its runs, each a little shorter: the numbers are not what is asked here."""
    text = (ROOT / "examples" / "sweep.yaml").read_text(encoding="utf-8")
    assert "epochs: 10\n" in text and "seeds: 0-2\n" in text
    (tmp_path / "sweep.yaml").write_text(text.replace("epochs: 10", "epochs: 1"))
    done = psl("run", "sweep.yaml", "--threads", "1", "--seeds", "0")
    assert done.returncode == 0 and "10 done" in done.stdout, done.stderr
    assert "bpr: lr 0." in done.stdout and "best of 4 of 4 points of the grid" in done.stdout
    page = (ROOT / "book" / "recipes.md").read_text(encoding="utf-8")
    assert "```{literalinclude} ../examples/sweep.yaml" in page


def runs_of(path: Path, **filters: Any) -> list[dict[str, Any]]:
    found = own_cells(read_sweep(path), path.parent, **filters)
    return [c.config.as_dict() for c in found if c.config]


def test_a_sweep_ends_with_its_models_side_by_side(psl: Psl, tmp_path: Path) -> None:
    """On an archive of one's own beside the file, from another folder; and then nothing is left."""
    rows = [f"u{u},i{(7 * u + 3 * k * k) % 40}" for u in range(30) for k in range(15)]
    (tmp_path / "mine.csv").write_text("\n".join(["user,item", *rows]))
    done = psl("data", "split", "mine.csv", "--output", "far off/mine.zip", "--core", "3")
    assert done.returncode == 0, done.stderr
    grid = {"tau": [0.1, 0.5]}
    file = written(tmp_path / "far off", datasets="mine.zip", seeds="0-1", grid=grid)
    words = ("run", str(file.relative_to(tmp_path)), "--threads", "1")
    dry = psl(*words, "--dry-run", "--json")
    plan = json.loads(dry.stdout)
    assert dry.returncode == 0 and [r["state"] for r in plan["runs"]] == ["to run"] * 6
    assert plan["comparisons"] == [
        {
            "place": "mine.zip (iid)",
            "models": [],
            "missing": ["sl", "bpr"],
            "chosen_on_test": False,
        }
    ]
    done = psl(*words, "--html", "s.html")
    assert done.returncode == 0, done.stderr
    assert "mine, 6 runs:" in done.stdout and "6 done" in done.stdout
    assert "mine.zip (iid)" in done.stdout and "bpr: nothing varied; validation" in done.stdout
    assert "best of 2 of 2 points of the grid" in done.stdout
    assert "chosen by the validation part alone" in done.stdout
    page = (tmp_path / "s.html").read_text()
    assert "<h2>mine.zip (iid)</h2>" in page
    (drawn,) = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert "<!-- bpr -->" in drawn and "<!-- difference to sl in ndcg@20," in drawn
    made = records.read(tmp_path / "results" / "mine.jsonl")
    assert len(made) == 6 and {r["config"]["protocol"] for r in made} == {"clean"}

    again = psl(*words, "--json")
    assert again.returncode == 0 and "nothing to run" in again.stderr
    told = json.loads(again.stdout)
    first, second = told["comparisons"][0]["models"]
    mean = {tau: _mean(made, "sl", tau) for tau in (0.1, 0.5)}
    best = max(mean, key=lambda tau: mean[tau])
    assert first["values"] == {"tau": best} and first["validation"] == pytest.approx(mean[best])
    assert second["difference"]["count"] == 2 and second["name"] == "bpr"
    # The command of a run alone gives the same run.
    command = next(r for r in told["runs"] if r["config"]["seed"] == 1)
    assert str(tmp_path / "far off" / "mine.zip") in command["command"]
    dry = psl("run", str(file), "--loss", "sl", "--seeds", "1-2", "--dry-run")
    assert "recorded         2" in dry.stdout and "to run           2" in dry.stdout


def _mean(made: list[dict[str, Any]], loss: str, tau: float) -> float:
    mine = [r for r in made if (r["config"]["loss"], r["config"]["tau"]) == (loss, tau)]
    assert len(mine) == 2
    return sum(max(p["ndcg@20"] for p in r["validation_curve"]) for r in mine) / 2


def test_the_test_part_chooses_nothing(tmp_path: Path) -> None:
    """Records in which the worse validation has the better test: the better validation is taken."""
    path = written(tmp_path, losses="sl", grid={"tau": [0.1, 0.2]})
    found = own_cells(read_sweep(path), tmp_path)
    made = []
    for c, valid, test in zip(found, (0.3, 0.2), (0.1, 0.4), strict=True):
        assert c.config is not None
        r = record(0, config=c.config.as_dict(), dataset_fingerprint=datasets.load().fingerprint)
        curve = [{"epoch": 1, "loss": 1.0, "ndcg@20": valid}]
        metrics = {**r["metrics"], "ndcg@20": test}
        changed = {"validation_curve": curve, "best_epoch": 1, "metrics": metrics}
        made.append(sealed({**r, **changed}))
    (side,) = compare_models(found, made, "ndcg@20")
    assert side.models[0].values == {"tau": 0.1} and side.models[0].row.own.mean == 0.1
    (side,) = compare_models(found, made[:1], "ndcg@20")
    assert (side.models[0].points, side.models[0].of) == (1, 2)


def test_a_grid_serves_losses_that_have_not_all_of_it(tmp_path: Path) -> None:
    grid = {"tau": [0.1, 0.2], "lr": [0.1, 0.2], "layers": [2, 3]}
    path = written(tmp_path, backbones=["mf", "lightgcn"], grid=grid, seeds=[3])
    found = runs_of(path)
    count = {(x["loss"], x["backbone"]): 0 for x in found}
    for x in found:
        count[x["loss"], x["backbone"]] += 1
        assert ("layers" in x) == (x["backbone"] == "lightgcn") and x["seed"] == 3
    assert count == {
        ("sl", "mf"): 4,
        ("sl", "lightgcn"): 8,
        ("bpr", "mf"): 2,
        ("bpr", "lightgcn"): 4,
    }
    assert len(runs_of(path, loss=["bpr"], seeds=[0, 1])) == 12
    assert len(runs_of(path, tau=[0.2], loss=["sl"], backbone=["mf"])) == 2
    noise = written(tmp_path, settings=["iid", "noise"], grid={"noise_ratio": [0.1, 0.2]})
    ratios = [(x["setting"], x.get("noise_ratio")) for x in runs_of(noise, loss=["sl"])]
    assert ratios == [("iid", None), ("noise", 0.1), ("noise", 0.2)]


def test_the_papers_table_is_such_a_file(tmp_path: Path) -> None:
    """With ``tuned`` the file says what `psl run table1` says: the same runs, by their ids."""
    wanted = [c.config for c in cells("table1", seeds=(0, 1)) if c.config]
    axes = {
        f"{axis}{'es' if axis == 'loss' else 's'}": list(
            dict.fromkeys(getattr(c, axis) for c in wanted)
        )
        for axis in ("dataset", "backbone", "loss")
    }
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump({**axes, "seeds": "0-1", "tuned": True}))
    found = own_cells(read_sweep(path), tmp_path)
    assert {c.config.run_id for c in found if c.config} == {c.run_id for c in wanted}
    assert len(found) == len(wanted) > 100


def test_it_starts_from_the_best_trials_of_a_search(psl: Psl, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="optuna is missing (extra `tune`)")
    tiny = ("--epochs", "2", "--negatives", "5", "--dim", "8", "--validate-every", "1")
    words = ("tune", "synthetic", *tiny, "--own-options", "--save", "kept/trials.jsonl")
    done = psl(*words, "--trials", "3", "--loss", "ccl", "--loss", "sl")
    assert done.returncode == 0, done.stderr
    kept = records.read_trials(tmp_path / "kept" / "trials.jsonl")
    assert [(t.config["loss"], t.number) for t in kept] == [
        (loss, n) for loss in ("ccl", "sl") for n in range(3)
    ]
    assert kept[0].fields == ["lr", "weight_decay", "margin", "negative_weight"]
    assert kept[0].made["code_digest"] == records.CODE_DIGEST and "cpu" in kept[0].made["device"]
    best = {
        loss: max((t for t in kept if t.config["loss"] == loss), key=lambda t: t.score or 0).config
        for loss in ("ccl", "sl")
    }
    text = {"losses": ["ccl", "sl"], "seeds": "3-4", "tuned": "kept/trials.jsonl"}
    path = written(tmp_path, config={}, **text)
    assert runs_of(path) == [best[k] | {"seed": n} for k in ("ccl", "sl") for n in (3, 4)]
    (first, *_) = runs_of(written(tmp_path, config={"noise_ratio": 0.3}, settings="noise", **text))
    assert first == best["ccl"] | {"seed": 3, "setting": "noise", "noise_ratio": 0.3}
    more = psl(*words, "--trials", "1", "--loss", "gbce")
    assert more.returncode == 0 and len(records.read_trials(tmp_path / "kept/trials.jsonl")) == 7
    other = written(tmp_path, losses="talos", tuned="kept/trials.jsonl")
    assert_refused(psl("run", str(other)), "no complete trial of synthetic, iid, mf, talos")
    gone = written(tmp_path, tuned="none.jsonl")
    assert_refused(psl("run", str(gone)), "mine.yaml", "none.jsonl cannot be read")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("losses: sl", ["datasets is missing"]),
        ("datasets: synthetic\nloses: sl", ["unknown key 'loses'", "did you mean 'losses'"]),
        ("datasets: synthetic\nlosses: psl-rleu", ["unknown loss", "'psl-relu'"]),
        ("datasets: synthetc\nlosses: sl", ["unknown dataset", "'synthetic'"]),
        ("datasets: no.zip\nlosses: sl", ["no.zip", "no such file"]),
        ("datasets: synthetic\nlosses: sl\nsettings: ood", ["iid"]),
        ("datasets: synthetic\nlosses: sl\nconfig: {taus: 1}", ["key of config 'taus'", "'tau'"]),
        ("datasets: synthetic\nlosses: sl\ngrid: {lr: [fast]}", ["grid.lr.0", "'fast'"]),
        ("datasets: synthetic\nlosses: sl\nconfig: {epochs: 1.5}", ["config.epochs"]),
        ("datasets: synthetic\nlosses: sl\nconfig: {tau: -1}", ["tau must be positive"]),
        ("datasets: synthetic\nlosses: sl\nconfig: {tau: 1}\ngrid: {tau: 1}", ["config and in"]),
        ("datasets: synthetic\nlosses: bpr\ngrid: {tau: [1, 2]}", ["tau changes nothing"]),
        ("datasets: synthetic\nlosses: sl\nseeds: 4-0", ["seeds takes numbers"]),
        ("datasets: synthetic\nlosses: sl\nmetric: ndgc@20", ["'ndcg@20'"]),
        ("datasets: synthetic\nlosses: sl\ntuned: true", ["tuned", "synthetic"]),
        ("datasets: synthetic\nlosses: sl\nname: table1", ["an experiment of the paper"]),
        ("datasets: synthetic\nlosses: sl\nname: a/b", ["not a file name"]),
        ("datasets: synthetic\nlosses: sl\nlosses: bpr", ["'losses' stands twice", "line 3"]),
        ("datasets: [synthetic\nlosses: sl", ["not YAML", "line"]),
        ("- sl", ["no datasets"]),
        ("[a]: 1", ["not YAML"]),
        ("1: 2", ["datasets is missing"]),
        ("datasets: synthetic\nlosses: []", ["losses"]),
    ],
)
def test_a_mistake_is_one_line(psl: Psl, tmp_path: Path, text: str, words: list[str]) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert_refused(psl("run", "mine.yaml", "--dry-run"), "mine.yaml: ", *words)


def test_options_that_do_not_go_with_a_file(psl: Psl, tmp_path: Path) -> None:
    written(tmp_path)
    assert_refused(psl("run", "gone.yaml"), "gone.yaml: there is no such file")
    assert_refused(psl("run", "mine.yaml", "--protocol", "clean"), "put it into config")
    assert_refused(psl("run", "mine.yaml", "--loss", "psl-relu"), "unknown loss of mine")
    assert_refused(psl("run", "mine.yaml", "--tau", "7"), "fits all filters together")


def test_numbers_of_yaml_are_numbers(tmp_path: Path) -> None:
    """1e-3 is a text to YAML 1.1, and was meant as a number."""
    path = tmp_path / "mine.yaml"
    path.write_text("datasets: synthetic\nlosses: sl\ngrid: {lr: [1e-3, 1E-2, 0.1, 1]}\n")
    assert [x["lr"] for x in runs_of(path)] == [0.001, 0.01, 0.1, 1.0]
    path.write_text("datasets: synthetic\nlosses: sl\nconfig: {lr: '1e-3'}\n")
    with pytest.raises(PSLError, match=r"config\.lr"):
        read_sweep(path)
