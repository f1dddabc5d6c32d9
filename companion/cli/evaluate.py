"""`psl evaluate`: every metric of an exported file, and the difference between two."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Column, Table

from companion.baselines import FLOORS, Floor, fit_floor
from companion.cli.config_options import takes
from companion.cli.console import Device, err, key, out, print_json, say
from companion.cli.exported_file import (
    TABLE,
    File,
    IncludeSeen,
    SeenIn,
    is_table,
    known_pairs,
    read_dataset,
    read_pairs,
)
from companion.serving import Exported, Measured, measure, measure_scores, read_exported
from companion.statistics import PairedDifference, paired_difference
from psl.dataset import Dataset
from psl.errors import DataError, PSLError
from psl.interactions import Interactions
from psl.training.device import find_device

LABELS = {
    "ndcg": "NDCG",
    "recall": "Recall",
    "precision": "Precision",
    "f1": "F1",
    "hit_rate": "HitRate",
    "map": "MAP",
    "mrr": "MRR",
    "auc": "AUC",
    "coverage": "catalogue coverage",
    "popularity": "mean popularity",
}


@takes(TABLE)
def evaluate_command(
    file: File,
    on: Annotated[
        str,
        typer.Option(
            help="What to find: the test part of the dataset or archive of the training, or a "
            "table of new pairs."
        ),
    ],
    against: Annotated[
        Path | None, typer.Option(help="Another file of the same data, to compare user by user.")
    ] = None,
    floor: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A baseline beside it, fitted on the pairs of its training: {', '.join(FLOORS)}. "
            "May be repeated."
        ),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option("--k", min=1, help="Length of a list; may be repeated. Without it: 20."),
    ] = None,
    auc: Annotated[
        bool,
        typer.Option("--auc", help="Of the whole ranking the area under the ROC curve too; slow."),
    ] = False,
    seen: SeenIn = None,
    include_seen: IncludeSeen = False,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    **table: Any,
) -> None:
    """Rank the whole catalogue with a saved file and print every metric.

    A difference to --against has a 95 % interval over users: another seed may move it further.
    """
    if floor and against is not None:
        raise PSLError("give --against or --floor, one at a time")
    cutoffs = tuple(sorted(set(k or [20])))
    where = find_device(device)
    model = read_exported(file, where)
    models = [model]
    if against is not None:
        models.append(read_exported(against, where))
        model.check_comparable(models[1])
    whole = [m for m in models if m.fitted_whole]
    chosen: np.ndarray | None = None
    # The pairs of a model that was fitted on more are what users have, for both.
    widest = whole[0] if whole else model
    data: Dataset | None = None
    if is_table(on):
        target = read_pairs(model, on, table)
        known = known_pairs(widest, seen, table, include=include_seen, tests=widest.fitted_whole)
        target = _unseen(target, known.pairs, on)
        chosen = np.flatnonzero(target.degrees)
    else:
        if whole:
            raise DataError(
                f"{whole[0].path} was fitted on the test pairs too: nothing of {on} is new to it; "
                "give the file of the run that chose, or a table of later pairs"
            )
        data = read_dataset(model, on)
        target = data.test
        known = known_pairs(
            model, seen, table, include=include_seen, tests=False, data=None if seen else data
        )
    counts = None if known.counts is None else known.counts.popularity
    how: dict[str, Any] = {"chosen": chosen, "counts": counts, "auc": auc}
    found = [
        measure(m.kept.users, m.kept.items, target, known.pairs, cutoffs, **how) for m in models
    ]
    gaps = {
        name: paired_difference(values.tolist(), found[1].by_user[name].tolist())
        for name, values in (found[0].by_user.items() if against is not None else ())
    }
    floors = {name: fit_floor(name, _fitted_on(model, data, seen)) for name in floor or ()}
    found += [measure_scores(f.score, target, known.pairs, cutoffs, **how) for f in floors.values()]
    users = target.num_users if chosen is None else len(chosen)
    if as_json:
        told = _as_json(models, found, gaps, on=on, users=users, known=known.words)
        print_json(told | ({"floors": _floors_as_json(floors, found)} if floors else {}))
        return
    if floors:
        out.print(_beside([model.path.name, *floors], found))
    else:
        out.print(_differences(models, found, gaps) if gaps else _metrics(found[0], cutoffs))
    without = int((target.degrees == 0).sum()) if chosen is None else 0
    says = f"means over {users:,} users, {len(target):,} pairs of {on} to find; {known.words}"
    say(says + (f"; {without:,} users have none to find and score 0" if without else ""))
    if chosen is None and seen is None and model.config.get("protocol") == "released":
        say("the record of this run left out only what was trained on (protocol released), without "
            "the validation part: its numbers are a little other ones")  # fmt: skip
    for name, fitted in floors.items():
        chose = ", ".join(f"{key} {value:g}" for key, value in fitted.settings.items())
        say(f"{name}: {chose or 'nothing to choose'}, fitted on the pairs of the training")
    if gaps:
        say("difference: of the first file to the second, with a 95 % t-interval over users; it "
            "does not tell how far another seed would move either")  # fmt: skip


def _unseen(target: Interactions, seen: Interactions | None, on: str) -> Interactions:
    """Take what users have already out of what is to be found: it is never listed."""
    if seen is None:
        return target
    both = len(target) + len(seen) - len(target.union(seen))
    if both == len(target):
        raise DataError(
            f"every pair of {on} is one that users have already: nothing is to be found"
        )
    if both:
        say(f"note: {both:,} of {len(target):,} pairs of {on} are pairs that users have already; "
            "they are left out", err)  # fmt: skip
        return target.difference(seen)
    return target


def _label(name: str) -> str:
    metric, _, k = name.partition("@")
    return f"{LABELS[metric]}@{k}" if k else LABELS[metric]


def _number(name: str, value: float) -> str:
    return f"{value:,.1f}" if name.startswith("popularity") else f"{value:.4f}"


def _metrics(found: Measured, cutoffs: tuple[int, ...]) -> Table:
    means = found.means()
    table = Table(key("metric"), *(Column(f"k = {k}", justify="right") for k in cutoffs))
    for metric, label in LABELS.items():
        names = [f"{metric}@{k}" for k in cutoffs]
        if metric in means:  # of the whole ranking
            table.add_row(label, _number(metric, means[metric]))
        elif names[0] in means:
            table.add_row(label, *(_number(name, means[name]) for name in names))
    return table


def _fitted_on(model: Exported, data: Dataset | None, seen: str | None) -> Interactions:
    """Return the pairs that the model's own training had; it set some aside for validation."""
    if data is None:
        named = seen is not None and not is_table(seen)
        data = read_dataset(model, str(seen)) if named else model.training_data()
    return data.known.union(data.test) if model.fitted_whole else data.train


def _beside(heads: list[str], found: list[Measured]) -> Table:
    table = Table(key("metric"), *(Column(head, justify="right") for head in heads))
    for name in found[0].means():
        table.add_row(_label(name), *(_number(name, x.means()[name]) for x in found))
    return table


def _floors_as_json(floors: dict[str, Floor], found: list[Measured]) -> list[dict[str, Any]]:
    model, *others = found
    return [
        {
            "floor": name,
            "settings": fitted.settings,
            "metrics": its.means(),
            "difference": {
                metric: _ends(paired_difference(values.tolist(), its.by_user[metric].tolist()))
                for metric, values in model.by_user.items()
            },
        }
        for (name, fitted), its in zip(floors.items(), others, strict=True)
    ]


def _ends(gap: PairedDifference) -> dict[str, float | None]:
    kept = ("mean", "low", "high", "count")
    return {k: v if math.isfinite(v := getattr(gap, k)) else None for k in kept}


def _differences(
    models: list[Exported], found: list[Measured], gaps: dict[str, PairedDifference]
) -> Table:
    heads = [*(m.path.name for m in models), "difference", "95 % interval"]
    table = Table(key("metric"), *(Column(head, justify="right") for head in heads))
    first, second = (x.means() for x in found)
    for name, value in first.items():
        cells = [_number(name, x) for x in (value, second[name])]
        gap = gaps.get(name)
        if gap is None:  # of all lists together: no value of a user
            change = value - second[name]
            cells += [f"{'+' if change > 0 else ''}{_number(name, change)}", ""]
        else:
            cells += [f"{gap.mean:+.4f}", f"{gap.low:+.4f} to {gap.high:+.4f}"]
        table.add_row(_label(name), *cells)
    return table


def _as_json(
    models: list[Exported],
    found: list[Measured],
    gaps: dict[str, PairedDifference],
    *,
    on: str,
    users: int,
    known: str,
) -> dict[str, Any]:
    files = [
        {"file": str(m.path), "run_id": m.kept.about.get("run_id"), "metrics": x.means()}
        for m, x in zip(models, found, strict=False)
    ]
    told: dict[str, Any] = {"on": on, "users": users, "lists": known, "files": files}
    if not gaps:
        return told
    return told | {"difference": {name: _ends(gap) for name, gap in gaps.items()}}
