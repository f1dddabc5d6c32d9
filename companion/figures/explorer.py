"""A figure with a temperature slider that lives in one piece of HTML: no library, no network.

The curves are the module's own ``log sigma`` and its slope on a grid of score differences, stored
in the page; the script only divides by the temperature, takes exponentials and draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from companion.figures.statuses import Html
from companion.pages import render
from psl.activations import get_activation

__all__ = ["effective_share", "weight_explorer"]

STOPS = (  # of the temperature
    *(0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.125),
    *(0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.7, 1.0),
)


def _grid(points: int = 161) -> torch.Tensor:
    return torch.linspace(-0.999, 1, points, dtype=torch.float64)


def _curve(activation: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``log sigma`` and the logarithm of its slope on the grid."""
    sigma, d = get_activation(activation), _grid()
    return sigma.log(d), sigma.slope(d).log()


def effective_share(activation: str, tau: float) -> float:
    """Return the effective share of the negatives, ``(sum w)^2 / (n sum w^2)``.

    ``w`` are the gradient weights (4.3) of differences spread evenly over [-1, 1]; 1 means that
    every pair counts the same, 1/n that a single one does.
    """
    log, slope = _curve(activation)
    w = torch.softmax(slope + log / tau, 0)
    return float(1 / (len(w) * (w**2).sum()))


def weight_explorer(
    losses: Mapping[str, str],
    labels: Mapping[str, str],
    colours: Mapping[str, str],
    *,
    reference: str = "sl",
    start: tuple[str, float] = ("psl-relu", 0.2),
    taus: Sequence[float] = STOPS,
) -> Html:
    """Return surrogate and gradient weights of one loss beside the reference, over tau.

    Parameters
    ----------
    losses : mapping of str to str
        Activation of each loss, by loss name.
    labels, colours : mapping of str to str
        Name shown and colour, by loss name.
    reference : str
        Loss that is always drawn.
    start : (str, float)
        Loss and temperature at first sight.
    taus : sequence of float
        Stops of the slider, ascending.
    """
    curves = {}
    for name, activation in losses.items():
        log, slope = _curve(activation)
        curves[name] = {
            "log": [round(v, 8) for v in log.tolist()],
            "slope": [round(v, 8) for v in slope.tolist()],
            "label": labels[name],
            "colour": colours[name],
        }
    data = {
        "d": [round(v, 6) for v in _grid().tolist()],
        "curves": curves,
        "reference": reference,
        "taus": list(taus),
    }
    loss, tau = start
    shown = {name: labels[name] for name in losses if name != reference}
    step = list(taus).index(tau)
    return Html(render("weights.html", data=data, losses=shown, loss=loss, step=step))
