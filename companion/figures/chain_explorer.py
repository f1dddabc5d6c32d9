"""The chain from -log DCG to the softmax loss, for one positive whose score can be moved."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pandas as pd
import torch
from markupsafe import Markup
from scipy import stats

from companion.figures.explorer import STOPS
from companion.figures.statuses import Html
from companion.figures.style import COLOURS, NEUTRALS
from companion.figures.tabular import tabular
from companion.names import LABELS
from companion.pages import render
from companion.theory import surrogate_chain

__all__ = ["SCORES", "chain_explorer", "chain_links"]

# Of the other items: nineteen quantiles of a normal distribution.
SCORES = tuple(round(0.17 * float(stats.norm.ppf((k + 0.5) / 19)) - 0.05, 3) for k in range(19))


def chain_links(score: float, tau: float, activation: str) -> dict[str, float]:
    """Return the links for a positive of this score among the other items, in nats.

    With one positive the two middle links of :func:`companion.theory.surrogate_chain` are one.
    """
    scores = torch.tensor((score, *SCORES), dtype=torch.float64)
    links = surrogate_chain(scores, torch.arange(len(scores)) == 0, tau, activation)
    del links["-log MRR"]
    return links


def chain_explorer(
    losses: Mapping[str, str],
    *,
    start: tuple[str, float, float] = ("psl-relu", 0.1, 0.2),
    taus: tuple[float, ...] = STOPS,
) -> Html:
    """Return the four links over the score of the positive, its temperature and its activation.

    Parameters
    ----------
    losses : mapping of str to str
        Activation of each PSL, by loss name.
    start : (str, float, float)
        Loss, score and temperature at first sight; their table stands without JavaScript.
    taus : sequence of float
        Stops of the temperature, ascending.
    """
    loss, score, tau = start
    links = chain_links(score, tau, losses[loss])
    values = list(links.values())
    slack = [b - a for a, b in pairwise(values)]
    names = [LABELS[loss] if name == "PSL" else name for name in links]
    frame = pd.DataFrame({"link": names, "nats": values, "slack": [*slack, None]})
    table = tabular(frame, "Links, and the slack to the next", {"nats": ".3f", "slack": "+.3f"})
    data = {
        "scores": SCORES,
        "taus": taus,
        "activations": {
            name: {"activation": sigma, "label": LABELS[name], "colour": COLOURS[name]}
            for name, sigma in losses.items()
        },
        "reference": COLOURS["sl"],
        "neutrals": NEUTRALS[:2],
    }
    at = {"loss": loss, "score": score, "step": taus.index(tau), "table": Markup(table.html())}
    at["losses"] = {name: LABELS[name] for name in losses}
    return Html(render("chain.html", data=data, **at))
