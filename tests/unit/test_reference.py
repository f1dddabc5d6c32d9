"""The paper's tables, as packaged."""

from __future__ import annotations

import pytest

from psl import reference
from psl.errors import RecordError


def test_a_value_is_one_row() -> None:
    where = {"dataset": "amazon-electronic", "backbone": "mf", "metric": "ndcg@20"}
    assert reference.reported("table1_iid", loss="psl-relu", **where) == 0.0541
    with pytest.raises(RecordError, match="0 rows"):
        reference.reported("table1_iid", loss="hinge", **where)
    with pytest.raises(RecordError, match=r"\d+ rows"):
        reference.reported("table1_iid", **where)
    with pytest.raises(RecordError, match="not packaged"):
        reference.table("table9")


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
