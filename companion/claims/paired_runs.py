"""Two losses seed by seed: the differences behind a question, or what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from companion.claims.subject import OTHER_DATA, Subject
from companion.experiments import cell, cell_command
from companion.names import written
from companion.records import of_registered_data
from companion.temperatures import best_temperature, best_validation
from psl.training import RunConfig

__all__ = ["Comparison", "blind", "compare", "compare_slopes"]

Runs = dict[int, dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """The differences ``ours - other`` of a question, a seed each.

    ``deciding`` are the runs that are compared, ``runs`` also those that chose a temperature.
    ``waits`` is the status of a question that has none yet, and ``note`` says why; else ``note``
    says at which temperatures the losses stand, where they chose them.
    """

    ours: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    deciding: list[dict[str, Any]] = field(default_factory=list)
    waits: str = ""
    note: str = ""


def compare(
    subject: Subject,
    *,
    metric: str,
    better: str,
    worse: str,
    seeds: Sequence[int],
    command: str = "",
    taus: Sequence[float] = (),
    choose_on: Sequence[int] = (),
    **where: Any,
) -> Comparison:
    """Return the values of two losses on the seeds that decide, no fewer and no more.

    With ``taus`` each loss has the temperature that its own validation chose on the seeds of
    ``choose_on``.
    """
    configs, used, notes = [], [], []
    for loss in (better, worse):
        config = cell(loss=loss, **where)
        if taus:
            tau, trials = _own_temperature(subject, config, taus, choose_on)
            if tau is None:
                wanted = len(taus) * len(choose_on)
                note = f"{written(loss)} has {len(trials)} of the {wanted} runs that choose its "
                note += f"temperature; psl run temperatures --dataset {config.dataset}"
                note += f" --loss {loss} --setting {config.setting} --protocol {config.protocol}"
                note += f" --seeds {choose_on[0]}-{choose_on[-1]}"
                return _unanswered(Comparison(runs=trials, note=note))
            config = cell(loss=loss, **where, tau=tau)
            used += trials
            edge = " (edge of the grid)" if tau in (min(taus), max(taus)) else ""
            notes.append(f"{written(loss)} at tau {tau:g}{edge}")
        configs.append(config)
    by_loss = [subject.runs(config) for config in configs]
    shared = [s for s in seeds if all(s in runs for runs in by_loss)]
    deciding = [runs[s] for runs in by_loss for s in shared]
    used += deciding
    ours, other = ([runs[s]["metrics"][metric] for s in shared] for runs in by_loss)
    found = Comparison(ours, other, used, deciding, note=", ".join(notes))
    if len(shared) == len(seeds):
        return _unanswered(found, complete=True)
    note = f"{len(shared)} of {len(seeds)} paired seeds recorded"
    if shared:
        gap = float(np.mean(ours) - np.mean(other))
        note += f"; gap so far {gap:+.4f} ({gap / np.mean(other):+.1%})"
    commands = [f"{cell_command(c)} for each seed" for c in configs] if taus else [command]
    note = "; ".join(n for n in (note, *notes, *commands) if n)
    return _unanswered(Comparison(runs=used, deciding=deciding, note=note))


def compare_slopes(
    subject: Subject, *, noise_ratios: Sequence[float], seeds: Sequence[int], **asked: Any
) -> Comparison:
    """Return each seed's slope of the relative gain over the noise ratio, against none."""
    parts = [compare(subject, noise_ratio=p, seeds=seeds, **asked) for p in noise_ratios]
    runs = [run for part in parts for run in part.runs]
    deciding = [run for part in parts for run in part.deciding]
    for part in parts:
        if part.waits:
            return Comparison(runs=runs, deciding=deciding, waits=part.waits, note=part.note)
    gains = np.array([np.divide(part.ours, part.other) - 1 for part in parts])
    slopes = np.polyfit(noise_ratios, gains, 1)[0]
    return Comparison([float(s) for s in slopes], [0.0] * len(seeds), runs, deciding)


def blind(asked: str, runs: Iterable[dict[str, Any]]) -> bool:
    """Return whether every run began after the question was asked.

    A record's time is that of its end or, in the oldest ones, of its start: the time it took is
    taken off either, so that none counts as younger than it is.  A run that was made again counts
    from its first result.
    """
    since = datetime.fromisoformat(asked)
    times = [(r.get("first_seen") or r["created"], r.get("seconds", 0.0)) for r in runs]
    ends = [(datetime.fromisoformat(time), seconds) for time, seconds in times]
    return all(end - timedelta(seconds=seconds) >= since for end, seconds in ends)


def _own_temperature(
    subject: Subject, config: RunConfig, taus: Sequence[float], seeds: Sequence[int]
) -> tuple[float | None, list[dict[str, Any]]]:
    """Return the temperature with the highest mean validation score, and the runs that say so."""
    found = [
        {"loss": config.loss, "tau": tau, "seed": seed, "run": run}
        for tau in taus
        for seed, run in subject.runs(replace(config, tau=tau)).items()
        if seed in seeds
    ]
    table = pd.DataFrame(found, columns=["loss", "tau", "seed", "run"])
    table["validation"] = table["run"].map(best_validation)
    tau, count = best_temperature(table, config.loss, seeds)
    return (tau if count == len(taus) else None), list(table["run"])


def _unanswered(found: Comparison, complete: bool = False) -> Comparison:
    """Return the comparison with the status that stands where it has no answer."""
    if len(of_registered_data(found.runs)) < len(found.runs):
        return Comparison(runs=found.runs, waits="differs", note=OTHER_DATA)
    return found if complete else replace(found, waits="not yet run")
