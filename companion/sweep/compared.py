"""After a sweep of one's own: models side by side, each at the values that validation chose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from companion.comparison import Compared, Run, compare
from companion.experiments import Cell
from companion.records import by_time, differing, of_registered_data, run_id
from companion.released import PaperConfig
from companion.temperatures import best_validation
from psl.errors import DataError

__all__ = ["Model", "SideBySide", "compare_models"]


@dataclass(frozen=True)
class Model:
    """A loss on a backbone, at one point of the grid.

    Attributes
    ----------
    row : Compared
        Over its seeds, and against the first model.
    values : dict
        What the grid varies of it, at the chosen point.
    validation : float
        Mean over the seeds of the best validation NDCG@20 there.
    points : int
        Points of the grid at which all seeds are recorded: validation chose among them.
    of : int
        Points that there are.
    """

    row: Compared
    values: dict[str, Any]
    validation: float
    points: int
    of: int


@dataclass(frozen=True)
class SideBySide:
    """The models of one dataset and setting.

    Attributes
    ----------
    place : str
    models : list of Model
    missing : list of str
        Models without a point at which all seeds are recorded.
    on_test : bool
        Whether the test part chose, as it does in the setting ood under the protocol released.
    """

    place: str
    models: list[Model]
    missing: list[str]
    on_test: bool

    @property
    def note(self) -> str:
        """How the values were chosen."""
        by = "the test part, as the protocol released does: optimistic numbers"
        return f"The values are chosen by {by if self.on_test else 'the validation part alone'}."


Points = dict[str, list[tuple[PaperConfig, dict[str, Any] | None]]]


def compare_models(
    cells: Iterable[Cell], records: Sequence[dict[str, Any]], metric: str
) -> list[SideBySide]:
    """Compare the models of a sweep on the test part, each at one point of the grid.

    The point is the one with the highest mean over the seeds of the best validation NDCG@20.

    Parameters
    ----------
    cells : iterable of Cell
    records : sequence of dict
        Of one run on several devices the last one counts.
    metric : str
    """
    made = {r["run_id"]: r for r in by_time(of_registered_data(records))}
    places: dict[str, dict[tuple[str, str], Points]] = {}
    for c in (cell.config for cell in cells if cell.config is not None):
        ratio = "" if c.noise_ratio is None else f" {c.noise_ratio:g}"
        models = places.setdefault(f"{c.dataset} ({c.setting}{ratio})", {})
        point = run_id({k: v for k, v in c.as_dict().items() if k != "seed"})
        points = models.setdefault((c.loss, c.backbone), {})
        points.setdefault(point, []).append((c, made.get(c.run_id)))
    return [_side_by_side(place, models, metric) for place, models in places.items()]


def _side_by_side(place: str, models: dict[tuple[str, str], Points], metric: str) -> SideBySide:
    backbones = len({backbone for _, backbone in models})
    chosen: list[tuple[str, dict[str, Any], float, int, int]] = []
    runs, missing, on_test = list[Run](), list[str](), False
    for (loss, backbone), points in models.items():
        name = f"{loss} on {backbone}" if backbones > 1 else loss
        whole = [[r for _, r in p if r] for p in points.values() if all(r for _, r in p)]
        if not whole:
            missing.append(name)
            continue
        best = max(whole, key=_validation)
        runs += [_run(record, metric) for record in best]
        varied = differing([c.as_dict() for p in points.values() for c, _ in p])
        config = best[0]["config"]
        on_test |= (config["setting"], config["protocol"]) == ("ood", "released")
        values = {k: config[k] for k in varied if k != "seed" and k in config}
        chosen.append((name, values, _validation(best), len(whole), len(points)))
    rows = compare(runs) if runs else []
    found = [
        Model(replace(row, name=name), values, validation, points, of)
        for row, (name, values, validation, points, of) in zip(rows, chosen, strict=True)
    ]
    return SideBySide(place, found, missing, on_test)


def _validation(some: list[dict[str, Any]]) -> float:
    return sum(map(best_validation, some)) / len(some)


def _run(record: dict[str, Any], metric: str) -> Run:
    if metric not in record["metrics"]:
        raise DataError(f"the run {record['run_id']} has no {metric}")
    data = record["dataset_fingerprint"]
    return Run(record["run_id"], record["config"], data, record["metrics"][metric])
