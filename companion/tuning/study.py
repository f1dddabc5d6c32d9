"""Trials one after another, kept in a file: stopped, it goes on as if it had not been."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from companion.records import Trial
from companion.released import PaperConfig
from companion.tuning.space import DECAYS, Search
from companion.tuning.trial import validate
from psl.dataset import Dataset
from psl.errors import PSLError, TrainingError
from psl.streams import numpy_stream
from psl.training import Progress
from psl.training.device import describe
from psl.training.provenance import provenance

__all__ = ["Budget", "Study", "Tried"]

STARTUP = 5  # trials before one is compared with the median of the others
WARMUP = 20  # epochs, and of few a fifth, before one may be ended early


@dataclass(frozen=True)
class Budget:
    """What each loss gets: so many trials, or so many seconds of them.

    Attributes
    ----------
    trials : int or None
    seconds : float or None
        No trial begins after; the last one ends later.
    """

    trials: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Tried:
    """A trial that has ended.

    Attributes
    ----------
    config : PaperConfig
    state : {"complete", "pruned", "diverged"}
        Ended early because half of the others were better there, or by an error of the training.
    score : float or None
        The best validation NDCG@20 that it reached.
    epoch : int or None
    seconds : float
    why : str
        Of one that diverged.
    made : dict
        On which device, with which code and versions, and when: as in a record.
    """

    config: PaperConfig
    state: str
    score: float | None
    epoch: int | None
    seconds: float
    why: str = ""
    made: dict[str, Any] = field(default_factory=dict)


class Study:
    """The trials of one loss.

    Trial n is proposed by the tree-structured Parzen estimator of Optuna from the trials before it
    and a random stream of the seed and n, so a stopped search proposes what it would have.

    Parameters
    ----------
    path : Path
        The file of the trials; whoever opens it holds its lock.
    search : Search
    data : Dataset

    Raises
    ------
    PSLError
        If Optuna is missing, or the file is another one.
    """

    def __init__(self, path: Path, search: Search, data: Dataset) -> None:
        optuna = import_optuna()
        self.search, self.data = search, data
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_off_half_a_line(path)
        epochs = search.config.epochs
        try:
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(
                    optuna.storages.journal.JournalFileBackend(os.fspath(path))
                ),
                study_name="psl",
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(STARTUP, min(WARMUP, epochs // 5)),
                load_if_exists=True,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise PSLError(
                f"{path}: no trials of psl tune ({reason}); --restart begins anew"
            ) from error
        self._states = optuna.trial.TrialState
        for trial in self._study.get_trials(states=(self._states.RUNNING,)):  # of one killed
            self._study.tell(trial.number, state=self._states.FAIL)

    @property
    def tried(self) -> list[Tried]:
        """The trials that have ended, in their order; one that was stopped is none."""
        ended = (self._states.COMPLETE, self._states.PRUNED)
        return [self._of(trial) for trial in self._study.get_trials(deepcopy=False, states=ended)]

    @property
    def best(self) -> Tried | None:
        """The complete trial with the best score."""
        whole = [x for x in self.tried if x.state == "complete" and x.score is not None]
        return max(whole, key=lambda x: x.score or 0.0, default=None)

    def lines(self) -> list[Trial]:
        """Return the trials that have ended as lines of a file that others read."""
        key, of = self.search.key(self.data), self.data.fingerprint
        return [
            Trial(
                search=key,
                number=number,
                fields=list(self.search.fields),
                dataset_fingerprint=of,
                config=t.config.as_dict(),
                state=t.state,  # type: ignore[arg-type]  # the model refuses another word
                score=t.score,
                epoch=t.epoch,
                seconds=round(t.seconds, 3),
                why=t.why,
                made=t.made,
            )
            for number, t in enumerate(self.tried)
        ]

    def spent(self, budget: Budget) -> bool:
        """Say whether the budget is used up, by the calls before this one too."""
        tried = self.tried
        if budget.trials is not None:
            return len(tried) >= budget.trials
        return sum(x.seconds for x in tried) >= (budget.seconds or 0.0)

    def step(
        self, device: torch.device, progress: Callable[[Progress], None] = lambda _: None
    ) -> Tried:
        """Do one trial more."""
        optuna, number = import_optuna(), len(self.tried)
        if not number and not self._study.get_trials(states=(self._states.WAITING,)):
            config = self.search.config
            self._study.enqueue_trial({f: getattr(config, f) for f in self.search.fields})
        stream = numpy_stream(self.search.config.seed, "tune", number)
        self._study.sampler = optuna.samplers.TPESampler(seed=int(stream.integers(2**31)))
        trial = self._study.ask(_distributions(self.search))
        config = self.search.at(trial.params)
        trial.set_user_attr("made", {"device": describe(device), **provenance()})
        scores: dict[int, float] = {}

        def show(p: Progress) -> None:
            progress(p)
            if p.validation is not None:
                scores[p.epoch] = p.validation
                trial.report(p.validation, p.epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned

        state, score = self._states.FAIL, None  # stopped: it does not count
        try:
            score, epoch = validate(config, self.data, device, show)
            trial.set_user_attr("epoch", epoch)
            state = self._states.COMPLETE
        except optuna.TrialPruned:
            trial.set_user_attr("epoch", max(scores, key=lambda e: scores[e]))
            state = self._states.PRUNED
        except TrainingError as error:
            trial.set_user_attr("why", str(error))
            state = self._states.PRUNED
        finally:
            kept = self._study.tell(trial, score, state=state)
        return self._of(kept)

    def _of(self, trial: Any) -> Tried:
        why = trial.user_attrs.get("why", "")
        whole = trial.state == self._states.COMPLETE
        score = trial.value if whole else max(trial.intermediate_values.values(), default=None)
        return Tried(
            self.search.at(trial.params),
            "diverged" if why else "complete" if whole else "pruned",
            score,
            trial.user_attrs.get("epoch"),
            trial.duration.total_seconds(),
            why,
            trial.user_attrs.get("made", {}),
        )


def import_optuna() -> Any:
    """Import Optuna where it is needed, and keep it from writing lines of its own."""
    try:
        import optuna
    except ImportError as error:
        raise PSLError("psl tune needs Optuna: pip install 'psl[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _distributions(search: Search) -> dict[str, Any]:
    kinds = import_optuna().distributions
    ranges = search.ranges
    return {
        field: kinds.FloatDistribution(r.low, r.high, log=r.log)
        if (r := ranges.get(field))
        else kinds.CategoricalDistribution(DECAYS)
        for field in search.fields
    }


def _cut_off_half_a_line(path: Path) -> None:
    """Remove what a killed writer left at the end: the next line would be written onto it."""
    if not path.is_file():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)
