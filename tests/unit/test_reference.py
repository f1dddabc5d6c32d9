"""The paper's tables, as packaged."""

from __future__ import annotations

import subprocess
import sys

import pytest

from companion import reference
from psl.errors import RecordError


def test_a_value_is_one_row() -> None:
    where = {"dataset": "amazon-electronic", "backbone": "mf", "metric": "ndcg@20"}
    assert reference.reported("table1_iid", loss="psl-relu", **where) == 0.0541
    with pytest.raises(RecordError, match="0 rows"):
        reference.reported("table1_iid", loss="hinge", **where)
    with pytest.raises(RecordError, match=r"\d+ rows"):
        reference.reported("table1_iid", **where)
    for name in ("table9", "text_claims"):  # numbers of the paper alone, and no verdict on them
        with pytest.raises(RecordError, match="not packaged"):
            reference.table(name)


def test_a_table_is_read_alike_under_every_locale() -> None:
    code = (
        "import warnings; from companion import reference\n"
        "warnings.simplefilter('error', EncodingWarning)\n"  # from here on: psl's own files
        "reference.table('table1_iid')"
    )
    command = [sys.executable, "-X", "warn_default_encoding", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_table_that_is_changed_is_a_copy() -> None:
    mine = reference.table("table1_iid")
    mine["value"] = 0.0
    assert reference.table("table1_iid")["value"].min() > 0


def test_tuned_hyperparameters() -> None:
    row = reference.tuned("amazon-electronic", "iid", "mf", "psl-relu")
    assert row == {"lr": 0.01, "weight_decay": 0.0, "tau": 0.1}
    assert reference.tuned("amazon-electronic", "iid", "mf", "psl-softplus") == row
    assert "tau" not in reference.tuned("amazon-electronic", "iid", "mf", "bpr")
    for wrong in (
        ("synthetic", "iid", "mf", "sl"),
        ("gowalla", "iid", "gcn", "sl"),
        ("gowalla", "weekly", "mf", "sl"),
    ):
        with pytest.raises(RecordError, match="no tuned hyperparameters"):
            reference.tuned(*wrong)


def test_whose_hyperparameters_they_are() -> None:
    """Against the tables themselves: what is printed for the cell is its own, the rest is lent."""
    for name, setting in (
        ("table_b2_hyperparameters_iid", "iid"),
        ("table_b3_hyperparameters_ood", "ood"),
        ("followup_table11_hyperparameters_health", "iid"),
    ):
        rows = reference.table(name)
        for dataset, backbone in set(rows[["dataset", "backbone"]].itertuples(index=False)):
            place = rows[(rows["dataset"] == dataset) & (rows["backbone"] == backbone)]
            printed = set(place["loss"])
            for loss in printed | {"psl-tanh", "psl-atan", "psl-relu", "psl-softplus"}:
                lent = reference.borrowed(dataset, setting, backbone, loss)
                assert lent == ("" if loss in printed else "of psl-relu")
                twin = loss if loss in printed else "psl-relu"
                row = place[place["loss"] == twin].iloc[0]
                assert reference.tuned(dataset, setting, backbone, loss)["lr"] == row["lr"]


@pytest.mark.parametrize(
    ("loss", "form", "words"),
    [
        ("psl-relu", None, ""),
        ("psl-relu", "outside", ""),
        ("psl-relu", "inside", "of the outside form"),
        ("psl-softplus", "outside", "of psl-relu"),
        ("psl-softplus", "inside", "of psl-relu in the outside form"),
        ("bsl", None, ""),
    ],
)
def test_a_form_that_is_not_printed_borrows(loss: str, form: str | None, words: str) -> None:
    for setting in ("iid", "noise"):
        where = ("amazon-electronic", setting, "mf", loss)
        assert reference.borrowed(*where, form) == words
    with pytest.raises(RecordError, match="no tuned hyperparameters"):
        reference.borrowed("synthetic", "iid", "mf", loss, form)
