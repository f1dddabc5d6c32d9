"""The worst distribution in a Kullback-Leibler ball, over the temperature that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from markupsafe import Markup

from companion.figures.explorer import STOPS
from companion.figures.statuses import Html
from companion.figures.style import COLOURS
from companion.figures.tabular import tabular
from companion.names import LABELS
from companion.pages import render
from psl import dro
from psl.activations import get_activation

__all__ = ["ball_explorer", "worst_case_numbers"]


def worst_case_numbers(
    differences: Sequence[float], tau: float, activation: str
) -> dict[str, float]:
    """Return the radius in nats, the mean loss there, and the largest weight, uniform = 1."""
    d = torch.tensor(differences, dtype=torch.float64)
    losses = get_activation(activation).log(d)
    q = dro.worst_case(losses, torch.tensor(tau, dtype=torch.float64))
    radius = dro.radius_for_temperature(losses, tau)
    found = {"radius": radius, "mean loss": q @ losses, "largest weight": len(d) * q.max()}
    return {name: float(value) for name, value in found.items()}


def ball_explorer(
    differences: Sequence[float],
    losses: Mapping[str, str],
    *,
    start: tuple[str, float] = ("psl-relu", 0.2),
    taus: tuple[float, ...] = STOPS,
) -> Html:
    """Return the worst-case weights over the losses of some items, and the radius over tau.

    Parameters
    ----------
    differences : sequence of float
        Score differences of the items, in (-1, 1].
    losses : mapping of str to str
        Activation of each loss, by loss name.
    start : (str, float)
        Loss and temperature at first sight; its table over tau stands without JavaScript.
    taus : sequence of float
        Stops of the temperature, ascending.
    """
    loss, tau = start
    rounded = [round(d, 4) for d in differences]
    rows = [{"tau": t} | worst_case_numbers(rounded, t, losses[loss]) for t in taus]
    formats = {"radius": ".3f", "mean loss": ".3f", "largest weight": ".2f"}
    table = tabular(pd.DataFrame(rows), f"{LABELS[loss]}: the worst case over tau", formats)
    data = {
        "differences": rounded,
        "taus": taus,
        "activations": {
            name: {"activation": sigma, "colour": COLOURS[name]} for name, sigma in losses.items()
        },
    }
    at = {"step": taus.index(tau), "loss": loss, "table": Markup(table.html())}
    names = {name: LABELS[name] for name in losses}
    return Html(render("ball.html", data=data, losses=names, **at))
