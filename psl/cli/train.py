"""`psl train`: one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from psl import datasets, records, reference
from psl.backbones import BACKBONES
from psl.cli.console import Results, Setting, err, out, print_json
from psl.cli.progress import EpochBars
from psl.losses import LOSSES
from psl.training import RunConfig, train


def train_command(
    dataset: Annotated[
        str, typer.Option(help="Name, synthetic, or an archive of your own (.zip).")
    ] = "synthetic",
    setting: Setting = "iid",
    noise_ratio: Annotated[
        float | None, typer.Option(help="Probability of a false negative (setting noise).")
    ] = None,
    drop_marked: Annotated[
        bool,
        typer.Option("--drop-marked", help="Noise: marked pairs are no positives any more."),
    ] = False,
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
        drop_marked=drop_marked,
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
        with EpochBars(config, as_json) as (bars, show):
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
        print_json(result.record)
    else:
        _show_record(result.record)
        out.print(f"one record in {path}", soft_wrap=True)


def _show_record(record: dict[str, Any]) -> None:
    table = Table("cut-off", "Recall", "NDCG", "MRR")
    m = record["metrics"]
    for k in sorted({int(name.split("@")[1]) for name in m}):
        table.add_row(str(k), *(f"{m[f'{x}@{k}']:.4f}" for x in ("recall", "ndcg", "mrr")))
    out.print(table)
    out.print(f"best epoch {record['best_epoch']}, {record['seconds']:.0f} s, {record['device']}")
