"""`psl dynamics`: where the weight of a loss falls while it trains."""

from __future__ import annotations

import dataclasses
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from companion import datasets, dynamics
from companion.cli.console import Device, Results, Setting, err, key, out, say
from companion.cli.progress import watching
from companion.dynamics.weights import ACTIVATION_OF
from companion.experiments import cell, read_seeds
from companion.locks import InUseError, exclusive
from companion.threads import torch_threads
from companion.writable import check_writable
from psl.errors import PSLError
from psl.training.device import check_device


def dynamics_command(
    dataset: Annotated[str, typer.Option(help="A public dataset.")],
    setting: Setting = "iid",
    noise_ratio: Annotated[float | None, typer.Option(help="Of --setting noise.")] = None,
    loss: Annotated[list[str] | None, typer.Option(help=", ".join(ACTIVATION_OF))] = None,
    tau: Annotated[list[float] | None, typer.Option(help="Without it: the tuned one.")] = None,
    seeds: Annotated[list[str] | None, typer.Option(help="As 0-4 or 0,3. Without it: 0.")] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(min=0, max=1024, help="As of psl train.")] = 0,
    results: Results = Path("results"),
) -> None:
    """Train the paper's cells, and measure the model after 5, 10, 25, 50, 100 and 200 epochs.

    For each loss: the part of its weight that is on false negatives, the weight of a row by the
    popularity of its positive, the distance to the metric that it bounds, Recall by popularity.
    A run that was measured is not trained again; a stopped one begins anew.
    """
    losses = loss or ["sl", "psl-relu"]
    for name in losses:
        if name not in ACTIVATION_OF:
            raise PSLError(f"{name} has no weight of the form (4.3); {', '.join(ACTIVATION_OF)}")
    taus: list[float | None] = [None] if not tau else [*tau]
    check_device(device)
    numbers = read_seeds(seeds or ["0"])
    data = datasets.load(dataset, setting)
    folder = results / dynamics.FOLDER
    for seed, name, t in product(numbers, losses, taus):
        changes: dict[str, Any] = {"seed": seed, "tau": t, "noise_ratio": noise_ratio}
        changes = {k: v for k, v in changes.items() if v is not None}
        config = cell(dataset, setting, loss=name, **changes).for_data(data)
        path = folder / f"{config.run_id}.json"
        if path.exists():
            say(f"{path} is there", err)
            continue
        check_writable(path)
        try:
            with (
                exclusive(folder / f".{config.run_id}", wait=False, remove=True),
                torch_threads(threads),
                watching(
                    dataclasses.replace(config, epochs=dynamics.EPOCHS[-1]), quiet=False
                ) as show,
            ):
                found = dynamics.trace(config, data, device=device, progress=show)
        except InUseError:
            say(f"{path}: another process measures it", err)
            continue
        except KeyboardInterrupt:
            say("stopped; the same command goes on with the next run that is not there", err)
            raise typer.Exit(130) from None
        dynamics.save(found, results)
        _show(found)
        say(f"one measured run in {path}")


def _show(found: dynamics.Trace) -> None:
    table = Table(key("epoch"), "NDCG@20", "distance", *(f"on {k}" for k in found.points[0].share))
    for point in found.points:
        own = (f"{share[str(found.config['loss'])]:.1%}" for share in point.share.values())
        table.add_row(
            str(point.epoch), f"{point.metrics['ndcg@20']:.4f}", f"{point.distance:.2f}", *own
        )
    out.print(table)
