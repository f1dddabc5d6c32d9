"""`psl train`: one run."""

from __future__ import annotations

import dataclasses
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from companion import datasets, experiments, records
from companion.cli.config_options import takes_fields
from companion.cli.console import Device, Results, err, out, print_json, say
from companion.cli.progress import watching
from companion.curves import CurveFile, TensorBoard
from companion.locks import exclusive
from companion.released import PaperConfig
from companion.threads import torch_threads
from companion.writable import check_writable
from psl.dataset import Dataset
from psl.errors import DataError, PSLError
from psl.losses import LOSSES
from psl.models.backbones import BACKBONES
from psl.training import Progress, refit, train
from psl.training import export as embeddings
from psl.training.device import check_device
from psl.training.refit import all_pairs

# What the command line says in place of the configuration's own words.
WORDS = {
    "dataset": "Name, synthetic, or an archive of your own (.zip).",
    "setting": "iid, ood or noise.",
    "backbone": ", ".join(BACKBONES),
    "loss": ", ".join(LOSSES),
    "form": "PSL: outside (usual) or inside.",
    "optimizer": "adam (usual); sparse-adam moves the rows of a batch alone: on a CPU, for mf and "
    "a loss of inner products.",
}


@takes_fields(PaperConfig, WORDS)
def train_command(
    context: typer.Context,
    tuned: Annotated[
        bool,
        typer.Option(
            "--tuned",
            help="The paper's cell: lr, decay, tau as tuned; loss, backbone as in its code; under "
            "noise a tenth of each user's pairs marked, and dropped.",
        ),
    ] = False,
    like: Annotated[
        str | None,
        typer.Option(
            help="A run's id, or enough of its beginning: the configuration of its record, but for "
            "the options that are given."
        ),
    ] = None,
    like_from: Annotated[
        Path | None, typer.Option(help="Records that --like looks in; without it, --results.")
    ] = None,
    device: Device = "auto",
    threads: Annotated[
        int, typer.Option(min=0, max=1024, help="Torch's threads on a CPU; 0: as many as it takes.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a stopped run.")] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Delete the state of a stopped run, begin anew.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Over this run's record of another result, and files of --save and --curve.",
        ),
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(help="Write the embeddings of the best epoch there, a .safetensors."),
    ] = None,
    refit_: Annotated[
        bool,
        typer.Option("--refit", help="With --save: of a model fitted again on all pairs instead."),
    ] = False,
    curve: Annotated[
        Path | None,
        typer.Option(help="Write each epoch's loss and validation NDCG@20 there, a .csv."),
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="The same for TensorBoard, into a folder of this run there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record.")] = False,
    experiment: Annotated[str, typer.Option(help="File name of the record.")] = "train",
    results: Results = Path("results"),
    checkpoints: Annotated[Path, typer.Option(help="Folder of states.")] = Path(".psl"),
    **fields: Any,
) -> None:
    """Train one model, select on validation, test once, append one record."""
    given = {name: value for name, value in fields.items() if value is not None}
    if like is not None and tuned:
        raise PSLError("--like and --tuned exclude each other")
    known = None
    if like is not None:
        known = records.find_run(records.read(like_from or results), like)["config"]
    elif like_from is not None:
        raise PSLError("--like-from is for --like")
    dataset = given.setdefault("dataset", known["dataset"] if known else PaperConfig.dataset)
    refuse_a_table(dataset)
    if known and dataset.lower().endswith(".zip") and not Path(dataset).is_file():
        raise PSLError(f"{like} was a run on {dataset}, which is not here; --dataset says where")
    changes: dict[str, Any] = {"dataset": Path(dataset).name}  # the same run wherever it lies
    changes |= {"form": None} if given.get("form") == "outside" else {}
    if known is not None:
        config = experiments.like(known, {**given, **changes})
    else:
        config = (experiments.cell if tuned else PaperConfig)(**{**given, **changes})
    where = f"{config.loss} on {config.backbone} ({config.setting})"
    for name in sorted(config.ignored() & given.keys()):
        raise PSLError(f"{where} has no option {name}: it changes nothing")
    # What is wrong with a name is told before hours of training.
    check_device(device)
    path = records.file_of(results, experiment)
    if save is not None and save.suffix.lower() != ".safetensors":
        raise PSLError(f"--save must end in .safetensors, got {save}")
    if curve is not None and curve.suffix.lower() != ".csv":
        raise PSLError(f"--curve must end in .csv, got {curve}")
    if refit_ and save is None:
        raise PSLError("--refit is for the embeddings that --save names")
    if resume and restart:
        raise PSLError("--resume and --restart exclude each other")
    data = datasets.load(dataset, config.setting, progress=not as_json)
    config = config.for_data(data)
    checkpoint = checkpoints / f"{config.run_id}.safetensors"
    again = checkpoints / f"{config.run_id}.refit.safetensors"
    if checkpoint.exists() and not (resume or restart):
        raise PSLError(
            f"{checkpoint}: the state of this run, stopped or running elsewhere; --resume goes on "
            "with it, --restart deletes it and begins anew"
        )
    for note in () if as_json else data.notes:
        say(f"note: {note}", err)
    every = len(all_pairs(data).train) if refit_ else 0
    names = datasets.id_lists(dataset, data) if save is not None else {}
    _check_target(save, config, replace=replace)
    log = tensorboard / config.run_id / "events" if tensorboard is not None else None
    for target in (path, checkpoint, save, curve, log):
        if target is not None:
            check_writable(target)
    curves: list[CurveFile | TensorBoard] = []
    curves += [CurveFile(curve, config.run_id, replace=replace)] if curve is not None else []
    curves += [TensorBoard(tensorboard, config.run_id)] if tensorboard is not None else []
    context.with_resource(exclusive(checkpoint, wait=False, remove=True))
    if not resume:  # as of the run, so of what was fitted after it
        checkpoint.unlink(missing_ok=True)
        again.unlink(missing_ok=True)
    try:
        with (
            ExitStack() as stack,
            torch_threads(threads),
            watching(config, quiet=as_json) as show,
        ):
            for one in curves:
                stack.callback(one.close)

            def told(p: Progress) -> None:
                show(p)
                for one in curves:
                    one.show(p)

            result = train(
                config,
                data,
                device=device,
                checkpoint=checkpoint,
                experiment=experiment,
                progress=told,
            )
        # The state stays until all is written: --resume then needs no training.
        record = records.append(path, result.record, replace=replace)
        if save is not None:
            best, model = record["best_epoch"], result.model
            if refit_:
                with torch_threads(threads):
                    model = _fit_again(config, data, best, device, again, quiet=as_json)
            pairs = "all" if refit_ else "train"
            with exclusive(save, remove=True):
                embeddings.save(save, model, record, names, trained_on=pairs)
    except KeyboardInterrupt:
        words = "--resume in place of --restart" if restart else "--resume"
        say(f"stopped; the same command with {words} goes on from the last state", err)
        raise typer.Exit(130) from None
    except OSError as error:  # a full disk; the states are whole, or not there
        words = "; once that is mended, --resume goes on" if checkpoint.exists() else ""
        raise PSLError(f"{error}{words}") from error
    for state in (checkpoint, again):
        state.unlink(missing_ok=True)
    if as_json:
        print_json(record)
    else:
        _show_record(record)
        say(f"one record in {path}")
        if save is not None:
            fitted = f", of the model fitted on all pairs of the archive, {every:,}"
            say(f"embeddings in {save}{fitted if refit_ else ''}")
        if curve is not None:
            say(f"curve in {curve}")


def _fit_again(
    config: PaperConfig,
    data: Dataset,
    epochs: int,
    device: str,
    checkpoint: Path,
    *,
    quiet: bool,
) -> Any:
    """Train on all pairs, and show it."""
    if not quiet:
        say(f"once more on all pairs, {epochs} epochs; nothing is left to test it on", err)
    with watching(dataclasses.replace(config, epochs=epochs), quiet=quiet) as show:
        return refit(config, data, epochs, device=device, checkpoint=checkpoint, progress=show)


def _check_target(save: Path | None, config: PaperConfig, *, replace: bool) -> None:
    """Refuse to write embeddings over a file that is not of this run."""
    if save is None or replace or not save.is_file():
        return
    try:
        mine = embeddings.load(save).about.get("run_id") == config.run_id
    except DataError:
        mine = False
    if not mine:
        raise PSLError(f"{save} is there and not of this run; name another file, or --replace it")


def refuse_a_table(dataset: str) -> None:
    """Say how a table becomes an archive, and where an archive of that name lies."""
    if dataset.lower().endswith(".zip") or dataset in {
        "synthetic",
        *(n for n, _ in datasets.DATASETS),
    }:
        return
    if Path(f"{dataset}.zip").is_file():
        raise PSLError(f"{dataset} is no dataset; there is an archive {dataset}.zip")
    if Path(dataset).is_file():
        made = shlex.join(
            ["psl", "data", "split", dataset, "--output", f"{Path(dataset).stem}.zip"]
        )
        raise PSLError(f"{dataset} is no archive; split the table first: {made}")


def _show_record(record: dict[str, Any]) -> None:
    table = Table("cut-off", "Recall", "NDCG", "MRR")
    m = record["metrics"]
    for k in sorted({int(name.split("@")[1]) for name in m}):
        table.add_row(str(k), *(f"{m[f'{x}@{k}']:.4f}" for x in ("recall", "ndcg", "mrr")))
    out.print(table)
    say(f"best epoch {record['best_epoch']}, {record['seconds']:.0f} s, {record['device']}")
    if record["best_epoch"] == record["config"]["epochs"]:
        say("the best epoch is the last: more --epochs may give more")
    if (record["config"]["setting"], record["config"]["protocol"]) == ("ood", "released"):
        say("the best epoch was chosen on the test set, as the paper's code does; --protocol clean")
