"""`psl train`: one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from psl import datasets, embeddings, records
from psl.backbones import BACKBONES
from psl.cli.console import Device, Results, Setting, check_device, err, out, print_json
from psl.cli.progress import EpochBars
from psl.errors import PSLError
from psl.experiments import cell
from psl.losses import LOSSES
from psl.training import RunConfig, train

USUAL = RunConfig()


def train_command(
    dataset: Annotated[
        str, typer.Option(help="Name, synthetic, or an archive of your own (.zip).")
    ] = USUAL.dataset,
    setting: Setting = USUAL.setting,
    noise_ratio: Annotated[
        float | None, typer.Option(help="Probability of a false negative (setting noise).")
    ] = None,
    drop_marked: Annotated[
        bool | None,
        typer.Option(
            "--drop-marked/--keep-marked",
            help="Noise: whether marked pairs are positives still. --tuned drops them.",
        ),
    ] = None,
    mark_per_user: Annotated[
        bool | None,
        typer.Option(
            "--mark-per-user/--mark-pairs",
            help="Noise: what a tenth is marked of; --tuned takes each user's pairs.",
        ),
    ] = None,
    backbone: Annotated[str, typer.Option(help=", ".join(BACKBONES))] = USUAL.backbone,
    loss: Annotated[str, typer.Option(help=", ".join(LOSSES))] = USUAL.loss,
    tuned: Annotated[
        bool,
        typer.Option(
            "--tuned", help="The paper's cell: lr, decay, tau as tuned, loss as in its code."
        ),
    ] = False,
    tau: Annotated[float | None, typer.Option(help="Temperature, f = cos/2 scale.")] = None,
    lr: Annotated[float | None, typer.Option(help="Adam's step size.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Adam's L2 coefficient.")] = None,
    tau2: Annotated[float | None, typer.Option(help="BSL: temperature of negatives.")] = None,
    alpha: Annotated[float | None, typer.Option(help="LLPAUC: part of the positives.")] = None,
    beta: Annotated[float | None, typer.Option(help="LLPAUC: part of the negatives.")] = None,
    form: Annotated[str | None, typer.Option(help="PSL: outside (usual) or inside.")] = None,
    tau_weight: Annotated[float | None, typer.Option(help="SL@K: of the weight.")] = None,
    refresh: Annotated[int | None, typer.Option(help="SL@K: epochs between quantiles.")] = None,
    layers: Annotated[int | None, typer.Option(help="Of a graph backbone.")] = None,
    contrast_weight: Annotated[float | None, typer.Option(help="XSimGCL: of its loss.")] = None,
    as_released: Annotated[
        bool | None,
        typer.Option(
            "--as-released/--as-published",
            help="Loss, backbone as in the paper's code (usual with --tuned), or their authors'.",
        ),
    ] = None,
    protocol: Annotated[str, typer.Option(help="released or clean.")] = USUAL.protocol,
    seed: Annotated[int, typer.Option(min=0)] = USUAL.seed,
    epochs: Annotated[int, typer.Option()] = USUAL.epochs,
    negatives: Annotated[
        int, typer.Option(help="Items drawn for each positive; 0: SL, PSL over the catalogue.")
    ] = USUAL.negatives,
    batch_size: Annotated[int, typer.Option()] = USUAL.batch_size,
    dim: Annotated[int, typer.Option(help="Embedding size.")] = USUAL.dim,
    init_std: Annotated[float, typer.Option(help="Of the initial embeddings.")] = USUAL.init_std,
    validate_every: Annotated[
        int, typer.Option(help="Epochs between validations.")
    ] = USUAL.validate_every,
    patience: Annotated[
        int, typer.Option(help="Validations to wait; 0: no early stop.")
    ] = USUAL.patience,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Over a record of this run with another result.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(help="Write the embeddings of the best epoch there, a .safetensors."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record.")] = False,
    experiment: Annotated[str, typer.Option(help="File name of the record.")] = "train",
    results: Results = Path("results"),
    checkpoints: Annotated[Path, typer.Option(help="Folder of states.")] = Path(".psl"),
) -> None:
    """Train one model, select on validation, test once, append one record."""
    # Each of these may be left to what is tuned, or usual.
    chosen = {
        "noise_ratio": noise_ratio,
        "drop_marked": drop_marked,
        "mark_per_user": mark_per_user,
        "tau": tau,
        "lr": lr,
        "weight_decay": weight_decay,
        "tau2": tau2,
        "alpha": alpha,
        "beta": beta,
        "form": None if form == "outside" else form,
        "tau_weight": tau_weight,
        "refresh": refresh,
        "layers": layers,
        "contrast_weight": contrast_weight,
        "as_released": as_released,
    }
    given: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
    config = (cell if tuned else RunConfig)(
        Path(dataset).name,  # of an archive: where it lies does not make another run
        setting,
        backbone,
        loss,
        seed=seed,
        protocol=protocol,
        epochs=epochs,
        negatives=negatives,
        batch_size=batch_size,
        dim=dim,
        init_std=init_std,
        validate_every=validate_every,
        patience=patience,
        **given,
    )
    # What is wrong with a name is told before hours of training.
    check_device(device)
    path = records.file_of(results, experiment)
    if save is not None and save.suffix != ".safetensors":
        raise PSLError(f"--save must end in .safetensors, got {save}")
    data = datasets.load(dataset, setting, progress=not as_json)
    names = datasets.id_lists(dataset, data) if save is not None else {}
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
    # The state stays until both are written: --resume then needs no training.
    records.append(path, result.record, replace=replace)
    if save is not None:
        embeddings.save(save, result.model, result.record, names)
    checkpoint.unlink(missing_ok=True)
    if as_json:
        print_json(result.record)
    else:
        _show_record(result.record)
        out.print(f"one record in {path}", soft_wrap=True)
        if save is not None:
            out.print(f"embeddings in {save}", soft_wrap=True)


def _show_record(record: dict[str, Any]) -> None:
    table = Table("cut-off", "Recall", "NDCG", "MRR")
    m = record["metrics"]
    for k in sorted({int(name.split("@")[1]) for name in m}):
        table.add_row(str(k), *(f"{m[f'{x}@{k}']:.4f}" for x in ("recall", "ndcg", "mrr")))
    out.print(table)
    out.print(f"best epoch {record['best_epoch']}, {record['seconds']:.0f} s, {record['device']}")
