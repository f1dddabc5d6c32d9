"""The command ``psl``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column, Table
from rich.text import Text

from psl import claims, datasets, records, reference, splits
from psl.backbones import BACKBONES
from psl.errors import PSLError
from psl.losses import LOSSES
from psl.streams import numpy_stream
from psl.training import Progress, RunConfig, train

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
data_app = typer.Typer(no_args_is_help=True, help="Datasets: list, fetch, check, split.")
records_app = typer.Typer(no_args_is_help=True, help="Run records: check, show.")
app.add_typer(data_app, name="data")
app.add_typer(records_app, name="records")

out, err = Console(), Console(stderr=True)
Name = Annotated[str, typer.Argument(help="Name of a dataset, as `psl data list` shows it.")]
Setting = Annotated[str, typer.Option(help="iid, ood or noise.")]
Results = Annotated[Path, typer.Option(help="Folder of the run records.")]


def _key(name: str) -> Column:
    """Return the column that names a row: never cut, whatever the terminal's width."""
    return Column(name, no_wrap=True, overflow="ignore")


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


@data_app.command("list")
def data_list() -> None:
    """Show every dataset, its size and licence note."""
    columns = ("setting", "users", "items", "pairs", "archive")
    table = Table(_key("dataset"), *(Column(name, justify="right") for name in columns))
    table.add_row("synthetic", "iid", "400", "600", "8,000", "generated")
    notes: dict[str, list[str]] = {"generated here, no licence needed": ["synthetic"]}
    for s in datasets.DATASETS.values():
        size = f"{s.size_bytes / 1e6:.1f} MB" if s.size_bytes else "not public"
        counts = (f"{n:,}" for n in (s.users, s.items, s.interactions))
        table.add_row(s.name, s.setting, *counts, size)
        names = notes.setdefault(s.licence, [])
        names.extend([s.name] if s.name not in names else [])
    out.print(table)
    for licence, names in notes.items():
        out.print(f"{', '.join(names)}: {licence}.", highlight=False)


@data_app.command("fetch")
def data_fetch(name: Name, setting: Setting = "iid") -> None:
    """Download an archive into the cache, verified; a second call does nothing."""
    out.print(str(datasets.fetch(name, setting, progress=True)), soft_wrap=True)


@data_app.command("check")
def data_check(name: Name, setting: Setting = "iid") -> None:
    """Read a dataset and compare it with the registered counts and fingerprint."""
    data = datasets.load(name, setting)
    expected = None if name == "synthetic" else datasets.get_source(name, setting).fingerprint
    if expected is not None and data.fingerprint != expected:
        raise datasets.DataError(f"{name} ({setting}): the content is not the registered one")
    out.print(
        f"{name} ({setting}): {data.train.num_users:,} users, {data.train.num_items:,} items, "
        f"{len(data.train):,} training and {len(data.test):,} test interactions\n"
        f"fingerprint {data.fingerprint}",
        soft_wrap=True,
    )


@data_app.command("split")
def data_split(
    table: Annotated[Path, typer.Argument(help="A .csv, .tsv or .parquet file.")],
    output: Annotated[Path, typer.Option(help="The archive to write, a .zip.")],
    setting: Annotated[str, typer.Option(help="iid, popularity or temporal.")] = "iid",
    user: Annotated[str, typer.Option(help="Column of users.")] = "user",
    item: Annotated[str, typer.Option(help="Column of items.")] = "item",
    rating: Annotated[str | None, typer.Option(help="Column of ratings.")] = None,
    timestamp: Annotated[str | None, typer.Option(help="Column of times, numbers.")] = None,
    min_rating: Annotated[float, typer.Option(help="Lower ratings are dropped.")] = 3.0,
    core: Annotated[int, typer.Option(min=1, help="k of the k-core.")] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    figure: Annotated[Path | None, typer.Option(help="Also draw popularity there.")] = None,
) -> None:
    """Split a table of your own; `psl train --dataset ARCHIVE.zip` takes what it writes."""
    if output.suffix != ".zip":
        raise datasets.DataError(f"--output must end in .zip, got {output}")
    columns = {"user": user, "item": item, "rating": rating, "timestamp": timestamp}
    rows, names = splits.prepare(
        splits.read_table(table, **columns), min_rating=min_rating if rating else None, core=core
    )
    train_rows, test_rows = splits.split(rows, setting, numpy_stream(seed, "split", setting))
    splits.write_archive(output, train_rows, test_rows, names)
    shown = Table(_key("of the split"), Column(setting, justify="right"))
    for key, value in splits.statistics(train_rows, test_rows).items():
        shown.add_row(key, f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.4g}")
    out.print(shown)
    if figure is not None:
        from psl import figures  # no other command draws: matplotlib loads where it is needed

        order = train_rows["item"].value_counts().index
        sides = {"train": train_rows, "test": test_rows}
        figures.use_style()
        counts = {
            k: side["item"].value_counts().reindex(order, fill_value=0).to_numpy()
            for k, side in sides.items()
        }
        figures.popularity(counts).savefig(figure)
    out.print(f"psl train --dataset {output}", soft_wrap=True)


@app.command("train")
def train_command(
    dataset: Annotated[
        str, typer.Option(help="Name, synthetic, or an archive of your own (.zip).")
    ] = "synthetic",
    setting: Setting = "iid",
    noise_ratio: Annotated[
        float | None, typer.Option(help="Probability of a false negative (setting noise).")
    ] = None,
    backbone: Annotated[str, typer.Option(help=", ".join(BACKBONES))] = "mf",
    loss: Annotated[str, typer.Option(help=", ".join(LOSSES))] = "psl-relu",
    tuned: Annotated[bool, typer.Option("--tuned", help="lr, decay, tau of the paper.")] = False,
    tau: Annotated[float | None, typer.Option(help="Temperature, f = cos/2 scale.")] = None,
    lr: Annotated[float | None, typer.Option(help="Adam's step size.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Adam's L2 coefficient.")] = None,
    tau2: Annotated[float | None, typer.Option(help="BSL: temperature of negatives.")] = None,
    alpha: Annotated[float | None, typer.Option(help="LLPAUC: part of the positives.")] = None,
    beta: Annotated[float | None, typer.Option(help="LLPAUC: part of the negatives.")] = None,
    form: Annotated[str | None, typer.Option(help="inside: PSL's other form.")] = None,
    tau_weight: Annotated[float | None, typer.Option(help="SL@K: of the weight.")] = None,
    refresh: Annotated[int | None, typer.Option(help="SL@K: epochs between quantiles.")] = None,
    layers: Annotated[int | None, typer.Option(help="Of a graph backbone.")] = None,
    contrast_weight: Annotated[float | None, typer.Option(help="XSimGCL: of its loss.")] = None,
    as_released: Annotated[
        bool,
        typer.Option("--as-released", help="Loss, backbone as in the paper's public code."),
    ] = False,
    protocol: Annotated[str, typer.Option(help="released or clean.")] = "released",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    epochs: Annotated[int, typer.Option()] = 200,
    negatives: Annotated[int, typer.Option(help="Items drawn for each positive.")] = 1000,
    batch_size: Annotated[int, typer.Option()] = 1024,
    dim: Annotated[int, typer.Option(help="Embedding size.")] = 64,
    patience: Annotated[int, typer.Option(help="Validations to wait; 0: no early stop.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record.")] = False,
    experiment: Annotated[str, typer.Option(help="File name of the record.")] = "train",
    results: Results = Path("results"),
    checkpoints: Annotated[Path, typer.Option(help="Folder of states.")] = Path(".psl"),
) -> None:
    """Train one model, select on validation, test once, append one record."""
    chosen = {
        "tau": tau,
        "lr": lr,
        "weight_decay": weight_decay,
        "tau2": tau2,
        "alpha": alpha,
        "beta": beta,
        "tau_weight": tau_weight,
        "refresh": refresh,
        "layers": layers,
        "contrast_weight": contrast_weight,
    }
    given = {k: v for k, v in chosen.items() if v is not None}
    base = reference.tuned(dataset, setting, backbone, loss) if tuned else {}
    config = RunConfig(
        dataset=Path(dataset).name,  # of an archive: where it lies does not make another run
        setting=setting,
        backbone=backbone,
        loss=loss,
        noise_ratio=noise_ratio,
        form=form,
        as_released=as_released,
        seed=seed,
        protocol=protocol,
        epochs=epochs,
        negatives=negatives,
        batch_size=batch_size,
        dim=dim,
        patience=patience,
        **{**base, **given},  # type: ignore[arg-type]
    )
    data = datasets.load(dataset, setting, progress=not as_json)
    checkpoint = checkpoints / f"{config.run_id}.safetensors"
    if not resume:
        checkpoint.unlink(missing_ok=True)
    try:
        with _bars(config, as_json) as (bars, show):
            result = train(
                config,
                data,
                device=device,
                checkpoint=checkpoint,
                experiment=experiment,
                progress=show,
            )
            bars.stop()
    except KeyboardInterrupt:
        err.print("stopped; the same command with --resume goes on after the last whole epoch")
        raise typer.Exit(130) from None
    path = results / f"{experiment}.jsonl"
    records.append(path, result.record)
    checkpoint.unlink(missing_ok=True)
    if as_json:
        _print_json(result.record)
    else:
        _show_record(result.record)
        out.print(f"one record in {path}", soft_wrap=True)


class _bars:
    """Progress on the terminal: the epoch, its steps, loss, validation, rate, time left."""

    def __init__(self, config: RunConfig, quiet: bool) -> None:
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
            disable=quiet,
        )
        self.whole = self.bars.add_task(f"{config.loss} epochs", total=config.epochs, note="")
        self.epoch = self.bars.add_task("steps", total=None, note="")
        self.validation = "-"

    def __enter__(self) -> tuple[Bars, Any]:
        return self.bars, self.show

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def show(self, p: Progress) -> None:
        self.bars.start()  # not before the first step: a refused run shows its one line only
        if p.loss is None:
            speed = self.bars.tasks[self.epoch].speed
            rate = f"{speed:.1f} steps/s" if speed else ""
            self.bars.update(self.epoch, completed=p.step, total=p.steps, note=rate)
            return
        self.validation = f"{p.validation:.4f}" if p.validation is not None else self.validation
        note = f"loss {p.loss:.4f}  valid NDCG@20 {self.validation}"
        self.bars.update(self.whole, completed=p.epoch, note=note)


@app.command("claims")
def claims_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    mutants: Annotated[bool, typer.Option("--mutants", help="Print the kill matrix.")] = False,
    results: Results = Path("results"),
) -> None:
    """Compute the status of every claim of the ledger."""
    subject = claims.Subject.real(results)
    if mutants:
        matrix = claims.kill_matrix(subject)
        if as_json:
            _print_json(matrix)
        else:
            table = Table(_key("claim"), "mutant", "before", "after", "killed")
            words = {True: "yes", False: "NO", None: "nothing to upset"}
            for row in matrix:
                table.add_row(
                    row["id"], row["mutant"], row["before"], row["after"], words[row["killed"]]
                )
            out.print(table)
        if any(row["killed"] is False for row in matrix):
            raise typer.Exit(1)
        return
    rows = claims.assess(subject)
    if as_json:
        wanted = ("id", "section", "kind", "statement", "status", "check", "evidence", "runs")
        _print_json(
            [
                {k: r[k] for k in wanted}
                | {"tolerance": r["arguments"].get("tolerance"), "from": r["tolerance_source"]}
                for r in rows
            ]
        )
        return
    table = Table("claim and evidence", _key("status"), show_lines=True)
    for r in rows:
        table.add_row(Text(r["id"]).append(f"\n{r['evidence']}", style="dim"), r["status"])
    out.print(table)
    counts = {s: sum(r["status"] == s for r in rows) for s in claims.STATUSES}
    out.print(", ".join(f"{n} {s}" for s, n in counts.items() if n))


@records_app.command("check")
def records_check(results: Results = Path("results")) -> None:
    """Read every record and verify keys, run ids and metric ranges."""
    out.print(f"{len(records.read(results))} records in {results}: all well-formed")


@records_app.command("show")
def records_show(results: Results = Path("results")) -> None:
    """Show every record in a line."""
    table = Table(
        _key("run"), "dataset", "model", "seed", "recall@20", "ndcg@20", "minutes", "device"
    )
    for r in records.read(results):
        c, m = r["config"], r["metrics"]
        told = [c["protocol"], *(["as released"] if c.get("as_released") else [])]
        table.add_row(
            r["run_id"],
            f"{c['dataset']} ({c['setting']})",
            f"{c['backbone']} {c['loss']} ({', '.join(told)})",
            str(c["seed"]),
            f"{m['recall@20']:.4f}",
            f"{m['ndcg@20']:.4f}",
            f"{r['seconds'] / 60:.1f}",
            r["device"],
        )
    out.print(table)


def _show_record(record: dict[str, Any]) -> None:
    table = Table("cut-off", "Recall", "NDCG", "MRR")
    m = record["metrics"]
    for k in sorted({int(name.split("@")[1]) for name in m}):
        table.add_row(str(k), *(f"{m[f'{x}@{k}']:.4f}" for x in ("recall", "ndcg", "mrr")))
    out.print(table)
    out.print(f"best epoch {record['best_epoch']}, {record['seconds']:.0f} s, {record['device']}")


def main() -> None:
    """Run the command; a foreseen error is one line and exit status 2."""
    try:
        app()
    except PSLError as error:
        err.print(f"psl: {error}", soft_wrap=True, highlight=False, markup=False)
        sys.exit(2)
    except OSError as error:
        err.print(f"psl: {error}", soft_wrap=True, highlight=False, markup=False)
        sys.exit(2)
