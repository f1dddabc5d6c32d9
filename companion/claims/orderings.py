"""The rows for orderings: wherever a PSL is asked to rank above SL on the same seeds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from companion.experiments import EXPERIMENTS
from companion.records import METRICS, has_fingerprint
from companion.reference import table

__all__ = ["ordering_rows"]

_BACKBONES = {"mf": "MF", "lightgcn": "LightGCN", "xsimgcl": "XSimGCL"}
_SETTINGS = {"iid": "IID", "ood": "out of distribution", "noise": "noise"}
# Setting -> the experiment that asks it of the paper's data.
_EXPERIMENTS = {"iid": "table1", "ood": "table2", "noise": "noise"}
_OURS = "amazon-health"  # no dataset of the paper: small enough for five seeds of everything
_STAND_IN = " Not a dataset of the paper: a small stand-in of this book."
# Figure 2 draws PSL-relu against SL, at these ratios.
_RATIOS = (0.05, 0.1, 0.2, 0.3, 0.5)
# What was known when the rows were written; a question that a result suggested is no test.
_SEEN = {
    ("iid", _OURS, "lightgcn"): "asked after the runs were seen",
    ("iid", _OURS, "xsimgcl"): "asked after the runs were seen",
    ("noise", _OURS, "mf"): "asked after the runs were seen",
    ("ood", "amazon-electronic", "mf"): "asked after seed 0 was seen",
    ("ood", "amazon-cd", "mf"): "asked after seed 0 was seen",
    ("noise", "amazon-electronic", "mf"): "asked after seed 0 was seen",
}


@dataclass(frozen=True)
class _Place:
    """Runs that are asked together: their questions are corrected for one another."""

    setting: str
    dataset: str
    backbone: str = "mf"

    @property
    def losses(self) -> tuple[str, ...]:
        return ("psl-relu",) if self.setting == "noise" else ("psl-tanh", "psl-atan", "psl-relu")

    @property
    def ratios(self) -> tuple[float | None, ...]:
        return _RATIOS if self.setting == "noise" else (None,)

    @property
    def seeds(self) -> int:
        """How many decide, fixed for a dataset before its runs."""
        return 5 if self.dataset == _OURS else 3

    @property
    def chapter(self) -> str:
        if self.setting == "iid":
            return "09-iid#" + ("loss-against-loss" if self.backbone == "mf" else "through-a-graph")
        return "10-tables#" + ("out-of-distribution" if self.setting == "ood" else "noise")


def _places() -> list[_Place]:
    """Return every dataset and backbone of the paper's tables, and the stand-in beside them."""
    found = []
    for setting, experiment in _EXPERIMENTS.items():
        ((name, _),) = EXPERIMENTS[experiment][1]
        rows = table(name)
        datasets = list(dict.fromkeys(rows["dataset"]))
        datasets += [_OURS] if setting != "ood" else []
        backbones = dict.fromkeys(rows.get("backbone", ["mf"]))
        found += [_Place(setting, d, b) for d, b in product(datasets, backbones)]
    return found


def ordering_rows() -> list[dict[str, Any]]:
    """Return a row of the ledger for each PSL, metric and place, in the order of the tables."""
    return [
        _row(place, ratio, metric, loss)
        for place in _places()
        for ratio, metric, loss in product(place.ratios, reversed(METRICS), place.losses)
    ]


def _row(place: _Place, ratio: float | None, metric: str, loss: str) -> dict[str, Any]:
    questions = len(place.ratios) * len(METRICS) * len(place.losses)
    stand_in = place.dataset == _OURS
    words = [place.setting, place.dataset.removeprefix("amazon-")]
    words += [place.backbone] if place.backbone != "mf" else []
    words += [f"{ratio:g}"] if ratio is not None else []
    words += [loss, "above-sl", metric.partition("@")[0]]
    where = _SETTINGS[place.setting] + (f", ratio {ratio:g}" if ratio is not None else "")
    command = ["psl run", "health" if stand_in else _EXPERIMENTS[place.setting]]
    command += [f"--setting {place.setting}"] if stand_in else [f"--dataset {place.dataset}"]
    command += [f"--backbone {place.backbone} --loss sl --loss {loss} --seeds 0-{place.seeds - 1}"]
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
            "seeds": place.seeds,
            "questions": questions,
            "seen": _SEEN.get((place.setting, place.dataset, place.backbone), ""),
            "command": " ".join(command),
            "dataset": place.dataset,
            "setting": place.setting,
            "backbone": place.backbone,
            **({"noise_ratio": ratio} if ratio is not None else {}),
        },
        "tolerance_source": f"paired t-test at 5 %, divided by the {questions} questions asked of "
        "these runs",
        "mutant": _mutant(place, metric),
    }


def _mutant(place: _Place, metric: str) -> str:
    """Return one of two mistakes that an ordering must notice, by metric.

    A smaller lead of SL would be lost in the interval of three seeds and ten questions; that the
    data is another can be told where the right one is known.
    """
    known = has_fingerprint({"dataset": place.dataset, "setting": place.setting})
    split = metric.startswith("recall") and known
    return "shuffled-test-split" if split else "softmax-twice-as-good"
