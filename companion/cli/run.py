"""`psl run`: many runs, of the paper or of one's own."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from companion import experiments, records, sweep
from companion.cli.console import Device, Results, Several, err, out, print_json, say
from companion.cli.plan_shown import (
    models_as_json,
    plan_as_json,
    run_command_of,
    show_models,
    show_plan,
)
from companion.locks import write
from companion.writable import check_writable
from psl.errors import DataError, PSLError, UnknownNameError
from psl.training.device import check_device, on_gpu


def run_command(
    experiment: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join(experiments.EXPERIMENTS)}; or a file of your own, FILE.yaml."
        ),
    ],
    dataset: Several = None,
    setting: Several = None,
    backbone: Several = None,
    loss: Several = None,
    noise_ratio: Annotated[list[float] | None, typer.Option(help="Only this one.")] = None,
    tau: Annotated[list[float] | None, typer.Option(help="Only this temperature.")] = None,
    seeds: Annotated[
        list[str] | None,
        typer.Option(help="As 0-4 or 0,3; may be repeated. Without it: 0, or the file's."),
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="released or clean; in a file it is a field of config.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    engine: Annotated[str, typer.Option(help=", ".join(sweep.ENGINES))] = "local",
    workers: Annotated[
        int, typer.Option(min=0, help="Runs at once; 0: one, or all that Ray has room for.")
    ] = 0,
    threads: Annotated[
        int,
        typer.Option(
            min=0, max=1024, help="Threads in each run; 0: the cores shared out (Ray: 1)."
        ),
    ] = 0,
    retries: Annotated[
        int, typer.Option(min=0, help="Times a run is taken up again after its worker died.")
    ] = 2,
    address: Annotated[
        str | None,
        typer.Option(
            help="Of a Ray cluster; auto: one on this machine; without it, one is started."
        ),
    ] = None,
    gpus_per_run: Annotated[
        float, typer.Option(min=0, help="Ray: part of a GPU for each run, e.g. 0.25.")
    ] = 0.0,
    device: Device = "auto",
    results: Results = Path("results"),
    checkpoints: Annotated[Path, typer.Option(help="Folder of states.")] = Path(".psl"),
    html: Annotated[Path | None, typer.Option(help="Write a summary page there.")] = None,
) -> None:
    """Execute an experiment of the paper or of your own; what is recorded is not run again.

    A file of your own names datasets, losses and a grid of values, and ends with a comparison of
    the models. Stop it with Ctrl-C; the same command goes on.
    """
    if engine not in sweep.ENGINES:
        raise UnknownNameError("engine", engine, sweep.ENGINES)
    if engine == "local" and (address is not None or gpus_per_run):
        raise PSLError("--address and --gpus-per-run are for --engine ray")
    filters: dict[str, Any] = {
        "dataset": dataset or (),
        "setting": setting or (),
        "backbone": backbone or (),
        "loss": loss or (),
        "noise_ratio": noise_ratio or (),
        "tau": tau or (),
    }
    own = None
    if Path(experiment).suffix.lower() in (".yaml", ".yml"):
        if protocol is not None:
            raise PSLError("--protocol is for the paper's experiments; put it into config")
        file = Path(experiment)
        own = experiments.read_sweep(file)
        experiment = own.name
        some = experiments.read_seeds(seeds) if seeds else ()
        try:
            cells = experiments.own_cells(own, file.parent, seeds=some, **filters)
        except PSLError as error:
            raise PSLError(f"{file}: {error}") from error
    else:
        numbers = experiments.read_seeds(seeds or ["0"])
        cells = experiments.cells(
            experiment, seeds=numbers, protocol=protocol or "released", **filters
        )
    check_device(device)
    known = records.read(results)
    # On a cluster a run finds a GPU where it is given part of one, whatever this machine has.
    gpu = gpus_per_run > 0 if (engine, device) == ("ray", "auto") else on_gpu(device)
    plan = sweep.make_plan(cells, known, gpu=gpu)
    if as_json and own is None:
        print_json(plan_as_json(plan))
    elif not as_json:
        show_plan(experiment, cells, plan, max(1, workers), each=dry_run)
    if dry_run:
        if as_json and own is not None:
            _tell_models(own, cells, plan, known, as_json=True)
        return
    if plan.blocked and not plan.todo and not plan.recorded:
        raise DataError(f"none of these can be run here: {plan.blocked[0][1]}")
    settings = sweep.Settings(
        checkpoints, device, workers, threads, retries, address, float(gpus_per_run)
    )
    jobs = plan.jobs()
    # What cannot be written is told before hours of training.
    targets = {records.file_of(results, job.experiment) for job in jobs}
    targets |= {checkpoints / "state"} if jobs else set()
    targets |= {html} if html is not None else set()
    for target in sorted(targets):
        check_writable(target)
    board = sweep.SweepProgress(jobs, err)
    try:
        whole = sweep.execute(jobs, board, engine=engine, settings=settings, results=results)
    except KeyboardInterrupt:
        say(f"stopped ({board.count()}); the same command goes on from here", err)
        raise typer.Exit(130) from None
    finally:
        if html is not None:
            after = records.read(results)
            title = shlex.join(["psl", *sys.argv[1:]])
            models = sweep.compare_models(cells, after, own.metric) if own else []
            measured = own.metric if own else ""
            drawn = _drawn(models, measured)
            write(html, sweep.html(title, plan, board, after, models, measured, drawn))
    commands = {c.config.run_id: run_command_of(c) for c in cells if c.config}
    missing = [s for s in board.states.values() if s.state in ("failed", "died")]
    for state in missing:
        command = commands[state.job.config.run_id]
        say(f"{state.state}: {command}", err)
        say(f"  {state.text}", err)
    to = err if as_json else out
    after = records.read(results)
    now = sweep.make_plan(cells, after)
    if jobs:
        say(f"{len(now.recorded)} of {len(cells)} runs are recorded now, in {results}", to)
    say(board.count() or "nothing to run", to)
    if own is not None:
        _tell_models(own, cells, now, after, as_json=as_json)
    if not whole:
        raise typer.Exit(1)


def _drawn(models: list[sweep.SideBySide], metric: str) -> list[str]:
    """Draw the models of each place; matplotlib loads for a page alone."""
    if not models:
        return []
    from companion.figures.sweep import side_by_side

    return [side_by_side(side, metric) for side in models]


def _tell_models(
    own: experiments.SweepFile,
    cells: list[experiments.Cell],
    plan: sweep.Plan,
    known: list[dict[str, Any]],
    *,
    as_json: bool,
) -> None:
    """Print the comparison of a sweep of one's own, or it and the runs as JSON."""
    models = sweep.compare_models(cells, known, own.metric)
    if as_json:
        compared = models_as_json(models)
        print_json({"runs": plan_as_json(plan), "metric": own.metric, "comparisons": compared})
    else:
        show_models(models, own.metric)
