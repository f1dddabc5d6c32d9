"""`psl run`: the paper's experiments in bulk."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from companion import experiments, records, sweep
from companion.cli.console import Device, Results, Several, err, out, print_json, say
from companion.cli.seeds import read_seeds
from companion.clock import duration
from companion.locks import write
from companion.writable import check_writable
from psl.dataset import stored_setting
from psl.errors import DataError, PSLError, UnknownNameError
from psl.training.device import check_device, on_gpu


def run_command(
    experiment: Annotated[str, typer.Argument(help=", ".join(experiments.EXPERIMENTS))],
    dataset: Several = None,
    setting: Several = None,
    backbone: Several = None,
    loss: Several = None,
    noise_ratio: Annotated[list[float] | None, typer.Option(help="Only this one.")] = None,
    tau: Annotated[list[float] | None, typer.Option(help="Only this temperature.")] = None,
    seeds: Annotated[
        list[str] | None, typer.Option(help="As 0-4 or 0,3; may be repeated. Without it: 0.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="released or clean.")] = "released",
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
    """Execute an experiment of the paper; what is recorded already is not run again.

    Stop it with Ctrl-C; the same command goes on.
    """
    if engine not in sweep.ENGINES:
        raise UnknownNameError("engine", engine, sweep.ENGINES)
    if engine == "local" and (address is not None or gpus_per_run):
        raise PSLError("--address and --gpus-per-run are for --engine ray")
    cells = experiments.cells(
        experiment,
        dataset=dataset or (),
        setting=setting or (),
        backbone=backbone or (),
        loss=loss or (),
        noise_ratio=noise_ratio or (),
        tau=tau or (),
        seeds=read_seeds(seeds or ["0"]),
        protocol=protocol,
    )
    check_device(device)
    known = records.read(results)
    # On a cluster a run finds a GPU where it is given part of one, whatever this machine has.
    gpu = gpus_per_run > 0 if (engine, device) == ("ray", "auto") else on_gpu(device)
    plan = sweep.make_plan(cells, known, gpu=gpu)
    if as_json:
        print_json(_as_json(plan))
    else:
        _show(experiment, cells, plan, max(1, workers), each=dry_run)
    if dry_run:
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
            write(html, sweep.html(title, plan, board, after))
    missing = [s for s in board.states.values() if s.state in ("failed", "died")]
    for state in missing:
        command = experiments.cell_command(state.job.config)
        say(f"{state.state}: {command}", err)
        say(f"  {state.text}", err)
    to = err if as_json else out
    if jobs:
        now = sweep.make_plan(cells, records.read(results)).recorded
        say(f"{len(now)} of {len(cells)} runs are recorded now, in {results}", to)
    say(board.count() or "nothing to run", to)
    if not whole:
        raise typer.Exit(1)


def _show(
    experiment: str,
    cells: list[experiments.Cell],
    plan: sweep.Plan,
    workers: int,
    *,
    each: bool,
) -> None:
    """Print the plan: counts and time, every run if asked to, and what is out of reach and why."""
    whole, _ = experiments.count_values(experiments.cells("all"))
    paper, later = experiments.count_values(cells)
    values = f"{paper} of the {whole} values that the paper reports"
    values += f" and {later} of the follow-up" if later else ""
    say(f"{experiment}, {experiments.EXPERIMENTS[experiment][0]}")
    say(f"covers {values}, with {len(cells)} runs:")
    say(f"  recorded     {len(plan.recorded):5d}")
    say(f"  to run       {len(plan.todo):5d}  {_time(plan, workers)}")
    say(f"  out of reach {len(plan.blocked):5d}")
    if each:
        say("")
        for cell, state, _ in plan.states():
            say(f"{state:12}  {_estimate(cell, plan):>8}  {_command(cell)}")
    if plan.blocked:
        say("")
    reasons: dict[tuple[str, str], int] = {}
    for cell, reason in plan.blocked:
        stored = f"{cell.where['dataset']} ({stored_setting(cell.where['setting'])})"
        reasons[stored, reason] = reasons.get((stored, reason), 0) + 1
    for (stored, reason), count in reasons.items():
        say(f"out of reach: {stored}, {count} runs: {reason}")


def _time(plan: sweep.Plan, workers: int) -> str:
    """Tell the expected time and where it comes from."""
    seconds, unknown = plan.seconds()
    jobs = plan.jobs()
    if not jobs:
        return ""
    if unknown == len(jobs):
        return "for an unknown time: no record of these datasets"
    at_once = f" of computing, {duration(seconds / workers)} with {workers} workers"
    text = f"about {duration(seconds)}{at_once if workers > 1 else ''}"
    bases = [plan.estimates[job.config.run_id].basis for job in jobs]
    parts = [f"{bases.count(b)} from {b}" for b in dict.fromkeys(bases) if b.startswith("records")]
    parts += [f"{unknown} unknown and not counted"] if unknown else []
    return f"{text} ({'; '.join(parts)})"


def _estimate(cell: experiments.Cell, plan: sweep.Plan) -> str:
    seconds = plan.estimates[cell.config.run_id].seconds if cell.config else None
    return "unknown" if seconds is None else duration(seconds)


def _command(cell: experiments.Cell) -> str:
    if cell.config is None:
        place = " ".join(f"{k}={v}" for k, v in cell.where.items() if v is not None)
        return f"no command: {place}"
    return experiments.cell_command(cell.config)


def _as_json(plan: sweep.Plan) -> list[dict[str, Any]]:
    return [
        {
            "run_id": cell.config.run_id if cell.config else None,
            "state": state,
            "reason": reason,
            "experiment": cell.experiment,
            "command": experiments.cell_command(cell.config) if cell.config else None,
            "config": cell.config.as_dict() if cell.config else None,
            "printed": cell.printed,
            "estimate": asdict(plan.estimates[cell.config.run_id]) if cell.config else None,
        }
        for cell, state, reason in plan.states()
    ]
