"""The rows for orderings: wherever a PSL is asked to rank above SL on the same seeds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from psl.records import METRICS

__all__ = ["ordering_rows"]

_BACKBONES = {"mf": "MF", "lightgcn": "LightGCN", "xsimgcl": "XSimGCL"}
_SETTINGS = {"iid": "IID", "ood": "out of distribution", "noise": "noise"}
# How many seeds decide, fixed for a dataset before its runs.
_SEEDS = {"amazon-electronic": 3, "amazon-health": 5}
_STAND_IN = " Not a dataset of the paper: a small stand-in of this book."


@dataclass(frozen=True)
class _Place:
    """Runs that are asked together: their questions are corrected for one another."""

    setting: str
    dataset: str
    chapter: str
    backbone: str = "mf"
    losses: tuple[str, ...] = ("psl-tanh", "psl-atan", "psl-relu")
    ratios: tuple[float | None, ...] = (None,)
    # What was known when the rows were written; a question that a result suggested is no test.
    seen: str = ""


_IID = "09-iid#loss-against-loss"
_GRAPH = "09-iid#through-a-graph"
_OOD = "10-tables#out-of-distribution"
# Figure 2 draws PSL-relu against SL, at these ratios.
_NOISE: dict[str, Any] = {
    "chapter": "10-tables#noise",
    "losses": ("psl-relu",),
    "ratios": (0.05, 0.1, 0.2, 0.3, 0.5),
}
_PLACES = (
    _Place("iid", "amazon-electronic", _IID),
    _Place("iid", "amazon-electronic", _GRAPH, "lightgcn"),
    _Place("iid", "amazon-electronic", _GRAPH, "xsimgcl"),
    _Place("iid", "amazon-health", _IID),
    _Place("iid", "amazon-health", _GRAPH, "lightgcn", seen="asked after the runs were seen"),
    _Place("iid", "amazon-health", _GRAPH, "xsimgcl", seen="asked after the runs were seen"),
    _Place("ood", "amazon-electronic", _OOD, seen="asked after seed 0 was seen"),
    _Place("noise", "amazon-electronic", **_NOISE, seen="asked after seed 0 was seen"),
    _Place("noise", "amazon-health", **_NOISE, seen="asked after the runs were seen"),
)


def ordering_rows() -> list[dict[str, Any]]:
    """Return a row of the ledger for each PSL, metric and place, in the order of the chapters."""
    return [
        _row(place, ratio, metric, loss)
        for place in _PLACES
        for ratio, metric, loss in product(place.ratios, reversed(METRICS), place.losses)
    ]


def _row(place: _Place, ratio: float | None, metric: str, loss: str) -> dict[str, Any]:
    questions = len(place.ratios) * len(METRICS) * len(place.losses)
    stand_in = place.dataset == "amazon-health"
    words = [place.setting, place.dataset.removeprefix("amazon-")]
    words += [place.backbone] if place.backbone != "mf" else []
    words += [f"{ratio:g}"] if ratio is not None else []
    words += [loss, "above-sl", metric.partition("@")[0]]
    where = _SETTINGS[place.setting] + (f", ratio {ratio:g}" if ratio is not None else "")
    return {
        "id": "-".join(words),
        "section": "5.2",
        "kind": "ordering",
        "statement": f"{loss} has a higher {metric} than SL, {_BACKBONES[place.backbone]} on "
        f"{place.dataset} ({where}).{_STAND_IN if stand_in else ''}",
        "chapter": place.chapter,
        "check": "better-than",
        "arguments": {
            "metric": metric,
            "better": loss,
            "worse": "sl",
            "seeds": _SEEDS[place.dataset],
            "questions": questions,
            "seen": place.seen,
            "dataset": place.dataset,
            "setting": place.setting,
            "backbone": place.backbone,
            **({"noise_ratio": ratio} if ratio is not None else {}),
        },
        "tolerance_source": f"paired t-test at 5 %, divided by the {questions} questions asked of "
        "these runs",
        # Two mistakes that an ordering must notice, one for each metric; a smaller lead of SL would
        # be lost in the interval of three seeds and ten questions.
        "mutant": "softmax-twice-as-good" if metric.startswith("ndcg") else "shuffled-test-split",
    }
