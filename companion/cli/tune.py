"""`psl tune`: search temperature, step size and weight decay, for a loss or several."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Column, Table

from companion import datasets
from companion.baselines import FLOORS, FloorTrial
from companion.cli.config_options import takes_fields
from companion.cli.console import Device, err, key, out, print_json, say
from companion.cli.train import WORDS, refuse_a_table
from companion.experiments import plain_command
from companion.locks import exclusive
from companion.records import read_trials, save_trials
from companion.released import PaperConfig
from companion.threads import torch_threads
from companion.tuning import (
    OWN,
    Budget,
    Search,
    Study,
    Tried,
    tried_floors,
)
from companion.writable import check_writable
from psl.errors import PSLError, UnknownNameError
from psl.losses import LOSSES
from psl.training import Progress
from psl.training.device import find_device

SHOWN = 10  # trials of each loss


@takes_fields(PaperConfig, WORDS, without=("dataset", "loss", "protocol"))
def tune_command(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(help=WORDS["dataset"])],
    loss: Annotated[
        list[str] | None,
        typer.Option(help=f"May be repeated; each gets the same budget. {', '.join(LOSSES)}"),
    ] = None,
    floor: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A baseline beside the losses, on the same validation part: {', '.join(FLOORS)}. "
            "May be repeated."
        ),
    ] = None,
    own_options: Annotated[
        bool,
        typer.Option(
            "--own-options",
            help="Search the options of each loss too: "
            + "; ".join(f"{k}: {', '.join(v)}" for k, v in OWN.items())
            + ".",
        ),
    ] = False,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Of each loss, those of earlier calls included.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Of each loss, likewise; no trial begins after, the last ends."),
    ] = None,
    device: Device = "auto",
    threads: Annotated[
        int, typer.Option(min=0, max=1024, help="Torch's threads on a CPU; 0: as many as it takes.")
    ] = 0,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget the trials of earlier calls.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all trials as JSON.")] = False,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write the trials there, a JSON line each; those of other searches stay. "
            "`tuned: FILE` in a file of `psl run` takes the best of them."
        ),
    ] = None,
    checkpoints: Annotated[Path, typer.Option(help="Folder of the trials.")] = Path(".psl"),
    **fields: Any,
) -> None:
    """Search on the validation part alone; the test part is never looked at.

    tau, lr and weight decay are searched, but for those that are given. A trial that is worse than
    half of the others at the same epoch is ended. Stop with Ctrl-C; the same command goes on.
    """
    if (trials is None) == (minutes is None):
        raise PSLError("give a budget: --trials or --minutes, not both")
    if minutes is not None and not 0 < minutes < math.inf:
        raise PSLError(f"--minutes must be above 0, got {minutes:g}")
    budget = Budget(trials, None if minutes is None else 60 * minutes)
    refuse_a_table(dataset)
    for name in floor or ():
        if name not in FLOORS:
            raise UnknownNameError("floor", name, FLOORS)
    given = {name: value for name, value in fields.items() if value is not None}
    searches = _searches(
        Path(dataset).name, list(dict.fromkeys(loss or [PaperConfig.loss])), given, own_options
    )
    where = find_device(device)
    setting = searches[0].config.setting
    data = datasets.load(dataset, setting, progress=not as_json)
    for note in () if as_json else data.notes:
        say(f"note: {note}", err)
    searches = [replace(s, config=s.config.for_data(data)) for s in searches]
    paths = [checkpoints / f"tune-{s.key(data)}.journal" for s in searches]
    for path in paths:
        check_writable(path)
        context.with_resource(exclusive(path, wait=False, remove=True))
        if restart:
            path.unlink(missing_ok=True)
    if save is not None:
        check_writable(save)
        if save.exists():
            read_trials(save)  # refused before the trials, not after them
    studies = [Study(path, s, data) for path, s in zip(paths, searches, strict=True)]
    floors: dict[str, list[FloorTrial]] = {}
    try:
        with torch_threads(threads), ExitStack() as stack:
            for name in dict.fromkeys(floor or ()):
                tries = floors.setdefault(name, [])
                for one in tried_floors(name, searches[0].config, data, budget):
                    tries.append(one)
                    if not as_json:
                        said = f"{_settings(one)}: NDCG@20 {one.score:.4f}, {one.seconds:.1f} s"
                        say(f"{name} {len(tries)}: {said}", err)
            board = None if as_json else stack.enter_context(_Board(studies, budget))
            # By turns, so that a search that is stopped has tried each loss as often.
            while left := [s for s in studies if not s.spent(budget)]:
                study = min(left, key=lambda s: len(s.tried))
                tried = study.step(where, board.show if board else lambda _: None)
                if board:
                    board.ended(study, tried)
    except KeyboardInterrupt:
        say("stopped; the same command goes on from the last whole trial", err)
        raise typer.Exit(130) from None
    finally:
        if save is not None:
            save_trials(save, [line for study in studies for line in study.lines()])
    _tell(studies, floors, dataset, as_json=as_json)


def _searches(
    dataset: str, losses: list[str], given: dict[str, Any], own_options: bool
) -> list[Search]:
    """Return what is searched for each loss; what every loss ignores is refused."""
    out, ignored = [], list[set[str]]()
    for name in losses:
        own: dict[str, Any] = {"dataset": dataset, "protocol": "clean", "loss": name}
        place = {k: given[k] for k in ("backbone", "setting", "noise_ratio") if k in given}
        ignored.append(PaperConfig(**own, **place).ignored())
        mine = {k: v for k, v in given.items() if k not in ignored[-1]}
        mine |= {"form": None} if mine.get("form") == "outside" else {}
        out.append(Search.of(PaperConfig(**own, **mine), given, own=own_options))
    for option in sorted(set.intersection(*ignored) & given.keys()):
        raise PSLError(f"{', '.join(losses)}: no option {option}, it would change nothing")
    for search in out:
        if not search.fields:
            raise PSLError(f"{search.config.loss}: nothing is left to search; leave tau or lr out")
    return out


class _Board:
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

    def __enter__(self) -> _Board:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    @property
    def show(self) -> Callable[[Progress], None]:
        def step(p: Progress) -> None:
            if p.loss is not None:
                note = "" if p.validation is None else f"NDCG@20 {p.validation:.4f}"
                self.bars.update(self.epoch, completed=p.epoch, note=note)

        return step

    def ended(self, study: Study, tried: Tried) -> None:
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


def _tell(
    studies: list[Study], floors: dict[str, list[FloorTrial]], dataset: str, *, as_json: bool
) -> None:
    winners = [(study, best) for study in studies if (best := study.best) is not None]
    winner = max(winners, key=lambda w: w[1].score or 0.0, default=None)
    command = None
    if winner is not None:
        command = plain_command(replace(winner[1].config, dataset=dataset))
    if as_json:
        trials = [asdict(t) | {"config": t.config.as_dict()} for s in studies for t in s.tried]
        fitted = [{"floor": name} | asdict(t) for name, tries in floors.items() for t in tries]
        print_json({"command": command, "trials": trials, "floors": fitted})
    else:
        if floors:
            out.print(_floor_table(floors))
        for study in studies:
            out.print(_table(study))
    if winner is None:
        raise PSLError("no trial is complete: each diverged; more --trials, or give a lower --lr")
    if as_json:
        return
    if floors:
        say(_beside_floors(winner[1], floors))
    for name in winner[0].search.edges(winner[1].config):
        say(f"{name} is at the edge of what is searched: a better one may lie beyond")
    if winner[1].epoch == winner[1].config.epochs:
        say("the best epoch is the last: more --epochs may give more")
    say("NDCG@20 is that of the validation part; the test part was not looked at. The best:")
    say(str(command))


def _settings(tried: FloorTrial) -> str:
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
        table.add_row(f"{best.score:.4f}", name, _settings(best), count, f"{seconds:.0f}")
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
