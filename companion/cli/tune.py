"""`psl tune`: search temperature, step size and weight decay, for a loss or several."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from companion import datasets
from companion.baselines import FLOORS, FloorTrial
from companion.cli.config_options import takes_fields
from companion.cli.console import Device, err, say
from companion.cli.train import WORDS, refuse_a_table
from companion.cli.tune_shown import Board, settings_of, show_trials
from companion.locks import exclusive
from companion.records import read_trials, save_trials
from companion.released import PaperConfig
from companion.threads import torch_threads
from companion.tuning import OWN, Budget, Search, Study, tried_floors
from companion.writable import check_writable
from psl.errors import PSLError, UnknownNameError
from psl.losses import LOSSES
from psl.training.device import find_device


@takes_fields(PaperConfig, WORDS, without=("dataset", "loss", "protocol", "epochs", "patience"))
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
    epochs: Annotated[
        int, typer.Option(min=1, help="Passes over the training pairs in a trial, at most.")
    ] = 100,
    patience: Annotated[
        int,
        typer.Option(
            min=0, help="Validations without a new best after which a trial ends; 0: none."
        ),
    ] = 4,
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
    half of the others at the same epoch is ended, and so is one that no longer gains. Stop with
    Ctrl-C; the same command goes on.
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
    given |= {"epochs": epochs, "patience": patience}
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
                        said = f"{settings_of(one)}: NDCG@20 {one.score:.4f}, {one.seconds:.1f} s"
                        say(f"{name} {len(tries)}: {said}", err)
            board = None if as_json else stack.enter_context(Board(studies, budget))
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
    show_trials(studies, floors, dataset, as_json=as_json)


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
