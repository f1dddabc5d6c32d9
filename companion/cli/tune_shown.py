"""What `psl tune` shows: its trials while they are made, and the best of them at the end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, replace

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table

from companion.baselines import FLOORS, FloorTrial
from companion.cli.console import err, key, out, print_json, say
from companion.experiments import plain_command
from companion.tuning import Budget, Study, Tried
from psl.errors import PSLError
from psl.training import Progress

__all__ = ["Board", "settings_of", "show_trials"]

SHOWN = 10  # trials of each loss


class Board:
    """Bars on a terminal, a line a trial elsewhere."""

    def __init__(self, studies: list[Study], budget: Budget) -> None:
        self.studies, self.budget = studies, budget
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
            disable=not err.is_terminal,
        )
        total = None if budget.trials is None else budget.trials * len(studies)
        done = sum(len(s.tried) for s in studies)
        self.whole = self.bars.add_task("trials", total=total, completed=done, note="")
        epochs = studies[0].search.config.epochs
        self.epoch = self.bars.add_task("epochs", total=epochs, note="")

    def __enter__(self) -> Board:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    @property
    def show(self) -> Callable[[Progress], None]:
        """What a trial tells its epochs to."""

        def step(p: Progress) -> None:
            if p.loss is not None:
                note = "" if p.validation is None else f"NDCG@20 {p.validation:.4f}"
                self.bars.update(self.epoch, completed=p.epoch, note=note)

        return step

    def ended(self, study: Study, tried: Tried) -> None:
        """Tell a trial that has ended."""
        best = study.best
        note = f"best NDCG@20 {best.score:.4f}" if best else ""
        self.bars.update(self.whole, advance=1, note=note)
        of = f"/{self.budget.trials}" if self.budget.trials else ""
        values = ", ".join(f"{f} {getattr(tried.config, f):g}" for f in study.search.fields)
        told = "" if tried.score is None else f" NDCG@20 {tried.score:.4f}, epoch {tried.epoch},"
        say(
            f"{tried.config.loss} {len(study.tried)}{of}: {values}: {tried.state},{told} "
            f"{tried.seconds:.1f} s{'; ' + note if note else ''}",
            err,
        )


def show_trials(
    studies: list[Study], floors: dict[str, list[FloorTrial]], dataset: str, *, as_json: bool
) -> None:
    """Print trials, floors and a command for each loss's best; PSLError where each diverged."""
    found = [(study, best) for study in studies if (best := study.best) is not None]
    found.sort(key=lambda w: w[1].score or 0.0)  # the winner is the last
    commands = [str(plain_command(replace(best.config, dataset=dataset))) for _, best in found]
    if as_json:
        trials = [asdict(t) | {"config": t.config.as_dict()} for s in studies for t in s.tried]
        fitted = [{"floor": name} | asdict(t) for name, tries in floors.items() for t in tries]
        command = commands[-1] if commands else None
        print_json({"command": command, "trials": trials, "floors": fitted})
    else:
        if floors:
            out.print(_floor_table(floors))
        for study in studies:
            out.print(_table(study))
    if not found:
        raise PSLError("no trial is complete: each diverged; more --trials, or give a lower --lr")
    if as_json:
        return
    winner = found[-1]
    if floors:
        say(_beside_floors(winner[1], floors))
    for name in winner[0].search.edges(winner[1].config):
        say(f"{name} is at the edge of what is searched: a better one may lie beyond")
    if winner[1].epoch == winner[1].config.epochs:
        say("the best epoch is the last: more --epochs may give more")
    of_each = " of each loss, the best last" if len(commands) > 1 else ""
    say("NDCG@20 is that of the validation part; the test part was not looked at.")
    say(f"The best{of_each}:")
    for command in commands:
        say(command)


def settings_of(tried: FloorTrial) -> str:
    """Write the settings that a baseline was tried with."""
    return ", ".join(f"{k} {v:g}" for k, v in tried.settings.items()) or "nothing to choose"


def _best(tries: list[FloorTrial]) -> FloorTrial:
    return max(tries, key=lambda t: t.score)


def _floor_table(floors: dict[str, list[FloorTrial]]) -> Table:
    """Lay out each baseline at its best setting, with what was spent on it."""
    table = Table(
        Column("NDCG@20", justify="right"),
        key("floor"),
        "settings",
        Column("tried", justify="right"),
        Column("seconds", justify="right"),
        title="baselines, on the same validation part",
        title_justify="left",
    )
    for name, tries in sorted(floors.items(), key=lambda f: -_best(f[1]).score):
        best, seconds = _best(tries), sum(t.seconds for t in tries)
        of = len(list(itertools.product(*FLOORS[name].grid.values())))
        count = f"{len(tries)} of {of}"
        table.add_row(f"{best.score:.4f}", name, settings_of(best), count, f"{seconds:.0f}")
    return table


def _beside_floors(winner: Tried, floors: dict[str, list[FloorTrial]]) -> str:
    """Say how far the best loss is above the best baseline, or that it is not."""
    name, tries = max(floors.items(), key=lambda f: _best(f[1]).score)
    floor, score = _best(tries).score, winner.score or 0.0
    if score <= floor:
        return (
            f"no loss is above the floor {name}: {winner.config.loss} has NDCG@20 {score:.4f}, "
            f"{name} {floor:.4f}; more trials or epochs may change that"
        )
    gain = f"{score / floor - 1:+.1%} on" if floor else "above"
    return f"{winner.config.loss} is {gain} the best floor, {name} ({floor:.4f})"


def _table(study: Study) -> Table:
    """Lay out the best trials of a loss, the complete ones first."""
    tried, fields = study.tried, study.search.fields
    states = [t.state for t in tried]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    table = Table(
        Column("NDCG@20", justify="right"),
        *(Column(f.replace("_", " "), justify="right") for f in fields),
        Column("epoch", justify="right"),
        key("state"),
        title=f"{study.search.config.loss}: {counts}, {sum(t.seconds for t in tried):.0f} s",
        title_justify="left",
    )
    for t in sorted(tried, key=lambda t: (t.state != "complete", -(t.score or 0.0)))[:SHOWN]:
        values = (f"{getattr(t.config, f):g}" for f in fields)
        score = "-" if t.score is None else f"{t.score:.4f}"
        table.add_row(score, *values, str(t.epoch or "-"), t.state)
    return table
