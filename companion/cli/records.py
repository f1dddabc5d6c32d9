"""`psl records`: what was trained."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.progress import Progress as Bars
from rich.table import Column, Table

from companion import datasets, records, users
from companion.cli.config_options import takes
from companion.cli.console import Device, Results, Several, err, key, out, print_json, say
from companion.cli.progress import watching
from companion.experiments import read_seeds
from companion.released import PaperConfig
from companion.rerun import TOLERANCES, allowed_gap, rerun
from companion.writable import check_writable
from psl.errors import PSLError, RecordError
from psl.losses import LOSSES
from psl.models.backbones import BACKBONES
from psl.training.device import check_device

FILTERS = dict.fromkeys(("experiment", "dataset", "setting", "backbone", "loss"), Several)

app = typer.Typer(no_args_is_help=True, help="Run records: check, show, rerun, users, merge.")


@app.command("check")
def records_check(results: Results = Path("results")) -> None:
    """Verify every record: keys, digest, run id, numbers, configuration, and no run twice."""
    found = records.problems(results)
    for problem in found:
        say(f"psl: {problem}", err)
    if found:
        raise typer.Exit(2)
    say(f"{len(_all(results))} records in {results}: all well-formed")


@app.command("show")
@takes(FILTERS)
def records_show(
    results: Results = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole records.")] = False,
    **asked: list[str] | None,
) -> None:
    """Show every record in a line, in a table for each experiment, dataset and setting."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for r in _chosen(results, **asked):
        c = r["config"]
        groups.setdefault((r["experiment"], c["dataset"], c["setting"]), []).append(r)
    if as_json:
        print_json([r for some in groups.values() for r in some])
        return
    for (name, data, kind), some in sorted(groups.items()):
        out.print(_table(f"{name}: {data} ({kind})", some))
        if last := sum(r["best_epoch"] == r["config"]["epochs"] for r in some):
            say(f"{last} of {len(some)}: the best epoch is the last, more epochs may give more\n")
    say("valid: the NDCG@20 that chose the best epoch; choose between runs by it")


def _all(results: Path) -> list[dict[str, Any]]:
    """Read a folder that must have records."""
    if found := records.read(results):
        return found
    raise RecordError(f"no run record at {results}; `psl train` writes them")


def _chosen(
    results: Path, *, experiment: list[str] | None = None, **asked: list[str] | None
) -> list[dict[str, Any]]:
    """Return the records of the experiments and of the names in each axis that were asked for."""
    found = [
        r
        for r in _all(results)
        if (not experiment or r["experiment"] in experiment)
        and all(not given or r["config"][axis] in given for axis, given in asked.items())
    ]
    if not found:
        raise RecordError(f"{results} has no record of what was asked for")
    return found


def _table(title: str, some: list[dict[str, Any]]) -> Table:
    """Lay out records of one dataset: eighty columns hold them."""
    told = _told_apart_by([r["config"] for r in some])
    keys = (key(n) for n in ("run", "model", "seed"))
    numbers = (
        Column(n, justify="right", no_wrap=True) for n in ("valid", "R@20", "NDCG@20", "min")
    )
    table = Table(
        *keys,
        *(n.replace("_", " ") for n in told),
        *numbers,
        title=title,
        title_justify="left",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    for r in sorted(some, key=lambda r: _order(r["config"], told)):
        c, m = r["config"], r["metrics"]
        table.add_row(
            r["run_id"],
            f"{c['backbone']} {c['loss']}",
            str(c["seed"]),
            *("yes" if c.get(n) is True else str(c.get(n, "")) for n in told),
            f"{max(point['ndcg@20'] for point in r['validation_curve']):.4f}",
            f"{m['recall@20']:.4f}",
            f"{m['ndcg@20']:.4f}",
            f"{r['seconds'] / 60:.1f}",
        )
    return table


def _told_apart_by(configs: list[dict[str, Any]]) -> list[str]:
    """Return the settings that differ among runs of one backbone and loss, the seed left out."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for c in configs:
        groups.setdefault((c["backbone"], c["loss"]), []).append(c)
    told = {name for group in groups.values() for name in records.differing(group)} - {"seed"}
    return [name for name in dict.fromkeys(name for c in configs for name in c) if name in told]


def _order(config: dict[str, Any], told: list[str]) -> tuple[Any, ...]:
    """Sort by backbone and loss, in the order of the registries, then by what tells runs apart."""
    model = [*BACKBONES].index(config["backbone"]), [*LOSSES].index(config["loss"])
    values = (config.get(name, 0) for name in told)
    apart = ((0.0, v) if isinstance(v, str) else (float(v), "") for v in values)
    return (*model, *apart, config["seed"])


@app.command("rerun")
@takes(FILTERS)
def records_rerun(
    results: Results = Path("results"),
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Of loss and NDCG@20; beyond it a run differs. Without it 1e-6, and 1e-3 where "
            "one of two devices is a GPU.",
        ),
    ] = None,
    device: Device = "auto",
    **asked: list[str] | None,
) -> None:
    """Train recorded runs again as far as their first validation, and compare."""
    check_device(device)
    chosen = _chosen(results, **asked)
    load = cache(datasets.load)
    called = records.names({r["run_id"]: r["config"] for r in chosen})
    same, more, none = "the same bits", "off by more", "not compared"
    near, far = (f"within {t if tolerance is None else tolerance:g}" for t in TOLERANCES)
    told = dict.fromkeys((same, near, far, more, none), 0)
    with Bars(*Bars.get_default_columns(), console=err, disable=not err.is_terminal) as bars:
        for r in bars.track(chosen, description="runs"):
            c = r["config"]
            name = f"{r['run_id']}  {called[r['run_id']]}"
            try:
                found = rerun(r, load(c["dataset"], c["setting"]), device=device)
            except PSLError as error:
                told[none] += 1
                say(f"{name}: not compared: {error}")
                continue
            usual = allowed_gap(found.device, r["device"])
            allowed = usual if tolerance is None else tolerance
            # A gap that is not a number is neither.
            within = near if usual == TOLERANCES[0] else far
            told[same if found.gap == 0 else within if found.gap <= allowed else more] += 1
            words = f"off by {found.gap:.1e}" if found.gap else "the same bits"
            place = "" if found.device == r["device"] else f" (recorded on {r['device']})"
            say(f"{name}: {words}, epoch {found.epoch}{place}")
    say(", ".join(f"{count} {what}" for what, count in told.items() if count))
    if told[more] or told[none] == len(chosen):
        raise typer.Exit(2)


@app.command("users")
@takes(FILTERS)
def records_users(
    results: Results = Path("results"),
    noise_ratio: Annotated[list[float] | None, typer.Option(help="Only this one.")] = None,
    seeds: Annotated[list[str] | None, typer.Option(help="As 0-4 or 0,3.")] = None,
    device: Device = "auto",
    **asked: list[str] | None,
) -> None:
    """Train recorded runs again, whole, and keep the metrics of each user beside the records.

    A run whose users are kept is not trained again; a stopped one begins anew.
    """
    check_device(device)
    wanted = None if seeds is None else read_seeds(seeds)
    load = cache(datasets.load)
    for r in _chosen(results, **asked):
        c, path = r["config"], users.path_of(r["run_id"], results)
        if wanted is not None and c["seed"] not in wanted:
            continue
        if noise_ratio and c.get("noise_ratio") not in noise_ratio:
            continue
        if path.exists():
            say(f"{path} is there", err)
            continue
        check_writable(path)
        data = load(c["dataset"], c["setting"])
        with watching(PaperConfig(**c), quiet=False) as show:
            found = users.users(r, data, device=device, progress=show)
        users.save(found, results)
        means = ", ".join(f"{m} {found.by_user[m].mean(dtype=float):.4f}" for m in users.METRICS)
        say(f"{path}: {len(found.by_user['ndcg@20']):,} users, {means}")


@app.command("merge")
def records_merge(
    files: Annotated[list[Path], typer.Argument(help="Files or folders of records.")],
    into: Annotated[Path, typer.Option(help="Folder that takes them.")],
) -> None:
    """Take records of other machines in; two results for one run are refused, all or nothing."""
    gained = records.merge(files, into)
    for path, count in gained.items():
        say(f"{count} new in {path}")
    if not gained:
        say(f"nothing new: every record is in {into} already")
