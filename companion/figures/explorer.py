"""A figure with a temperature slider that lives in one piece of HTML: no library, no network.

The curves are the module's own ``log sigma`` and its slope on a grid of score differences, stored
in the page; the script only divides by the temperature, takes exponentials and draws.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape

import torch

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
) -> str:
    """Return HTML: surrogate and gradient weights of one loss beside the reference, over tau.

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
    options = "".join(
        f'<option value="{name}"{" selected" if name == start[0] else ""}>{escape(labels[name])}'
        "</option>"
        for name in losses
        if name != reference
    )
    return (
        _PAGE.replace("OPTIONS", options)
        .replace("STEPS", str(len(taus) - 1))
        .replace("START", str(list(taus).index(start[1])))
        .replace("DATA", json.dumps(data, separators=(",", ":")))
    )


_PAGE = """
<div class="psl-explorer" role="group" aria-label="Weights over temperature">
<style>
.psl-explorer { border: 1px solid #8886; border-radius: 6px; padding: 0.8em; }
.psl-explorer .knobs { display: flex; flex-wrap: wrap; gap: 0.6em 2em; align-items: center; }
.psl-explorer label { display: inline-flex; gap: 0.5em; align-items: center; }
.psl-explorer input[type=range] { width: 14em; max-width: 50vw; }
.psl-explorer .panels { display: flex; flex-wrap: wrap; gap: 1em; }
.psl-explorer svg { flex: 1 1 18em; max-width: 100%; background: #fff; border-radius: 4px; }
.psl-explorer svg text { font: 11px sans-serif; fill: #222; }
</style>
<div class="knobs">
<label>loss <select>OPTIONS</select></label>
<label>temperature <input type="range" min="0" max="STEPS" step="1" value="START"></label>
<output aria-live="polite"></output>
</div>
<div class="panels">
<svg viewBox="0 0 330 230" role="img" aria-label="Logarithm of the surrogate over the score
 difference, for the chosen loss and for the softmax loss"></svg>
<svg viewBox="0 0 330 230" role="img" aria-label="Normalised gradient weight over the score
 difference, for the chosen loss and for the softmax loss"></svg>
</div>
<p class="said"></p>
<script type="application/json">DATA</script>
<script>
(() => {
  const root = document.currentScript.closest(".psl-explorer");
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const [surrogate, weight] = root.querySelectorAll("svg");
  const [pick, slide, shown, said] =
    ["select", "input", "output", ".said"].map((s) => root.querySelector(s));
  const left = 42, right = 318, top = 22, bottom = 192;
  const x = (d) => left + ((d + 1) / 2) * (right - left);
  const nice = (v) => {
    const p = 10 ** Math.floor(Math.log10(v));
    return [1, 2, 5, 10].map((k) => k * p).find((k) => k >= v);
  };
  function softmax(curve, tau) {
    const z = curve.log.map((v, k) => v / tau + curve.slope[k]);
    const m = Math.max(...z), e = z.map((v) => Math.exp(v - m));
    const s = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / s);
  }
  function draw(svg, title, lines, low, high) {
    const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
    let out = `<text x="${left}" y="13">${title}</text>`;
    for (let k = 0; k <= 4; k++) {
      const v = low + (k / 4) * (high - low), d = -1 + k / 2;
      out += `<path d="M${left} ${y(v)}H${right}" stroke="#ddd"/>`
        + `<text x="${left - 5}" y="${y(v) + 4}" text-anchor="end">${+v.toPrecision(3)}</text>`
        + `<text x="${x(d)}" y="${bottom + 15}" text-anchor="middle">${d}</text>`;
    }
    out += `<text x="${(left + right) / 2}" y="${bottom + 32}" text-anchor="middle">`
      + "score difference d</text>";
    for (const line of lines) {
      let path = "", pen = "M";
      data.d.forEach((d, k) => {
        const v = line.values[k];
        if (v < low || v > high) { pen = "M"; return; }
        path += `${pen}${x(d).toFixed(1)} ${y(v).toFixed(1)}`;
        pen = "L";
      });
      out += `<path class="curve" d="${path}" fill="none" stroke-width="2" `
        + `stroke="${line.colour}"/>`;
    }
    lines.forEach((line, k) => {
      out += `<text x="${left + 8}" y="${top + 14 + 15 * k}" style="fill:${line.colour}">`
        + `${line.label}</text>`;
    });
    svg.innerHTML = out;
  }
  function show() {
    const tau = data.taus[slide.value];
    const chosen = [data.curves[pick.value], data.curves[data.reference]];
    const weights = chosen.map((c) => softmax(c, tau));
    const lines = (values) => chosen.map((c, k) => (
      { values: values[k], label: c.label, colour: c.colour }));
    draw(surrogate, "log σ(d) / τ, nats", lines(chosen.map((c) => c.log.map((v) => v / tau))),
      -20, 20);
    const scaled = weights.map((w) => w.map((v) => v * w.length));
    draw(weight, "weight of a pair, mean 1", lines(scaled), 0, nice(Math.max(...scaled.flat())));
    const share = weights.map((w) => 1 / (w.length * w.reduce((a, v) => a + v * v, 0)));
    const percent = share.map((v) => `${(100 * v).toFixed(1)} %`);
    shown.textContent = `τ = ${tau}`;
    slide.setAttribute("aria-valuetext", `${tau}`);
    said.textContent = `Effective share of the pairs: ${chosen[0].label} ${percent[0]}, `
      + `${chosen[1].label} ${percent[1]}.`;
  }
  pick.addEventListener("input", show);
  slide.addEventListener("input", show);
  show();
})();
</script>
<noscript>The figure needs JavaScript; the static figures of this chapter show the same curves at
one temperature.</noscript>
</div>
"""
