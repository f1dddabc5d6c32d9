"""What the value rows cannot tell apart: whether another loss's runs would have passed as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from companion.claims.subject import CHECKS, Subject
from companion.claims.value_rows import value_rows
from companion.experiments import cell, cell_runs
from companion.records import of_registered_data
from psl.errors import RecordError
from psl.losses import LOSSES

__all__ = ["swap_test"]

PLACE = ("dataset", "setting", "backbone", "noise_ratio")


def swap_test(subject: Subject) -> list[dict[str, Any]]:
    """Give every value row that is reproduced the runs of each other loss of the same place.

    Returns
    -------
    list of dict
        ``id`` of the row, the ``loss`` whose runs stood in, and whether the row ``noticed``.
    """
    out = []
    for row in value_rows():
        arguments = row["arguments"]
        check = CHECKS[row["check"]]
        if check(subject, **arguments).status != "reproduced":
            continue
        where = {k: arguments[k] for k in PLACE if k in arguments}
        own = cell(**where, loss=arguments["loss"], form=arguments.get("form"))
        mine = [r["run_id"] for r in cell_runs(subject.records, own).values()]
        rest = [r for r in subject.records if r["run_id"] not in mine]
        for loss in LOSSES:
            runs = _runs(subject, where, loss) if loss != own.loss else {}
            if runs:
                posing = [r | {"config": own.as_dict() | {"seed": s}} for s, r in runs.items()]
                verdict = check(replace(subject, records=rest + posing), **arguments)
                noticed = verdict.status != "reproduced"
                out.append({"id": row["id"], "loss": loss, "noticed": noticed})
    return out


def _runs(subject: Subject, where: dict[str, Any], loss: str) -> dict[int, dict[str, Any]]:
    try:
        return cell_runs(of_registered_data(subject.records), cell(**where, loss=loss))
    except RecordError:  # no hyperparameters are printed for it there
        return {}
