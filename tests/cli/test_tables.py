"""One command for every cell: each row of the paper's tables is trained, one epoch on tiny data.

The hyperparameters are the tuned ones of that row; the data stands in under the dataset's name.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from companion import datasets, reference
from companion.cli import main
from companion.datasets import DATASETS
from companion.experiments import cell, cell_command
from psl.dataset import Dataset, stored_setting
from psl.holdout import holdout
from psl.interactions import Interactions


def cells() -> list[tuple[tuple[str, ...], dict]]:
    """Return the distinct cells of Tables 1, 2, C.4 to C.6 and Figures 2, C.1 to C.8."""
    wanted: list[dict] = []
    for name, setting in (
        ("table1_iid", "iid"),
        ("table2_ood", "ood"),
        ("table_c4_softplus_iid", "iid"),
        ("table_c5_softplus_ood", "ood"),
    ):
        rows = reference.table(name)[["dataset", "backbone", "loss"]]
        wanted += [{**row, "setting": setting} for row in rows.to_dict("records")]
    rows = reference.table("table_c6_extension_forms")
    rows = rows[rows["form"] == "inside"][["dataset", "form", "loss"]]
    wanted += rows.to_dict("records")
    for name in ("figure2_and_c1_c4_noise", "figures_c5_c8_softplus_noise"):
        rows = reference.table(name)[["dataset", "loss", "noise_ratio"]]
        wanted += [{**row, "setting": "noise"} for row in rows.to_dict("records")]
    found: dict[str, dict] = {}
    for row in wanted:
        if DATASETS[row["dataset"], stored_setting(row.get("setting", "iid"))].fingerprint:
            config = cell(**row)
            found[cell_command(config)] = config.as_dict()
    return [(tuple(command.split()[1:]), config) for command, config in found.items()]


CELLS = cells()
KIND = ("setting", "form", "backbone", "loss")
FIRST = {tuple(config.get(k) for k in KIND): command for command, config in reversed(CELLS)}
EACH = [
    pytest.param(
        command,
        config,
        id=" ".join(command[2:]),
        # What no cell before it has is a dataset or a ratio.
        marks=[] if command in FIRST.values() else pytest.mark.thorough,
    )
    for command, config in CELLS
]


@pytest.fixture(scope="module")
def tiny() -> tuple[Interactions, Interactions]:
    rng = np.random.default_rng(0)
    pairs = Interactions.from_pairs(rng.integers(0, 30, 300), rng.integers(0, 60, 300), 30, 60)
    return holdout(pairs, 0.2, np.random.default_rng(1))


def test_the_grid_is_whole() -> None:
    """3 datasets x 3 backbones x 9 losses, 3 x 9 out of distribution, forms, noise."""
    kinds = [(c["setting"], c.get("form"), c["backbone"]) for _, c in CELLS]
    counts = {kind: kinds.count(kind) for kind in set(kinds)}
    for backbone in ("mf", "lightgcn", "xsimgcl"):
        assert counts["iid", None, backbone] == 3 * 9
    assert counts["ood", None, "mf"] == 3 * 9
    assert counts["iid", "inside", "mf"] == 3 * 3
    assert counts["noise", None, "mf"] == 3 * 5 * 6


@pytest.mark.parametrize(("command", "config"), EACH)
def test_a_cell_is_one_command(
    command, config, tiny, tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        datasets,
        "load",
        lambda name, setting, **_: Dataset(name, stored_setting(setting), *tiny),
    )
    monkeypatch.chdir(tmp_path)
    small = ["--epochs", "1", "--dim", "8", "--device", "cpu", "--json"]
    fewer = {} if config["loss"] == "bpr" else {"negatives": 7}  # BPR draws one, and refuses more
    small += [word for name, value in fewer.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["psl", *command, *small])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert not exit_.value.code, capsys.readouterr().err
    record = json.loads(capsys.readouterr().out)
    assert record["config"] == {**config, "epochs": 1, "dim": 8, **fewer}
    assert record["metrics"].keys() >= {"recall@20", "ndcg@20"}
